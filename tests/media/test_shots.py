"""Shots are PySceneDetect's own, however the frames are chunked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tlbench.media.shots import ShotCutter
from tlbench.media.video_reader import read_video
from tlbench.media.video_writer import write_video


def scene(frames: int, seed: int, height: int = 120, width: int = 200) -> np.ndarray:
    """(n, H, W, 3) uint8: a picture of coarse coloured blocks that trembles a little."""
    draw = np.random.default_rng(seed)
    picture = np.kron(draw.integers(0, 220, (6, 10, 3)), np.ones((height // 6, width // 10, 1)))
    return (picture + draw.integers(0, 6, (frames, height, width, 3))).astype(np.uint8)


def shots_of(frames: np.ndarray, chunk: int = 32) -> list[tuple[int, int]]:
    cutter = ShotCutter()
    for start in range(0, len(frames), chunk):
        cutter.take(frames[start : start + chunk])
    return cutter.shots()


def test_a_video_without_a_cut_is_one_shot_and_one_without_frames_none() -> None:
    assert shots_of(scene(40, 1)) == [(0, 40)]
    assert ShotCutter().shots() == []


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_cuts_are_found_where_they_are_whatever_the_chunks(chunk: int) -> None:
    video = np.concatenate([scene(30, 1), scene(41, 2), scene(20, 3)])
    assert shots_of(video, chunk) == [(0, 30), (30, 71), (71, 91)]


def test_a_first_cut_within_15_frames_is_none() -> None:
    assert shots_of(np.concatenate([scene(14, 1), scene(40, 2)])) == [(0, 54)]
    assert shots_of(np.concatenate([scene(15, 1), scene(40, 2)])) == [(0, 15), (15, 55)]


@pytest.mark.parametrize(("height", "width"), [(120, 200), (360, 600), (600, 300)])
def test_shots_are_those_of_pyscenedetects_own_manager(tmp_path: Path, height: int, width: int) -> None:
    """The same file through ``open_video`` and ``SceneManager``, which is what the original calls."""
    from scenedetect import ContentDetector, SceneManager, open_video

    parts = [(40, 1), (17, 2), (6, 3), (5, 4), (35, 5)]  # the short ones are merged
    video = np.concatenate([scene(frames, seed, height, width) for frames, seed in parts])
    write_video(tmp_path / "cuts.mp4", video, 25)
    manager = SceneManager()
    manager.add_detector(ContentDetector())
    manager.detect_scenes(open_video(str(tmp_path / "cuts.mp4")))
    theirs = [(first.frame_num, stop.frame_num) for first, stop in manager.get_scene_list()]
    assert len(theirs) > 2
    assert shots_of(read_video(tmp_path / "cuts.mp4")) == theirs
