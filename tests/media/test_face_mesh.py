"""The face mesh: where its points lie on a face, that it turns with the head, follows it and says when it is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data as pictures

from tlbench.media.blazeface import BlazeFaceDetector, Face
from tlbench.media.face_mesh import (
    INNER_LIPS,
    LEFT_CHEEK,
    LEFT_EYE,
    LOWER_LIP,
    OUTER_LIPS,
    POINTS,
    RIGHT_CHEEK,
    RIGHT_EYE,
    UPPER_LIP,
    FaceMesh,
    Mesh,
    head_turn_degrees,
    lips,
    mouth_opening,
)


@pytest.fixture(scope="module")
def mesher() -> FaceMesh:
    return FaceMesh()


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """(512, 512, 3): Eileen Collins by NASA, in the public domain."""
    rgb: np.ndarray = pictures.astronaut()
    return rgb


def found(frame: np.ndarray) -> Face:
    face = BlazeFaceDetector().find(frame)
    assert face is not None
    return face


def meshed(mesher: FaceMesh, frame: np.ndarray) -> Mesh:
    face = found(frame)
    return mesher.find(frame, face.square, *face.points[:2])


def test_points_lie_on_eyes_and_lips(mesher: FaceMesh, astronaut: np.ndarray) -> None:
    mesh = meshed(mesher, astronaut)
    assert mesh.is_face
    assert mesh.points.shape == (POINTS, 3)
    by_eye = np.array([[205, 101], [246, 104]])  # middles of her right and left eye, read off the picture
    eyes = np.stack([mesh.points[list(corners), :2].mean(axis=0) for corners in (RIGHT_EYE, LEFT_EYE)])
    assert np.abs(eyes - by_eye).max() <= 6
    mouth = lips(mesh.points)
    assert mouth.shape == (40, 2)
    assert np.abs(mouth[:20].mean(axis=0) - [222, 149]).max() <= 6
    assert mouth[0, 0] < mouth[10, 0], "the rings begin at her right corner, which is on the picture's left"


def test_the_inner_ring_lies_in_the_outer_one(mesher: FaceMesh, astronaut: np.ndarray) -> None:
    outer, inner = np.split(lips(meshed(mesher, astronaut).points).astype(np.float32), 2)
    assert all(cv2.pointPolygonTest(outer, (float(x), float(y)), True) > -1 for x, y in inner)
    assert cv2.contourArea(inner) < cv2.contourArea(outer)


@pytest.mark.parametrize("degrees", [-40, -15, 15, 40])
def test_points_turn_with_the_picture(mesher: FaceMesh, astronaut: np.ndarray, degrees: float) -> None:
    face = found(astronaut)
    straight = mesher.find(astronaut, face.square, *face.points[:2]).points[:, :2]
    middle = (face.square[:2] + face.square[2:]) / 2
    turn = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), degrees, 1.0)
    tilted = cv2.warpAffine(astronaut, turn, (512, 512))
    eyes = face.points[:2] @ turn[:, :2].T + turn[:, 2]
    points = mesher.find(tilted, face.square, *eyes).points[:, :2]
    assert np.abs(points - (straight @ turn[:, :2].T + turn[:, 2])).max() <= 4


@pytest.mark.parametrize("size", [320, 1024])
def test_points_scale_with_the_picture(mesher: FaceMesh, astronaut: np.ndarray, size: int) -> None:
    scale = size / 512
    face = found(astronaut)
    one = mesher.find(astronaut, face.square, *face.points[:2])
    other = cv2.resize(astronaut, (size, size), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    two = mesher.find(other, face.square * scale, *(face.points[:2] * scale))
    assert np.abs(two.points / scale - one.points).max() <= 5  # z as well is in pixels
    assert mouth_opening(two.points) == pytest.approx(mouth_opening(one.points), abs=0.03)


def test_a_face_is_followed_without_a_detector_until_it_is_gone(mesher: FaceMesh, astronaut: np.ndarray) -> None:
    first = mesh = meshed(mesher, astronaut)
    for step in range(1, 9):
        mesh = mesher.follow(np.roll(astronaut, 3 * step, axis=1), mesh)
        assert mesh.is_face
        moved = mesh.points[:, :2] - first.points[:, :2] - [3 * step, 0]
        assert np.abs(moved.mean(axis=0)).max() <= 1.5
    assert not mesher.follow(np.full_like(astronaut, 90), mesh).is_face


def test_no_face_is_seen_in_a_wall_nor_outside_of_the_frame(mesher: FaceMesh) -> None:
    wall = np.stack([pictures.brick()] * 3, axis=-1)
    for square in ([100, 100, 300, 300], [-900, -900, -700, -700]):
        x1, y1, x2, _ = square
        eyes = [np.array([x1 + 60, y1 + 60]), np.array([x2 - 60, y1 + 60])]
        assert not mesher.find(wall, np.array(square), *eyes).is_face


def test_it_carries_nothing_over(mesher: FaceMesh, astronaut: np.ndarray) -> None:
    one = meshed(mesher, astronaut)
    mesher.find(np.zeros_like(astronaut), np.array([0, 0, 90, 90]), np.array([20, 30]), np.array([60, 30]))
    assert np.array_equal(meshed(mesher, astronaut).points, one.points)


# What the points say, on points made by hand.


def face_of(opening: float = 0, degrees: float = 0, scale: float = 1) -> np.ndarray:
    """Points of a flat face whose eyes are 60 apart and cheeks 120, turned about the vertical axis."""
    points = np.zeros((POINTS, 3))
    for (outer, inner), side in ((RIGHT_EYE, -1), (LEFT_EYE, 1)):
        points[outer], points[inner] = (side * 40, 0, 0), (side * 20, 0, 0)
    points[RIGHT_CHEEK], points[LEFT_CHEEK] = (-60, 40, 0), (60, 40, 0)
    points[UPPER_LIP], points[LOWER_LIP] = (0, 80 - opening / 2, 0), (0, 80 + opening / 2, 0)
    angle = np.radians(degrees)
    turned = points.copy()
    turned[:, 0] = points[:, 0] * np.cos(angle)
    turned[:, 2] = points[:, 0] * np.sin(angle)
    return turned * scale


@pytest.mark.parametrize("degrees", [-50, 0, 35])
@pytest.mark.parametrize("scale", [0.3, 5])
def test_the_opening_is_a_share_of_the_distance_of_the_eyes(degrees: float, scale: float) -> None:
    assert mouth_opening(face_of(15, degrees, scale)) == pytest.approx(0.25)
    assert mouth_opening(face_of(0, degrees, scale)) == pytest.approx(0)
    assert head_turn_degrees(face_of(15, degrees, scale)) == pytest.approx(degrees)


def test_the_opening_of_points_without_a_distance_is_nought() -> None:
    assert mouth_opening(np.zeros((POINTS, 3))) == 0.0


def test_a_mirrored_picture_turns_the_head_the_other_way(mesher: FaceMesh, astronaut: np.ndarray) -> None:
    turned = head_turn_degrees(meshed(mesher, astronaut).points)
    mirrored = head_turn_degrees(meshed(mesher, np.ascontiguousarray(astronaut[:, ::-1])).points)
    assert turned == pytest.approx(-mirrored, abs=5)


def test_lip_indices_are_rings_of_twenty() -> None:
    assert len(set(OUTER_LIPS)) == len(set(INNER_LIPS)) == 20
    assert not set(OUTER_LIPS) & set(INNER_LIPS)


def labelled(shared: Path) -> Iterator[tuple[str, np.ndarray]]:
    folder = shared / "cases" / "faces"
    if not folder.is_dir():
        pytest.skip(f"needs labelled faces; {folder} is not there")
    for row in json.loads((folder / "boxes.json").read_text("utf-8")):
        if row["kind"] == "panel":
            yield row["file"], cv2.cvtColor(np.asarray(cv2.imread(str(folder / row["file"]))), cv2.COLOR_BGR2RGB)


def test_on_real_faces_lips_are_in_place_and_the_turn_is_that_of_nose_and_ears(shared: Path, mesher: FaceMesh) -> None:
    """Held against the detector's own points, which the mesh does not see (but for the eyes, which level the crop)."""
    detector = BlazeFaceDetector()
    turns = []
    for file, frame in labelled(shared):
        face = detector.find(frame)
        assert face is not None
        mesh = mesher.find(frame, face.square, *face.points[:2])
        assert mesh.is_face, file
        off = np.linalg.norm(lips(mesh.points).mean(axis=0) - face.points[3])
        assert off <= 0.1 * (face.square[2] - face.square[0]), file
        right_ear, left_ear = face.points[4:, 0]
        turns.append((head_turn_degrees(mesh.points), face.points[2, 0] - (right_ear + left_ear) / 2))
    degrees, nose = np.array(turns).T
    turned = np.abs(degrees) > 10
    assert turned.sum() >= 20
    assert (np.sign(degrees[turned]) == np.sign(nose[turned])).all()
