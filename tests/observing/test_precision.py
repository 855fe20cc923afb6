"""Half precision, and the way to a GPU as far as it can be followed without one."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.factories.observer_weights import TINY
from tests.golden.formula import fill
from tlbench import verify as verifying
from tlbench.checkpoints.catalogue import find_card
from tlbench.checkpoints.package import Package, write_package
from tlbench.checkpoints.weights import Weights
from tlbench.comparison.compare import compare
from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError
from tlbench.media.video_reader import VideoReader
from tlbench.observers.avhubert.dictionary import Dictionary
from tlbench.observers.avhubert.inference import AVHubertInference
from tlbench.observers.avhubert.model import AVHubert
from tlbench.observers.avhubert.observer import AVHubert as AVHubertObserver
from tlbench.observers.avhubert.view import VIEWS as AVHUBERT_VIEWS
from tlbench.observers.conformer.decode import teacher_forced_ids
from tlbench.observers.conformer.inference import ConformerInference
from tlbench.observers.conformer.model import ConformerModel
from tlbench.observers.conformer.view import VIEWS as CONFORMER_VIEWS
from tlbench.observers.mvm.fast_model import FastMVM
from tlbench.observers.mvm.model import MVMModel
from tlbench.observing.device import Precision
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState
from tlbench.observing.precision import HALF, exact_products, to_half
from tlbench.scoring.aggregate_folder import aggregate
from tlbench.scoring.options import MetricOptions, RunOptions
from tlbench.scoring.record import RECORDS_NAME, read_records
from tlbench.scoring.result import Result
from tlbench.scoring.score import score
from tlbench.scoring.setup import Setup, prepare
from tlbench.verify import HalfEffect, half_effect

CLIPS = Path(__file__).parents[1] / "golden" / "clips"
SMALL = replace(TINY, visual_width=4)
META = torch.device("meta")  # shapes without numbers: mixing it with the CPU fails, as mixing a GPU with it would


def avhubert(*, half: bool, device: str | torch.device = "cpu", similarity: bool = False) -> AVHubertInference:
    model = AVHubert(SMALL)
    fill(model.state_dict())
    symbols = ["<s>", "<pad>", "</s>", "<unk>", *(f"▁w{number}" for number in range(SMALL.vocabulary - 4))]
    view = AVHUBERT_VIEWS["lrs2-center"]
    return AVHubertInference(
        model, Dictionary(symbols, None), view, torch.device(device), similarity=similarity, half=half
    )


def watched(reader: AVHubertInference, name: str) -> ClipState:
    state = reader.start_clip(Clip(name, transcript="x"), None)
    for frames in VideoReader(CLIPS / f"{name}_pert.mp4", 2**30).frames():
        state.update(ClipChunk(frames))
    return state


def said_by(reader: AVHubertInference, *names: str) -> list[Evidence]:
    said = reader.compute([watched(reader, name) for name in names])
    assert all(isinstance(one, Evidence) for one in said)
    return [one for one in said if isinstance(one, Evidence)]


@pytest.fixture(scope="module")
def conformer() -> ConformerModel:
    torch.manual_seed(0)
    return ConformerModel().eval()


def test_half_precision_reads_in_other_numbers_and_nearly_the_same() -> None:
    full, half = (said_by(avhubert(half=half), "clip_a")[0] for half in (False, True))
    assert half.number("score") != full.number("score")
    assert half.number("score") == pytest.approx(full.number("score"), rel=0.01)


def test_half_precision_reads_each_clip_as_if_it_were_alone() -> None:
    together = said_by(avhubert(half=True), "clip_a", "clip_c")
    alone = [said_by(avhubert(half=True), name)[0] for name in ("clip_a", "clip_c")]
    assert [one.to_json() for one in together] == [one.to_json() for one in alone]


def test_the_last_layer_stays_in_full_precision() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    to_half(network, whole=[network[2]])
    kinds = {name: tensor.dtype for name, tensor in network.state_dict().items()}
    assert kinds.pop("1.num_batches_tracked") == torch.int64
    assert {kinds.pop("2.weight"), kinds.pop("2.bias")} == {torch.float32}
    assert set(kinds.values()) == {HALF}


def test_the_conformer_in_half_precision_gives_scores_in_full(conformer: ConformerModel) -> None:
    clip = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 112, 112), dtype=np.uint8))
    device = torch.device("cpu")
    scores = []
    for half in (False, True):
        model = ConformerModel().eval()
        model.load_state_dict(conformer.state_dict())
        reader = ConformerInference(model, CONFORMER_VIEWS["lrs2-112"], device, free=True, half=half)
        (encoded,) = reader._encoder(reader._frontend([clip]))
        assert encoded.dtype == (HALF if half else torch.float32)
        seen = reader._decoder.memory([encoded])
        scores.append(reader._decoder.teacher_forced([torch.tensor([39, 7, 3])], seen)[0])
        (free,) = reader._read_freely([reader._frontend([clip])[0]], [encoded])
        assert set(free.values) == {"free_hypothesis", "ctc_hypothesis"}
    assert scores[1].dtype == torch.float32
    assert not torch.equal(*scores)
    assert _distance(*scores) < 0.05


def test_mvm_in_half_precision_gives_logits_in_full() -> None:
    torch.manual_seed(0)
    net = FastMVM(MVMModel().eval())
    crops = torch.randn(1, 2, 112, 112)
    full = net(crops)
    to_half(net, whole=[net.output])
    half = net(crops.to(HALF))
    assert half.dtype == torch.float32
    assert not torch.equal(full, half)
    assert _distance(full, half) < 0.05


def _distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / one.norm())


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two real clips, generated and reference, and a small AV-HuBERT."""
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "checkpoints"))
    for place, suffix in (("refs", ""), ("gen", "_pert"), ("boxes", "")):
        (tmp_path / place).mkdir()
        for name in ("clip_a", "clip_c"):
            kind = ".npy" if place == "boxes" else ".mp4"
            shutil.copy(CLIPS / f"{name}{suffix}{kind}", tmp_path / place / f"{name}{kind}")
            (tmp_path / "refs" / f"{name}.txt").write_text("Text:  HELLO\n")
    model = AVHubert(SMALL)
    fill(model.state_dict())
    symbols = ["<s>", "<pad>", "</s>", "<unk>", *(f"▁w{number}" for number in range(SMALL.vocabulary - 4))]
    config = {"dims": SMALL.to_json(), "dictionary": symbols}
    write_package(Package("avhubert", model.state_dict(), config, {}, "small.pt", "0" * 64), tmp_path / "net")
    return tmp_path


def test_a_run_in_half_precision_is_a_protocol_of_its_own_and_says_who_has_no_half(desk: Path) -> None:
    def scored(precision: Precision) -> Result:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return score(
                desk / "gen",
                "folder",
                desk / "refs",
                boxes=desk / "boxes",
                metrics=["wer1/sound", "psnr/sound"],
                weights={"avhubert": desk / "net"},
                precision=precision,
                device="cpu",
                out=desk / precision,
            )

    full, half = scored("fp32"), scored("bf16")
    wer, psnr = "wer1/sound", "psnr/sound"
    assert (full.protocols[wer].numbers, half.protocols[wer].numbers) == (None, "bfloat16")
    assert full.protocols[psnr] == half.protocols[psnr]
    assert any("half precision (bfloat16): avhubert" in remark for remark in half.remarks)
    assert any(remark.endswith("there is no half: pixels") for remark in half.remarks)
    assert not any("half" in remark for remark in full.remarks)
    assert (full.provenance["numbers"], half.provenance["numbers"]) == (
        {"avhubert": "float32"},
        {"avhubert": "bfloat16"},
    )
    read = [
        [
            record.evidence["avhubert"].number("score")
            for record in read_records(desk / precision / "gen" / RECORDS_NAME)
        ]
        for precision in ("fp32", "bf16")
    ]
    assert not set(read[0]) & set(read[1])  # nothing of one came from the other's cache
    assert wer in [left.key for left in compare(full, half).not_comparable]
    assert aggregate(desk / "bf16" / "gen").protocols == half.protocols


def test_half_precision_has_no_paper(desk: Path) -> None:
    """Published numbers are in full precision: `paper` is left out, and asked for alone it is an error."""

    def setup_of(*metrics: str) -> Setup:
        selection = load_dataset("folder", desk / "refs", generated=desk / "gen", boxes=desk / "boxes")
        weights = {"avhubert": desk / "net"}
        return prepare(selection, MetricOptions(metrics=metrics, weights=weights), options=RunOptions(precision="bf16"))

    setup = setup_of("wer1", "psnr")
    assert {metric.key for metric in setup.metrics} == {"wer1/sound", "psnr/paper", "psnr/sound"}
    assert [line for line in setup.left_out if "wer1/paper" in line and "left out: `paper` is computed in full" in line]
    with pytest.raises(TlbenchError, match="ask for `sound`, or leave out --precision bf16"):
        setup_of("wer1/paper")


def test_what_half_precision_changes_is_counted_in_clips_and_symbols(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = Weights(find_card("avhubert"), desk / "net", "0" * 64)
    clips = [Clip(name, generated=desk / "gen" / f"{name}.mp4", transcript="x") for name in ("clip_a", "clip_c")]
    found = half_effect(weights, clips, cache=desk / "cache")
    assert found.clips == 2
    assert found.symbols > 2
    assert found.differing <= found.edits <= found.symbols

    answers = iter([{"a": [1, 2, 3], "b": [4], "c": [5]}, {"a": [1, 3], "b": [4]}])
    monkeypatch.setattr(verifying, "_answers", lambda *_: next(answers))
    assert half_effect(weights, clips, cache=desk / "cache") == HalfEffect(clips=2, differing=1, symbols=4, edits=1)


def test_half_precision_of_an_observer_without_one_is_one_line(desk: Path) -> None:
    with pytest.raises(TlbenchError, match="no half precision"):
        half_effect(Weights(find_card("syncnet"), desk / "net", "0" * 64), [], cache=desk / "cache")
    with pytest.raises(TlbenchError, match="no precision 'quarter'; there are fp32 and bf16"):
        score(desk / "gen", "folder", desk / "refs", precision="quarter")  # type: ignore[arg-type]


def test_precision_is_part_of_what_an_observer_is() -> None:
    views = ("lrs2-center",)
    ways = [
        AVHubertObserver.identity(views, "aa", half=half, packed=packed)
        for half in (False, True)
        for packed in (False, True)
    ]
    assert len(set(ways)) == 4
    assert ways[0] == "avhubert@2[avhubert-lrs2-center@1]aa"


@pytest.mark.parametrize("half", [False, True])
def test_avhubert_leaves_nothing_behind_on_the_cpu(half: bool) -> None:
    reader = avhubert(half=half, device=META)
    lips = reader._pictures(np.zeros((6, 88, 88), np.float32))
    with torch.inference_mode():
        encoded = reader._fused(
            reader._frontend(lips),
            reader._model.audio_features(reader._speech(np.zeros(4000, np.int16), 6)),
        )
        assert (encoded.device, encoded.dtype) == (META, torch.float32)
        assert reader._stepper is not None
        past = reader._stepper.begin(encoded[None], torch.tensor([6]))
        assert {tensor.device for pair in past.video for tensor in pair} == {META}
        past.words = [(keys.new_empty(1, 4, 8, 16), values.new_empty(1, 4, 8, 16)) for keys, values in past.words]
        scores = reader._stepper.step(torch.full((1, 1), 2).to(META), past)
    assert (scores.device, scores.dtype) == (META, torch.float32)


@pytest.mark.parametrize("half", [False, True])
def test_the_conformer_leaves_nothing_behind_on_the_cpu(half: bool) -> None:
    reader = ConformerInference(ConformerModel(), CONFORMER_VIEWS["lrs2-112"], META, free=True, half=half)
    features = reader._frontend(
        [torch.zeros(7, 112, 112, dtype=torch.uint8), torch.zeros(3, 112, 112, dtype=torch.uint8)]
    )
    seen = reader._decoder.memory(reader._encoder(features))
    ids = teacher_forced_ids(reader._decoder, seen, [torch.tensor([3, 4, 5]).to(META), torch.tensor([3]).to(META)])
    assert {one.device for one in (*features, *seen[0].keys, *ids)} == {META}


@pytest.mark.parametrize("half", [False, True])
def test_mvm_leaves_nothing_behind_on_the_cpu(half: bool) -> None:
    net = FastMVM(MVMModel())
    if half:
        to_half(net, whole=[net.output])
    logits = net.to(META)(torch.zeros(2, 29, 112, 112).to(META, HALF if half else torch.float32))
    assert (logits.device, logits.dtype) == (META, torch.float32)


def test_convolutions_on_a_gpu_are_not_rounded() -> None:
    before = torch.backends.cudnn.allow_tf32
    with exact_products(torch.device("cuda")):
        assert not torch.backends.cudnn.allow_tf32
    with exact_products(torch.device("cpu")):
        assert torch.backends.cudnn.allow_tf32 == before
    assert torch.backends.cudnn.allow_tf32 == before
