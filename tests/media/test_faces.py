"""Face boxes: all detectors keep the contract; boxes are read, written, smoothed and filled in as promised."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.factories.boxes_factory import best_boxes
from tests.golden.formula import fill
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.blazeface import BlazeFaceDetector
from tlbench.media.box_files import read_boxes, write_boxes
from tlbench.media.faces import Boxes, FaceDetector, fallback_box, fixed_boxes
from tlbench.media.haar import HaarDetector
from tlbench.media.video_reader import FrameChunk, VideoReader

CLIPS = Path(__file__).parents[1] / "golden" / "s3fd"


def drawn_head(count: int, side: int = 160) -> np.ndarray:
    """(count, side, side, 3) uint8 RGB: the first frames of a drawn, talking head."""
    rgb = next(VideoReader(CLIPS / "clip_c.mp4").frames(count)).rgb
    return np.stack([cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in rgb])


def as_runs(rgb: np.ndarray, run: int) -> Iterator[FrameChunk]:
    for start in range(0, len(rgb), run):
        part = rgb[start : start + run]
        yield FrameChunk(start, tuple(av.VideoFrame.from_ndarray(frame, format="rgb24") for frame in part))


class Scripted:
    """A detector which finds the faces it was told to, by frame, and remembers what it was asked."""

    name = "scripted"
    sure_score = 0.5

    def __init__(self, faces: list[list[int] | None]) -> None:
        self.faces = faces
        self.asked: list[tuple[int, list[int] | None]] = []

    def detect(self, frames: np.ndarray, before: np.ndarray | None = None) -> list[np.ndarray | None]:
        self.asked.append((len(frames), None if before is None else before.tolist()))
        now, self.faces = self.faces[: len(frames)], self.faces[len(frames) :]
        return [None if face is None else np.array(face, dtype=np.int64) for face in now]

    def detect_all(self, frames: np.ndarray, min_score: float) -> list[np.ndarray]:
        raise AssertionError("best_boxes asks for the best face only")


# What every detector promises.

SIDE = 112  # small, for S3FD takes a fifth of a second for 160 x 160 on one core


@pytest.fixture(scope="module", params=["blazeface", "haar", "s3fd"])
def detector(request: pytest.FixtureRequest) -> FaceDetector:
    if request.param == "blazeface":
        return BlazeFaceDetector()
    if request.param == "haar":
        return HaarDetector()
    from tlbench.media.s3fd import S3FD, S3FDDetector

    state = fill(S3FD().state_dict())
    for name, tensor in state.items():
        if name.endswith("mbox_conf.bias"):
            tensor[-1] -= 0.4  # so that these weights find something in the drawn head and nothing in a blank
    return S3FDDetector(state)


def test_detector_gives_whole_pixel_boxes_in_the_frames_order(detector: FaceDetector) -> None:
    frames = drawn_head(3, SIDE)
    found = detector.detect(frames)
    assert len(found) == 3
    assert any(box is not None for box in found)
    for frame, box in zip(frames, found, strict=True):
        alone = detector.detect(frame[None])[0]
        assert (box is None) == (alone is None)
        if box is not None and alone is not None:
            assert box.shape == (4,)
            assert box.dtype == np.int64
            assert (box[:2] >= 0).all()
            assert (box[2:] > box[:2]).all()
            assert np.abs(box - alone).max() <= 4, "another frame's box"


def test_detector_finds_nothing_in_a_blank_frame(detector: FaceDetector) -> None:
    blank = np.full((2, SIDE, SIDE, 3), 128, dtype=np.uint8)
    assert detector.detect(blank) == [None, None]
    assert [faces.shape for faces in detector.detect_all(blank, detector.sure_score)] == [(0, 5), (0, 5)]


def test_boxes_do_not_depend_on_how_the_video_is_cut(detector: FaceDetector) -> None:
    frames = drawn_head(4, SIDE)
    whole = best_boxes(as_runs(frames, 4), detector)
    cut = best_boxes(as_runs(frames, 3), detector)
    assert whole.missing == cut.missing
    np.testing.assert_array_equal(whole.xyxy, cut.xyxy)


def test_a_still_video_keeps_its_box(detector: FaceDetector) -> None:
    still = np.repeat(drawn_head(1, SIDE), 4, axis=0)
    xyxy = best_boxes(as_runs(still, 2), detector).xyxy
    # Haar searches frame 0 whole and the others in finer steps near the box before, which may move it by a pixel.
    assert np.abs(np.diff(xyxy[1:], axis=0)).max() <= 1


def test_detector_leaves_the_frames_alone(detector: FaceDetector) -> None:
    frames = drawn_head(1, SIDE)
    copy = frames.copy()
    detector.detect(frames)
    np.testing.assert_array_equal(frames, copy)


def test_detect_all_is_best_first_above_the_score_and_begins_with_the_best_face(detector: FaceDetector) -> None:
    frames = drawn_head(1, SIDE)
    best = detector.detect(frames)[0]
    (faces,) = detector.detect_all(frames, 0.1)
    assert best is not None
    assert faces.dtype == np.float64
    assert faces.shape[1] == 5
    assert (np.diff(faces[:, 4]) <= 0).all()
    np.testing.assert_array_equal(np.clip(faces[0, :4], 0, None).astype(int), best)
    threshold = float(faces[0, 4])
    assert len(detector.detect_all(frames, threshold)[0]) == 0, "a face at the threshold is not above it"


# OpenCV's cascade.


def test_haar_follows_a_moving_face() -> None:
    head = drawn_head(1)[0]
    moved = np.stack([np.roll(head, 2 * step, axis=1) for step in range(8)])
    found = best_boxes(as_runs(moved, 3), HaarDetector()).xyxy
    assert np.abs(found[:, 0] - found[0, 0] - 2 * np.arange(8)).max() <= 3


def test_haar_finds_a_face_that_jumps_away() -> None:
    head = drawn_head(1)[0]
    stage = np.zeros((2, 200, 400, 3), dtype=np.uint8)
    stage[0, 20:180, 10:170] = head
    stage[1, 20:180, 230:390] = head
    left, right = HaarDetector().detect(stage)
    assert left is not None
    assert right is not None
    assert abs((right - left)[0] - 220) <= 4


def test_haar_boxes_grow_with_the_frame() -> None:
    small = drawn_head(1)
    large = small.repeat(3, axis=1).repeat(3, axis=2)
    (a,), (b,) = HaarDetector().detect(small), HaarDetector().detect(large)
    assert a is not None
    assert b is not None
    assert np.abs(b / 3 - a).max() <= 2


def test_haar_finds_nothing_in_a_frame_smaller_than_its_window() -> None:
    assert HaarDetector().detect(np.zeros((1, 20, 20, 3), dtype=np.uint8)) == [None]


# First frames of GRID clips (360x288 and 160x160): the face box of MTCNN, which learnt from S3FD's data.
MTCNN_BOXES = {
    "data/grid/s1/bbaf2n.mp4": (100.7, 102.4, 203.7, 250.7),
    "data/grid/s1/bwbh1a.mp4": (105.5, 97.0, 206.0, 237.3),
    "data/grid-original/s10/bbab8n.mpg": (118.8, 96.9, 233.7, 259.1),
    "data/grid-original/s30/pgbb4s.mpg": (92.0, 92.8, 221.1, 267.7),
    "golden/clips/grid_s1.mp4": (36.1, 24.9, 123.3, 145.8),
    "golden/clips/grid_s2.mp4": (31.0, 43.5, 119.7, 165.8),
}


@pytest.mark.parametrize("embedded", [BlazeFaceDetector, HaarDetector])
@pytest.mark.parametrize("clip", MTCNN_BOXES)
def test_embedded_detectors_frame_real_faces_as_a_trained_one_does(
    shared: Path, clip: str, embedded: type[BlazeFaceDetector] | type[HaarDetector]
) -> None:
    (box,) = embedded().detect(next(VideoReader(shared / clip).frames(1)).rgb)
    assert box is not None
    other = np.array(MTCNN_BOXES[clip])
    side = (other[2:] - other[:2]).mean()
    assert np.abs(box - other).max() <= 0.1 * side


@pytest.mark.parametrize("embedded", [BlazeFaceDetector, HaarDetector])
def test_embedded_detectors_find_every_frame_of_real_clips(
    shared: Path, embedded: type[BlazeFaceDetector] | type[HaarDetector]
) -> None:
    for clip in ("data/grid-original/s10/bbab8n.mpg", "golden/clips/grid_s1_pert.mp4", "golden/clips/grid_s2.mp4"):
        assert best_boxes(VideoReader(shared / clip).frames(32), embedded()).missing == 0, clip


# best_boxes.


def test_a_frame_without_a_face_gets_the_centred_box_and_is_counted() -> None:
    video = np.zeros((3, 120, 161, 3), dtype=np.uint8)
    boxes = best_boxes(as_runs(video, 2), Scripted([[1, 2, 30, 40], None, [5, 6, 70, 80]]))
    assert boxes.xyxy.tolist() == [[1, 2, 30, 40], [32, 12, 128, 108], [5, 6, 70, 80]]
    assert boxes.xyxy.dtype == np.int64
    assert (boxes.missing, boxes.source, len(boxes)) == (1, "scripted", 3)


def test_the_detector_is_told_the_box_before_each_run_unless_there_was_none() -> None:
    scripted = Scripted([[1, 1, 9, 9], [2, 2, 9, 9], [3, 3, 9, 9], None, [4, 4, 9, 9]])
    best_boxes(as_runs(np.zeros((5, 96, 96, 3), dtype=np.uint8), 2), scripted)
    assert scripted.asked == [(2, None), (2, [2, 2, 9, 9]), (1, None)]


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [
        (160, 160, [32, 32, 128, 128]),
        (117, 150, [10, 27, 106, 123]),  # odd: (117 - 96) / 2 = 10.5 is truncated
        (96, 96, [0, 0, 96, 96]),
        (80, 200, [0, 52, 80, 148]),  # narrower than 96: its whole width
    ],
)
def test_fallback_box(width: int, height: int, box: list[int]) -> None:
    assert fallback_box(width, height).tolist() == box


def test_smoothing_removes_a_single_wrong_box() -> None:
    faces: list[list[int] | None] = [[10, 20, 60, 80]] * 7
    faces[3] = [90, 5, 95, 9]
    video = np.zeros((7, 96, 96, 3), dtype=np.uint8)
    assert best_boxes(as_runs(video, 4), Scripted(list(faces)), smooth=3).xyxy.tolist() == [[10, 20, 60, 80]] * 7
    assert best_boxes(as_runs(video, 4), Scripted(list(faces))).xyxy.tolist() == faces


def test_smoothing_is_a_running_median_whose_ends_repeat() -> None:
    xs = [5, 1, 4, 2, 9, 3]
    video = np.zeros((6, 96, 96, 3), dtype=np.uint8)
    found = best_boxes(as_runs(video, 6), Scripted([[x, x, 50 + x, 50 + x] for x in xs]), smooth=3)
    assert found.xyxy[:, 0].tolist() == [5, 4, 2, 4, 3, 3]


@pytest.mark.parametrize("smooth", [2, -1])
def test_smoothing_over_an_even_or_negative_number_is_refused(smooth: int) -> None:
    with pytest.raises(TlbenchError, match=str(smooth)):
        best_boxes(iter(()), Scripted([]), smooth=smooth)


def test_a_video_without_frames_is_a_clip_error() -> None:
    with pytest.raises(ClipError) as caught:
        best_boxes(iter(()), Scripted([]))
    assert caught.value.code == "no-frames"


def test_fixed_boxes_repeat_one_box() -> None:
    boxes = fixed_boxes((59, 95, 195, 231), 3)
    assert boxes.xyxy.tolist() == [[59, 95, 195, 231]] * 3
    assert (boxes.missing, boxes.source) == (0, "fixed")


@pytest.mark.parametrize("box", [(10, 10, 10, 20), (-1, 0, 5, 5), (0, 9, 5, 8)])
def test_a_fixed_box_without_area_or_outside_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(TlbenchError, match=f"{box[0]},{box[1]}"):
        fixed_boxes(box, 2)


# Files.


def test_boxes_survive_writing_and_reading(tmp_path: Path) -> None:
    xyxy = np.array([[1, 2, 30, 40], [0, 0, 500, 400]])
    write_boxes(tmp_path / "clip.npy", Boxes(xyxy, 1, "haar"))
    assert [path.name for path in tmp_path.iterdir()] == ["clip.npy"]
    assert np.load(tmp_path / "clip.npy").dtype == np.int64
    boxes = read_boxes(tmp_path / "clip.npy", frame_count=2)
    np.testing.assert_array_equal(boxes.xyxy, xyxy)
    assert boxes.xyxy.dtype == np.int64
    assert (boxes.missing, boxes.source) == (0, "given")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    write_boxes(tmp_path / "clip.npy", Boxes(np.array([[1, 2, 3, 4]]), 0, "haar"))
    with pytest.raises(ValueError, match="invalid literal"):
        write_boxes(tmp_path / "clip.npy", Boxes(np.array([["not", "a", "box", "!"]]), 0, "haar"))
    assert [path.name for path in tmp_path.iterdir()] == ["clip.npy"]
    assert read_boxes(tmp_path / "clip.npy").xyxy.tolist() == [[1, 2, 3, 4]]


def test_fractions_are_truncated_and_negative_edges_raised(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", np.array([[-3.7, 2.9, 30.2, 40.99]]))
    assert read_boxes(tmp_path / "b.npy").xyxy.tolist() == [[0, 2, 30, 40]]


def test_rows_beyond_the_frames_are_dropped_even_if_bad(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", np.array([[1, 2, 3, 4], [9, 9, 9, 9]]))
    assert read_boxes(tmp_path / "b.npy", 1).xyxy.tolist() == [[1, 2, 3, 4]]


def test_too_few_rows_say_how_many(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", np.ones((3, 4), dtype=np.int64) * [1, 1, 5, 5])
    with pytest.raises(ClipError, match="3 rows for 75 frames") as caught:
        read_boxes(tmp_path / "b.npy", 75)
    assert caught.value.code == "boxes-too-short"


BAD_ARRAYS = {
    "shape": np.zeros((4, 3)),
    "one axis": np.arange(4),
    "text": np.array([["a", "b", "c", "d"]]),
    "complex": np.ones((1, 4), dtype=complex),
    "bool": np.ones((1, 4), dtype=bool),
    "nan": np.array([[1.0, 2.0, np.nan, 4.0]]),
    "infinite": np.array([[1.0, 2.0, np.inf, 4.0]]),
    "huge": np.array([[0, 0, 2**62, 2**62]]),
    "no width": np.array([[5, 0, 5, 9]]),
    "upside down": np.array([[0, 9, 5, 2]]),
    "wholly negative": np.array([[-9, -9, -2, -2]]),
    "no rows": np.zeros((0, 4), dtype=np.int64),
    "records": np.zeros(1, dtype=[("x1", int), ("y1", int), ("x2", int), ("y2", int)]),
}


@pytest.mark.parametrize("fault", BAD_ARRAYS)
def test_a_bad_array_is_a_clip_error_of_one_line(tmp_path: Path, fault: str) -> None:
    np.save(tmp_path / "b.npy", BAD_ARRAYS[fault])
    refuse(tmp_path / "b.npy")


def test_a_bad_row_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", np.array([[1, 2, 3, 4], [7, 7, 7, 8]]))
    with pytest.raises(ClipError, match=r"row 1 \(7, 7, 7, 8\)"):
        read_boxes(tmp_path / "b.npy")


class Trap:
    """Unpickling it raises; refusing the file does not."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise AssertionError('unpickled')",)


BAD_FILES = {
    "empty": b"",
    "text": b"1 2 3 4\n",
    "pickle": pickle.dumps(Trap()),
    "cut": b"\x93NUMPY\x01\x00",
    "claims more than it holds": b"\x93NUMPY\x01\x00\x76\x00"
    + b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000, 4), }".ljust(117)
    + b"\n"
    + bytes(64),
    "bad header": b"\x93NUMPY\x01\x00\x10\x00" + b"{'descr': (((((\n",
}


@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_bad_file_is_a_clip_error_of_one_line(tmp_path: Path, fault: str) -> None:
    (tmp_path / "b.npy").write_bytes(BAD_FILES[fault])
    refuse(tmp_path / "b.npy")


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", np.array([[Trap()] * 4], dtype=object), allow_pickle=True)
    refuse(tmp_path / "b.npy")


def test_a_missing_file_and_a_folder_are_clip_errors(tmp_path: Path) -> None:
    refuse(tmp_path / "b.npy")
    (tmp_path / "b.npy").mkdir()
    refuse(tmp_path / "b.npy")


def refuse(path: Path) -> None:
    with pytest.raises(ClipError) as caught:
        read_boxes(path)
    assert caught.value.code == "bad-boxes"
    assert "b.npy" in caught.value.message
    assert "\n" not in caught.value.message


# Weights and imports.


def test_s3fd_names_what_is_wrong_with_a_state_dict() -> None:
    import torch

    from tlbench.media.s3fd import S3FD, S3FDDetector

    state = dict(S3FD().state_dict())
    with pytest.raises(TlbenchError, match=r"lacks conv1_1\.bias"):
        S3FDDetector({name: tensor for name, tensor in state.items() if name != "conv1_1.bias"})
    with pytest.raises(TlbenchError, match="unknown vgg"):
        S3FDDetector(state | {"vgg.0.weight": torch.zeros(1)})
    with pytest.raises(TlbenchError, match=r"fc7\.bias is \(3,\), not \(1024,\)"):
        S3FDDetector(state | {"fc7.bias": torch.zeros(3)})


def test_boxes_and_tracks_do_not_import_torch() -> None:
    code = "import sys; import tlbench.media.faces, tlbench.media.face_tracks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0


def test_a_detector_whose_weights_are_no_numbers_says_so() -> None:
    import torch

    from tlbench.media.s3fd import S3FD, S3FDDetector

    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in S3FD().state_dict().items()}
    state = {name: torch.full(shape, torch.nan) for name, shape in shapes.items()}
    with pytest.raises(ClipError, match="the face detector s3fd gives numbers that are NaN"):
        S3FDDetector(state).detect(np.zeros((1, 64, 64, 3), np.uint8))
