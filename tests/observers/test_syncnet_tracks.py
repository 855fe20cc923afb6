"""LSE on tracked faces, for videos that are not framed on one face."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.audio import read_audio
from tlbench.media.video_reader import VideoReader, read_video
from tlbench.media.video_writer import write_video
from tlbench.metrics.catalogue import find_metric
from tlbench.observers.syncnet import inference
from tlbench.observers.syncnet.dims import PUBLISHED
from tlbench.observers.syncnet.fast_model import FastSyncNet
from tlbench.observers.syncnet.observer import SyncNet
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk
from tlbench.observing.one_clip import observe_frames

CLIPS = Path(__file__).parents[1] / "golden" / "clips"
TRACK_KEYS = {"track_start", "track_frames", "track_faces", "track_lse_d", "track_lse_c", "track_offset_frames"} | {
    "track_common_faces",
    "track_common_lse_d",
    "track_common_lse_c",
}


class Pocket(nn.Module):
    """Replaces the network: embeddings are mean colours, which is fast."""

    dims = PUBLISHED

    def lips(self, frames: Tensor) -> Tensor:
        return F.pad(frames.float().mean(dim=(1, 2)).unfold(0, 5, 1).flatten(1), (0, 1024 - 15))

    def speech(self, mfcc: Tensor) -> Tensor:
        return F.pad(mfcc.flatten(1), (0, 1024 - 260))


def observe(path: Path, samples: np.ndarray, run: int = 32, views: tuple[str, ...] = ("face-track",)) -> Evidence:
    observer = SyncNet(cast(FastSyncNet, Pocket()), views, "cpu")
    state = observer.start_clip(Clip("c", generated=path), samples)
    for frames in VideoReader(path).frames(run):
        state.update(ClipChunk(frames))
    state.end()
    (evidence,) = observer.compute([state])
    assert isinstance(evidence, Evidence), evidence
    return evidence


@pytest.fixture(scope="module")
def unframed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head in the corner of a wider picture, for 80 frames; its face is 126 pixels high."""
    head = [cv2.resize(frame, (200, 200)) for frame in read_video(CLIPS / "clip_b.mp4")]
    wide = np.full((len(head), 240, 400, 3), 90, np.uint8)
    wide[:, 20:220, 180:380] = head
    path = tmp_path_factory.mktemp("tracks") / "wide.mp4"
    write_video(path, wide, 25, samples=read_audio(CLIPS / "clip_b.mp4"))
    return path


@pytest.fixture(scope="module")
def usual(unframed: Path) -> Evidence:
    """What is seen of it."""
    return observe(unframed, read_audio(unframed))


def test_one_face_is_one_track_over_the_whole_video(usual: Evidence) -> None:
    evidence = usual
    assert set(evidence.values) == TRACK_KEYS | {"windows", "track_shots"}
    assert evidence.number("track_shots") == 1
    assert evidence.array("track_frames").tolist() == evidence.array("track_faces").tolist() == [80]
    assert evidence.array("track_start").tolist() == [0]
    assert find_metric("lse_d_track50/sound").tally(evidence).value == evidence.array("track_common_lse_d")[0]
    assert find_metric("lse_d_track50/paper").tally(evidence).value == evidence.array("track_lse_d")[0]


@pytest.mark.parametrize("budget_bytes", [2**30, 2**20], ids=["kept", "read-again"])
def test_once_the_frames_have_passed_neither_the_video_nor_its_frames_are_needed(
    unframed: Path, usual: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget_bytes: int
) -> None:
    """Processors crop the tracked faces too, and who computes gets them alone."""
    monkeypatch.setattr(inference, "KEPT_VIDEO_BYTES", budget_bytes)
    path = Path(shutil.copy(unframed, tmp_path))
    state = inference.SyncNetStart(PUBLISHED, ("face-track",))(Clip("c", generated=path), read_audio(path))
    for frames in VideoReader(path).frames():
        state.update(ClipChunk(frames))
    if budget_bytes == 2**30:
        path.unlink()
    state.end()
    path.unlink(missing_ok=True)
    sent: inference.SyncNetClipState = pickle.loads(pickle.dumps(state))
    observer = SyncNet(cast(FastSyncNet, Pocket()), ("face-track",), "cpu")
    (evidence,) = observer.compute([sent])
    assert isinstance(evidence, Evidence)
    assert evidence.to_json() == usual.to_json()


def test_frames_in_memory_have_tracks_too(unframed: Path, usual: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "KEPT_VIDEO_BYTES", 2**20)  # there is no file to read again
    monkeypatch.setattr(SyncNet, "load", lambda *_: SyncNet(cast(FastSyncNet, Pocket()), ("face-track",), "cpu"))
    seen = observe_frames("syncnet", "face-track", read_video(unframed), samples=read_audio(unframed))
    assert seen.to_json() == usual.to_json()


def test_a_video_that_is_gone_before_it_is_read_again_is_the_clips_error(
    unframed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "KEPT_VIDEO_BYTES", 0)
    path = Path(shutil.copy(unframed, tmp_path))
    state = inference.SyncNetStart(PUBLISHED, ("face-track",))(Clip("c", generated=path), read_audio(path))
    for frames in VideoReader(path).frames():
        state.update(ClipChunk(frames))
    path.unlink()
    with pytest.raises(ClipError, match=r"wide\.mp4"):
        state.end()


def test_a_track_of_80_faces_is_none_of_more_than_100(usual: Evidence) -> None:
    for key in ("lse_c_track/paper", "lse_c_track/sound", "lse_d_track/paper", "lse_d_track/sound"):
        assert find_metric(key).tally(usual).value is None


def test_long_and_short_tracks_are_told_apart_by_their_faces() -> None:
    tracks = {"track_faces": np.array([51, 100, 101]), "track_lse_c": np.array([1.0, 2.0, 6.0])}
    evidence = Evidence("syncnet", tracks)
    assert find_metric("lse_c_track/paper").tally(evidence).value == 6
    assert find_metric("lse_c_track50/paper").tally(evidence).value == 3


def test_a_cut_ends_a_track_although_the_next_face_is_in_the_same_place(unframed: Path, tmp_path: Path) -> None:
    """Both halves are too short for a track of their own; without the cut the whole is long enough."""
    frames = read_video(unframed)[:70]
    frames[35:, :, :180] = (20, 60, 200)  # beside the head, which goes on
    write_video(tmp_path / "cut.mp4", frames, 25, samples=read_audio(unframed)[: 70 * 640])
    evidence = observe(tmp_path / "cut.mp4", read_audio(unframed)[: 70 * 640])
    assert evidence.number("track_shots") == 2
    assert len(evidence.array("track_start")) == 0


def test_the_crop_follows_the_face_wherever_it_is(unframed: Path, usual: Evidence, tmp_path: Path) -> None:
    """The same head elsewhere in the picture gives the same crops, but for what the codec did to them."""
    wide = np.roll(read_video(unframed), -160, axis=2)
    write_video(tmp_path / "moved.mp4", wide, 25, samples=read_audio(unframed))
    there = observe(tmp_path / "moved.mp4", read_audio(unframed))
    assert there.array("track_lse_d")[0] == pytest.approx(usual.array("track_lse_d")[0], rel=0.05)


@pytest.mark.parametrize("run", [7, 80])
def test_how_the_video_is_cut_into_runs_changes_nothing(unframed: Path, usual: Evidence, run: int) -> None:
    assert observe(unframed, read_audio(unframed), run).to_json() == usual.to_json()


def test_without_a_face_there_is_no_track_and_the_whole_frame_is_scored_all_the_same(tmp_path: Path) -> None:
    write_video(tmp_path / "grey.mp4", np.full((60, 160, 160, 3), 120, np.uint8), 25)
    samples = np.random.default_rng(0).integers(-999, 999, 60 * 640, np.int16)
    evidence = observe(tmp_path / "grey.mp4", samples, views=("sound", "face-track"))
    assert all(len(evidence.array(key)) == 0 for key in TRACK_KEYS)
    assert "sound_lse_d" in evidence.values
    assert find_metric("lse_c_track50/sound").tally(evidence).value is None


def test_a_face_that_is_too_short_lived_is_no_track(unframed: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "short.mp4", read_video(unframed)[:50], 25)  # the rule asks for more than 50
    assert len(observe(tmp_path / "short.mp4", read_audio(unframed)).array("track_start")) == 0


def test_sound_that_ends_early_cuts_the_track_short(unframed: Path) -> None:
    samples = read_audio(unframed)
    whole, cut = observe(unframed, samples), observe(unframed, samples[: 30 * 640])
    assert cut.array("track_frames").tolist() == [80]
    assert cut.array("track_lse_d")[0] != whole.array("track_lse_d")[0]


def test_a_real_face_in_a_wide_picture_is_followed(shared: Path) -> None:
    path = sorted((shared / "data" / "grid" / "s1").glob("*.mp4"))[0]
    frames = observe(path, read_audio(path)).array("track_frames").tolist()
    assert len(frames) == 1
    assert frames[0] >= 70


def test_what_the_observer_is_can_be_read_without_torch() -> None:
    code = (
        "import sys\n"
        "from tlbench.observing.registry import observer_class\n"
        "observer = observer_class('syncnet')\n"
        "print(observer.identity(('paper', 'face-track'), 'ab'), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["syncnet@2[syncnet-track-blazeface@2,syncnet-whole-jpeg@4]ab", "False"]
