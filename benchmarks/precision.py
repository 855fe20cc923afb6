"""What half precision changes: tokens of AV-HuBERT and auto_avsr, characters of the Conformer, and words of MVM.

    python -m benchmarks.precision [--folder CLIPS] [--size small|base] [--readers avhubert,autoavsr,conformer,mvm]
                                   [--frames N] [--device cpu|cuda]

Reads real clips twice, in float32 and in bfloat16, by networks whose weights are made by the formula of the golden
tests, AV-HuBERT's at random. Such a network is untrained: its scores are closer together than those of a trained
one, so rounding changes more of them. With a real checkpoint, `tlbench checkpoints verify NAME
--compare-bf16 --dataset ...` counts the same. Clips are cut to N frames, because bfloat16 is several times slower on a
CPU without instructions for it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import torch

from tests.factories.observer_weights import TINY
from tests.golden.autoavsr_inputs import lively
from tests.golden.formula import fill
from tlbench.datasets.clip import Clip
from tlbench.media.video_reader import FrameChunk, VideoReader
from tlbench.media.views import View
from tlbench.metrics.text import distance
from tlbench.observers.autoavsr.dims import PUBLISHED as AUTOAVSR
from tlbench.observers.autoavsr.dims import Dims as AutoAVSRDims
from tlbench.observers.autoavsr.inference import AutoAVSRInference
from tlbench.observers.autoavsr.model import AutoAVSRModel
from tlbench.observers.autoavsr.tokens import Tokens, published_tokens
from tlbench.observers.autoavsr.view import READ
from tlbench.observers.avhubert.dictionary import Dictionary
from tlbench.observers.avhubert.dims import Dims
from tlbench.observers.avhubert.inference import AVHubertInference
from tlbench.observers.avhubert.model import AVHubert
from tlbench.observers.avhubert.view import VIEWS as AVHUBERT_VIEWS
from tlbench.observers.conformer.inference import ConformerInference
from tlbench.observers.conformer.model import ConformerModel
from tlbench.observers.conformer.view import VIEWS as CONFORMER_VIEWS
from tlbench.observers.mvm.fast_model import FastMVM
from tlbench.observers.mvm.inference import MVMInference
from tlbench.observers.mvm.model import MVMModel
from tlbench.observers.mvm.view import VIEWS as MVM_VIEWS
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState

MIDDLE = View("middle", 1, READ, ((160, 160),))  # of a golden clip, for auto_avsr: without a search for landmarks
CLIPS = Path(__file__).parents[1] / "tests" / "golden" / "clips"
SAID = "PUT RED AT T FOUR NOW"
SIZES = {
    "small": replace(TINY, visual_width=8, vocabulary=200),
    "base": Dims(
        encoder_layers=12,
        encoder_width=768,
        encoder_ffn=3072,
        encoder_heads=12,
        decoder_layers=6,
        decoder_width=768,
        decoder_ffn=3072,
        decoder_heads=4,
        vocabulary=1000,
        embedding_scale=False,
    ),
}

Reader: TypeAlias = AutoAVSRInference | AVHubertInference | ConformerInference | MVMInference


@dataclass(frozen=True)
class Subject:
    """One reader: how to build it, how to begin with a clip, and which of its findings are its answer."""

    build: Callable[[torch.device, bool], Reader]
    answer: str


def avhubert(size: str) -> Callable[[torch.device, bool], AVHubertInference]:
    dims = SIZES[size]

    def build(device: torch.device, half: bool) -> AVHubertInference:
        torch.manual_seed(0)
        model = AVHubert(dims)
        with torch.no_grad():  # the formula's decoder, or a tamer one, would say the same token all the time
            model.decoder.embed_tokens.weight *= 0.05
            for name, tensor in model.decoder.named_parameters():
                if name.endswith(("_proj.weight", "fc1.weight", "fc2.weight")):
                    tensor *= 6
        symbols = ["<s>", "<pad>", "</s>", "<unk>", *(f"▁w{number}" for number in range(dims.vocabulary - 4))]
        view = AVHUBERT_VIEWS["lrs2-center"]
        return AVHubertInference(model, Dictionary(symbols, None), view, device, similarity=False, half=half)

    return build


def autoavsr(size: str) -> Callable[[torch.device, bool], AutoAVSRInference]:
    """The published network, or a tiny one. With the formula's weights as they are it would say one token."""
    tokens = published_tokens()
    dims = AUTOAVSR
    if size == "small":
        dims = AutoAVSRDims(width=64, heads=4, hidden=128, encoder_blocks=2, decoder_blocks=2, vocabulary=100)
        tokens = Tokens(tokens.units[: dims.vocabulary - 2], tokens.pieces)

    def build(device: torch.device, half: bool) -> AutoAVSRInference:
        model = AutoAVSRModel(dims)
        state = model.state_dict()
        fill(state)
        lively(state, embed=3.0, out=12.0, resid=2.0, q=16.0, ctc=15.0, blank=2.0, proj=8.0)  # one of the goldens'
        return AutoAVSRInference(model, tokens, MIDDLE, device, ["beam"], half=half)

    return build


def conformer(device: torch.device, half: bool) -> ConformerInference:
    model = ConformerModel()
    fill(model.state_dict())
    return ConformerInference(model, CONFORMER_VIEWS["lrs2-112"], device, free=False, half=half)


def mvm(device: torch.device, half: bool) -> MVMInference:
    model = MVMModel()
    fill(model.state_dict())
    return MVMInference(FastMVM(model.eval()), MVM_VIEWS["lrw"], device, half=half)


def watched(reader: Reader, clip: Clip, frames: int) -> ClipState:
    state: ClipState
    if isinstance(reader, MVMInference):
        state = reader.start(replace(clip, word="ABOUT"), None)
    elif isinstance(reader, AVHubertInference):
        state = reader.start_clip(clip, None)
    else:
        state = reader.start_clip(clip)
    assert clip.generated is not None
    seen = [frame for run in VideoReader(clip.generated, 0).frames() for frame in run.native][:frames]
    state.update(ClipChunk(FrameChunk(0, tuple(seen))))
    return state


def answers(subject: Subject, clips: list[Clip], frames: int, device: torch.device, half: bool) -> list[list[object]]:
    reader = subject.build(device, half)
    found: list[list[object]] = []
    for said in reader.compute([watched(reader, clip, frames) for clip in clips]):
        assert isinstance(said, Evidence), said
        answer = said.values[subject.answer]
        found.append([answer] if isinstance(answer, str) else list(said.array(subject.answer)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=CLIPS)
    parser.add_argument("--size", choices=list(SIZES), default="small", help="of AV-HuBERT")
    parser.add_argument("--readers", default="avhubert,autoavsr,conformer,mvm")
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    subjects = {
        "avhubert": Subject(avhubert(arguments.size), "tokens"),
        "autoavsr": Subject(autoavsr(arguments.size), "tokens"),
        "conformer": Subject(conformer, "forced_ids"),
        "mvm": Subject(mvm, "predicted"),
    }
    device = torch.device(arguments.device)
    clips = [Clip(path.stem, generated=path, transcript=SAID) for path in sorted(arguments.folder.glob("*.mp4"))]
    for name in arguments.readers.split(","):
        read, taken = [], []
        for half in (False, True):
            began = time.monotonic()
            read.append(answers(subjects[name], clips, arguments.frames, device, half))
            taken.append(time.monotonic() - began)
        differing = sum(one != other for one, other in zip(*read, strict=True))
        edits = sum(distance(one, other) for one, other in zip(*read, strict=True))  # type: ignore[arg-type]
        print(
            f"{name:10s} {differing} of {len(clips)} clips read differently, {edits} of {sum(map(len, read[0]))} "
            f"symbols; full {taken[0]:.1f} s, half {taken[1]:.1f} s, loading included"
        )


if __name__ == "__main__":
    main()
