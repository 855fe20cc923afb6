"""Eyes, nose tip and mouth centre of a video, from the embedded detector; ways to align by name."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tlbench.errors import ClipError
from tlbench.media.alignments import ALIGNMENTS, whole_picture
from tlbench.media.face_points import find_face_points
from tlbench.media.mouth_patch import PATCH_PX
from tlbench.media.video_reader import FrameChunk, VideoReader


def test_points_of_a_real_face_are_where_they_belong(shared: Path) -> None:
    video = VideoReader(next((shared / "data" / "grid" / "s1").glob("*.m*")))
    chunk = next(video.frames())
    points = find_face_points([FrameChunk(0, chunk.native[:5])])
    assert points.shape == (5, 4, 2)
    right, left, nose, mouth = points.mean(axis=0)
    assert right[0] < nose[0] < left[0]
    assert right[1] < nose[1] < mouth[1]
    assert np.abs(np.diff(points, axis=0)).max() < 8  # a head that hardly moves
    placed = ALIGNMENTS["autoavsr-mediapipe"].placements(points)
    assert placed.shape == (5, 2, 4)
    middle = placed[0, :, :3] @ np.append(np.trunc(points[0, 3]), 1) - placed[0, :, 3]
    assert np.abs(middle - PATCH_PX / 2).max() <= 1


def test_a_picture_without_a_face_has_no_points() -> None:
    grey = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 128, np.uint8), format="rgb24")
    points = find_face_points([FrameChunk(0, (grey,) * 3)])
    assert np.isnan(points).all()
    with pytest.raises(ClipError, match="no frame shows a face"):
        ALIGNMENTS["autoavsr-mediapipe"].placements(points)
    with pytest.raises(ClipError, match="the video has no frame"):
        find_face_points([])


@pytest.mark.parametrize("name", ALIGNMENTS)
def test_a_whole_picture_becomes_the_patch(name: str) -> None:
    picture = np.full((160, 160, 3), 77, np.uint8)
    patch = ALIGNMENTS[name].warp(picture, whole_picture(name, 160))
    assert patch.shape == (PATCH_PX, PATCH_PX, 3)
    assert np.abs(patch[2:-2, 2:-2].astype(int) - 77).max() <= 1
