"""SyncNet as an observer: streaming, lengths, independence, loading. Fidelity is in tests/golden/test_syncnet.py."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.golden.formula import fill
from tlbench.checkpoints.card import read_card
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.audio import read_audio
from tlbench.media.video_reader import FrameChunk, VideoReader
from tlbench.observers.syncnet.decode import (
    FEWEST_WINDOWS,
    LEAST_SHIFT_FRAMES,
    LEAST_WINDOWS,
    MAX_SHIFT_FRAMES,
    common_distances,
    read_sync,
    shifted_distances,
    widest_shift,
    window_count,
)
from tlbench.observers.syncnet.dims import PUBLISHED
from tlbench.observers.syncnet.fast_model import FastSyncNet, cook_toom
from tlbench.observers.syncnet.model import SyncNetModel
from tlbench.observers.syncnet.observer import SyncNet
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState

CLIP = Clip("a/b")


class Pocket(nn.Module):
    """Replaces the towers: embeds a window by the mean colours of its frames, speech by its coefficients."""

    def __init__(self) -> None:
        super().__init__()
        self.dims = PUBLISHED
        self.most_frames = 0

    def lips(self, frames: Tensor) -> Tensor:
        self.most_frames = max(self.most_frames, len(frames))
        colours = frames.float().mean(dim=(1, 2)).unfold(0, 5, 1).flatten(1)  # (n, 15)
        return F.pad(colours, (0, 1024 - 15))

    def speech(self, mfcc: Tensor) -> Tensor:
        return F.pad(mfcc.flatten(1), (0, 1024 - 260))


def video(frames: int, seed: int = 0) -> FrameChunk:
    noise = np.random.RandomState(seed).randint(0, 256, (frames, 6, 8, 3)).astype(np.uint8)
    smooth = [np.kron(image, np.ones((8, 8, 1), np.uint8)) for image in noise]
    pictures = [av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p") for image in smooth]
    return FrameChunk(0, tuple(pictures))


def sound(frames: float, seed: int = 0) -> np.ndarray:
    return (np.random.RandomState(seed).standard_normal(int(640 * frames)) * 3000).astype(np.int16)


def pocket_observer(views: Sequence[str] = ("paper", "sound")) -> SyncNet:
    return SyncNet(cast(FastSyncNet, Pocket()), views, "cpu")


def observe(observer: SyncNet, *clips: tuple[FrameChunk, np.ndarray], run: int = 32) -> list[Evidence | ClipError]:
    states: list[ClipState] = []
    for frames, samples in clips:
        state = observer.start_clip(CLIP, samples)
        for start in range(0, len(frames), run):
            state.update(ClipChunk(FrameChunk(start, frames.native[start : start + run])))
        state.update(ClipChunk())
        states.append(state)
    evidence: list[Evidence | ClipError] = observer.compute(states)
    return evidence


def assert_same(ours: Evidence | ClipError, theirs: Evidence | ClipError) -> None:
    assert isinstance(ours, Evidence)
    assert isinstance(theirs, Evidence)
    assert ours.to_json() == theirs.to_json()


@pytest.mark.parametrize("run", [1, 7, 50])
def test_how_the_clip_is_cut_into_runs_changes_nothing(run: int) -> None:
    clip = (video(60), sound(60))
    (whole,), (cut,) = observe(pocket_observer(), clip), observe(pocket_observer(), clip, run=run)
    assert_same(cut, whole)


def test_how_the_clip_is_cut_changes_nothing_with_the_network_itself() -> None:
    model = SyncNetModel()
    fill(model.state_dict())
    observer = SyncNet(FastSyncNet(model.eval()), ("sound",), "cpu")
    clip = (video(23), sound(23))
    assert_same(observe(observer, clip, run=1)[0], observe(observer, clip, run=7)[0])


def test_a_clip_scores_the_same_alone_and_among_others() -> None:
    clips = [(video(n, seed=n), sound(n, seed=n)) for n in (9, 31, 60)]
    together = observe(pocket_observer(), *clips)
    for clip, evidence in zip(clips, together, strict=True):
        assert_same(observe(pocket_observer(), clip)[0], evidence)


def late_file(path: Path, late: int, frames: int = 20) -> Path:
    """``video`` whose pictures begin ``late`` frames after its sound, or the sound before them if below 0."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        speech = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for number, frame in enumerate(video(frames).native):
            frame.pts, frame.time_base = number + max(late, 0), Fraction(1, 25)
            out.mux(stream.encode(frame))
        block = av.AudioFrame.from_ndarray(sound(30)[None], format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = 16_000, 640 * max(-late, 0), Fraction(1, 16_000)
        out.mux(speech.encode(block))
    return path


@pytest.mark.parametrize("late", [-4, 0, 1, 5])
def test_paper_alone_fills_a_late_start_of_pictures_with_the_first(tmp_path: Path, late: int) -> None:
    path = late_file(tmp_path / "a.mkv", late)
    observer = pocket_observer()
    state = observer.start_clip(Clip("a", generated=path), read_audio(path))
    for run in VideoReader(path, 0).frames(7):
        state.update(ClipChunk(run))
    (found,) = observer.compute([state])
    before, pictures = max(late, 0), video(20).native
    silence = np.zeros(640 * max(-late, 0), np.int16)
    dumped = FrameChunk(0, (pictures[0],) * before + pictures), np.concatenate([silence, sound(30)])
    shown = FrameChunk(0, pictures), np.concatenate([silence, sound(30)])[640 * before :]
    assert isinstance(found, Evidence)
    for view, seen in (("paper", dumped), ("sound", shown)):
        (expected,) = observe(pocket_observer((view,)), seen)
        assert isinstance(expected, Evidence)
        for name, value in expected.values.items():
            if name.startswith(view):
                np.testing.assert_array_equal(found.values[name], value, err_msg=name)
    assert len(found.array("paper_window_distance")) == len(found.array("sound_window_distance")) + before


@pytest.mark.parametrize("threads", [2, 5])
def test_passes_side_by_side_change_nothing_and_leave_the_callers_threads_alone(threads: int) -> None:
    clip = (video(60), sound(60))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = observe(pocket_observer(), clip)[0]
        torch.set_num_threads(threads)
        assert_same(observe(pocket_observer(), clip)[0], one)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_memory_does_not_grow_with_the_video() -> None:
    net = Pocket()
    observe(SyncNet(cast(FastSyncNet, net), ("sound",), "cpu"), (video(120), sound(120)))
    assert net.most_frames == 20


def test_evidence_of_both_views_is_complete() -> None:
    (evidence,) = observe(pocket_observer(), (video(40), sound(40)))
    assert isinstance(evidence, Evidence)
    assert evidence.number("windows") == 35
    for view in ("paper", "sound"):
        mean = evidence.array(f"{view}_mean_distance")
        best = 15 - int(evidence.number(f"{view}_offset_frames"))
        assert mean.shape == (31,)
        assert evidence.number(f"{view}_lse_d") == mean.min() == mean[best]
        assert evidence.number(f"{view}_lse_c") == pytest.approx(np.median(mean) - mean.min(), rel=1e-6)
        assert evidence.number(f"{view}_zero_offset_distance") == mean[15]
        window = evidence.array(f"{view}_window_distance")
        assert window.shape == (35,)
        assert window.mean() == pytest.approx(mean[best], rel=1e-6)
        assert evidence.array(f"{view}_window_distance_at_zero").mean() == pytest.approx(mean[15], rel=1e-6)
        assert evidence.array(f"{view}_window_confidence") == pytest.approx(np.median(mean) - window, rel=1e-5)
    assert evidence.number("paper_lse_d") != evidence.number("sound_lse_d")


def test_one_view_alone_is_as_beside_the_other() -> None:
    clip = (video(20), sound(20))
    (both,), (alone,) = observe(pocket_observer(), clip), observe(pocket_observer(("sound",)), clip)
    assert isinstance(both, Evidence)
    assert isinstance(alone, Evidence)
    assert alone.number("sound_lse_d") == both.number("sound_lse_d")
    assert "paper_lse_d" not in alone.values


def test_six_frames_are_enough_and_five_are_not() -> None:
    six, five = observe(pocket_observer(), (video(6), sound(20)), (video(5), sound(20)))
    assert isinstance(six, Evidence)
    assert six.number("windows") == 1
    assert isinstance(five, ClipError)
    assert five.code == "too-short"
    assert "5 frames of video and 20 of audio" in str(five)


def test_a_clip_without_sound_is_refused_at_once() -> None:
    with pytest.raises(ClipError) as caught:
        pocket_observer().start_clip(CLIP, None)
    assert caught.value.code == "no-audio"


def test_too_little_sound_is_refused_at_once() -> None:
    with pytest.raises(ClipError) as caught:
        pocket_observer().start_clip(CLIP, sound(5.9))
    assert caught.value.code == "too-short"


@pytest.mark.parametrize(("frames", "audio", "windows"), [(30, 20.5, 15), (20, 30, 15), (60, 20, 15), (6, 6, 1)])
def test_the_shorter_of_picture_and_sound_counts(frames: int, audio: float, windows: int) -> None:
    (evidence,) = observe(pocket_observer(), (video(frames), sound(audio)))
    assert isinstance(evidence, Evidence)
    assert evidence.number("windows") == windows


def test_what_comes_after_the_sound_has_ended_does_not_matter() -> None:
    long, short = video(60), video(60)
    (a,), (b,) = (
        observe(pocket_observer(), (FrameChunk(0, clip.native[:stop]), sound(20)))
        for clip, stop in ((long, 60), (short, 20))
    )
    assert_same(a, b)


def test_window_count_is_the_originals() -> None:
    assert window_count(50, 32768) == 45
    assert window_count(75, 47648) == 69
    assert window_count(7, 640 * 6 + 639) == 1


def test_distances_beyond_the_ends_are_those_to_zero_vectors() -> None:
    generator = torch.Generator().manual_seed(0)
    lips, speech = torch.rand(4, 1024, generator=generator), torch.rand(4, 1024, generator=generator)
    distances = shifted_distances(lips, speech)
    assert distances.shape == (31, 4)
    torch.testing.assert_close(distances[0], torch.linalg.vector_norm(lips + 1e-6, dim=1))
    torch.testing.assert_close(distances[16, 1], torch.linalg.vector_norm(lips[1] - speech[2] + 1e-6))


@pytest.mark.parametrize("offset", [-3, 0, 4])
def test_a_known_lag_is_found(offset: int) -> None:
    frames = torch.rand(60, 1024, generator=torch.Generator().manual_seed(0))
    lips, speech = frames[10:50], frames[10 + offset : 50 + offset]  # speech[i - offset] belongs to lips[i]
    sync = read_sync(shifted_distances(lips, speech))
    assert sync.offset_frames == offset
    assert sync.lse_d < sync.zero_offset_distance or offset == 0


def test_cook_toom_is_the_convolution() -> None:
    a, g, b = cook_toom()
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.rand(n, dtype=torch.float64, generator=generator) for n in (7, 4))
    expected = torch.stack([(x[i : i + 4] * w).sum() for i in range(4)])
    torch.testing.assert_close(a @ ((g @ w) * (b @ x)), expected)


def test_views_are_named_with_their_ids() -> None:
    assert SyncNet.views == {
        "paper": "syncnet-whole-jpeg@4",
        "sound": "syncnet-whole@1",
        "small-whole": "syncnet-small-whole@1",
        "small-face-framed": "syncnet-small-face-framed@1",
        "face-track": "syncnet-track-blazeface@2",
    }
    assert SyncNet.identity(("sound",), "ab12") == "syncnet@2[syncnet-whole@1]ab12"


def test_without_weights_the_way_to_them_is_named() -> None:
    with pytest.raises(TlbenchError, match=r"--weights syncnet=syncnet_v2\.model") as caught:
        SyncNet.load(None, ("paper",), "cpu")
    assert "robots.ox.ac.uk" in str(caught.value)


def test_a_file_in_the_published_form_loads(tmp_path: Path) -> None:
    """As saved by torch 0.3: the old format, without batch counts."""
    model = SyncNetModel()
    fill(model.state_dict())
    file = tmp_path / "syncnet_v2.model"
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(state, file, _use_new_zipfile_serialization=False)
    observer = SyncNet.load(file, ("sound",), "cpu")
    speech = torch.rand(2, 13, 20)
    torch.testing.assert_close(
        observer._inference._passes.speech(speech).result(), FastSyncNet(model.eval()).speech(speech)
    )


def test_another_models_file_is_told_by_its_tensors(tmp_path: Path) -> None:
    state = SyncNetModel().state_dict()
    state["netcnnlip.0.weight"] = torch.zeros(96, 3, 5, 3, 3)
    del state["netfcaud.3.bias"]
    file = tmp_path / "other.model"
    torch.save(state, file)
    with pytest.raises(TlbenchError) as caught:
        SyncNet.load(file, ("sound",), "cpu")
    assert "netfcaud.3.bias" in str(caught.value)
    assert "netcnnlip.0.weight (96, 3, 5, 3, 3) instead of (96, 3, 5, 7, 7)" in str(caught.value)
    assert "other.model" in str(caught.value)


def test_the_card_names_the_view_it_was_trained_behind() -> None:
    import tlbench.observers.syncnet as package

    card = read_card(Path(package.__file__).with_name("card.toml"))
    assert (card.name, card.observer, card.file) == ("syncnet", SyncNet.name, "syncnet_v2.model")
    assert card.view in SyncNet.views.values()


# The same speech at every shift


def test_the_same_speech_at_every_shift_is_said_of_the_view_of_the_run() -> None:
    (evidence,) = observe(pocket_observer(), (video(40), sound(40)))
    assert isinstance(evidence, Evidence)
    assert (evidence.number("windows"), evidence.number("common_windows")) == (35, 11)
    assert evidence.number("common_max_shift_frames") == 12
    mean = evidence.array("common_mean_distance")
    best = 12 - int(evidence.number("common_offset_frames"))
    assert mean.shape == (25,)
    assert evidence.number("common_lse_d") == mean.min() == mean[best]
    assert evidence.number("common_lse_c") == pytest.approx(np.median(mean) - mean.min(), rel=1e-6)
    assert evidence.number("common_zero_offset_distance") == mean[12]
    window = evidence.array("common_window_distance")
    assert window.shape == (11,)
    assert window.mean() == pytest.approx(mean[best], rel=1e-6)
    published = evidence.array("sound_window_distance_at_zero")
    assert evidence.array("common_window_distance_at_zero") == pytest.approx(published[12:23])


@pytest.mark.parametrize(("frames", "shift"), [(20, 0), (21, 3), (29, 7), (44, 14), (45, 15), (90, 15)])
def test_short_clips_are_searched_less_far_and_the_shortest_not_at_all(frames: int, shift: int) -> None:
    (evidence,) = observe(pocket_observer(("sound",)), (video(frames), sound(frames)))
    assert isinstance(evidence, Evidence)
    assert evidence.number("common_max_shift_frames") == shift
    assert ("common_lse_d" in evidence.values) == (shift > 0)
    assert "sound_lse_d" in evidence.values


@given(st.integers(-5, 2000))
def test_the_range_of_shifts_is_as_wide_as_the_clip_allows(windows: int) -> None:
    if windows < FEWEST_WINDOWS:
        with pytest.raises(ClipError) as caught:
            widest_shift(windows)
        assert caught.value.code == "too-short"
        return
    shift = widest_shift(windows)
    assert LEAST_SHIFT_FRAMES <= shift <= MAX_SHIFT_FRAMES
    assert windows - 2 * shift >= LEAST_WINDOWS
    assert shift == MAX_SHIFT_FRAMES or windows - 2 * (shift + 1) < LEAST_WINDOWS


@settings(max_examples=20, deadline=None)
@given(st.integers(16, 50), st.integers(0, 2**31))
def test_every_shift_compares_the_same_speech_and_makes_nothing_up(windows: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    lips, speech = torch.rand(windows, 8, generator=generator), torch.rand(windows, 8, generator=generator)
    shift = widest_shift(windows)
    distances = common_distances(lips, speech, shift)
    assert distances.shape == (2 * shift + 1, windows - 2 * shift)
    for row in range(2 * shift + 1):
        window = torch.arange(shift, windows - shift)
        apart = torch.linalg.vector_norm(lips[window + shift - row] - speech[window] + 1e-6, dim=1)
        torch.testing.assert_close(distances[row], apart)
    torch.testing.assert_close(distances[shift], shifted_distances(lips, speech)[15][shift : windows - shift])


@settings(max_examples=20, deadline=None)
@given(st.integers(16, 80), st.integers(0, 2**31))
def test_lips_that_never_move_have_no_confidence_whatever_is_said(windows: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    still = torch.rand(1, 64, generator=generator).expand(windows, -1)
    speech = 10 * torch.rand(windows, 64, generator=generator) * torch.rand(windows, 1, generator=generator)
    sync = read_sync(common_distances(still, speech, widest_shift(windows)))
    assert sync.lse_c == pytest.approx(0, abs=1e-4)
    assert sync.lse_d == pytest.approx(sync.zero_offset_distance, abs=1e-4)


@pytest.mark.parametrize("offset", [-3, 0, 3])
@pytest.mark.parametrize("windows", [16, 24, 40, 70])
def test_a_known_lag_is_found_over_the_same_speech_too(offset: int, windows: int) -> None:
    frames = torch.rand(90, 1024, generator=torch.Generator().manual_seed(0))
    lips, speech = frames[10 : 10 + windows], frames[10 + offset : 10 + offset + windows]
    assert read_sync(common_distances(lips, speech, widest_shift(windows))).offset_frames == offset


SILENCES = {
    "nothing": np.zeros(32000, np.int16),
    "a constant": np.full(32000, 900, np.int16),
    "what a codec leaves": np.random.RandomState(0).randint(-20, 21, 32000).astype(np.int16),
    "one click": np.where(np.arange(32000) == 9000, 20000, 0).astype(np.int16),
    "a tenth of a second": np.where(np.arange(32000) < 1600, sound(50)[:32000], 0).astype(np.int16),
}


@pytest.mark.parametrize("samples", SILENCES.values(), ids=SILENCES)
@pytest.mark.parametrize("view", ["paper", "sound"])
def test_sound_in_which_nothing_can_be_heard_is_refused_at_once(samples: np.ndarray, view: str) -> None:
    with pytest.raises(ClipError, match=r"0\.2 s") as caught:
        pocket_observer((view,)).start_clip(CLIP, samples)
    assert caught.value.code == "silent-audio"


def test_quiet_speech_and_a_word_in_silence_are_heard() -> None:
    quiet = (sound(50) / 60).astype(np.int16)  # a peak of some -46 dB
    word = np.where(np.arange(32000) < 6400, sound(50)[:32000], 0).astype(np.int16)
    for samples in (quiet, word):
        pocket_observer(("sound",)).start_clip(CLIP, samples)
