"""One command for a machine with a GPU: are the networks equal there, and how fast are they?

    python -m benchmarks.gpu [--device cuda] [--size base] [--seconds 20]

Needs a checkout with the extra ``dev``; takes about five minutes on a GPU. Three parts, each a line for each observer:

parity
    The repository's recorded outputs of the original code, whose weights are formulas, computed on the device in
    float32 with TF32 off: floats to 1e-4 of the norm, tokens, characters and words equal. Exit code 1 if not.
bfloat16
    The share of clips whose tokens, characters or word change against float32 on the same device. The networks are
    untrained, so their scores are close together and rounding changes more of them than of trained ones.
throughput
    Frames and clips a second of each network, decoding left out, and of what feeds it on one core: decoding and crops.
    So it follows how many cores feed the device. On a CPU both are of one core, by its processor time.

It never ran on CUDA: where it was written there was no GPU, only ``--device cpu``.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.column_networks import passes
from benchmarks.precision import CLIPS, SAID, Subject, answers, autoavsr, avhubert, conformer, mvm, watched
from tests.factories.conformer_factory import formula_model as conformer_model
from tests.golden import test_autoavsr as autoavsr_goldens
from tests.golden import test_avhubert_beam as beam
from tests.golden import test_avhubert_encoder as encoder
from tests.golden import test_conformer as conformer_goldens
from tests.golden import test_mvm as mvm_goldens
from tests.golden import test_syncnet as syncnet_goldens
from tests.golden.formula import fill
from tlbench.datasets.clip import Clip
from tlbench.media.audio import read_audio
from tlbench.media.video_reader import VideoReader
from tlbench.observers.autoavsr.fast_model import ClipEncoder
from tlbench.observers.conformer.fast_model import JoinedDecoder, JoinedEncoder
from tlbench.observers.conformer.tokenizer import EOS
from tlbench.observers.mvm.fast_model import FastMVM
from tlbench.observers.mvm.model import MVMModel
from tlbench.observers.syncnet.fast_model import FastSyncNet
from tlbench.observers.syncnet.observer import SyncNet
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState
from tlbench.observing.precision import exact_products

TOLERANCE = 1e-4  # of the norm: docs/precision.md, for a GPU with TF32 off
MOST_FRAMES = {"mvm": 29}  # of a clip of one word
SEARCHES = 8  # of AV-HuBERT's recorded searches for each variant of the weights, in five minutes


@dataclass(frozen=True)
class Outcome:
    """What one observer's goldens came to.

    Attributes
    ----------
    error : float
        The largest relative error of a float.
    symbols, equal : int
        Tokens, characters or words, and how many are the original's.
    """

    error: float
    symbols: int
    equal: int

    @property
    def passed(self) -> bool:
        """Whether floats are close enough and all symbols equal."""
        return self.error < TOLERANCE and self.equal == self.symbols


def relative_error(ours: torch.Tensor, theirs: np.ndarray) -> float:
    """The norm of the difference over that of the golden."""
    a, b = ours.double().cpu().numpy(), np.asarray(theirs, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"{a.shape} for {b.shape}")
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def same(ours: np.ndarray, theirs: np.ndarray) -> tuple[int, int]:
    """How many symbols there are, and how many are equal at their place."""
    if ours.shape != theirs.shape:
        return max(ours.size, theirs.size), 0
    return theirs.size, int((ours == theirs).sum())


def avhubert_parity(device: torch.device) -> Outcome:
    """Features and logits of the tiny network, and beam searches: all hypotheses, where scores are not tied."""
    model = encoder.network(encoder.TINY).to(device)
    golden = dict(np.load(encoder.FOLDER / "tiny_forward.npz"))
    lips, speech = encoder.video(1, 1, 40).to(device), encoder.audio(2, 1, 40).to(device)
    nothing_hidden = torch.zeros(1, 40, dtype=torch.bool, device=device)
    inputs = {"v40": (lips, None), "a40": (None, speech), "av40": (lips, speech)}
    errors = [
        relative_error(model.encode(*given, nothing_hidden).transpose(0, 1), golden[f"{name}_encoder_out"])
        for name, given in inputs.items()
    ]
    counts = []
    for variant in ("plain", "A", "B"):
        decoder = beam.SteppingDecoder(beam.formula_decoder("tiny", variant).to(device))
        named = [name for name, used in beam.cases(beam.TINY, "tiny").items() if used == variant]
        for name in [name for name in named if name != beam.SIX_FRAMES][:SEARCHES]:
            case = beam.read_case(beam.TINY, "tiny", name)
            found = beam.beam_search(
                decoder,
                case.encoded.to(device),
                case.lengths.to(device),
                case.settings,
                case.prefixes,
                case.counted,
            )
            for ours, theirs in zip(found, case.expected, strict=True):
                for hypothesis, (tokens, _, _) in zip(ours, theirs, strict=True):
                    counts.append(same(np.asarray(hypothesis.tokens), tokens))
                    if ("tiny", name) in beam.TIES:
                        break  # the best alone
    return _outcome(errors, counts)


def autoavsr_parity(device: torch.device) -> Outcome:
    """Encodings of the tiny network, and all its beam searches: the hypotheses that rounding does not change."""
    golden = dict(np.load(autoavsr_goldens.GOLDEN / "forward_tiny.npz"))
    encode = ClipEncoder(autoavsr_goldens.network(autoavsr_goldens.TINY)).eval().to(device)
    (whole, _), (two, _) = autoavsr_goldens.clips(21, [20]), autoavsr_goldens.clips(22, [20, 13])
    errors = [
        relative_error(encode(whole[0, :, 0].to(device))[None], golden["one_encoder"]),
        relative_error(encode(two[1, :13, 0].to(device))[None], golden["alone13_encoder"]),
    ]
    recorded = np.load(autoavsr_goldens.GOLDEN / "beam_tiny.npz")
    cases = autoavsr_goldens.SEARCHES
    found = autoavsr_goldens.Searches(autoavsr_goldens.TINY, device=device).run(cases)
    counts = []
    for name, hypotheses in found.items():
        expected = autoavsr_goldens.comparable(name, cases[name], recorded)
        for ours, theirs in zip(hypotheses[: len(expected)], expected, strict=True):
            counts.append(same(ours.tokens.numpy(), np.asarray(theirs)))
    return _outcome(errors, counts)


def conformer_parity(device: torch.device) -> Outcome:
    """Encoded frames, logits and the characters they stand for, of recorded features."""
    golden = dict(np.load(conformer_goldens.GOLDEN / "formula.npz"))
    model = conformer_model().to(device)
    features = [torch.from_numpy(golden[f"{case}_frontend"][0]).to(device) for case in conformer_goldens.SINGLE]
    joined = JoinedDecoder(model.decoder)
    encoded = JoinedEncoder(model.encoder)(features)
    prefixes = [torch.tensor([EOS, *golden[f"{case}_ys"][0]], device=device) for case in conformer_goldens.SINGLE]
    logits = joined.teacher_forced(prefixes, joined.memory(encoded))
    errors, counts = [], []
    for case, rows, written in zip(conformer_goldens.SINGLE, encoded, logits, strict=True):
        errors += [
            relative_error(rows, golden[f"{case}_encoder"][0]),
            relative_error(written, golden[f"{case}_logits"][0]),
            relative_error(model.ctc(rows), golden[f"{case}_ctc_logits"][0]),
        ]
        counts.append(same(written.argmax(-1).cpu().numpy(), golden[f"{case}_argmax"][0]))
    return _outcome(errors, counts)


def mvm_parity(device: torch.device) -> Outcome:
    """Logits of two clips and their mirror images, and the words with the highest."""
    golden = dict(np.load(mvm_goldens.GOLDEN / "formula.npz"))
    model = MVMModel()
    for part in mvm_goldens.PARTS:
        fill(getattr(model, part).state_dict())
    network = FastMVM(model.eval().requires_grad_(False)).to(device)
    b, t, y, x = np.meshgrid(np.arange(2), np.arange(29), np.arange(112), np.arange(112), indexing="ij")
    wave = 1.4 * np.sin(0.11 * y + 0.3 * t + 0.8 * b) * np.cos(0.08 * x - 0.15 * t)
    crops = torch.from_numpy((wave + 0.4 * np.cos(0.017 * x * y + 0.5 * t)).astype(np.float32)).to(device)
    plain, mirrored = network(crops), network(crops.flip(-1))
    both = golden["logits_test_aug_sum"]
    errors = [relative_error(plain, golden["logits"]), relative_error(mirrored, golden["logits_flip"])]
    return _outcome(errors, [same((plain + mirrored).argmax(-1).cpu().numpy(), both.argmax(-1))])


def syncnet_parity(device: torch.device) -> Outcome:
    """Embeddings of speech, and distances and offsets of whole clips; the offsets count as symbols."""
    golden = dict(np.load(syncnet_goldens.GOLDEN / "formula.npz"))
    network = FastSyncNet(syncnet_goldens.formula_model()).to(device)
    speech = torch.from_numpy(golden["aud_in"][:, 0]).to(device)
    errors, counts = [relative_error(network.speech(speech), golden["aud_out"])], []
    expected = syncnet_goldens.json.loads((syncnet_goldens.GOLDEN / "expected.json").read_text())
    for clip in syncnet_goldens.CLIPS:
        seen = synced(network, syncnet_goldens.GOLDEN / f"{clip}.mp4", device)
        recorded = expected[clip]["no_jpeg"]
        for name in ("lse_d", "lse_c"):
            errors.append(abs(seen.number(f"sound_{name}") - recorded[name]) / recorded["lse_d"])
        counts.append((1, int(seen.number("sound_offset_frames") == recorded["offset_frames"])))
    return _outcome(errors, counts)


def synced(network: FastSyncNet, path: Path, device: torch.device) -> Evidence:
    """SyncNet's evidence of a clip."""
    observer = SyncNet(network, ("sound",), str(device))
    (evidence,) = observer.compute([sync_state(observer, path)])
    if not isinstance(evidence, Evidence):
        raise evidence
    return evidence


def sync_state(observer: SyncNet, path: Path) -> ClipState:
    """A clip's state with all of its frames."""
    state = observer.start_clip(Clip(path.stem), read_audio(path))
    for frames in VideoReader(path).frames():
        state.update(ClipChunk(frames))
    return state


def _outcome(errors: list[float], counts: list[tuple[int, int]]) -> Outcome:
    return Outcome(max(errors), sum(symbols for symbols, _ in counts), sum(equal for _, equal in counts))


PARITY: dict[str, Callable[[torch.device], Outcome]] = {
    "avhubert": avhubert_parity,
    "autoavsr": autoavsr_parity,
    "conformer": conformer_parity,
    "mvm": mvm_parity,
    "syncnet": syncnet_parity,
}


def readers(size: str) -> dict[str, Subject]:
    """The observers with tokens, characters or words."""
    return {
        "avhubert": Subject(avhubert(size), "tokens"),
        "autoavsr": Subject(autoavsr(size), "tokens"),
        "conformer": Subject(conformer, "forced_ids"),
        "mvm": Subject(mvm, "predicted"),
    }


def golden_clips() -> list[Clip]:
    """The repository's clips."""
    return [Clip(path.stem, generated=path, transcript=SAID) for path in sorted(CLIPS.glob("*.mp4"))]


def changed_by_half(size: str, frames: int, device: torch.device) -> Iterator[tuple[str, int, int]]:
    """For each reader the clips, and how many of them are read differently in bfloat16."""
    clips = golden_clips()
    for name, subject in readers(size).items():
        shown = min(frames, MOST_FRAMES.get(name, frames))
        full, half = (answers(subject, clips, shown, device, how) for how in (False, True))
        yield name, len(clips), sum(one != other for one, other in zip(full, half, strict=True))


def throughput(
    size: str, frames: int, seconds: float, device: torch.device
) -> Iterator[tuple[str, str, float, float, float]]:
    """Name, numbers (float32 or bfloat16), clips and frames a second of each network, frames that a core feeds it."""
    batch = 8
    clips = (golden_clips() * batch)[:batch]
    for name, subject in readers(size).items():
        shown = min(frames, MOST_FRAMES.get(name, frames))
        for half in (False, True) if device.type == "cuda" else (False,):
            reader = subject.build(device, half)
            fed = feeding_rate(partial(watched, reader, frames=sys.maxsize), seconds)
            states = [watched(reader, clip, shown) for clip in clips]
            rate = batch / timed(partial(reader.compute, states), seconds, device)
            yield name, "bfloat16" if half else "float32", rate, rate * shown, fed
    observer = SyncNet(FastSyncNet(syncnet_goldens.formula_model()), ("sound",), str(device))
    path = syncnet_goldens.GOLDEN / f"{syncnet_goldens.CLIPS[0]}.mp4"
    count = sum(len(run) for run in VideoReader(path).frames())
    clock = clock_of(device)
    each = []
    while len(each) < 3 or sum(each) < seconds:
        state = sync_state(observer, path)  # a state is used once; its network sees frames as they come
        started = clock()
        observer.compute([state])
        each.append(clock() - started)
    rate = 1 / float(np.median(each))
    fed = feeding_rate(read_frames, seconds)
    yield "syncnet", "float32", rate, rate * count, fed
    for job in passes(device):
        rate = job.frames / timed(job.run, seconds, device)
        yield job.network, "float32", rate / frames, rate, fed


def feeding_rate(feed: Callable[[Clip], object], seconds: float) -> float:
    """Frames of the repository's clips that one core decodes and prepares a second, by its processor time."""
    clips = golden_clips()
    counts = [sum(len(run) for run in VideoReader(clip.generated).frames()) for clip in clips if clip.generated]
    began, frames = time.process_time(), 0
    while not frames or time.process_time() - began < seconds / 4:
        for clip in clips:
            feed(clip)
        frames += sum(counts)
    return frames / (time.process_time() - began)


def read_frames(clip: Clip) -> int:
    """Decode the frames of a clip."""
    if clip.generated is None:
        return 0
    return sum(len(run) for run in VideoReader(clip.generated).frames())


def clock_of(device: torch.device) -> Callable[[], float]:
    """A clock that other processes do not change: of the processor on a CPU, where one thread computes."""
    return time.process_time if device.type == "cpu" else time.perf_counter


def timed(call: Callable[[], object], seconds: float, device: torch.device) -> float:
    """The median seconds of a call, after one that is not counted."""

    clock = clock_of(device)

    def once() -> float:
        started = clock()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock() - started

    once()
    taken = [once()]
    while sum(taken) < seconds:
        taken.append(once())
    return float(np.median(taken))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", choices=["small", "base"], help="of AV-HuBERT where speed is measured")
    parser.add_argument("--frames", type=int, help="of each clip where speed and bfloat16 are measured")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each figure of speed")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("torch sees no CUDA device here; --device cpu shows that the script itself works")
    size = arguments.size or ("base" if device.type == "cuda" else "small")
    frames = arguments.frames or (75 if device.type == "cuda" else 15)
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print(f"torch {torch.__version__}, {named}, {os.cpu_count()} cores; AV-HuBERT {size}, {frames} frames a clip")
    torch.backends.cuda.matmul.allow_tf32 = False
    if device.type == "cpu":
        torch.set_num_threads(1)
    failed = False
    with exact_products(device), torch.inference_mode():
        for name, parity in PARITY.items():
            outcome = parity(device)
            failed |= not outcome.passed
            print(
                f"parity      {name:10s} {'equal' if outcome.passed else 'DIFFERENT'}: floats {outcome.error:.1e} of "
                f"{TOLERANCE:.0e}, {outcome.equal} of {outcome.symbols} symbols",
                flush=True,
            )
    for name, clips, changed in changed_by_half(size, frames, device):
        print(f"bfloat16    {name:10s} {changed} of {clips} clips read differently ({changed / clips:.0%})", flush=True)
    for name, numbers, clips_rate, frames_rate, fed in throughput(size, frames, arguments.seconds, device):
        print(
            f"throughput  {name:10s} {numbers}: {clips_rate:.2f} clips/s, {frames_rate:.1f} frames/s; one core feeds "
            f"{fed:.0f} frames/s, so {frames_rate / fed:.2f} cores",
            flush=True,
        )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
