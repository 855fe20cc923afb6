"""BlazeFace: anchors and suppression as MediaPipe has them, where it looks, what it follows, and the bundled files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data as pictures

from tests.factories.boxes_factory import best_boxes
from tests.media.test_faces import as_runs, drawn_head
from tlbench.errors import TlbenchError
from tlbench.media.blazeface import (
    ANCHORS,
    POINTS,
    SHORT_RANGE,
    BlazeFaceDetector,
    Face,
    close_up,
    decode,
    framed,
    square_of,
    steadied,
    suppress,
)
from tlbench.media.bundled_model import BundledModel
from tlbench.media.face_mesh import FACE_LANDMARK, LOWER_LIP, UPPER_LIP, FaceMesh
from tlbench.media.full_range import FULL_RANGE
from tlbench.media.squares import cut, overlap


@pytest.fixture(scope="module")
def detector() -> BlazeFaceDetector:
    return BlazeFaceDetector()


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """(512, 512, 3): Eileen Collins by NASA, in the public domain."""
    rgb: np.ndarray = pictures.astronaut()
    return rgb


# Her face, read off the picture by eye: brow-high hair line to chin, cheek to cheek.
ASTRONAUT_BOX = np.array([180, 60, 268, 175])


def placed(face: np.ndarray, height: int, width: int, centre: tuple[float, float], side: int) -> np.ndarray:
    """A grey frame with a square picture laid at a centre given as shares of the frame."""
    frame = np.full((height, width, 3), 90, dtype=np.uint8)
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    left, top = round(width * centre[0] - side / 2), round(height * centre[1] - side / 2)
    left, top = min(max(left, 0), width - side), min(max(top, 0), height - side)
    frame[top : top + side, left : left + side] = small
    return frame


# The bundled files.


@pytest.mark.parametrize("model", [SHORT_RANGE, FACE_LANDMARK, FULL_RANGE])
def test_bundled_files_are_the_published_ones_and_named_in_the_notice(model: BundledModel) -> None:
    assert sha256(model.path.read_bytes()).hexdigest() == model.sha256
    notice = (Path(str(files("tlbench.media"))) / "bundled" / "mediapipe" / "NOTICE.txt").read_text("utf-8")
    assert model.file in notice
    assert model.sha256 in notice
    assert model.version in notice


def test_another_file_is_refused_and_so_is_a_missing_one() -> None:
    with pytest.raises(TlbenchError, match=r"face_landmark.tflite has SHA-256 .*; install tlbench again"):
        BundledModel("face_landmark.tflite", "0" * 64).load()
    with pytest.raises(TlbenchError, match=r"none.tflite is not there .*; install tlbench again"):
        BundledModel("none.tflite", "0" * 64).load()


# Reading the network's answer.


def test_anchors_are_the_middles_of_two_grids() -> None:
    assert ANCHORS.shape == (896, 2)
    np.testing.assert_allclose(ANCHORS[:3] * 128, [[4, 4], [4, 4], [12, 4]])
    np.testing.assert_allclose(ANCHORS[[512, 517, 518, -1]] * 128, [[8, 8], [8, 8], [24, 8], [120, 120]])


def test_decode_reads_boxes_and_points_from_their_anchor() -> None:
    boxes, logits = np.zeros((896, 16), np.float32), np.full(896, -200, np.float32)
    boxes[700, :4], boxes[700, 4:] = (6.4, -6.4, 32, 64), np.arange(12)
    logits[700] = 2
    (face,) = decode(boxes, logits, 0.5)
    x, y = ANCHORS[700] + [0.05, -0.05]
    np.testing.assert_allclose(face.square, [x - 0.125, y - 0.25, x + 0.125, y + 0.25], atol=1e-6)
    np.testing.assert_allclose(face.points, ANCHORS[700] + np.arange(12).reshape(6, 2) / 128, atol=1e-6)
    assert face.score == pytest.approx(1 / (1 + np.exp(-2)))
    assert decode(boxes, logits, 0.9) == []


def test_suppression_weighs_overlapping_faces_by_score() -> None:
    zeros = np.zeros((6, 2))
    best = Face(np.array([0.0, 0, 10, 10]), zeros, 0.8)
    near = Face(np.array([2.0, 0, 12, 10]), zeros + 4, 0.4)
    far = Face(np.array([30.0, 0, 40, 10]), zeros, 0.9)
    first, second = suppress([near, far, best])
    assert first.score == 0.9
    np.testing.assert_allclose(second.square, [2 / 3, 0, 10 + 2 / 3, 10])
    np.testing.assert_allclose(second.points, 4 / 3)
    assert second.score == 0.8


def test_overlap_of_boxes_without_area_is_none() -> None:
    assert overlap(np.zeros(4), np.zeros((1, 4))).tolist() == [0]


@given(
    st.floats(8, 2000), st.floats(-50, 2000), st.floats(-50, 2000)
)  # side and corner of a square, far inside a large frame
def test_a_box_leads_back_to_the_square_it_came_from(side: float, left: float, top: float) -> None:
    square = np.array([left + 3000, top + 3000, left + side + 3000, top + side + 3000])
    back = square_of(framed(square, (9000, 9000, 3)))
    assert np.abs(back - square).max() <= 3


@given(st.floats(-3000, 3000), st.floats(-3000, 3000), st.floats(0.5, 3000), st.integers(1, 500), st.integers(1, 500))
def test_boxes_lie_in_the_frame_and_have_an_area(left: float, top: float, side: float, height: int, width: int) -> None:
    x1, y1, x2, y2 = framed(np.array([left, top, left + side, top + side]), (height, width, 3)).tolist()
    assert 0 <= x1 < x2 <= width
    assert 0 <= y1 < y2 <= height


@settings(max_examples=40)
@given(st.integers(-60, 60), st.integers(-60, 60), st.integers(1, 90))
def test_a_window_is_black_outside_of_the_frame(left: int, top: int, side: int) -> None:
    frame = np.full((40, 50, 3), 255, dtype=np.uint8)
    picture = cut(frame, left, top, side, 128)
    inside = max(0, min(50, left + side) - max(0, left)) * max(0, min(40, top + side) - max(0, top))
    assert picture.shape == (128, 128, 3)
    # Bilinear edges carry an error of at most half an input pixel on each side.
    assert abs(float(picture.mean()) / 255 - inside / side**2) <= 4 / min(side, 128) + 0.02


@given(st.floats(1, 2000), st.floats(-900, 2000), st.floats(-900, 2000))
def test_a_close_up_holds_the_face_in_its_middle(side: float, left: float, top: float) -> None:
    x, y, window = close_up(np.array([left, top, left + side, top + side]))
    assert 1.75 * side <= window <= max(1.9 * side, 1.75 * side + 1)
    offset = np.array([x + window / 2 - left - side / 2, y + window / 2 - top - side / 2])
    assert np.abs(offset).max() <= max(1, side / 16)


@pytest.mark.parametrize(("box", "then"), [((11, 9, 51, 52), (10, 10, 50, 51)), ((40, 10, 80, 50), (40, 10, 80, 50))])
def test_a_box_goes_half_the_way_unless_it_jumps(box: tuple[int, ...], then: tuple[int, ...]) -> None:
    assert steadied(np.array([10, 10, 50, 50]), np.array(box)).tolist() == list(then)


# In pictures.


def test_the_astronaut_is_found_with_her_eyes_nose_and_mouth(
    detector: BlazeFaceDetector, astronaut: np.ndarray
) -> None:
    (box,) = detector.detect(astronaut[None])
    assert box is not None
    assert overlap(ASTRONAUT_BOX.astype(float), box[None].astype(float))[0] > 0.8
    face = detector.find(astronaut)
    assert face is not None
    assert face.points.shape == (len(POINTS), 2)
    by_eye = [[205, 101], [246, 104], [224, 130], [222, 149]]  # right eye, left eye, nose tip, mouth
    assert np.abs(face.points[:4] - by_eye).max() <= 6


def test_every_opencv_and_numpy_gives_the_same_answer(detector: BlazeFaceDetector, astronaut: np.ndarray) -> None:
    """Recorded with OpenCV 4.14 and NumPy 2.4: the box to the pixel, points as far as a processor's last bits allow."""
    face = detector.find(astronaut)
    assert face is not None
    assert framed(face.square, astronaut.shape).tolist() == [180, 51, 269, 176]
    np.testing.assert_allclose(face.square, [171.700, 70.537, 278.124, 176.953], atol=0.01)
    right_eye, left_eye, nose, mouth = face.points[:4]
    np.testing.assert_allclose([right_eye, left_eye], [[203.099, 102.140], [247.252, 103.278]], atol=0.01)
    np.testing.assert_allclose([nose, mouth], [[224.601, 131.662], [224.103, 151.113]], atol=0.01)
    mesh = FaceMesh().find(astronaut, face.square, right_eye, left_eye)
    seen = mesh.points[[1, UPPER_LIP, LOWER_LIP]]
    recorded = [[222.759, 131.276, -23.145], [222.694, 142.178, -6.254], [222.412, 150.174, -3.608]]
    np.testing.assert_allclose(seen, recorded, atol=0.02)


@pytest.mark.parametrize(
    ("height", "width"), [(96, 96), (160, 160), (288, 360), (720, 1280), (1280, 720), (1080, 1920)]
)
@pytest.mark.parametrize("share", [0.25, 0.6])
@pytest.mark.parametrize("centre", [(0.5, 0.5), (0.1, 0.1), (0.85, 0.6)])
def test_faces_are_found_in_frames_of_any_size_wherever_they_are(
    detector: BlazeFaceDetector,
    astronaut: np.ndarray,
    height: int,
    width: int,
    share: float,
    centre: tuple[float, float],
) -> None:
    """The head is 0.25 or 0.6 of the frame's shorter side, the face about two thirds of that."""
    head = astronaut[20:210, 130:320]
    side = round(min(height, width) * share)
    frame = placed(head, height, width, centre, side)
    left, top = (int(edge) for edge in np.argwhere((frame != 90).any(axis=2)).min(axis=0)[::-1])
    wanted = (ASTRONAUT_BOX - [130, 20, 130, 20]) * (side / 190) + [left, top, left, top]
    (box,) = detector.detect(frame[None])
    if side < 0.3 * 128:  # 24 pixels of a frame of 96: less than the network can see
        assert box is None or overlap(wanted, box[None].astype(float))[0] > 0.4
        return
    assert box is not None
    assert overlap(wanted, box[None].astype(float))[0] > 0.55


def test_both_of_two_people_are_found_side_by_side(detector: BlazeFaceDetector, astronaut: np.ndarray) -> None:
    head = astronaut[20:210, 130:320]
    frame = np.concatenate([placed(head, 360, 320, (0.5, 0.5), 170), placed(head, 360, 320, (0.5, 0.5), 110)], axis=1)
    (faces,) = detector.detect_all(frame[None], detector.sure_score)
    assert sorted((faces[:, 0] > 320).tolist()) == [False, True]


def test_a_face_is_followed_when_a_better_one_comes(detector: BlazeFaceDetector, astronaut: np.ndarray) -> None:
    head = astronaut[20:210, 130:320]
    left = placed(head, 360, 320, (0.5, 0.5), 150)
    alone = np.concatenate([left, np.full_like(left, 90)], axis=1)
    both = np.concatenate([left, placed(head, 360, 320, (0.5, 0.5), 220)], axis=1)
    first, second = detector.detect(np.stack([alone, both]))
    assert first is not None
    assert second is not None
    assert np.abs(first - second).max() <= 4


def test_a_moving_face_is_followed_and_one_that_jumps_is_found_again(detector: BlazeFaceDetector) -> None:
    head = drawn_head(1)[0]
    moved = np.stack([np.roll(head, 2 * step, axis=1) for step in range(8)])
    found = best_boxes(as_runs(moved, 3), detector).xyxy
    assert np.abs(found[:, 0] - found[0, 0] - 2 * np.arange(8)).max() <= 4
    stage = np.zeros((2, 200, 400, 3), dtype=np.uint8)
    stage[0, 20:180, 10:170] = head
    stage[1, 20:180, 230:390] = head
    left, right = detector.detect(stage)
    assert left is not None
    assert right is not None
    assert abs((right - left)[0] - 220) <= 4


def test_a_still_face_keeps_its_box_under_noise(detector: BlazeFaceDetector, astronaut: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(astronaut[None] + rng.normal(0, 4, (6, 512, 512, 3)), 0, 255).astype(np.uint8)
    xyxy = best_boxes(as_runs(noisy, 2), detector).xyxy
    assert np.ptp(xyxy[1:], axis=0).max() <= 2


def test_nothing_is_found_where_there_is_no_face(detector: BlazeFaceDetector) -> None:
    names = ["brick", "clock", "coffee", "grass", "gravel", "hubble_deep_field", "moon", "page", "rocket", "text"]
    for name in names:
        picture = np.asarray(getattr(pictures, name)())
        rgb = np.stack([picture] * 3, axis=-1) if picture.ndim == 2 else picture
        assert detector.detect(rgb[None].astype(np.uint8)) == [None], name


def test_what_the_mesh_does_not_agree_upon_is_looked_at_in_a_mirror(
    astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = placed(astronaut[20:220, 120:320], 200, 300, (0.3, 0.5), 180)
    detector = BlazeFaceDetector()
    plain = detector.find(picture)
    mirrored: list[int] = []
    confirmed = detector._confirmed_in_mirror

    def counted(frame: np.ndarray, weak: list[Face]) -> list[Face]:
        mirrored.append(len(weak))
        return confirmed(frame, weak)

    monkeypatch.setattr(detector, "_confirmed_in_mirror", counted)
    assert detector.find(picture) is not None
    assert mirrored == []  # what is found at once is not looked at again
    monkeypatch.setattr("tlbench.media.blazeface._is_clear", lambda window, candidate: False)
    monkeypatch.setattr(detector, "_confirmed", lambda frame, face: False)
    found = detector.find(picture)
    assert len(mirrored) == 1
    assert mirrored[0] >= 1
    assert plain is not None
    assert found is not None
    assert overlap(plain.square, found.square[None])[0] > 0.8  # in the picture, not in its mirror
    monkeypatch.setattr("tlbench.media.blazeface.MIRRORED_FLAG", 1.01)
    monkeypatch.setattr("tlbench.media.blazeface.DOUBTFUL_SCORE", 1.01)
    assert detector.find(picture) is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (2, 3), (20, 20)])
def test_tiny_frames_hold_no_face(detector: BlazeFaceDetector, shape: tuple[int, int]) -> None:
    assert detector.detect(np.zeros((1, *shape, 3), dtype=np.uint8)) == [None]


def labelled(shared: Path, kind: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """File, picture and boxes of the labelled frames of a kind."""
    folder = shared / "cases" / "faces"
    if not folder.is_dir():
        pytest.skip(f"needs labelled faces; {folder} is not there")
    for row in json.loads((folder / "boxes.json").read_text("utf-8")):
        if row["kind"] == kind:
            picture = cv2.cvtColor(np.asarray(cv2.imread(str(folder / row["file"]))), cv2.COLOR_BGR2RGB)
            yield row["file"], picture, np.array(row["boxes"], dtype=np.float64).reshape(-1, 4)


def test_every_single_real_face_is_found(shared: Path, detector: BlazeFaceDetector) -> None:
    missed = []
    for file, picture, boxes in labelled(shared, "panel"):
        (box,) = detector.detect(picture[None])
        if box is None or overlap(boxes[0], box[None].astype(float))[0] < 0.4:
            missed.append(file)
    assert missed == []


def test_most_faces_of_any_frames_are_found(shared: Path, detector: BlazeFaceDetector) -> None:
    """Paintings, drawings, pages with many small faces, mouth crops: at least four of five (measured: 85 of 102)."""
    hits, count = 0, 0
    for _, picture, boxes in labelled(shared, "page"):
        (faces,) = detector.detect_all(picture[None], detector.sure_score)
        hits += sum(len(faces) > 0 and overlap(box, faces[:, :4]).max() >= 0.4 for box in boxes)
        count += len(boxes)
    assert hits / count >= 0.8
