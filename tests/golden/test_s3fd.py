"""Our S3FD is the original's: its maps, its candidates, its boxes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from tests.golden.formula import fill
from tlbench.media.faces import find_boxes
from tlbench.media.s3fd import FACE_SCORE, S3FD, S3FDDetector, candidates, suppress
from tlbench.media.video_reader import VideoReader

FOLDER = Path(__file__).parent / "s3fd"
GOLDEN = json.loads((FOLDER / "s3fd.json").read_text())
FRAMES = {"sq": (2, 160, 160), "odd": (1, 150, 117)}


def formula_frames(tag: str) -> np.ndarray:
    """(n, H, W, 3) uint8 RGB; the formula is written for BGR."""
    count, height, width = FRAMES[tag]
    b, y, x, c = np.ogrid[:count, :height, :width, :3]
    bgr = np.floor(
        127.5 + 110 * np.sin(0.07 * y + 0.05 * x + 1.3 * c + 0.9 * b) * np.cos(0.013 * x * (c + 1) - 0.021 * y)
    )
    rgb: np.ndarray = bgr.astype(np.uint8)[..., ::-1]
    return rgb


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return dict(fill(S3FD().state_dict()))


def shifted(state: dict[str, Tensor], shift: float) -> dict[str, Tensor]:
    """The weights with ``shift`` added to the face logit of every head."""
    face = {name: tensor.clone() for name, tensor in state.items() if name.endswith("mbox_conf.bias")}
    for tensor in face.values():
        tensor[-1] += shift
    return state | face


@pytest.fixture(scope="module")
def detector(state: dict[str, Tensor]) -> S3FDDetector:
    return S3FDDetector(state)


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "formula.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module", params=list(FRAMES))
def looked(request: pytest.FixtureRequest, detector: S3FDDetector) -> tuple[str, list[Tensor]]:
    """A tag and the maps of its frames."""
    return request.param, next(detector.maps(formula_frames(request.param)))


def test_state_dict_has_the_original_names_and_shapes_in_order() -> None:
    manifest = json.loads((FOLDER / "state_dict.json").read_text())
    ours = [(name, list(tensor.shape)) for name, tensor in S3FD().state_dict().items()]
    assert ours == [(name, shape) for name, (shape, _) in manifest.items()]


def test_maps_are_the_originals(looked: tuple[str, list[Tensor]], golden: dict[str, np.ndarray]) -> None:
    tag, maps = looked
    assert len(maps) == 12
    for level, ours in enumerate(maps):
        original = golden[f"{tag}_raw{level}"]
        assert ours.shape == original.shape
        assert np.abs(ours.numpy() - original).max() <= 1e-4 * np.abs(original).max(), f"map {level}"


def test_candidates_are_the_originals_repeats_included(
    looked: tuple[str, list[Tensor]], golden: dict[str, np.ndarray]
) -> None:
    tag, maps = looked
    rows = candidates(maps)
    count, images, _ = GOLDEN[tag]["n_candidates"]
    assert rows.shape == (images, count, 5)
    for image, ours in enumerate(rows):
        head = ours[ours[:, 4].argsort()[::-1]][:200]
        np.testing.assert_allclose(head, golden[f"{tag}_bboxlist_sorted_head"][image], rtol=1e-4, atol=1e-3)


def test_suppression_keeps_the_originals_boxes(looked: tuple[str, list[Tensor]], golden: dict[str, np.ndarray]) -> None:
    tag, maps = looked
    for image, rows in enumerate(candidates(maps)):
        kept = suppress(rows)
        faces = kept[kept[:, 4] > FACE_SCORE]
        assert len(kept) == GOLDEN[tag]["n_after_nms"][image]
        assert len(faces) == GOLDEN[tag]["n_final"][image]
        np.testing.assert_allclose(kept, golden[f"{tag}_nms{image}"], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("tag", list(FRAMES))
def test_detect_all_gives_the_originals_faces(tag: str, detector: S3FDDetector, golden: dict[str, np.ndarray]) -> None:
    for image, faces in enumerate(detector.detect_all(formula_frames(tag), FACE_SCORE)):
        np.testing.assert_allclose(faces, golden[f"{tag}_final{image}"], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("tag", list(FRAMES))
def test_best_boxes_are_exactly_the_originals(tag: str, detector: S3FDDetector) -> None:
    assert as_lists(detector.detect(formula_frames(tag))) == GOLDEN[tag]["final_boxes"]


@pytest.mark.parametrize("shift", [-0.5, -1, -6])
def test_shifted_weights_find_what_the_original_found(shift: float, state: dict[str, Tensor]) -> None:
    found = S3FDDetector(shifted(state, shift)).detect(formula_frames("sq"))
    assert as_lists(found) == GOLDEN[f"bias{shift:g}"]


def test_a_frames_box_is_the_same_in_another_batch(detector: S3FDDetector) -> None:
    frames = next(VideoReader(FOLDER / "clip_c.mp4").frames(3)).rgb
    wanted = GOLDEN["bbx_extract"]["w0:clip_c"]["boxes"][:3]  # found by the original among 29 frames
    assert as_lists(detector.detect(frames)) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("run", sorted(GOLDEN["bbx_extract"]))
def test_boxes_of_a_clip_are_exactly_bbx_extracts(run: str, state: dict[str, Tensor]) -> None:
    weights, clip = run.split(":")
    detector = S3FDDetector(shifted(state, {"w0": 0.0, "wm1.5": -1.5, "none": -6.0}[weights]))
    boxes = find_boxes(VideoReader(FOLDER / f"{clip}.mp4").frames(32), detector)
    assert boxes.xyxy.dtype == np.int64
    assert boxes.xyxy.tolist() == GOLDEN["bbx_extract"][run]["boxes"]


def as_lists(found: list[np.ndarray | None]) -> list[list[int] | None]:
    return [None if box is None else box.tolist() for box in found]
