"""auto_avsr as an observer: what it reads, how it compares, and clips that it can't take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.factories.observer_weights import formula_weights
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.metrics.catalogue import find_metric
from tlbench.observers.autoavsr.checkpoint import load_model
from tlbench.observers.autoavsr.ctc_prefix import NEVER, CTCPrefixes
from tlbench.observers.autoavsr.decode import NotFiniteScoresError, beam_search, ctc_greedy
from tlbench.observers.autoavsr.fast_model import ClipEncoder, decoder_parts
from tlbench.observers.autoavsr.inference import AutoAVSRInference, _similarity
from tlbench.observers.autoavsr.observer import AutoAVSR
from tlbench.observers.autoavsr.view import PATCHES
from tlbench.observing.evidence import Evidence
from tlbench.observing.incremental_decoder import SteppingDecoder

CPU = torch.device("cpu")
MODES = ("beam", "ctc", "similarity")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formula_weights("autoavsr", tmp_path_factory.mktemp("net"))


def crops(frames: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((frames, 88, 88)).astype(np.float32)


def inference(weights: Path, modes: Sequence[str] = MODES) -> AutoAVSRInference:
    model, tokens = load_model(weights)
    return AutoAVSRInference(model, tokens, PATCHES, CPU, modes)


def test_clips_read_together_are_read_as_alone(weights: Path) -> None:
    reader = inference(weights, ("beam", "ctc"))
    clips = [Clip(f"c{number}", transcript="BIN BLUE") for number in range(3)]
    own = [crops(frames, frames) for frames in (9, 3, 14)]
    together = reader.read_crops(clips, own)
    alone = [reader.read_crops([clip], [one])[0] for clip, one in zip(clips, own, strict=True)]
    assert [one.to_json() for one in together] == [one.to_json() for one in alone]
    assert all({"hypothesis", "tokens", "ctc_hypothesis", "reference_spelled"} <= set(one.values) for one in together)
    assert together[0].values["reference_spelled"] == "BIN BLUE"


def test_what_is_not_asked_for_is_not_computed(weights: Path) -> None:
    found = inference(weights, ("similarity",)).read_crops([Clip("a")], [crops(4, 0)])[0]
    assert found.values == {}
    assert set(inference(weights, ("ctc",)).read_crops([Clip("a", transcript="x")], [crops(4, 0)])[0].values) == {
        "reference",
        "reference_spelled",
        "ctc_hypothesis",
    }


def test_the_longer_video_is_compared_as_far_as_the_shorter_goes(weights: Path) -> None:
    model, _ = load_model(weights)
    one, other = (ClipEncoder(model).eval()(torch.from_numpy(crops(frames, frames))) for frames in (8, 5))
    assert _similarity(one, other) == _similarity(one[:5], other)
    assert _similarity(one, one) == pytest.approx(1.0)
    reader = inference(weights)
    state = reader.start_clip(Clip("a"))
    state.generated.frames = 3
    state.generated._chunks = [crops(3, 0)]
    with pytest.raises(ClipError, match="no reference video to compare encodings with; leave lip_score out"):
        reader._encode(state)


def test_a_clip_without_transcript_is_compared_but_not_read(weights: Path) -> None:
    with pytest.raises(ClipError, match=r"clip a: no transcript \(WER needs one\); leave wer3 out"):
        AutoAVSR.load(weights, ("patches",), "cpu").start_clip(Clip("a"), None)
    AutoAVSR.load(weights, ("patches",), "cpu", ("similarity",)).start_clip(Clip("a"), None)
    assert not AutoAVSR.needs_for(("patches",), ("similarity",)).transcript
    assert AutoAVSR.needs_for(("patches",), ("similarity", "beam")).transcript
    assert AutoAVSR.needs_for(("retinaface",), ()).placements == "autoavsr-retinaface"
    with pytest.raises(TlbenchError, match=r"sees pictures of 88 pixels, view autoavsr-small-mouth@1 shows 48"):
        AutoAVSR.load(weights, ("small-mouth",), "cpu")


def test_too_long_a_clip_is_one_line(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbench.observers.autoavsr.inference.POSITIONS", 5)
    reader = inference(weights)
    state = reader.start_clip(Clip("a"))
    state.generated.frames = 5
    state.generated._chunks = [crops(5, 0)]
    with pytest.raises(ClipError, match="clip a: 5 frames, auto_avsr reads at most 4; cut it into utterances"):
        reader._encode(state)


def test_damaged_weights_are_no_reading(weights: Path) -> None:
    model, _ = load_model(weights)
    encoded = torch.full((4, model.dims.width), torch.nan)
    stepper = SteppingDecoder(decoder_parts(model.decoder))
    with pytest.raises(NotFiniteScoresError, match="NaN or infinite"):
        beam_search(stepper, [encoded], [model.ctc(encoded).log_softmax(-1)])
    with pytest.raises(TlbenchError, match="beam 61 of the beam search: use 1 to 60, the number of tokens"):
        beam_search(stepper, [torch.zeros(4, 64)], [torch.zeros(4, 60)], 61)


def test_greedy_ctc_merges_repetitions_and_drops_blanks() -> None:
    frames = torch.tensor([0, 3, 3, 0, 3, 2, 2, 0])
    assert ctc_greedy(torch.nn.functional.one_hot(frames, 4).float()).tolist() == [3, 3, 2]


def walked(logs: np.ndarray, prefix: list[int], end: int) -> float:
    """The score of a prefix by the recursion frame by frame, as the algorithm is written."""
    frames = len(logs)
    with_token, with_blank = np.full(frames, NEVER), np.cumsum(logs[:, 0])
    score = 0.0
    for place, token in enumerate(prefix):
        before = np.logaddexp(with_token, with_blank)
        if token == end:
            return float(before[-1])
        phi = with_blank if place and token == prefix[place - 1] else before
        new_token, new_blank = np.full(frames, NEVER), np.full(frames, NEVER)
        if place == 0:
            new_token[0] = logs[0, token]
        first = max(place, 1)
        total = new_token[first - 1]
        for t in range(first, frames):
            new_token[t] = np.logaddexp(new_token[t - 1], phi[t - 1]) + logs[t, token]
            new_blank[t] = np.logaddexp(new_token[t - 1], new_blank[t - 1]) + logs[t, 0]
            total = np.logaddexp(total, phi[t - 1] + logs[t, token])
        with_token, with_blank, score = new_token, new_blank, float(total)
    return score


@pytest.mark.parametrize("prefix", [[2], [2, 2], [2, 3, 2, 5], [4, 4, 4, 5], [5], [1, 2, 3, 4, 1, 2, 3]])
def test_prefix_scores_are_those_of_the_walk_through_the_frames(prefix: list[int]) -> None:
    logs = torch.from_numpy(np.random.default_rng(len(prefix)).standard_normal((7, 6)) * 3).log_softmax(1)
    prefixes = CTCPrefixes(logs, end=5)
    score = torch.zeros(1, 1)
    for token in prefix:
        score = prefixes.scores(torch.tensor([[token]]))
        prefixes.follow(torch.tensor([0]), torch.tensor([token]), score[:, 0])
    assert float(score) == pytest.approx(walked(logs.numpy(), prefix, 5), rel=1e-12)


def test_a_transcript_without_a_known_piece_has_no_published_rate() -> None:
    paper = find_metric("wer3/paper")
    values = {"reference": "привет", "reference_spelled": "<unk>", "hypothesis": "a"}
    with pytest.raises(ClipError, match="no piece of the transcript 'привет' is a unit of auto_avsr") as refused:
        paper.tally(Evidence("autoavsr", {**values}))
    assert refused.value.code == "characters"
    some = paper.tally(Evidence("autoavsr", {**values, "reference_spelled": "<unk> A", "reference": "привет A"}))
    assert paper.value(some) == 50.0
