"""LPIPS: equal to the package lpips on formula weights, 0 for a copy, frames that it can't compare, and its files.

The weights of the channels are the formula's as well, so that nothing needs the package, but for the one test that
has the published ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.factories.lpips_factory import (
    BY_LPIPS_ALL_FORMULA,
    channels_by_formula,
    formula_channels,
    formula_channels_file,
    formula_distance,
    pairs,
)
from tests.factories.observer_weights import formula_weights
from tests.golden.formula import fill
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.files import file_sha256
from tlbench.metrics.catalogue import find_metric
from tlbench.observers.lpips import channel_file, checkpoint
from tlbench.observers.lpips.channel_file import lacking_channels
from tlbench.observers.lpips.inference import PairDistance
from tlbench.observers.lpips.model import AlexNetFeatures
from tlbench.observers.lpips.observer import LPIPS
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk
from tlbench.observing.one_clip import as_chunk

# Of `pairs()`, by lpips 0.1.4 (net="alex", version 0.1) with its own weights of the channels, and AlexNet's by the
# goldens' formula; tests/live runs the package itself.
BY_LPIPS = (
    0.010343646630644798,
    0.015057616867125034,
    0.013623416423797607,
    0.013090770691633224,
    0.012908583506941795,
)


@pytest.fixture(scope="module")
def distance() -> PairDistance:
    return formula_distance(formula_channels())


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formula_weights("lpips", tmp_path_factory.mktemp("lpips"))


def test_it_is_the_distance_of_the_package_lpips(distance: PairDistance) -> None:
    found = [distance(one, other) for one, other in pairs()]
    np.testing.assert_allclose(found, BY_LPIPS_ALL_FORMULA, rtol=1e-5)


@pytest.mark.skipif(bool(lacking_channels()), reason=lacking_channels())
def test_with_the_published_weights_of_the_channels_too() -> None:
    channels = checkpoint.linear_weights()
    assert all((weights >= 0).all() for weights in channels.values())  # as the package trains them
    distance = formula_distance(channels)
    np.testing.assert_allclose([distance(one, other) for one, other in pairs()], BY_LPIPS, rtol=1e-5)


def test_a_copy_has_no_distance_and_more_blur_has_more(distance: PairDistance) -> None:
    picture = pairs()[-1][1]
    blurred = [cv2.GaussianBlur(picture, (0, 0), sigma) for sigma in (0.7, 1.5, 3.0)]
    values = [distance(picture, other) for other in (picture, *blurred)]
    assert values[0] == 0.0
    assert values == sorted(values)
    assert distance(picture, blurred[0]) == pytest.approx(distance(blurred[0], picture), rel=1e-6)


def test_distances_do_not_depend_on_each_other_or_on_threads(distance: PairDistance) -> None:
    given = pairs()[:3]
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(distance.each(given))
        torch.set_num_threads(1)
        assert found == [[distance(*pair) for pair in given]] * 2
    finally:
        torch.set_num_threads(threads)
    assert distance.each([]) == []


def observed(
    weights: Path, view: str, generated: np.ndarray, real: np.ndarray, rows: np.ndarray | None = None
) -> Evidence | ClipError:
    with channels_by_formula():
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
    package = checkpoint.FORMAT.read_published(tmp_path / "alexnet.pth")
    assert package.tensors.keys() == state.keys()
    assert package.source_file == "alexnet.pth"
    picture = pairs()[0]
    with channels_by_formula():
        loaded = PairDistance(checkpoint.load_model(tmp_path / "alexnet.pth"), "cpu")
    assert loaded(*picture) == pytest.approx(BY_LPIPS_ALL_FORMULA[0], rel=1e-5)
    with pytest.raises(TlbenchError, match="tlbench checkpoints fetch alexnet"):
        LPIPS.load(None, ("whole-frame",), "cpu")


@pytest.fixture
def own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package lpips whose code can't run, with channels by formula: the path of its file."""
    path = tmp_path / "lpips" / channel_file.FILE
    path.parent.mkdir(parents=True)
    (tmp_path / "lpips" / "__init__.py").write_text("raise RuntimeError('it was imported')\n")
    torch.save(formula_channels_file(), path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "lpips", raising=False)
    return path


def test_channels_are_read_from_the_installed_package_without_importing_it(
    own_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LPIPS.lacking(("whole-frame",)) == ""
    monkeypatch.setattr(channel_file, "SHA256", file_sha256(own_package))
    found, wanted = checkpoint.linear_weights(), formula_channels()
    assert list(found) == list(wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert "lpips" not in sys.modules


def test_another_releases_channels_are_refused(own_package: Path) -> None:
    with pytest.raises(TlbenchError, match=r"alex\.pth is not the file of lpips 0\.1\.4 .* lpips==0\.1\.4$"):
        checkpoint.linear_weights()


def test_without_the_package_it_is_lacking_and_says_what_to_install(
    own_package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own_package.unlink()  # as a folder lpips of one's own has none
    state = AlexNetFeatures().state_dict()
    torch.save(fill(state), tmp_path / "alexnet.pth")
    for _ in range(2):
        assert LPIPS.lacking(("whole-frame",)) == "lpips not installed; pip install 'tlbench[quality]'"
        with pytest.raises(TlbenchError, match=r"channels: lpips not installed; pip install 'tlbench\[quality\]'$"):
            LPIPS.load(tmp_path / "alexnet.pth", ("face-256",), "cpu")
        monkeypatch.setattr(channel_file, "find_spec", lambda name: None)
