"""The Conformer equals the original code on formula weights: layers, padding, crops, characters, whole clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.factories.conformer_factory import formula_model
from tlbench.datasets.clip import Clip
from tlbench.media.video_reader import VideoReader
from tlbench.observers.conformer.fast_model import FusedFrontend, JoinedDecoder, JoinedEncoder
from tlbench.observers.conformer.inference import ConformerClipState, ConformerInference
from tlbench.observers.conformer.model import ConformerModel, pad_features
from tlbench.observers.conformer.tokenizer import EOS, IDS, ids_of, required_frames
from tlbench.observers.conformer.view import VIEWS
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk
from tlbench.observing.pack_layers import pack_layers

GOLDEN = Path(__file__).with_name("conformer")
CLIPS = Path(__file__).with_name("clips")
CASES = {"one_pad": [12], "one_nopad": [20], "two": [20, 13]}  # frames of each clip
TEXTS = {"one_pad": ["WE'LL SEE 2 BOOKS"], "one_nopad": ["BIN GREEN AT N"], "two": ["BIN GREEN AT N", "HELLO ALL"]}
SINGLE = ("one_pad", "one_nopad")


@pytest.fixture(scope="module")
def model() -> ConformerModel:
    return formula_model()


@pytest.fixture(scope="module")
def formula() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / "formula.npz"))


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads((GOLDEN / "script.json").read_text())
    return recorded


def relative_error(ours: Tensor | np.ndarray, theirs: Tensor | np.ndarray) -> float:
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    assert a.shape == b.shape
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def formula_crops(clips: int, frames: int) -> Tensor:
    """Of a batch; in the shorter clip the formula goes on beyond the last frame, and the first layer sees that."""
    b, t, y, x = np.meshgrid(np.arange(clips), np.arange(frames), np.arange(112), np.arange(112), indexing="ij")
    wave = 1.5 * np.sin(0.13 * y + 0.4 * t + 0.7 * b) * np.cos(0.09 * x - 0.2 * t)
    return torch.from_numpy((wave + 0.3 * np.cos(0.021 * x * y + t)).astype(np.float32))


def test_names_and_shapes_and_their_order_are_the_originals() -> None:
    expected = json.loads((GOLDEN / "state_dict.json").read_text())
    model = formula_model()
    ours = {name: [list(tensor.shape), str(tensor.dtype)] for name, tensor in model.state_dict().items()}
    assert list(ours.items()) == list(expected.items())
    assert sum(parameter.numel() for parameter in model.parameters()) == 52_496_656


def test_the_characters_are_the_originals() -> None:
    expected = json.loads((GOLDEN / "char_table.json").read_text())["char_dict"]
    assert expected == {**IDS, "<EOS>": EOS}


def test_frames_required_by_texts_are_the_originals(formula: dict[str, np.ndarray]) -> None:
    rows = json.loads((GOLDEN / "error_calculator.json").read_text())["req"]
    assert [required_frames(ids_of(row["text"], "a")) for row in rows] == [row["req"] for row in rows]
    for case, frames in CASES.items():
        required = [max(n, required_frames(ids_of(text, "a"))) for n, text in zip(frames, TEXTS[case], strict=True)]
        assert required == formula[f"{case}_req"].tolist()


@pytest.mark.parametrize("case", CASES)
def test_the_model_as_written_equals_the_original(
    model: ConformerModel, formula: dict[str, np.ndarray], case: str
) -> None:
    frames = CASES[case]
    lengths = formula[f"{case}_req"].tolist()
    targets = torch.from_numpy(formula[f"{case}_ys"])  # (B, n), -1 behind the shorter one
    with torch.inference_mode():
        crops = formula_crops(len(frames), max(frames))
        padded = pad_features(model.visual_frontend(crops, frames), lengths)
        encoded, mask = model.encode(crops, frames, lengths)
        start = torch.full((len(frames), 1), EOS)
        prefix = torch.cat([start, targets.where(targets >= 0, torch.tensor(EOS))], dim=1)
        logits = model.decoder(prefix, encoded, mask)
    np.testing.assert_array_equal(mask, formula[f"{case}_mask"])
    assert relative_error(padded, formula[f"{case}_frontend"]) < 1e-5
    assert relative_error(encoded, formula[f"{case}_encoder"]) < 1e-5
    assert relative_error(logits, formula[f"{case}_logits"]) < 1e-5
    assert relative_error(model.ctc(encoded), formula[f"{case}_ctc_logits"]) < 1e-5
    np.testing.assert_array_equal(logits.argmax(-1), formula[f"{case}_argmax"])


@pytest.mark.parametrize("packed", [False, True], ids=["torch", "packed"])
def test_clips_joined_equal_the_original_on_each_alone(formula: dict[str, np.ndarray], packed: bool) -> None:
    model = formula_model()
    features = [torch.from_numpy(formula[f"{case}_frontend"][0]) for case in SINGLE]
    encoder, decoder = JoinedEncoder(model.encoder), JoinedDecoder(model.decoder)
    if packed:
        for part in (encoder, decoder):
            pack_layers(part, whole=[model.decoder.output_layer])
    encoded = encoder(features)
    prefixes = [torch.tensor([EOS, *formula[f"{case}_ys"][0]]) for case in SINGLE]
    logits = decoder.teacher_forced(prefixes, decoder.memory(encoded))
    for case, rows, written in zip(SINGLE, encoded, logits, strict=True):
        assert relative_error(rows, formula[f"{case}_encoder"][0]) < 1e-5
        assert relative_error(written, formula[f"{case}_logits"][0]) < 1e-5
        assert relative_error(model.ctc(rows), formula[f"{case}_ctc_logits"][0]) < 1e-5
        np.testing.assert_array_equal(written.argmax(-1), formula[f"{case}_argmax"][0])


def test_the_originals_padded_batch_is_not_what_it_gives_for_the_clip_alone(
    model: ConformerModel, formula: dict[str, np.ndarray]
) -> None:
    """Why ``paper`` means batches of one: the shorter clip's convolutions see the padding behind it."""
    features = torch.from_numpy(formula["two_frontend"][1, :13])
    alone = JoinedEncoder(model.encoder)([features])[0]
    assert relative_error(alone, formula["two_encoder"][1, :13]) > 1e-3


def watch(reader: ConformerInference, folder: Path, name: str) -> ConformerClipState:
    transcript = (folder / f"{name.removesuffix('_pert')}.txt").read_text().splitlines()[0].strip()[7:]
    state = reader.start_clip(Clip(name, transcript=transcript))
    for frames in VideoReader(folder / f"{name}.mp4").frames():
        state.update(ClipChunk(frames))
    return state


def errors(evidence: Evidence) -> tuple[float, float]:
    """CER and WER by the published count, written out once more: edits of lists of numbers."""
    said, true = evidence.array("forced_ids").tolist(), evidence.array("reference_ids").tolist()
    if said[-1] == EOS:
        said = said[:-1]
    words, (first, *rest) = _words(true), _words(said)
    found = [first, *filter(None, rest)]
    return _edits(said, true) / len(true), _edits(found, words) / len(words)


def _words(ids: list[int]) -> list[tuple[int, ...]]:
    ends = [i for i, number in enumerate(ids) if number == IDS[" "]]
    return [tuple(ids[a:b]) for a, b in zip([0, *(end + 1 for end in ends)], [*ends, len(ids)], strict=True)]


def _edits(one: list[Any], other: list[Any]) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def test_the_count_used_here_is_the_originals() -> None:
    for row in json.loads((GOLDEN / "error_calculator.json").read_text())["rows"]:
        target = np.array(row["target"])
        evidence = Evidence("conformer", {"forced_ids": np.array(row["pred"][: len(target)]), "reference_ids": target})
        assert errors(evidence) == pytest.approx((row["cer"], row["wer"]), abs=1e-12), row["note"]


@pytest.mark.parametrize(
    ("run", "recorded"),
    [("orig", "script_clips"), pytest.param("orig_pert", "script_clips_pert", marks=pytest.mark.slow)],
)
def test_whole_clips_read_together_score_as_the_original_script_did(
    model: ConformerModel, script: dict[str, Any], run: str, recorded: str
) -> None:
    golden = np.load(GOLDEN / f"{recorded}.npz")
    reader = ConformerInference(model, VIEWS["lrs2-112"], torch.device("cpu"), free=False)
    states = [watch(reader, CLIPS, f"{name}_pert" if run == "orig_pert" else name) for name in script[run]]
    for name, state, evidence in zip(script[run], states, reader.compute(states), strict=True):
        sums = state.crops.sum(dim=(1, 2))
        np.testing.assert_array_equal(sums, golden[f"{name}_gray112_sum"])
        assert isinstance(evidence, Evidence)
        np.testing.assert_array_equal(evidence.array("reference_ids"), golden[f"{name}_ys"])
        assert len(evidence.array("forced_ids")) == len(golden[f"{name}_ys"])
        assert errors(evidence) == (script[run][name]["cer"], script[run][name]["wer"])
    crops = states[-1].crops  # clip_c
    chosen = crops[[0, 1, len(crops) // 2, len(crops) - 1]]
    np.testing.assert_array_equal(chosen, golden["clip_c_gray112_u8"])


@pytest.mark.parametrize("recorded", ["script_clips", pytest.param("script_clips_pert", marks=pytest.mark.slow)])
def test_whole_clips_are_encoded_as_by_the_original_script(model: ConformerModel, recorded: str) -> None:
    golden = np.load(GOLDEN / f"{recorded}.npz")
    reader = ConformerInference(model, VIEWS["lrs2-112"], torch.device("cpu"), free=False)
    names = ["clip_c", "clip_a"]
    states = [watch(reader, CLIPS, f"{name}_pert" if recorded.endswith("pert") else name) for name in names]
    features = FusedFrontend(model.visual_frontend)([state.crops for state in states])
    for name, encoded in zip(names, JoinedEncoder(model.encoder)(features), strict=True):
        assert relative_error(encoded, golden[f"{name}_hs"]) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("run", "recorded"), [("orig", "script_clips"), ("orig_pert", "script_clips_pert")])
def test_real_speakers_score_as_the_original_script_did(
    shared: Path, model: ConformerModel, run: str, recorded: str
) -> None:
    folder = shared / "golden" / "conformer"
    golden = np.load(folder / f"{recorded}.npz")
    script = json.loads((folder / "script.json").read_text())[run]["per_clip"]
    reader = ConformerInference(model, VIEWS["lrs2-112"], torch.device("cpu"), free=False)
    names = ["grid_s1", "grid_s2"]
    ending = "_pert" if run == "orig_pert" else ""
    states = [watch(reader, shared / "golden" / "clips", name + ending) for name in names]
    features = FusedFrontend(model.visual_frontend)([state.crops for state in states])
    encoded = JoinedEncoder(model.encoder)(features)
    for name, state, rows, evidence in zip(names, states, encoded, reader.compute(states), strict=True):
        np.testing.assert_array_equal(state.crops.sum(dim=(1, 2)), golden[f"{name}_gray112_sum"])
        assert relative_error(rows, golden[f"{name}_hs"]) < 1e-5
        assert isinstance(evidence, Evidence)
        assert errors(evidence) == (script[name]["cer"], script[name]["wer"])
