"""Faces framed like LRS2's: boxes are steadied over the clip, and the crop is the public pipeline's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tlbench.media.face_crop import cut_face, cut_window, face_window, steady


def test_a_still_face_becomes_the_square_around_it() -> None:
    boxes = np.tile([10, 20, 50, 80], (5, 1))  # 40 wide, 60 high, centre 30 50
    np.testing.assert_allclose(steady(boxes), np.tile([0, 20, 60, 80], (5, 1)))


def test_a_box_that_jumps_for_a_few_frames_moves_nothing() -> None:
    boxes = np.tile([10, 20, 50, 60], (40, 1))
    boxes[20:26] += 30
    np.testing.assert_allclose(steady(boxes), np.tile([10, 20, 50, 60], (40, 1)))


def test_a_face_that_moves_on_is_followed() -> None:
    boxes = np.array([[10, 20, 50, 60]]) + 2 * np.arange(60)[:, None]
    np.testing.assert_allclose(steady(boxes)[6:-6], boxes[6:-6])


@pytest.mark.parametrize("frames", [1, 2, 12])
def test_a_clip_shorter_than_the_window_keeps_its_boxes_at_the_ends(frames: int) -> None:
    boxes = np.tile([10, 20, 50, 60], (frames, 1))
    np.testing.assert_allclose(steady(boxes), boxes)  # zeros beyond the ends would have pulled them to the corner


def test_the_window_is_the_pipelines() -> None:
    # run_pipeline.py, crop_video: pads by int(half * 1.8), then truncates y - half : y + half * 1.8, x -+ half * 1.4.
    x, y, half = 100.4, 90.7, 31.3
    pad = int(half * (1 + 2 * 0.4))
    expected = (
        int(x + pad - half * 1.4) - pad,
        int(y + pad - half) - pad,
        int(x + pad + half * 1.4) - pad,
        int(y + pad + half * 1.8) - pad,
    )
    assert face_window(x, y, half) == expected == (56, 59, 144, 147)


@pytest.mark.parametrize(
    "window",
    [(2, 3, 9, 8), (-4, -2, 5, 6), (6, 5, 15, 12), (-3, -3, 20, 20), (0, 0, 12, 10), (-9, 2, -1, 5), (13, 11, 15, 14)],
)
def test_a_window_over_the_edge_is_the_padded_image(window: tuple[int, int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    padded = np.pad(image, ((20, 20), (20, 20), (0, 0)), constant_values=110)
    left, top, right, bottom = window
    expected = padded[top + 20 : bottom + 20, left + 20 : right + 20]
    np.testing.assert_array_equal(cut_window(image, window, 110), expected)
    np.testing.assert_array_equal(cut_window(image[..., 0], window, 110), expected[..., 0])


def test_a_face_is_resized_without_antialiasing() -> None:
    image = np.random.default_rng(1).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    expected = cv2.resize(image[20:270, 10:260], (160, 160), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(cut_face(image, (10, 20, 260, 270), 160), expected)
