"""The second opinion on doubted faces: sure of a face, not of other things, and asked only in doubt."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data as pictures

from tlbench.media.blazeface import BlazeFaceDetector, Face
from tlbench.media.full_range import WINDOWS, FullRange
from tlbench.media.squares import in_mirror, overlap

# The square of the astronaut's face, from brows to chin: as BlazeFace sees it.
SQUARE = np.array([171.7, 70.5, 278.1, 177.0])


@pytest.fixture(scope="module")
def network() -> FullRange:
    return FullRange()


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """(512, 512, 3): Eileen Collins by NASA, in the public domain."""
    rgb: np.ndarray = pictures.astronaut()
    return rgb


def mirrored(frame: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(frame[:, ::-1])


@pytest.mark.parametrize("painted", [False, True])
def test_it_is_sure_of_a_face_and_not_of_a_head_without_one(
    network: FullRange, astronaut: np.ndarray, painted: bool
) -> None:
    frame = astronaut.copy()
    if painted:
        left, top, right, bottom = SQUARE.astype(int)
        frame[top:bottom, left:right] = frame[bottom, (left + right) // 2]  # skin, but no features
    sure = network.confidence(frame, mirrored(frame), SQUARE)
    assert (sure < 0.4) if painted else (sure > 0.8)


def test_it_says_the_same_of_a_mirrored_frame(network: FullRange, astronaut: np.ndarray) -> None:
    sure = network.confidence(astronaut, mirrored(astronaut), SQUARE)
    other = network.confidence(mirrored(astronaut), astronaut, in_mirror(SQUARE, 512))
    assert sure == pytest.approx(other, abs=1e-9)


@pytest.mark.parametrize("far", [(150, 200), (-150, 0), (-1000, 3000)])
def test_a_face_elsewhere_does_not_count(network: FullRange, astronaut: np.ndarray, far: tuple[int, int]) -> None:
    square = SQUARE + np.array([*far, *far])
    assert network.confidence(astronaut, mirrored(astronaut), square) == 0


@pytest.mark.parametrize("side", [0.5, 1, 3])
def test_squares_of_a_few_pixels_are_no_error(network: FullRange, side: float) -> None:
    frame = np.zeros((4, 7, 3), dtype=np.uint8)
    for size in WINDOWS:
        assert network.score(frame, np.array([1, 1, 1 + side, 1 + side]), size) < 0.2


def doubting(monkeypatch: pytest.MonkeyPatch) -> BlazeFaceDetector:
    """A detector whose looks before all doubt."""
    detector = BlazeFaceDetector()
    monkeypatch.setattr("tlbench.media.blazeface._is_clear", lambda window, candidate: False)
    monkeypatch.setattr(detector, "_confirmed", lambda frame, face: False)
    monkeypatch.setattr(detector, "_confirmed_in_mirror", lambda frame, weak: [])
    return detector


def test_what_all_others_doubt_is_found_where_it_is(monkeypatch: pytest.MonkeyPatch, astronaut: np.ndarray) -> None:
    found = doubting(monkeypatch).find(astronaut)
    assert found is not None
    assert overlap(SQUARE, found.square[None])[0] > 0.8


def test_it_is_never_asked_where_a_face_was_found(monkeypatch: pytest.MonkeyPatch, astronaut: np.ndarray) -> None:
    detector = BlazeFaceDetector()
    assert detector.find(astronaut) is not None
    assert "_full_range" not in vars(detector)  # the network is not even loaded


def test_it_decides_once_for_each_place_and_only_on_faces_that_score(
    monkeypatch: pytest.MonkeyPatch, astronaut: np.ndarray
) -> None:
    detector = doubting(monkeypatch)
    asked: list[np.ndarray] = []
    sure = 0.5

    def confidence(network: FullRange, frame: np.ndarray, other: np.ndarray, square: np.ndarray) -> float:
        asked.append(square)
        return sure

    monkeypatch.setattr(FullRange, "confidence", confidence)
    points = np.zeros((6, 2))
    weak = [Face(SQUARE + shift, points, score) for shift, score in ((0, 0.7), (3, 0.6), (-4, 0.65))]
    weak += [Face(SQUARE + 250, points, 0.9), Face(SQUARE - 400, points, 0.49)]  # nothing there; scores too little
    assert [face.score for face in detector._confirmed_by_full_range(astronaut, weak)] == [0.7]
    assert len(asked) == 1
    sure = 0.49
    assert detector._confirmed_by_full_range(astronaut, weak) == []


def test_faceless_pictures_stay_without_a_face(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crops of pictures without a person, seen by a detector that only this network can make believe in a face."""
    detector, rng = doubting(monkeypatch), np.random.default_rng(5)
    for name in ("clock", "coffee", "coins", "hubble_deep_field", "page", "rocket", "brick", "gravel"):
        picture = np.asarray(getattr(pictures, name)())
        rgb = np.stack([picture] * 3, axis=-1) if picture.ndim == 2 else picture[..., :3]
        side = int(rng.uniform(0.3, 1) * min(rgb.shape[:2]))
        top, left = (int(rng.integers(length - side + 1)) for length in rgb.shape[:2])
        crop = np.ascontiguousarray(rgb[top : top + side, left : left + side])
        assert detector.find(np.asarray(cv2.resize(crop, (224, 224)))) is None, name


@pytest.mark.parametrize(("top", "asked"), [(0, True), (-9, True), (-11, False)])
def test_it_is_not_asked_about_a_face_whose_brows_are_outside_the_picture(
    monkeypatch: pytest.MonkeyPatch, astronaut: np.ndarray, top: int, asked: bool
) -> None:
    """As BlazeFace sees a mouth that fills the picture, which the network would take for a face."""
    face = Face(np.array([200.0, top, 300.0, top + 100.0]), np.zeros((6, 2)), 0.6)
    detector = BlazeFaceDetector()
    monkeypatch.setattr(detector, "_near", lambda frame, square: face)
    monkeypatch.setattr(FullRange, "confidence", lambda *given: 1.0)
    assert detector._confirmed_by_full_range(astronaut, [face]) == ([face] if asked else [])
