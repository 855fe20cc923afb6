"""A video to and fro shows the right frame at the right time, however little may be held."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.factories.media_factory import number_of, write_clip
from tlbench.media.ping_pong import to_and_fro
from tlbench.media.video_reader import VideoReader


@pytest.mark.parametrize("kept", [0, 2**30])
@pytest.mark.parametrize("held_frames", [1, 3, 100])
def test_frames_come_to_and_fro_with_their_numbers(tmp_path: Path, kept: int, held_frames: int) -> None:
    video = VideoReader(write_clip(tmp_path / "a.mp4", frames=7), kept)
    played = list(to_and_fro(video, 7, 21, held_bytes=held_frames * 64 * 48 * 3))
    assert [index for index, _ in played] == [0, 1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5, 6, 5, 4]
    assert [number_of(frame) for _, frame in played] == [index for index, _ in played]


@pytest.mark.parametrize(("frames", "count"), [(1, 4), (2, 5), (3, 2), (3, 0)])
def test_the_shortest_videos_work_too(tmp_path: Path, frames: int, count: int) -> None:
    video = VideoReader(write_clip(tmp_path / "a.mp4", frames=frames))
    expected = {1: [0, 0, 0, 0], 2: [0, 1, 0, 1, 0], 3: [0, 1, 2, 1]}[frames][:count]
    assert [index for index, _ in to_and_fro(video, frames, count)] == expected
