"""AV-HuBERT's crops equal the original code's, to the last bit of what enters the network."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tlbench.media.video_reader import FrameChunk
from tlbench.media.views import Normalise, View, open_view
from tlbench.observers.avhubert.view import SMALL_SIDE, VIEWS

GOLDEN = Path(__file__).with_name("avhubert_view")


def played(bgr: np.ndarray) -> FrameChunk:
    """Frames whose RGB is exactly these (n, H, W, 3) pictures turned round."""
    pictures = [np.ascontiguousarray(image[..., ::-1]) for image in bgr]
    return FrameChunk(0, tuple(av.VideoFrame.from_ndarray(picture, format="rgb24") for picture in pictures))


@pytest.mark.parametrize("size", ["96", "160", "odd"])
def test_the_middle_of_the_frame_is_the_originals(size: str) -> None:
    golden = np.load(GOLDEN / "preproc.npz")
    frames = played(golden[f"vid_{size}_frames_bgr"])
    np.testing.assert_array_equal(frames.rgb[..., ::-1], golden[f"vid_{size}_frames_bgr"])
    seen = open_view(VIEWS["lrs2-center"]).apply(frames)
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen, golden[f"vid_{size}_transformed"][..., 0].astype(np.float32))


@pytest.mark.parametrize("size", ["96", "160", "odd"])
def test_grey_is_the_originals(size: str) -> None:
    golden = np.load(GOLDEN / "preproc.npz")
    steps = tuple(step for step in VIEWS["lrs2-center"].steps if not isinstance(step, Normalise))
    seen = open_view(View("grey", 1, steps)).apply(played(golden[f"vid_{size}_frames_bgr"]))
    height, width = golden[f"vid_{size}_gray"].shape[1:]
    top, left = (height - 88) // 2, (width - 88) // 2
    np.testing.assert_array_equal(seen, golden[f"vid_{size}_gray"][:, top : top + 88, left : left + 88])


def test_each_view_gives_what_the_network_takes() -> None:
    frames = played(np.load(GOLDEN / "preproc.npz")["vid_160_frames_bgr"])
    boxes = np.tile([50.0, 40.0, 110.0, 100.0], (3, 1))
    placements = np.tile([[1.0, 0.0, -32.0], [0.0, 1.0, -40.0]], (3, 1, 1))
    for name, view in VIEWS.items():
        seen = open_view(view).apply(frames, boxes, placements)
        side = SMALL_SIDE if name.startswith("small-") else 88
        assert seen.shape == (3, side, side)
        assert seen.dtype == np.float32


def test_the_id_of_the_aligned_view_says_that_the_mean_face_is_not_upstreams() -> None:
    assert VIEWS["mouth-aligned"].id == "avhubert-mouth-aligned-own@1"
    assert VIEWS["lrs2-center"].id == "avhubert-lrs2-center@1"
    assert VIEWS["face-framed"].id == "avhubert-face-framed@1"
