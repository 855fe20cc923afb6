"""The opening of the mouth: an open mouth and a closed one, no face at all, and both videos side by side."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data as pictures

from tlbench.datasets.clip import Clip
from tlbench.media.blazeface import BlazeFaceDetector
from tlbench.media.face_mesh import FaceMesh, lip_gap
from tlbench.media.video_reader import FrameChunk
from tlbench.metrics.catalogue import find_metric
from tlbench.metrics.leakage import OPEN_GAP
from tlbench.observers.mouth.observer import Mouth
from tlbench.observers.mouth.opening import MouthOpening
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """(256, 256, 3): Eileen Collins by NASA, in the public domain; she smiles and shows her teeth."""
    return np.ascontiguousarray(pictures.astronaut()[:256, 96:352])


@pytest.fixture(scope="module")
def box(astronaut: np.ndarray) -> np.ndarray:
    (found,) = BlazeFaceDetector().detect(astronaut[None])
    assert found is not None
    return found


def test_a_smile_that_shows_teeth_is_open_and_a_wall_shows_no_face(astronaut: np.ndarray, box: np.ndarray) -> None:
    opening = MouthOpening()
    gap = opening(astronaut, box)
    assert gap is not None
    assert gap > OPEN_GAP
    assert opening(np.full_like(astronaut, 128), box) is None
    assert opening(astronaut, box + 1000) is None
    assert opening(astronaut, np.zeros(4, np.int64)) is None


def test_it_is_what_the_mesh_says_at_the_detectors_own_eyes(astronaut: np.ndarray, box: np.ndarray) -> None:
    face = BlazeFaceDetector().find(astronaut)
    assert face is not None
    mesh = FaceMesh().find(astronaut, face.square, *face.points[:2])
    assert MouthOpening()(astronaut, box) == pytest.approx(lip_gap(mesh.points), abs=0.03)


def test_a_mouth_without_width_or_gap_is_closed() -> None:
    assert lip_gap(np.zeros((468, 3))) == 0.0


def seen(generated: np.ndarray, reference: np.ndarray, box: np.ndarray) -> Evidence:
    """Evidence of two frames of the one beside three of the other."""
    state = Mouth.load(None, ("mesh",), "cpu").start_clip(Clip("x"), None)
    state.update(ClipChunk(chunk(generated, 2), chunk(reference, 3), np.tile(box, (3, 1))))
    (evidence,) = Mouth.load(None, ("mesh",), "cpu").compute([state])
    assert isinstance(evidence, Evidence), evidence
    return evidence


def chunk(frame: np.ndarray, count: int) -> FrameChunk:
    from av import VideoFrame

    return FrameChunk(0, tuple(VideoFrame.from_ndarray(frame, format="rgb24") for _ in range(count)))


def test_a_copy_is_open_in_every_frame_and_a_grey_mouth_is_not_seen(astronaut: np.ndarray, box: np.ndarray) -> None:
    metric = find_metric("leak_open/sound")
    copy = seen(astronaut, astronaut, box)
    assert copy.values["frames"] == 2
    np.testing.assert_array_equal(copy.array("gap"), copy.array("reference_gap"))
    assert metric.value(metric.tally(metric.of_parts({"mouth@silent": copy}))) == 100.0
    wall = seen(np.full_like(astronaut, 128), astronaut, box)
    assert (wall.array("gap") == -1).all()
