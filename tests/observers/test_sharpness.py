"""Sharpness: its arithmetic beside plain numpy, what moves it, and which frames count."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data as pictures

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.faces import Boxes
from tlbench.media.followed import FOUND, NO_FACE, FollowedFace
from tlbench.metrics.catalogue import find_metric
from tlbench.observers.sharpness.laplacian import laplacian_variance
from tlbench.observers.sharpness.observer import Sharpness
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk
from tlbench.observing.one_clip import as_chunk, observe_frames


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """(256, 256, 3): Eileen Collins by NASA, in the public domain."""
    return np.ascontiguousarray(pictures.astronaut()[:256, 96:352])


def plain_variance(picture: np.ndarray) -> float:
    """The definition, in numpy alone but for the grey levels."""
    grey = np.pad(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64), 1, mode="reflect")
    edges = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return float(edges.var())


def test_it_is_the_variance_of_four_neighbours_less_four_times_the_middle(astronaut: np.ndarray) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 31, 3), dtype=np.uint8)
    extremes = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (8, 8))[..., None].repeat(3, axis=2)
    for picture in (astronaut, noise, extremes, noise[:1, :1]):
        assert laplacian_variance(picture) == pytest.approx(plain_variance(picture), rel=1e-12)
        assert laplacian_variance(picture) == pytest.approx(
            cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var(), rel=1e-12
        )
    assert laplacian_variance(np.full_like(astronaut, 77)) == 0.0


def sharpness_of(frames: np.ndarray, view: str, boxes: np.ndarray | None = None) -> float:
    metric = find_metric("sharpness/sound")
    value = metric.value(metric.tally(observe_frames("sharpness", view, frames, boxes=boxes)))
    assert value is not None
    return value


@pytest.mark.parametrize("view", ["face-256", "face-box", "whole-frame"])
def test_blur_lowers_it_step_by_step(astronaut: np.ndarray, view: str) -> None:
    boxes = np.array([[80, 50, 180, 180]])
    values = [sharpness_of(astronaut[None], view, boxes)]
    for sigma in (0.7, 1.5, 3.0):
        values.append(sharpness_of(cv2.GaussianBlur(astronaut, (0, 0), sigma)[None], view, boxes))
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0] / 10


def test_another_crop_is_another_id_and_the_whole_frame_needs_no_boxes(astronaut: np.ndarray) -> None:
    assert len({Sharpness.identity((view,), None) for view in Sharpness.views}) == 3
    assert not Sharpness.needs_for(("whole-frame",), ()).boxes
    assert not Sharpness.needs_for(("face-box",), ()).framing
    assert sharpness_of(astronaut[None], "whole-frame") == laplacian_variance(astronaut)


def evidence(frames: np.ndarray, face: FollowedFace | None, rows: np.ndarray | None) -> Evidence | ClipError:
    observer = Sharpness.load(None, ("face-256",), "cpu")
    state = observer.start_clip(Clip("x"), None)
    state.clip_boxes = None if face is None else Boxes(face.xyxy, 0, "blazeface", face)
    state.update(ClipChunk(as_chunk(frames), None, rows))
    return observer.compute([state])[0]


def test_frames_without_the_face_and_beyond_the_boxes_do_not_count(astronaut: np.ndarray) -> None:
    frames = np.stack([astronaut] * 4 + [np.full_like(astronaut, 9)] * 2)
    rows = np.tile(np.array([80, 50, 180, 180]), (5, 1))
    states = np.array([FOUND, FOUND, FOUND, FOUND, NO_FACE], np.uint8)
    seen = evidence(frames, FollowedFace(rows, states), rows)
    assert isinstance(seen, Evidence)
    assert seen.values["frames"] == 6
    assert len(seen.array("laplacian_variance")) == 4
    mostly_none = evidence(frames, FollowedFace(rows, np.array([FOUND, *[NO_FACE] * 4], np.uint8)), rows)
    assert isinstance(mostly_none, Evidence)
    assert find_metric("sharpness/sound").tally(mostly_none).value is None
    without = evidence(frames, None, rows[:0])
    assert isinstance(without, ClipError)
    assert without.code == "boxes-too-short"
