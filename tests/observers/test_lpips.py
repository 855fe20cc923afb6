"""LPIPS: equal to the package lpips on formula weights, 0 for a copy, and frames that it can't compare."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.factories.lpips_factory import formula_distance, pairs
from tests.factories.observer_weights import formula_weights
from tests.golden.formula import fill
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.metrics.catalogue import find_metric
from tlbench.observers.lpips import checkpoint
from tlbench.observers.lpips.inference import PairDistance
from tlbench.observers.lpips.model import AlexNetFeatures
from tlbench.observers.lpips.observer import LPIPS
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk
from tlbench.observing.one_clip import as_chunk

# Of `pairs()`, by lpips 0.1.4 (net="alex", version 0.1) with AlexNet's weights by the goldens' formula; tests/live runs
# the package itself.
BY_LPIPS = (
    0.010343646630644798,
    0.015057616867125034,
    0.013623416423797607,
    0.013090770691633224,
    0.012908583506941795,
)


@pytest.fixture(scope="module")
def distance() -> PairDistance:
    return formula_distance()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formula_weights("lpips", tmp_path_factory.mktemp("lpips"))


def test_it_is_the_distance_of_the_package_lpips(distance: PairDistance) -> None:
    found = [distance(one, other) for one, other in pairs()]
    np.testing.assert_allclose(found, BY_LPIPS, rtol=1e-5)


def test_a_copy_has_no_distance_and_more_blur_has_more(distance: PairDistance) -> None:
    picture = pairs()[-1][1]
    blurred = [cv2.GaussianBlur(picture, (0, 0), sigma) for sigma in (0.7, 1.5, 3.0)]
    values = [distance(picture, other) for other in (picture, *blurred)]
    assert values[0] == 0.0
    assert values == sorted(values)
    assert distance(picture, blurred[0]) == pytest.approx(distance(blurred[0], picture), rel=1e-6)


def observed(
    weights: Path, view: str, generated: np.ndarray, real: np.ndarray, rows: np.ndarray | None = None
) -> Evidence | ClipError:
    observer = LPIPS.load(weights, (view,), "cpu")
    state = observer.start_clip(Clip("x"), None)
    real_rows = None if rows is None else rows * (real.shape[1] / generated.shape[1])
    state.update(ClipChunk(as_chunk(generated[None]), as_chunk(real[None]), rows, None, real_rows))
    return observer.compute([state])[0]


def test_frames_of_two_sizes_or_too_small_are_refused_and_their_faces_compared(weights: Path) -> None:
    real = pairs()[1][0]
    larger = real.repeat(2, axis=0).repeat(2, axis=1)
    for generated, reference, code in ((larger, real, "other-size"), (real[:30], real[:30], "too-small")):
        with pytest.raises(ClipError, match="--view lpips=face-256") as error:
            observed(weights, "whole-frame", generated, reference)
        assert error.value.code == code
    rows = np.array([[10.0, 10.0, 80.0, 80.0]])
    for view in ("face-256", "face-box"):
        evidence = observed(weights, view, larger, real, rows)
        assert isinstance(evidence, Evidence)
        assert evidence.array("distance").shape == (1,)
        assert evidence.array("distance")[0] < observed_noise(weights, view, real, rows / 2)


def observed_noise(weights: Path, view: str, real: np.ndarray, rows: np.ndarray) -> float:
    noise = np.random.default_rng(5).integers(0, 256, real.shape, dtype=np.uint8)
    evidence = observed(weights, view, noise, real, rows)
    assert isinstance(evidence, Evidence)
    value = find_metric("lpips/paper").value(find_metric("lpips/paper").tally(evidence))
    assert value is not None
    return value


def test_the_whole_frame_needs_no_boxes_and_every_crop_is_another_id() -> None:
    assert not LPIPS.needs_for(("whole-frame",), ()).boxes
    assert LPIPS.needs_for(("face-256",), ()).framing
    assert len({LPIPS.identity((view,), "aa") for view in LPIPS.views}) == 3


def test_the_published_file_has_a_classifier_that_is_not_read(tmp_path: Path) -> None:
    state = AlexNetFeatures().state_dict()
    fill(state)
    torch.save({**state, "classifier.1.weight": torch.zeros(2, 2)}, tmp_path / "alexnet.pth")
    package = checkpoint.read_published(tmp_path / "alexnet.pth")
    assert package.tensors.keys() == state.keys()
    assert package.source_file == "alexnet.pth"
    picture = pairs()[0]
    loaded = PairDistance(checkpoint.load_model(tmp_path / "alexnet.pth"), "cpu")
    assert loaded(*picture) == pytest.approx(BY_LPIPS[0], rel=1e-5)
    with pytest.raises(TlbenchError, match="tlbench checkpoints fetch alexnet"):
        LPIPS.load(None, ("whole-frame",), "cpu")


def test_bundled_weights_that_were_changed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all((value >= 0).all() for value in checkpoint.linear_weights().values())  # as the package trains them
    (tmp_path / "alex.safetensors").write_bytes(checkpoint.LINEAR.read_bytes()[:-1] + b"\x01")
    monkeypatch.setattr(checkpoint, "LINEAR", tmp_path / "alex.safetensors")
    with pytest.raises(TlbenchError, match="install tlbench again"):
        checkpoint.linear_weights()
