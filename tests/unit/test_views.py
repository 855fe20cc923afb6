"""Views: what an observer sees of a clip, however the clip is cut into runs."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from tlbench.errors import ClipError
from tlbench.media.video import Frames
from tlbench.media.views import CropBox, JpegDump, Resize, ToBgr, View, open_view


@pytest.fixture
def frames() -> Frames:
    """12 frames of 64x48: smooth colours that change from frame to frame, so that JPEG has something to lose."""
    rows, columns, time = np.mgrid[0:48, 0:64, 0:12].astype(np.float64)
    colours = [127 + 120 * np.sin(rows / a + columns / b + time) for a, b in ((3, 5), (7, 2), (4, 9))]
    images = np.stack(colours, axis=-1).transpose(2, 0, 1, 3).astype(np.uint8)
    pictures = [av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24") for image in images]
    return Frames(0, tuple(picture.reformat(format="yuv420p") for picture in pictures))


def part(frames: Frames, start: int, stop: int) -> Frames:
    return Frames(frames.start + start, frames.native[start:stop])


def boxes(*edges: int) -> np.ndarray:
    return np.array([edges], dtype=np.int64)


def test_id_is_name_and_version() -> None:
    assert View("syncnet-whole", 1, ()).id == "syncnet-whole@1"


def test_a_view_without_steps_is_the_decoded_frame(frames: Frames) -> None:
    np.testing.assert_array_equal(open_view(View("plain", 1, ())).see(frames), frames.rgb)


def test_resize_is_opencvs_bilinear_and_bgr_comes_last(frames: Frames) -> None:
    seen = open_view(View("small", 1, (Resize(20, 30), ToBgr()))).see(frames)
    expected = np.stack([cv2.resize(image, (30, 20)) for image in frames.rgb])[..., ::-1]
    assert seen.shape == (12, 20, 30, 3)
    np.testing.assert_array_equal(seen, expected)


def test_crop_means_what_a_slice_means(frames: Frames) -> None:
    first = part(frames, 0, 1)
    crop = View("crop", 1, (CropBox("face"),))
    image = first.rgb[0]
    np.testing.assert_array_equal(open_view(crop).see(first, boxes(4, 6, 24, 40))[0], image[6:40, 4:24])
    np.testing.assert_array_equal(open_view(crop).see(first, boxes(50, 30, 90, 70))[0], image[30:48, 50:64])
    np.testing.assert_array_equal(open_view(crop).see(first, boxes(-20, 6, 60, 40))[0], image[6:40, 44:60])


def test_mouth_half_is_the_lower_half_of_the_box(frames: Frames) -> None:
    first = part(frames, 0, 1)
    seen = open_view(View("mouth", 1, (CropBox("mouth-half"),))).see(first, boxes(4, 6, 24, 41))
    np.testing.assert_array_equal(seen[0], first.rgb[0][23:41, 4:24])


def test_an_empty_crop_names_frame_and_box(frames: Frames) -> None:
    late = Frames(32, frames.native)
    given = np.array([[0, 0, 10, 10]] * 5 + [[70, 0, 90, 10]] + [[0, 0, 10, 10]] * 6)
    with pytest.raises(ClipError, match=r"frame 37: box \[70, 0, 90, 10\] leaves nothing of a 64x48 frame") as caught:
        open_view(View("crop", 1, (CropBox("face"), Resize(8, 8)))).see(late, given)
    assert caught.value.code == "empty-crop"


def test_a_crop_without_boxes_is_a_mistake_of_the_caller(frames: Frames) -> None:
    with pytest.raises(ValueError, match="no boxes"):
        open_view(View("crop", 1, (CropBox("face"),))).see(frames)


def test_the_jpeg_dump_can_only_come_first() -> None:
    with pytest.raises(ValueError, match="first step"):
        open_view(View("late", 1, (Resize(8, 8), JpegDump())))


@pytest.mark.parametrize("run", [1, 5, 7])
def test_how_a_clip_is_cut_into_runs_makes_no_difference(frames: Frames, run: int) -> None:
    view = View("dump", 1, (JpegDump(), Resize(32, 32), ToBgr()))
    whole = open_view(view).see(frames)
    stream = open_view(view)
    cut = np.concatenate([stream.see(part(frames, start, start + run)) for start in range(0, len(frames), run)])
    np.testing.assert_array_equal(cut, whole)


def test_the_jpeg_dump_changes_pixels_but_not_the_picture(frames: Frames) -> None:
    seen = open_view(View("dump", 1, (JpegDump(),))).see(frames)
    error = np.sqrt(np.mean((seen.astype(float) - frames.rgb) ** 2))
    assert 0.5 < error < 20  # colours swapped or ranges mixed up would give far more


def test_each_clip_begins_anew(frames: Frames) -> None:
    view = View("dump", 1, (JpegDump(),))
    np.testing.assert_array_equal(open_view(view).see(frames), open_view(view).see(frames))
