"""MVM as an observer: lengths, words, mirroring, independence. Fidelity is in tests/golden/test_mvm.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from tlbench.datasets.clip import Clip
from tlbench.datasets.lrw import LRW_WORDS
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.video_reader import FrameChunk
from tlbench.observers.mvm import inference
from tlbench.observers.mvm.decode import predict, predict_both
from tlbench.observers.mvm.fast_model import FastMVM
from tlbench.observers.mvm.inference import MVMClipState, MVMInference
from tlbench.observers.mvm.observer import MVM
from tlbench.observers.mvm.view import FACE_FRAMED, LRW, MEAN, STD, VIEWS
from tlbench.observers.mvm.words import WORDS, label_of
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk


class Pocket:
    """Replaces the network: logits from random weights over small versions of all 29 crops."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.weights = torch.randn(29 * 49, 500, generator=generator)
        self.shapes: list[tuple[int, ...]] = []
        self.crops = torch.empty(0)

    def to(self, _: torch.device) -> Pocket:
        return self

    def __call__(self, crops: Tensor) -> Tensor:
        self.shapes.append(tuple(crops.shape))
        self.crops = crops
        return F.avg_pool2d(crops, 16).flatten(1) @ self.weights


def observer(net: Pocket | None = None, view: str = "lrw") -> MVM:
    return MVM(MVMInference(cast(FastMVM, net or Pocket()), VIEWS[view], torch.device("cpu")))


def video(frames: int, seed: int = 0, side: int = 256) -> FrameChunk:
    noise = np.random.RandomState(seed).randint(0, 256, (frames, 8, 8, 3)).astype(np.uint8)
    smooth = [np.kron(image, np.ones((side // 8, side // 8, 1), np.uint8)) for image in noise]
    return FrameChunk(0, tuple(av.VideoFrame.from_ndarray(image, format="rgb24") for image in smooth))


def watched(mvm: MVM, frames: FrameChunk, word: str = "ABOUT", run: int = 32) -> MVMClipState:
    state = mvm.start_clip(Clip("ABOUT/test/1", word=word), None)
    for start in range(0, len(frames), run):
        state.update(ClipChunk(FrameChunk(start, frames.native[start : start + run])))
    state.update(ClipChunk())
    assert isinstance(state, MVMClipState)
    return state


def observe(mvm: MVM, *clips: FrameChunk, run: int = 32) -> list[Evidence | ClipError]:
    outcomes: list[Evidence | ClipError] = mvm.compute([watched(mvm, clip, run=run) for clip in clips])
    return outcomes


def as_json(outcomes: Sequence[Evidence | ClipError]) -> list[str]:
    return [json.dumps(one.to_json()) for one in outcomes if isinstance(one, Evidence)]


def test_evidence_is_complete() -> None:
    (evidence,) = observe(observer(), video(29))
    assert isinstance(evidence, Evidence)
    assert evidence.observer == "mvm"
    assert set(evidence.values) == {"word", "predicted", "predicted_plain", "rank", "rank_plain", "top5"}
    top = evidence.values["top5"]
    assert isinstance(top, list)
    assert len(set(top)) == 5
    assert top[0] == evidence.values["predicted"]


def test_the_rank_says_where_the_label_stands() -> None:
    mvm = observer()
    (first,) = observe(mvm, video(29))
    assert isinstance(first, Evidence)
    top = cast("list[str]", first.values["top5"])
    for place, word in enumerate(top):
        (evidence,) = mvm.compute([watched(mvm, video(29), word)])
        assert isinstance(evidence, Evidence)
        assert evidence.values["rank"] == place
        assert evidence.values["word"] == word


def test_the_mirror_image_is_added_in_logits_and_can_change_the_answer() -> None:
    plain, mirrored = np.zeros(500, np.float32), np.zeros(500, np.float32)
    plain[[3, 7]] = 2, 3
    mirrored[[3, 7]] = 2, 0
    assert (predict(plain, 3).top[0], predict(plain, 3).rank) == (7, 1)
    assert (predict_both(plain, mirrored, 3).top[:2], predict_both(plain, mirrored, 3).rank) == ([3, 7], 0)


def test_of_equal_logits_the_first_label_wins_as_in_argmax() -> None:
    logits = np.zeros(500, np.float32)
    assert predict(logits, 0).rank == 0
    assert predict(logits, 499).rank == 499
    assert predict(logits, 4).top == [0, 1, 2, 3, 4]


def test_a_short_clip_is_filled_up_with_zeros_after_normalising() -> None:
    crops = watched(observer(), video(10)).crops
    assert crops.shape == (29, 112, 112)
    assert crops.dtype == np.float32
    assert not crops[10:].any()
    black = np.float32(-MEAN / STD)
    assert crops[:10].min() >= black
    assert (np.abs(crops[:10]) > 0).all()  # a normalised picture of these is nowhere 0


def test_twenty_nine_frames_are_read_and_thirty_are_refused_with_their_number() -> None:
    fits, too_long, far_too_long = observe(observer(), video(29), video(30), video(75))
    assert isinstance(fits, Evidence)
    for outcome, frames in ((too_long, 30), (far_too_long, 75)):
        assert isinstance(outcome, ClipError)
        assert outcome.code == "word-length"
        assert f"{frames} frames" in str(outcome)
        assert "29" in str(outcome)


def test_of_a_clip_that_is_too_long_no_crops_are_kept() -> None:
    state = watched(observer(), video(75), run=10)
    assert state._crops.frames <= 29


def test_a_clip_without_a_frame_is_refused() -> None:
    mvm = observer()
    state = mvm.start_clip(Clip("a", word="ABOUT"), None)
    (outcome,) = mvm.compute([state])
    assert isinstance(outcome, ClipError)
    assert outcome.code == "no-frames"


@pytest.mark.parametrize("run", [1, 7, 50])
def test_how_the_clip_is_cut_into_runs_changes_nothing(run: int) -> None:
    np.testing.assert_array_equal(watched(observer(), video(29), run=run).crops, watched(observer(), video(29)).crops)


def test_a_clip_says_the_same_alone_and_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [video(frames, seed) for seed, frames in enumerate((29, 12, 40, 29, 3))]
    alone = [as_json(observe(observer(), clip)) for clip in clips]
    for size in (1, 2, 4):
        monkeypatch.setitem(inference.CLIPS_PER_BATCH, "cpu", size)
        net = Pocket()
        together = observe(observer(net), *clips)
        assert [as_json([outcome]) for outcome in together] == alone
        assert isinstance(together[2], ClipError)
        assert set(net.shapes) == {(2 * size, 29, 112, 112)}  # also the last pass: sums are taken in one order


def test_a_pass_holds_each_clip_and_its_mirror_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(inference.CLIPS_PER_BATCH, "cpu", 3)
    net = Pocket()
    mvm = observer(net)
    states = [watched(mvm, video(29, seed)) for seed in range(2)]
    mvm.compute(states)
    for place, state in enumerate(states):
        np.testing.assert_array_equal(net.crops[place], state.crops)
        np.testing.assert_array_equal(net.crops[3 + place], state.crops[..., ::-1])
    assert not net.crops[[2, 5]].any()


@pytest.mark.parametrize("side", [64, 160, 256, 320])
def test_a_frame_of_any_size_gives_a_crop(side: int) -> None:
    """The window is black outside the frame: 64 pixels of it show nothing at all, which is what the original reads."""
    crops = watched(observer(), video(2, side=side)).crops[:2]
    seen = (crops > -MEAN / STD + 0.01).mean()
    assert (seen == 0) == (side == 64)
    assert (seen < 0.5) == (side < 256)


def test_the_windows_are_the_published_one_and_the_middle_of_a_framed_face() -> None:
    assert MVM.views == {
        "lrw": "mvm-lrw@1",
        "face-framed": "mvm-face-framed@1",
        "small-mouth": "mvm-small-mouth@1",
        "small-face-framed": "mvm-small-face-framed@1",
    }
    assert MVM.default_view == "lrw"
    assert MVM.recipe("lrw") is LRW
    assert MVM.recipe("face-framed") is FACE_FRAMED
    assert MVM.needs_for(("lrw",), ()) == MVM.needs
    framed = MVM.needs_for(("face-framed",), ())
    assert framed.boxes
    assert framed.framing


def test_a_framed_face_is_followed() -> None:
    """The same picture moved by 40 pixels, its box with it, gives the same crops."""
    crops = []
    for shift in (0, 40):
        picture = np.zeros((400, 400, 3), np.uint8)
        pattern = np.kron(np.random.RandomState(0).randint(0, 256, (20, 20, 3)), np.ones((15, 15, 1)))
        picture[10:310, 10 + shift : 310 + shift] = pattern
        frames = FrameChunk(0, (av.VideoFrame.from_ndarray(picture, format="rgb24"),))
        state = observer(view="face-framed").start_clip(Clip("a", word="ABOUT"), None)
        state.update(ClipChunk(frames, None, np.array([[100.0 + shift, 60, 200 + shift, 160], [0, 0, 1, 1]])))
        assert isinstance(state, MVMClipState)
        crops.append(state.crops[0])
    assert crops[0].std() > 0.5
    np.testing.assert_array_equal(crops[0], crops[1])


def test_the_words_are_the_data_sets() -> None:
    """The observer's list belongs to its weights, the data set's to its folders: two lists, and equal."""
    assert WORDS == LRW_WORDS
    assert len(WORDS) == 500


@pytest.mark.parametrize(("word", "named"), [("about", "did you mean ABOUT?"), ("QQQ", "leave acc out")])
def test_a_word_that_is_not_on_the_list_is_named(word: str, named: str) -> None:
    with pytest.raises(ClipError) as caught:
        observer().start_clip(Clip("s/1", word=word), None)
    assert caught.value.code == "unknown-word"
    assert repr(word) in str(caught.value)
    assert named in str(caught.value)
    assert "s/1" in str(caught.value)


def test_a_clip_without_a_word_is_refused_at_once() -> None:
    with pytest.raises(ClipError, match="no word label") as caught:
        observer().start_clip(Clip("s/1"), None)
    assert caught.value.code == "no-word"


def test_labels_are_places_in_the_fixed_list() -> None:
    assert (label_of("ABOUT", "a"), label_of("ABSOLUTELY", "a"), label_of("WESTERN", "a")) == (0, 1, 479)


def test_without_weights_or_with_two_views_the_way_out_is_named() -> None:
    with pytest.raises(TlbenchError, match="needs a checkpoint"):
        MVM.load(None, ("lrw",), "cpu")
    with pytest.raises(TlbenchError, match="one view per run; got lrw, face-framed"):
        MVM.load(Path("x"), ("lrw", "face-framed"), "cpu")
