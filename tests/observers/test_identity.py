"""Likeness of the person: equal to dlib's own calls, high for one person, low for another, and bad input."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data as pictures

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.blazeface import BlazeFaceDetector
from tlbench.media.dlib_models import MODELS
from tlbench.media.face_crop import steady
from tlbench.media.video_reader import VideoReader
from tlbench.media.video_writer import write_video
from tlbench.metrics.catalogue import find_metric
from tlbench.observers.identity.chips import PREDICTOR
from tlbench.observers.identity.embedding import FACES_A_PASS, DlibEmbedding
from tlbench.observers.identity.likeness import cosine
from tlbench.observers.identity.model import network_of
from tlbench.observers.identity.network_file import NETWORK, published_layers, read_layers
from tlbench.observers.identity.observer import Identity
from tlbench.observing.evidence import Evidence, Observation
from tlbench.observing.face_boxes import BoxRule
from tlbench.observing.observer import ClipChunk
from tlbench.observing.one_clip import as_chunk
from tlbench.observing.packed_linear import can_pack
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.runner import ObserverRunner

ANY_BOX = np.array([[0.0, 0.0, 256.0, 256.0]])  # dlib finds the face by itself
CLIPS = Path(__file__).parents[1] / "golden" / "clips"
INSTALLED = find_spec("dlib") is not None and find_spec(MODELS) is not None
needs_dlib = pytest.mark.skipif(not INSTALLED, reason="needs the extra landmarks: pip install 'tlbench[landmarks]'")


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """(256, 256, 3): Eileen Collins by NASA, in the public domain."""
    return np.ascontiguousarray(pictures.astronaut()[:256, 96:352])


@pytest.fixture(scope="module")
def speaker() -> np.ndarray:
    """(256, 256, 3): the first frame of a clip of a man."""
    frame: np.ndarray = next(VideoReader(CLIPS / "clip_c256.mp4").frames(1)).rgb[0]
    return frame


def test_the_cosine_is_that_of_plain_numpy_and_stays_within_one() -> None:
    one, other = np.random.default_rng(3).normal(size=(2, 128))
    plain = sum(a * b for a, b in zip(one, other, strict=True)) / np.sqrt((one**2).sum() * (other**2).sum())
    assert cosine(one, other) == pytest.approx(plain, rel=1e-12)
    assert cosine(one, 3 * one) == pytest.approx(1.0)
    assert cosine(one, 3 * one) <= 1.0
    assert cosine(one, -one) == pytest.approx(-1.0)
    for damaged in (np.full(128, np.nan), np.full(128, np.inf), np.zeros(128)):
        assert np.isnan(cosine(one, damaged))


both_products = pytest.mark.parametrize(
    "packed", [False, pytest.param(True, marks=pytest.mark.skipif(not can_pack(), reason="this torch has no oneDNN"))]
)


@needs_dlib
@both_products
def test_an_embedding_is_what_dlibs_own_calls_give(astronaut: np.ndarray, packed: bool) -> None:
    import dlib

    spec = find_spec(MODELS)
    assert spec is not None
    assert spec.submodule_search_locations
    models = Path(spec.submodule_search_locations[0]) / "models"
    face = dlib.get_frontal_face_detector()(astronaut, 1)[0]
    shape = dlib.shape_predictor(str(models / PREDICTOR))(astronaut, face)
    network = dlib.face_recognition_model_v1(str(models / NETWORK))
    expected = np.array(network.compute_face_descriptor(astronaut, shape))
    found, (embedding,) = DlibEmbedding("cpu", of_crop=False, packed=packed)(astronaut[None], ANY_BOX)
    assert found.tolist() == [True]
    assert np.abs(embedding - expected).max() <= 1e-5 * np.abs(expected).max()
    assert embedding.shape == (128,)


@needs_dlib
@both_products
def test_an_embedding_does_not_depend_on_the_faces_beside_it(
    astronaut: np.ndarray, speaker: np.ndarray, packed: bool
) -> None:
    def embed(given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return network(given, np.tile(ANY_BOX, (len(given), 1)))

    network = DlibEmbedding("cpu", of_crop=True, packed=packed)
    wall = np.full_like(astronaut, 128)
    mixed = np.stack([speaker, wall, *[astronaut] * FACES_A_PASS, speaker])
    found, embeddings = embed(mixed)
    assert found.tolist() == [True, False, *[True] * (FACES_A_PASS + 1)]
    assert np.array_equal(embeddings[0], embed(speaker[None])[1][0])
    assert np.array_equal(embeddings[0], embeddings[-1])
    assert np.ptp(embeddings[1:-1], axis=0).max() == 0
    assert not embed(wall[None])[0].any()


@needs_dlib
def test_another_networks_parameters_are_refused(tmp_path: Path) -> None:
    layers = published_layers()
    for wrong in (layers[:-1], [layers[0][:-1], *layers[1:]], [layers[2], *layers[1:]]):
        with pytest.raises(ValueError, match=r"layers|numbers for"):
            network_of(wrong)
    (tmp_path / "old.dat").write_bytes(b"\x01\x05con_4\x01\x01")
    with pytest.raises(ValueError, match="a tensor of version 1, known is 2"):
        read_layers(tmp_path / "old.dat")


def box_of(frame: np.ndarray) -> np.ndarray:
    (box,) = BlazeFaceDetector().detect(frame[None])
    assert box is not None
    return box


def observed(
    view: str, generated: np.ndarray, real: np.ndarray | None, clip: Clip | None = None, box: np.ndarray | None = None
) -> Evidence:
    observer = Identity.load(None, (view,), "cpu")
    rows = steady((box_of(generated) if box is None else box)[None])
    state = observer.start_clip(clip or Clip("x"), None)
    real_rows = None if real is None else steady(box_of(real)[None])
    reference = None if real is None else as_chunk(real[None])
    state.update(ClipChunk(as_chunk(generated[None]), reference, rows, None, real_rows))
    (evidence,) = observer.compute([state])
    assert isinstance(evidence, Evidence), evidence
    return evidence


def csim(evidence: Evidence) -> float | None:
    metric = find_metric("csim/sound")
    return metric.value(metric.tally(evidence))


@needs_dlib
@pytest.mark.parametrize("view", ["face-256", pytest.param("whole-frame", marks=pytest.mark.slow)])
def test_a_copy_is_the_same_person_and_another_person_is_not(
    view: str, astronaut: np.ndarray, speaker: np.ndarray
) -> None:
    same = csim(observed(view, astronaut, astronaut))
    blurred = csim(observed(view, cv2.GaussianBlur(astronaut, (0, 0), 2), astronaut))
    other = csim(observed(view, astronaut, speaker))
    assert same is not None
    assert blurred is not None
    assert other is not None
    assert same == pytest.approx(1.0, abs=1e-12)
    assert other < 0.9 < blurred < same


@needs_dlib
def test_without_a_pair_the_source_picture_is_compared_with(
    astronaut: np.ndarray, speaker: np.ndarray, tmp_path: Path
) -> None:
    picture = tmp_path / "source.png"
    cv2.imwrite(str(picture), astronaut[..., ::-1])
    clip = Clip("x", source=picture)
    same, other = (csim(observed("source", frame, None, clip)) for frame in (astronaut, speaker))
    assert same is not None
    assert other is not None
    assert other < 0.9 < same
    assert not Identity.needs_for(("source",), ()).reference
    observer = Identity.load(None, ("source",), "cpu")
    (tmp_path / "text.png").write_text("no picture")
    cv2.imwrite(str(tmp_path / "wall.png"), np.full_like(astronaut, 128))
    for source, code in ((None, "missing"), ("text.png", "unreadable"), ("wall.png", "no-face")):
        with pytest.raises(ClipError) as error:
            observer.start_clip(Clip("x", source=None if source is None else tmp_path / source), None)
        assert error.value.code == code


@needs_dlib
def test_a_generated_face_that_is_not_found_is_an_error_and_a_real_one_counts_nothing(astronaut: np.ndarray) -> None:
    wall, box = np.full_like(astronaut, 128), box_of(astronaut)
    evidence = observed("face-256", wall, astronaut, box=box)
    assert evidence.values["reference_seen"] == 1
    with pytest.raises(ClipError, match="found in 0 of 1 frames") as error:
        csim(evidence)
    assert error.value.code == "no-face"
    observer = Identity.load(None, ("face-256",), "cpu")
    state = observer.start_clip(Clip("x"), None)
    state.update(ClipChunk(as_chunk(astronaut[None]), as_chunk(wall[None]), steady(box[None])))
    (of_wall,) = observer.compute([state])
    assert isinstance(of_wall, Evidence)
    assert csim(of_wall) is None


@needs_dlib
def test_a_real_video_is_embedded_once_for_all_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = CLIPS / "clip_c256.mp4"
    frames = VideoReader(real).frames(10**6)
    longer = [frame for chunk in frames for frame in chunk.rgb][:6]
    for name, shown, blur in (("a", longer[:4], 1), ("b", longer, 2)):
        made = np.stack([cv2.GaussianBlur(picture, (0, 0), blur) for picture in shown])
        write_video(tmp_path / f"{name}.mp4", made, 25)
    write_video(tmp_path / "real.mp4", np.stack(longer), 25)
    embedded: list[int] = []
    plain = DlibEmbedding.__call__

    def counted(self: DlibEmbedding, pictures: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        embedded.append(len(pictures))
        return plain(self, pictures, boxes)

    monkeypatch.setattr(DlibEmbedding, "__call__", counted)

    def observed_by(cache: str, *systems: str) -> list[Evidence]:
        plan = Plan((ObserverPlan("identity", ("face-256",)),), BoxRule(), tmp_path / cache, "cpu")
        clips = [Clip("x", reference=tmp_path / "real.mp4", generated=tmp_path / f"{name}.mp4") for name in systems]
        return [ObserverRunner(plan).observe([clip])[0].evidence["identity"] for clip in clips]

    both = observed_by("shared", "a", "b")
    assert sum(embedded) == 4 + 4 + 2 + 6  # the first four real frames once
    embedded.clear()
    assert [one.to_json() for one in observed_by("other", "b", "a")] == [both[1].to_json(), both[0].to_json()]
    assert sum(embedded) == 6 + 6 + 4


@needs_dlib
@pytest.mark.slow
def test_another_source_picture_is_observed_anew_and_without_a_real_video_the_way_out_is_said(
    astronaut: np.ndarray, speaker: np.ndarray, tmp_path: Path
) -> None:
    picture = tmp_path / "source.png"
    clip = Clip("x", generated=CLIPS / "clip_c256.mp4", source=picture)
    plan = ObserverPlan("identity", ("source",))

    def observed_from(source: np.ndarray, boxes: BoxRule) -> Observation:
        cv2.imwrite(str(picture), source[..., ::-1])
        (found,) = ObserverRunner(Plan((plan,), boxes, tmp_path / "cache", "cpu")).observe([clip])
        return found

    own, other = (observed_from(face, BoxRule(source="generated")) for face in (speaker, astronaut))
    assert own.cached == other.cached == 0
    assert own.evidence["identity"].array("cosine").mean() > 0.95
    assert other.evidence["identity"].array("cosine").mean() < 0.9
    assert observed_from(astronaut, BoxRule(source="generated")).cached == 1
    failure = observed_from(speaker, BoxRule()).failures["identity"]
    assert failure.code == "reference-missing"
    assert "--boxes-from generated" in failure.message


def test_without_dlib_it_is_lacking_and_every_view_has_an_id_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbench.media.dlib_models.find_spec", lambda name: None)
    assert "pip install 'tlbench[landmarks]'" in Identity.lacking(("face-256",))
    assert len(set(Identity.views.values())) == 3
