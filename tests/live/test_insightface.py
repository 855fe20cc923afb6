"""ArcFace against insightface itself: the aligned face, and embeddings of an ONNX file of formula weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage import data as pictures

from tests.live.packages import need
from tlbench.media.blazeface import BlazeFaceDetector
from tlbench.media.face_mesh import FaceMesh
from tlbench.media.mesh_in_box import mesh_in_box
from tlbench.observers.identity.arcface.aligned_face import PLACES, aligned_face, five_points
from tlbench.observers.identity.arcface.checkpoint import FORMAT
from tlbench.observers.identity.arcface.embedding import ArcFaceEmbedding

FORMULA = Path(__file__).parents[1] / "golden" / "arcface" / "formula.onnx"
theirs = need("insightface", "insightface.utils.face_align")
recognition = need("insightface", "insightface.model_zoo.arcface_onnx")


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return np.ascontiguousarray(pictures.astronaut()[:256, 96:352])


def all_points(astronaut: np.ndarray) -> list[np.ndarray]:
    """Those of the face, and places that a turned, small or cut face has."""
    (box,) = BlazeFaceDetector().detect(astronaut[None])
    assert box is not None
    mesh = mesh_in_box(FaceMesh(), astronaut, box)
    assert mesh is not None
    rng = np.random.default_rng(0)
    made = [five_points(mesh.points)]
    for _ in range(20):
        angle, scale = rng.uniform(-1, 1), rng.uniform(0.3, 2.5)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        made.append(PLACES @ turn.T + rng.uniform(-20, 150, 2) + rng.normal(0, 2, (5, 2)))
    return made


@pytest.mark.filterwarnings("ignore:.estimate. is deprecated:FutureWarning")  # scikit-image, of its caller
def test_the_aligned_face_is_insightfaces(astronaut: np.ndarray) -> None:
    for points in all_points(astronaut):
        own, other = aligned_face(astronaut, points), theirs.norm_crop(astronaut, points)
        # Places are rounded to 1/32 pixel, now and then to the next one: two levels at an edge.
        assert np.abs(own.astype(int) - other).max() <= 2
        assert (own != other).mean() < 0.01


def test_embeddings_are_insightfaces(astronaut: np.ndarray) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(FORMULA), providers=["CPUExecutionProvider"])
    network = recognition.ArcFaceONNX(str(FORMULA), session)
    faces = [aligned_face(astronaut, points) for points in all_points(astronaut)]
    expected = network.get_feat([np.ascontiguousarray(face[..., ::-1]) for face in faces])
    found = ArcFaceEmbedding(FORMAT.load(FORMULA), "cpu").of_aligned(faces)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
