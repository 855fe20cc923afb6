"""Views: what an observer sees of a clip, however the clip is cut into runs."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from tlbench.errors import ClipError
from tlbench.media.crops import CROP_IDS, CROPS
from tlbench.media.face_tracks import Track, TrackRule, crop_track
from tlbench.media.video_reader import FrameChunk
from tlbench.media.views import (
    AlignMouth,
    CenterCrop,
    CropBox,
    CropWindow,
    CutSquare,
    FrameFace,
    Grey,
    JpegDump,
    Normalise,
    Resize,
    ResizeAntialiased,
    Step,
    ToBgr,
    View,
    open_view,
)


@pytest.fixture
def frames() -> FrameChunk:
    """12 frames of 64x48: smooth colours that change from frame to frame, so that JPEG has something to lose."""
    rows, columns, time = np.mgrid[0:48, 0:64, 0:12].astype(np.float64)
    colours = [127 + 120 * np.sin(rows / a + columns / b + time) for a, b in ((3, 5), (7, 2), (4, 9))]
    images = np.stack(colours, axis=-1).transpose(2, 0, 1, 3).astype(np.uint8)
    pictures = [av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24") for image in images]
    return FrameChunk(0, tuple(picture.reformat(format="yuv420p") for picture in pictures))


def part(frames: FrameChunk, start: int, stop: int) -> FrameChunk:
    return FrameChunk(frames.start + start, frames.native[start:stop])


def seen_through(frames: FrameChunk, *steps: Step) -> np.ndarray:
    return open_view(View("test", 1, steps)).apply(frames)


def boxes(*edges: int) -> np.ndarray:
    return np.array([edges], dtype=np.int64)


def test_id_is_name_and_version() -> None:
    assert View("syncnet-whole", 1, ()).id == "syncnet-whole@1"


def test_a_view_without_steps_is_the_decoded_frame(frames: FrameChunk) -> None:
    np.testing.assert_array_equal(open_view(View("plain", 1, ())).apply(frames), frames.rgb)


def test_resize_is_opencvs_bilinear_and_bgr_comes_last(frames: FrameChunk) -> None:
    seen = open_view(View("small", 1, (Resize(20, 30), ToBgr()))).apply(frames)
    expected = np.stack([cv2.resize(image, (30, 20)) for image in frames.rgb])[..., ::-1]
    assert seen.shape == (12, 20, 30, 3)
    np.testing.assert_array_equal(seen, expected)


def test_crop_means_what_a_slice_means(frames: FrameChunk) -> None:
    first = part(frames, 0, 1)
    crop = View("crop", 1, (CropBox("face"),))
    image = first.rgb[0]
    np.testing.assert_array_equal(open_view(crop).apply(first, boxes(4, 6, 24, 40))[0], image[6:40, 4:24])
    np.testing.assert_array_equal(open_view(crop).apply(first, boxes(50, 30, 90, 70))[0], image[30:48, 50:64])
    np.testing.assert_array_equal(open_view(crop).apply(first, boxes(-20, 6, 60, 40))[0], image[6:40, 44:60])


def test_mouth_half_is_the_lower_half_of_the_box(frames: FrameChunk) -> None:
    first = part(frames, 0, 1)
    seen = open_view(View("mouth", 1, (CropBox("mouth-half"),))).apply(first, boxes(4, 6, 24, 41))
    np.testing.assert_array_equal(seen[0], first.rgb[0][23:41, 4:24])


def test_an_empty_crop_names_frame_and_box(frames: FrameChunk) -> None:
    late = FrameChunk(32, frames.native)
    given = np.array([[0, 0, 10, 10]] * 5 + [[70, 0, 90, 10]] + [[0, 0, 10, 10]] * 6)
    with pytest.raises(ClipError, match=r"frame 37: box \[70, 0, 90, 10\] leaves nothing of a 64x48 frame") as caught:
        open_view(View("crop", 1, (CropBox("face"), Resize(8, 8)))).apply(late, given)
    assert caught.value.code == "empty-crop"


def test_a_crop_without_boxes_is_a_mistake_of_the_caller(frames: FrameChunk) -> None:
    with pytest.raises(ValueError, match="no boxes"):
        open_view(View("crop", 1, (CropBox("face"),))).apply(frames)


def test_the_jpeg_dump_can_only_come_first() -> None:
    with pytest.raises(ValueError, match="first step"):
        open_view(View("late", 1, (Resize(8, 8), JpegDump())))


@pytest.mark.parametrize("run", [1, 5, 7])
def test_how_a_clip_is_cut_into_runs_makes_no_difference(frames: FrameChunk, run: int) -> None:
    view = View("dump", 1, (JpegDump(), Resize(32, 32), ToBgr()))
    whole = open_view(view).apply(frames)
    stream = open_view(view)
    cut = np.concatenate([stream.apply(part(frames, start, start + run)) for start in range(0, len(frames), run)])
    np.testing.assert_array_equal(cut, whole)


def test_the_jpeg_dump_changes_pixels_but_not_the_picture(frames: FrameChunk) -> None:
    seen = open_view(View("dump", 1, (JpegDump(),))).apply(frames)
    error = np.sqrt(np.mean((seen.astype(float) - frames.rgb) ** 2))
    assert 0.5 < error < 20  # colours swapped or ranges mixed up would give far more


def test_each_clip_begins_anew(frames: FrameChunk) -> None:
    view = View("dump", 1, (JpegDump(),))
    np.testing.assert_array_equal(open_view(view).apply(frames), open_view(view).apply(frames))


def test_the_middle_leaves_an_odd_pixel_on_the_right_and_below(frames: FrameChunk) -> None:
    np.testing.assert_array_equal(seen_through(frames, CenterCrop(31, 41)), frames.rgb[:, 8:39, 11:52])
    np.testing.assert_array_equal(seen_through(frames, CenterCrop(48, 64)), frames.rgb)


def test_a_frame_smaller_than_its_middle_names_the_way_out(frames: FrameChunk) -> None:
    with pytest.raises(ClipError, match=r"64x48 are too small: test@1 cuts 88x88 .* --view \w+=face-framed") as caught:
        seen_through(frames, CenterCrop(88, 88))
    assert caught.value.code == "too-small"
    with pytest.raises(ClipError, match="too small"):
        seen_through(frames, CenterCrop(40, 65))


def test_a_window_means_what_pillows_crop_means(frames: FrameChunk) -> None:
    for window in ((10, 5, 30, 40), (50, 40, 80, 60), (-5, -6, 20, 20), (100, 100, 110, 120)):
        expected = [np.asarray(Image.fromarray(image).crop(window)) for image in frames.rgb]
        np.testing.assert_array_equal(seen_through(frames, CropWindow(*window)), np.stack(expected))


def test_antialiased_resizing_is_pillows(frames: FrameChunk) -> None:
    expected = [np.asarray(Image.fromarray(i).resize((20, 15), Image.Resampling.BILINEAR)) for i in frames.rgb]
    seen = seen_through(frames, ResizeAntialiased(15, 20))
    np.testing.assert_array_equal(seen, np.stack(expected))
    assert np.abs(seen.astype(int) - seen_through(frames, Resize(15, 20))).max() > 20  # the two are not exchangeable


def test_grey_is_each_librarys_own(frames: FrameChunk) -> None:
    opencv = [cv2.cvtColor(np.ascontiguousarray(image[..., ::-1]), cv2.COLOR_BGR2GRAY) for image in frames.rgb]
    pillow = [np.asarray(Image.fromarray(image).convert("L")) for image in frames.rgb]
    np.testing.assert_array_equal(seen_through(frames, Grey("opencv")), np.stack(opencv))
    np.testing.assert_array_equal(seen_through(frames, Grey("pillow")), np.stack(pillow))
    different = np.stack(opencv) != np.stack(pillow)
    assert 0 < different.mean() < 0.01


@pytest.mark.parametrize("rule", ["opencv", "pillow"])
def test_grey_of_the_jpeg_dump_weighs_the_right_colours(frames: FrameChunk, rule: str) -> None:
    grey = Grey("opencv" if rule == "opencv" else "pillow")
    dumped = seen_through(frames, JpegDump())
    pictures = tuple(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24") for image in dumped)
    np.testing.assert_array_equal(seen_through(frames, JpegDump(), grey), seen_through(FrameChunk(0, pictures), grey))


def test_crops_before_and_after_grey_are_the_same(frames: FrameChunk) -> None:
    before = seen_through(frames, CenterCrop(20, 30), Grey("opencv"))
    np.testing.assert_array_equal(before, seen_through(frames, Grey("opencv"), CenterCrop(20, 30)))


def test_normalising_gives_float32_rounded_once(frames: FrameChunk) -> None:
    grey = seen_through(frames, Grey("opencv"))
    seen = seen_through(frames, Grey("opencv"), Normalise(0.421, 0.165))
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen, ((grey / 255.0 - 0.421) / 0.165).astype(np.float32))


@pytest.mark.parametrize(
    "steps",
    [
        (Normalise(0.5, 0.5), Grey("opencv")),
        (Normalise(0.5, 0.5),),
        (Grey("opencv"), Normalise(0.5, 0.5), Resize(8, 8)),
    ],
)
def test_normalising_can_only_end_a_grey_view(steps: tuple[Step, ...]) -> None:
    with pytest.raises(ValueError, match="Normalise can only be the last step"):
        open_view(View("test", 1, steps))


def test_grey_images_have_no_order_of_colours() -> None:
    with pytest.raises(ValueError, match="leave ToBgr out"):
        open_view(View("test", 1, (Grey("opencv"), ToBgr())))


def test_a_framed_face_is_the_crop_of_a_track(frames: FrameChunk) -> None:
    first = part(frames, 0, 1)
    box = np.array([[20.4, 11.3, 44.9, 35.8]])  # steadied boxes are squares with fractions
    track = Track(0, 1, box, (box[:, :2] + box[:, 2:]) / 2, (box[:, 2] - box[:, 0]) / 2, TrackRule(crop_px=32))
    seen = open_view(View("face", 1, (FrameFace(32),))).apply(first, box)
    np.testing.assert_array_equal(seen[0], crop_track(first.rgb[0], track, 0))


def test_what_a_framed_face_lacks_is_grey(frames: FrameChunk) -> None:
    seen = open_view(View("face", 1, (FrameFace(32),))).apply(part(frames, 0, 1), boxes(40, 20, 64, 44))
    assert (seen[0, :, -3:] == 110).all()
    assert (seen[0, -3:] == 110).all()
    assert not (seen[0, :24, :24] == 110).all(axis=-1).any()


@pytest.mark.parametrize("box", [(200, 10, 230, 40), (10, 300, 40, 330)])
def test_a_face_outside_its_frame_is_an_empty_crop(frames: FrameChunk, box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ClipError, match="leaves nothing of a 64x48 frame") as caught:
        open_view(View("face", 1, (FrameFace(32),))).apply(part(frames, 0, 1), boxes(*box))
    assert caught.value.code == "empty-crop"


def test_an_absurdly_large_face_is_refused_before_memory_is_taken(frames: FrameChunk) -> None:
    with pytest.raises(ClipError, match="a face of 1e\\+06 pixels in a 64x48 frame; mend the boxes") as caught:
        open_view(View("face", 1, (FrameFace(32),))).apply(part(frames, 0, 1), boxes(0, 0, 1_000_000, 40))
    assert caught.value.code == "bad-boxes"


def test_an_aligned_mouth_is_where_its_placement_says(frames: FrameChunk) -> None:
    first = part(frames, 0, 1)
    shift = np.array([[[1.0, 0.0, 10.0], [0.0, 1.0, 20.0]]])
    seen = open_view(View("mouth", 1, (AlignMouth(),))).apply(first, None, shift)
    assert seen.shape == (1, 96, 96, 3)
    difference = first.rgb[0].astype(int) - seen[0, 20:68, 10:74]
    assert difference.min() >= 0
    assert difference.max() <= 1  # truncated, as in the original


@pytest.mark.parametrize(("step", "kind"), [(FrameFace(32), "boxes"), (AlignMouth(), "placements")])
def test_what_a_view_needs_has_to_be_given(frames: FrameChunk, step: Step, kind: str) -> None:
    with pytest.raises(ValueError, match=f"no {kind} were given"):
        seen_through(frames, step)


@pytest.mark.parametrize("run", [1, 5])
def test_guides_go_with_their_frames(frames: FrameChunk, run: int) -> None:
    face = View("face", 1, (FrameFace(32), Grey("opencv"), CenterCrop(20, 20), Normalise(0.4, 0.2)))
    mouth = View("mouth", 1, (AlignMouth(), Grey("pillow"), CenterCrop(88, 88)))
    walking = np.array([[10.0, 10.0, 30.0, 30.0]]) + np.arange(12)[:, None]
    turning = np.stack([[[1, 0.01 * t, 30], [-0.01 * t, 1, 30]] for t in range(12)])
    for view in (face, mouth):
        whole = open_view(view).apply(frames, walking, turning)
        stream = open_view(view)
        cut = [
            stream.apply(part(frames, start, start + run), walking[start : start + run], turning[start : start + run])
            for start in range(0, len(frames), run)
        ]
        np.testing.assert_array_equal(np.concatenate(cut), whole)


def test_a_square_with_a_margin_is_cut_and_repeats_the_edge_of_the_frame(frames: FrameChunk) -> None:
    first = part(frames, 0, 1)
    image = first.rgb[0]
    inside = open_view(View("face", 1, (CutSquare(0.1),))).apply(first, boxes(20, 14, 40, 34))
    np.testing.assert_array_equal(inside[0], image[12:36, 18:42])  # 20 and a tenth of it on each side
    over = open_view(View("face", 1, (CutSquare(0.0),))).apply(first, boxes(-10, 30, 20, 60))
    assert over.shape == (1, 30, 30, 3)
    np.testing.assert_array_equal(over[0, :18, 10:], image[30:48, :20])
    np.testing.assert_array_equal(over[0, 0, :10], np.repeat(image[30:31, 0], 10, axis=0))
    np.testing.assert_array_equal(over[0, 18:, 10:], np.repeat(image[47:48, :20], 12, axis=0))


def test_a_square_of_nothing_or_of_a_mistaken_box_is_refused(frames: FrameChunk) -> None:
    first = part(frames, 0, 1)
    crop = View("face", 1, (CutSquare(0.1),))
    for box, code in ((boxes(200, 0, 240, 40), "empty-crop"), (boxes(0, 0, 9000, 9000), "bad-boxes")):
        with pytest.raises(ClipError) as error:
            open_view(crop).apply(first, box)
        assert error.value.code == code
    with pytest.raises(ClipError) as error:
        open_view(crop).apply(first, boxes(5, 5, 5, 5))
    assert error.value.code == "empty-crop"


@pytest.mark.parametrize("crop", CROPS.values(), ids=list(CROPS))
def test_a_crop_for_columns_is_a_view_of_its_name_and_256_pixels_unless_it_is_the_frame(
    frames: FrameChunk, crop: View
) -> None:
    seen = open_view(crop).apply(frames, np.tile(boxes(4, 6, 24, 41), (12, 1)))
    assert CROP_IDS[crop.name] == crop.id == f"{crop.name}@1"
    assert seen.shape == (12, *((48, 64) if crop.name == "whole-frame" else (256, 256)), 3)
