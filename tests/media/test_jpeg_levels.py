"""Levels of the frames that the JPEG encoder gets: those of ffmpeg 5.1.9, sample by sample."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlbench.media.jpeg import JpegRoundTrip, jpeg_layout
from tlbench.media.jpeg_levels import planar_levels

GOLDEN = Path(__file__).parents[1] / "golden" / "jpeg" / "levels.npz"
WIDTH, HEIGHT = 48, 20
LAYOUTS = ["yuv420p", "yuv422p", "yuv444p", "yuv420p9le", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le"]
LAYOUTS += ["yuv444p14le", "yuv420p16le", "rgb24", "bgr0", "gbrp"]


@pytest.fixture(scope="module")
def golden() -> Mapping[str, np.ndarray]:
    return dict(np.load(GOLDEN))


def of_samples(layout: str, samples: np.ndarray) -> av.VideoFrame:
    """A frame of raw samples, as ffmpeg reads them: plane after plane, without padding."""
    frame, start = av.VideoFrame(WIDTH, HEIGHT, layout), 0
    data = samples.view(np.uint8)
    for plane in frame.planes:
        row_bytes = plane.width * (len(data) // (WIDTH * HEIGHT) if len(frame.planes) == 1 else samples.itemsize)
        rows = data[start : start + plane.height * row_bytes].reshape(plane.height, row_bytes)
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[:, :row_bytes] = rows
        start += rows.size
    assert start == len(data)
    return frame


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_sample_is_that_of_ffmpeg(golden: Mapping[str, np.ndarray], layout: str) -> None:
    frame = of_samples(layout, golden[layout])
    dump = JpegRoundTrip()
    encoder = dump._open(WIDTH, HEIGHT, jpeg_layout(frame.format), None)
    picture = dump._picture(frame, encoder)
    found = np.concatenate(
        [np.frombuffer(memoryview(p), np.uint8).reshape(p.height, -1)[:, : p.width].ravel() for p in picture.planes]
    )
    np.testing.assert_array_equal(found, golden[f"{layout}/jpeg"])


@given(level=st.integers(0, 255), plane=st.integers(0, 2), bits=st.sampled_from([8, 10, 12, 16]))
def test_a_full_range_stays_as_it_is_and_a_limited_one_is_stretched(level: int, plane: int, bits: int) -> None:
    samples = np.full((8, 8), level << (bits - 8), np.uint8 if bits == 8 else np.uint16)
    assert set(planar_levels(samples, plane, bits, full=True).ravel()) == {level}
    stretched = planar_levels(samples, plane, bits, full=False).astype(float).mean()
    low, high, middle = (16, 235, 0) if plane == 0 else (16, 240, 128)
    wanted = (level - (low if plane == 0 else 128)) * 255 / (high - low) + middle
    assert stretched == pytest.approx(np.clip(wanted, 0, 255), abs=1)
