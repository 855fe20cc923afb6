"""The Conformer as an observer: evidence, bad clips, batches, runs, loading. Goldens: tests/golden."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from tests.factories.conformer_factory import formula_model, talkative
from tlbench.checkpoints.package import write_package
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.video_reader import FrameChunk
from tlbench.media.views import open_view
from tlbench.observers.conformer import inference, model
from tlbench.observers.conformer.checkpoint import FORMAT
from tlbench.observers.conformer.fast_model import normalise
from tlbench.observers.conformer.inference import ConformerInference
from tlbench.observers.conformer.model import ConformerModel
from tlbench.observers.conformer.observer import Conformer
from tlbench.observers.conformer.view import VIEWS
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk

TEXT = "SEE 2 BOOKS"


def video(frames: int, seed: int = 0, side: int = 160) -> FrameChunk:
    noise = np.random.RandomState(seed).randint(0, 256, (frames, 10, 10, 3)).astype(np.uint8)
    pictures = [cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) for image in noise]
    return FrameChunk(0, tuple(av.VideoFrame.from_ndarray(picture, format="rgb24") for picture in pictures))


@cache
def observer(*, free: bool = False, view: str = "lrs2-112") -> Conformer:
    return Conformer(ConformerInference(formula_model(), VIEWS[view], torch.device("cpu"), free=free))


def observe(
    watched_by: Conformer, *clips: tuple[FrameChunk, str], run: int = 32, boxes: np.ndarray | None = None
) -> list[Evidence | ClipError]:
    states = []
    for number, (frames, transcript) in enumerate(clips):
        state = watched_by.start_clip(Clip(f"s/{number}", transcript=transcript), None)
        for start in range(0, len(frames), run):
            some = FrameChunk(start, frames.native[start : start + run])
            state.update(ClipChunk(some, None, None if boxes is None else boxes[start : start + run]))
        state.update(ClipChunk())
        states.append(state)
    return watched_by.compute(states)


def evidence_of(found: Sequence[Evidence | ClipError]) -> list[Evidence]:
    assert all(isinstance(one, Evidence) for one in found), found
    return [one for one in found if isinstance(one, Evidence)]


def test_evidence_has_as_many_characters_as_the_text_and_no_more_is_said_unless_asked() -> None:
    (found,) = evidence_of(observe(observer(), (video(6), "See 2 books")))
    assert found.values.keys() == {"reference", "forced_ids", "reference_ids"}
    assert found.values["reference"] == "See 2 books"
    assert found.array("reference_ids").tolist() == [8, 2, 2, 1, 32, 1, 20, 4, 4, 24, 8]
    assert found.array("forced_ids").shape == found.array("reference_ids").shape
    assert found.array("forced_ids").dtype == found.array("reference_ids").dtype == np.int64


def test_a_clip_reads_the_same_alone_and_among_others() -> None:
    clips = [(video(n, n), text) for n, text in ((10, "BIN GREEN"), (3, TEXT), (1, "A"), (9, "NOW AND THEN"))]
    with talkative():
        together = evidence_of(observe(observer(free=True), *clips))
        for clip, found in zip(clips, together, strict=True):
            (alone,) = evidence_of(observe(observer(free=True), clip))
            assert alone.to_json() == found.to_json()


def test_how_a_clip_is_cut_into_runs_changes_nothing() -> None:
    (whole,), (cut,) = (observe(observer(), (video(9), TEXT), run=run) for run in (32, 2))
    assert evidence_of([whole])[0].to_json() == evidence_of([cut])[0].to_json()


def test_a_short_clip_is_padded_under_its_text_and_not_when_read_freely(monkeypatch: pytest.MonkeyPatch) -> None:
    """CTC needs 13 frames for the 11 characters of the text. Who reads freely does not know that."""
    encoded: list[list[int]] = []
    encoder = inference.JoinedEncoder.forward

    def spy(self: inference.JoinedEncoder, clips: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        encoded.append([len(clip) for clip in clips])
        return encoder(self, clips)

    monkeypatch.setattr(inference.JoinedEncoder, "forward", spy)
    clips = [(video(4), TEXT), (video(20, 1), TEXT), (video(12, 2), TEXT)]
    observe(observer(), *clips)
    assert encoded == [[13, 20, 13]]
    encoded.clear()
    observe(observer(free=True), *clips)
    assert encoded == [[13, 20, 13], [4, 12]]  # the second clip's encoding serves both


def test_what_is_read_freely_does_not_depend_on_the_text() -> None:
    with talkative():
        found = evidence_of(observe(observer(free=True), (video(5), "A"), (video(5), TEXT)))
    assert found[0].values["free_hypothesis"] == found[1].values["free_hypothesis"]
    assert found[0].values["ctc_hypothesis"] == found[1].values["ctc_hypothesis"]
    assert isinstance(found[0].values["free_hypothesis"], str)


def test_the_text_read_under_is_read_by_the_forced_decoder_alone() -> None:
    plain, free = (evidence_of(observe(observer(free=free), (video(5), TEXT)))[0] for free in (False, True))
    np.testing.assert_array_equal(plain.array("forced_ids"), free.array("forced_ids"))


def test_bytes_are_normalised_as_the_whole_view_does_it() -> None:
    """But for the last bit: the original computes in float32 throughout, and so does the network; the view does not."""
    frames = video(3)
    reader = ConformerInference(formula_model(), VIEWS["lrs2-112"], torch.device("cpu"), free=False)
    state = reader.start_clip(Clip("a", transcript="A"))
    state.update(ClipChunk(frames))
    assert state.crops.dtype == torch.uint8
    whole = open_view(VIEWS["lrs2-112"]).apply(frames)
    np.testing.assert_allclose(normalise(state.crops), whole, rtol=0, atol=5e-7)  # of values up to 3.5


def test_the_framed_view_cuts_out_the_face_first() -> None:
    frames = video(4, side=240)
    boxes = np.tile(np.array([60, 60, 180, 180]), (9, 1))  # more than frames: the reference is longer
    framed, whole = (
        evidence_of(observe(observer(view=view), (frames, TEXT), boxes=boxes))[0]
        for view in ("face-framed", "lrs2-112")
    )
    assert framed.array("forced_ids").shape == whole.array("forced_ids").shape
    needs = Conformer.needs_for(("face-framed",), ())
    assert (needs.boxes, needs.framing) == (True, True)
    assert Conformer.needs_for(("lrs2-112",), ("free",)) == Conformer.needs
    assert not Conformer.needs.boxes


def test_a_clip_without_a_frame_fails_alone() -> None:
    nothing = FrameChunk(0, ())
    first, second = observe(observer(), (nothing, TEXT), (video(3), TEXT))
    assert isinstance(first, ClipError)
    assert first.code == "no-frames"
    assert "clip s/0" in first.message
    assert isinstance(second, Evidence)
    (only,) = observe(observer(), (nothing, TEXT))
    assert isinstance(only, ClipError)


@pytest.mark.parametrize(
    ("transcript", "code"),
    [(None, "no-transcript"), ("", "empty-transcript"), ("SMØR", "characters"), ("...", "empty-transcript")],
)
def test_a_clip_that_cannot_be_spelt_is_refused_at_once(transcript: str | None, code: str) -> None:
    with pytest.raises(ClipError, match="clip a/b: ") as caught:
        observer().start_clip(Clip("a/b", transcript=transcript), None)
    assert caught.value.code == code


def test_a_clip_longer_than_the_positions_is_refused_as_soon_as_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert model.POSITIONS == 5000
    monkeypatch.setattr(inference, "POSITIONS", 12)
    with pytest.raises(ClipError, match=r"clip a: its transcript needs 13 frames, .* reads at most 12") as caught:
        observer().start_clip(Clip("a", transcript=TEXT), None)
    assert caught.value.code == "too-long"
    state = observer().start_clip(Clip("a", transcript="A"), None)
    state.update(ClipChunk(video(12)))
    with pytest.raises(ClipError, match="it has at least 13 frames") as caught:
        state.update(ClipChunk(FrameChunk(12, video(1).native)))
    assert caught.value.code == "too-long"


def test_views_have_ids_and_recipes() -> None:
    assert Conformer.views == {
        "lrs2-112": "conformer-lrs2-112@1",
        "face-framed": "conformer-face-framed@1",
        "small-mouth": "conformer-small-mouth@1",
        "small-face-framed": "conformer-small-face-framed@1",
    }
    assert Conformer.default_view in Conformer.views
    assert Conformer.recipe("face-framed").steps[1:] == Conformer.recipe("lrs2-112").steps
    assert Conformer.identity(("lrs2-112",), "ab", ("free",)) == "conformer@2[conformer-lrs2-112@1]+freeab"


def test_without_weights_the_way_to_them_is_named() -> None:
    with pytest.raises(TlbenchError, match="tlbench checkpoints list"):
        Conformer.load(None, ("lrs2-112",), "cpu")


def test_one_view_at_a_time() -> None:
    with pytest.raises(TlbenchError, match="one view per run; got lrs2-112, face-framed"):
        Conformer.load(Path("x.pt"), ("lrs2-112", "face-framed"), "cpu")


def assert_is_the_formulas(loaded: ConformerModel) -> None:
    state = formula_model().state_dict()
    assert list(loaded.state_dict()) == list(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())


def test_a_file_in_the_published_form_loads(tmp_path: Path) -> None:
    """A bare state dict, as ``torch.save(model.state_dict())`` writes it."""
    torch.save(formula_model().state_dict(), tmp_path / "conformer.pt")
    assert_is_the_formulas(FORMAT.load(tmp_path / "conformer.pt"))


@pytest.mark.slow  # writes and hashes 400 MB
def test_the_package_made_of_a_published_file_is_the_same_network(tmp_path: Path) -> None:
    torch.save(formula_model().state_dict(), tmp_path / "conformer.pt")
    package = FORMAT.read_published(tmp_path / "conformer.pt")
    assert (package.observer, package.source_file) == ("conformer", "conformer.pt")
    write_package(package, tmp_path / "conformer")
    assert_is_the_formulas(FORMAT.load(tmp_path / "conformer"))


def test_another_models_file_is_told_by_its_tensors(tmp_path: Path) -> None:
    state = dict(formula_model().state_dict())
    state["decoder.output_layer.weight"] = torch.zeros(30, 256)
    del state["ctc.ctc_lo.bias"]
    file = tmp_path / "other.pt"
    torch.save({name: tensor for name, tensor in state.items() if not name.startswith("encoder.encoders.3")}, file)
    with pytest.raises(TlbenchError) as caught:
        Conformer.load(file, ("lrs2-112",), "cpu")
    message = str(caught.value)
    assert "other.pt" in message
    assert "40 missing (encoder.encoders.3." in message
    assert "decoder.output_layer.weight (30, 256) instead of (40, 256)" in message
