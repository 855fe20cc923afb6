"""A face that is cut and put back unchanged is where it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.golden.talklip_inputs import SELECTED, inputs
from tlbench.errors import ClipError
from tlbench.generation.face_patch import crop_face, paste_face


def smooth_picture(height: int, width: int) -> np.ndarray:
    """Gradients of a few levels a pixel, different in each colour, so that resizing changes little."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 250 / height, columns * 250 / width, (rows + columns) * 250 / (height + width)], -1).astype(
        np.uint8
    )


@given(st.integers(-30, 100), st.integers(-30, 100), st.integers(40, 200), st.integers(40, 200))
def test_pasting_the_real_face_gives_the_frame_within_the_error_of_resizing(
    left: int, top: int, width: int, height: int
) -> None:
    frame = smooth_picture(160, 200)
    box = np.array([left, top, left + width, top + height])
    pasted = frame.copy()
    paste_face(pasted, box, crop_face(frame, box).astype(np.float32))
    slope = 4  # levels that a pixel's place is worth: half a pixel of either size, and a level of rounding
    assert np.abs(pasted.astype(int) - frame).max() <= slope
    outside = np.ones((160, 200), bool)
    outside[max(top, 0) : top + height, max(left, 0) : left + width] = False
    np.testing.assert_array_equal(pasted[outside], frame[outside])


def test_a_face_of_96_pixels_is_pasted_back_exactly() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    pasted = frame.copy()
    paste_face(pasted, np.array([20, 30, 116, 126]), crop_face(frame, np.array([20, 30, 116, 126])).astype(np.float32))
    np.testing.assert_array_equal(pasted, frame)


def test_levels_are_truncated_as_published() -> None:
    frame = np.zeros((96, 96, 3), np.uint8)
    paste_face(frame, np.array([0, 0, 96, 96]), np.full((96, 96, 3), 7.99, np.float32))
    assert np.unique(frame).tolist() == [7]


def test_it_resizes_as_the_published_code_does() -> None:
    """torchvision's bilinear resizing of tensors without antialiasing, to smaller and to larger sizes."""
    face = np.random.default_rng(0).random((96, 96, 3), dtype=np.float32) * 255
    for width, height in [(50, 70), (96, 130), (131, 95)]:
        frame = np.zeros((140, 140, 3), np.uint8)
        paste_face(frame, np.array([3, 5, 3 + width, 5 + height]), face)
        tensor = torch.from_numpy(face).permute(2, 0, 1)[None]
        exact = torch.nn.functional.interpolate(tensor, (height, width), mode="bilinear")[0].permute(1, 2, 0).numpy()
        difference = exact - frame[5 : 5 + height, 3 : 3 + width]
        assert difference.min() > -1e-3
        assert difference.max() < 1 + 1e-3


def test_frames_equal_those_of_the_original_code(shared: Path) -> None:
    golden = np.load(shared / "golden" / "talklip" / "tiny_forward.npz")
    given = inputs()
    faces = np.random.RandomState(21).random_sample((15, 3, 96, 96)).astype(np.float32)
    for clip, frame, expected in [
        (0, 2, golden["hybrid_full_frames_clip0_2_9"][0]),
        (0, 9, golden["hybrid_full_frames_clip0_2_9"][1]),
        (1, 3, golden["hybrid_full_frame_clip1_3"][0]),
    ]:
        row = (0 if clip == 0 else len(SELECTED[0])) + SELECTED[clip].tolist().index(frame)
        pasted = given.videos[clip][frame].copy()
        paste_face(pasted, given.boxes[clip][frame], np.ascontiguousarray(faces[row].transpose(1, 2, 0)) * 255)
        difference = expected - pasted  # the original truncates to whole numbers when it writes
        assert difference.min() > -1e-3
        assert difference.max() < 1 + 1e-3


def test_a_box_outside_the_frame_is_refused() -> None:
    with pytest.raises(ClipError, match="is outside its frame"):
        paste_face(np.zeros((50, 50, 3), np.uint8), np.array([60, 10, 90, 40]), np.zeros((96, 96, 3), np.float32))
