"""Boxes and placements carried over to a video of another size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlbench.media.mouth_patch import warp
from tlbench.media.scaling import same_aspect, scale_boxes, scale_placements

sides = st.integers(min_value=8, max_value=4096)
sizes = st.tuples(sides, sides)
edges = st.integers(min_value=0, max_value=4000)
boxes = st.lists(st.tuples(edges, edges, edges, edges), min_size=1, max_size=5).map(
    lambda rows: np.array([[x, y, x + 1 + w, y + 1 + h] for x, y, w, h in rows], dtype=np.int64)
)


@given(sizes, st.integers(min_value=1, max_value=6))
def test_a_whole_multiple_has_the_same_aspect(size: tuple[int, int], times: int) -> None:
    assert same_aspect(size, (size[0] * times, size[1] * times))


@given(sizes, sizes)
def test_aspect_is_a_matter_of_both(size: tuple[int, int], other: tuple[int, int]) -> None:
    assert same_aspect(size, other) == same_aspect(other, size)


@pytest.mark.parametrize(
    ("size", "other", "same"),
    [
        ((320, 240), (106, 80), True),  # rounded to even numbers
        ((360, 288), (256, 256), False),
        ((640, 480), (720, 576), False),  # 4:3 and 5:4
        ((1920, 1080), (854, 480), True),
        ((160, 160), (512, 512), True),
        ((200, 200), (202, 200), True),  # 1 %
        ((200, 200), (203, 200), False),
    ],
)
def test_one_in_a_hundred_is_rounding_and_more_is_not(
    size: tuple[int, int], other: tuple[int, int], same: bool
) -> None:
    assert same_aspect(size, other) == same


@given(boxes, sizes)
def test_of_the_same_size_the_very_same_array(rows: np.ndarray, size: tuple[int, int]) -> None:
    assert scale_boxes(rows, size, size) is rows
    maps = np.ones((2, 2, 3))
    assert scale_placements(maps, size, size) is maps


@given(boxes, sizes, sizes)
def test_each_edge_keeps_its_share_of_the_frame_to_half_a_pixel(
    rows: np.ndarray, size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    scaled = scale_boxes(rows, size, wanted)
    assert scaled.dtype == np.int64
    assert (scaled[:, :2] < scaled[:, 2:]).all()
    exact = scale_boxes(rows.astype(np.float64), size, wanted)
    shares = rows / np.tile(size, 2)
    np.testing.assert_allclose(exact / np.tile(wanted, 2), shares, rtol=1e-12)
    wide = exact[:, 2:] - exact[:, :2] >= 1
    assert (np.abs(scaled - exact)[:, :2] <= 0.5).all()
    assert (np.abs(scaled - exact)[:, 2:] <= np.where(wide, 0.5, 1.5)).all()


@given(boxes, sizes, st.integers(min_value=2, max_value=8))
def test_there_and_back_again_is_the_same_box(rows: np.ndarray, size: tuple[int, int], times: int) -> None:
    larger = (size[0] * times, size[1] * times)
    np.testing.assert_array_equal(scale_boxes(scale_boxes(rows, size, larger), larger, size), rows)


@given(sizes, sizes, st.integers(min_value=0, max_value=2**32 - 1))
def test_a_placement_leads_the_same_share_of_the_frame_to_the_same_place(
    size: tuple[int, int], wanted: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(3, 2, 3))
    share = rng.uniform(0, 1, 2)
    there, here = (share * np.array(s) - 0.5 for s in (size, wanted))  # counted from the centre of the first pixel
    scaled = scale_placements(maps, size, wanted)
    np.testing.assert_allclose(
        scaled[:, :, :2] @ here + scaled[:, :, 2], maps[:, :, :2] @ there + maps[:, :, 2], rtol=1e-9, atol=1e-7
    )


def test_the_mouth_patch_of_a_picture_and_of_its_double_are_the_same_picture() -> None:
    rng = np.random.default_rng(0)
    small = cv2.GaussianBlur(rng.integers(0, 255, (120, 160, 3), np.uint8), (0, 0), 4)
    large = cv2.resize(small, (320, 240), interpolation=cv2.INTER_CUBIC)
    maps = np.array([[[0.8, 0.1, -20.0], [-0.1, 0.8, -10.0]]])
    one = warp(small, maps[0]).astype(int)
    other = warp(large, scale_placements(maps, (160, 120), (320, 240))[0]).astype(int)
    inside = (one.sum(-1) > 0) & (other.sum(-1) > 0)  # at the frame's edge both fade into black, the larger one faster
    edge = cv2.erode(inside.astype(np.uint8), np.ones((5, 5))).astype(bool)
    assert edge.mean() > 0.5
    assert np.abs(one - other)[edge].max() <= 3
    unscaled = warp(large, maps[0]).astype(int)
    assert np.abs(one - unscaled).mean() > 10
