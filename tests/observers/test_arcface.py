"""CSIM by ArcFace: equal to insightface's code by formula weights, the aligned face, and files of other networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage import data as pictures

from tests.factories.observer_weights import formula_weights
from tlbench.checkpoints.onnx_file import OnnxGraph, read_onnx
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.blazeface import BlazeFaceDetector
from tlbench.media.face_mesh import FaceMesh
from tlbench.media.mesh_in_box import mesh_in_box
from tlbench.metrics.catalogue import find_metric
from tlbench.observers.identity.arcface.aligned_face import PLACES, aligned_face, five_points
from tlbench.observers.identity.arcface.checkpoint import FORMAT
from tlbench.observers.identity.arcface.embedding import FACES_A_PASS, ArcFaceEmbedding
from tlbench.observers.identity.arcface.graph import network_tensors
from tlbench.observers.identity.arcface.observer import ArcFace
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk
from tlbench.observing.one_clip import as_chunk

GOLDEN = Path(__file__).parents[1] / "golden" / "arcface"
FORMULA = GOLDEN / "formula.onnx"


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """(256, 256, 3): Eileen Collins by NASA, in the public domain."""
    return np.ascontiguousarray(pictures.astronaut()[:256, 96:352])


@pytest.fixture(scope="module")
def box(astronaut: np.ndarray) -> np.ndarray:
    (found,) = BlazeFaceDetector().detect(astronaut[None])
    assert found is not None
    return found


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formula_weights("arcface", tmp_path_factory.mktemp("arcface"))


@pytest.fixture(scope="module")
def graph() -> OnnxGraph:
    return read_onnx(FORMULA)


def test_embeddings_are_those_of_insightfaces_own_code_and_depend_on_no_other_face() -> None:
    golden = np.load(GOLDEN / "formula.npz")
    faces, expected = list(golden["faces"]), golden["embeddings"]
    embed = ArcFaceEmbedding(FORMAT.load(FORMULA), "cpu")
    found = embed.of_aligned(faces)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    assert np.array_equal(found[0], embed.of_aligned(faces[:1])[0])
    assert np.array_equal(found[0], embed.of_aligned([*faces[1:], *[faces[2]] * FACES_A_PASS, faces[0]])[-1])


def test_a_package_of_the_file_gives_the_same_embeddings(tmp_path: Path) -> None:
    from tlbench.checkpoints.package import write_package

    package = FORMAT.read_published(FORMULA)
    write_package(package, tmp_path / "package")
    faces = list(np.load(GOLDEN / "formula.npz")["faces"])
    both = [ArcFaceEmbedding(FORMAT.load(path), "cpu").of_aligned(faces) for path in (FORMULA, tmp_path / "package")]
    assert np.array_equal(*both)


def test_batch_normalisation_behind_a_convolution_is_computed_into_it(graph: OnnxGraph) -> None:
    first = graph.nodes[0]
    tensors = dict(graph.tensors)
    channels = len(tensors[first.inputs[1]])
    names = [f"bn{number}" for number in range(4)]
    rng = np.random.default_rng(4)
    tensors |= {name: torch.from_numpy(rng.uniform(0.5, 1.5, channels)).float() for name in names}
    after = replace(graph.nodes[2], inputs=("fused", *names), outputs=first.outputs, numbers={"epsilon": 1e-5})
    nodes = [replace(first, outputs=("fused",)), after, *graph.nodes[1:]]
    plain, fused = (network_tensors(one)[1] for one in (graph, OnnxGraph(nodes, tensors)))
    scale = tensors["bn0"] / torch.sqrt(tensors["bn3"] + 1e-5)
    torch.testing.assert_close(fused["first.weight"], plain["first.weight"] * scale.view(-1, 1, 1, 1))
    torch.testing.assert_close(fused["first.bias"], (plain["first.bias"] - tensors["bn2"]) * scale + tensors["bn1"])


def changed(graph: OnnxGraph, place: int, **values: object) -> OnnxGraph:
    nodes = list(graph.nodes)
    nodes[place] = replace(nodes[place], **values)  # type: ignore[arg-type]
    return OnnxGraph(nodes, graph.tensors)


def test_graphs_of_other_networks_are_refused(graph: OnnxGraph) -> None:
    convolution = next(n for n, node in enumerate(graph.nodes) if node.numbers.get("strides") == (2, 2))
    for wrong, why in (
        (OnnxGraph(graph.nodes[1:], graph.tensors), "begin with PRelu"),
        (OnnxGraph(graph.nodes[:-2], graph.tensors), "end with"),
        (changed(graph, 0, kind="Sub"), "an operation .Sub."),
        (changed(graph, 0, kind="Loop"), "an operation .Loop."),
        (changed(graph, 0, kind="\x1b[2J\n" * 99), r"an operation .{1,200} that no ArcFace"),
        (changed(graph, convolution, numbers={"strides": (3,) * 20_000}), r"strides .{1,200} or in groups"),
        (changed(graph, 0, inputs=("x", graph.nodes[2].inputs[1])), "an operation .Conv."),
        (changed(graph, convolution, numbers={"strides": (3, 3)}), "strides"),
        (changed(graph, convolution, numbers={"strides": (1, 1)}), "strides elsewhere|no block"),
        (OnnxGraph([*graph.nodes[:3], graph.nodes[1], *graph.nodes[3:]], graph.tensors), "no block"),
    ):
        with pytest.raises(ValueError, match=why):
            network_tensors(wrong)


def test_another_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(FORMULA.read_bytes().replace(b"PRelu", b"Prelu"))
    with pytest.raises(TlbenchError, match=r"x\.onnx: not an ArcFace ResNet .* take w600k_r50\.onnx of buffalo_l"):
        ArcFace.load(tmp_path / "x.onnx", ("whole-frame",), "cpu")
    with pytest.raises(TlbenchError, match="arcface"):
        ArcFace.load(None, ("whole-frame",), "cpu")


def test_the_five_points_come_to_their_places(astronaut: np.ndarray, box: np.ndarray) -> None:
    dots = np.zeros((400, 500, 3), np.uint8)
    points = PLACES * 2 + np.array([100.0, 50.0])
    for x, y in points:
        cv2.circle(dots, (round(x), round(y)), 6, (255, 255, 255), -1)
    face = aligned_face(dots, points)
    assert face.shape == (112, 112, 3)
    assert all(face[round(y), round(x), 0] == 255 for x, y in PLACES)
    assert face.mean() < 30
    mesh = mesh_in_box(FaceMesh(), astronaut, box)
    assert mesh is not None
    right_eye, left_eye, nose, right_corner, left_corner = five_points(mesh.points)
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_corner[0] < nose[0] < left_corner[0]
    assert right_eye[1] < nose[1] < right_corner[1]


def observed(
    weights: Path, view: str, generated: np.ndarray, real: np.ndarray | None, box: np.ndarray, clip: Clip | None = None
) -> float | None:
    observer = ArcFace.load(weights, (view,), "cpu")
    state = observer.start_clip(clip or Clip("x"), None)
    reference = None if real is None else as_chunk(real[None])
    state.update(ClipChunk(as_chunk(generated[None]), reference, box[None].astype(np.float64)))
    (evidence,) = observer.compute([state])
    assert isinstance(evidence, Evidence), evidence
    metric = find_metric("csim_arcface/paper")
    return metric.value(metric.tally(evidence))


@pytest.mark.parametrize("view", ["whole-frame", "face-256"])
def test_a_copy_is_the_same_person_and_no_face_is_an_error(
    view: str, weights: Path, astronaut: np.ndarray, box: np.ndarray
) -> None:
    same = observed(weights, view, astronaut, astronaut, box)
    dark = observed(weights, view, astronaut // 4, astronaut, box)
    assert same == pytest.approx(1.0, abs=1e-12)
    assert dark is not None
    assert dark < 0.999
    with pytest.raises(ClipError, match="found in 0 of 1 frames"):
        observed(weights, view, np.full_like(astronaut, 128), astronaut, box)


def test_without_a_pair_the_source_picture_is_compared_with(
    weights: Path, astronaut: np.ndarray, box: np.ndarray, tmp_path: Path
) -> None:
    for name, picture in (("source.png", astronaut), ("wall.png", np.full_like(astronaut, 128))):
        cv2.imwrite(str(tmp_path / name), picture[..., ::-1])
    found = observed(weights, "source", astronaut, None, box, Clip("x", source=tmp_path / "source.png"))
    assert found == pytest.approx(1.0, abs=1e-6)
    needs = ArcFace.needs_for(("source",), ())
    assert (needs.reference, needs.source, needs.boxes) == (False, True, True)
    with pytest.raises(ClipError, match="no face is found in the source picture"):
        observed(weights, "source", astronaut, None, box, Clip("x", source=tmp_path / "wall.png"))


def test_every_view_has_an_id_of_its_own_and_other_ones_than_dlibs() -> None:
    from tlbench.observers.identity.observer import Identity

    assert len({*ArcFace.views.values(), *Identity.views.values()}) == 6
