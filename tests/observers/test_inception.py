"""Inception's features are torch-fidelity's, with the same weights and the same frames."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.factories.lively_weights import fill_lively
from tests.factories.torch_fidelity_modules import torch_fidelity_module
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.crops import CROPS
from tlbench.media.faces import Boxes
from tlbench.media.followed import fill_gaps
from tlbench.observers.i3d.dims import Dims as I3DDims
from tlbench.observers.i3d.inference import I3DInference
from tlbench.observers.i3d.model import I3DModel
from tlbench.observers.i3d.observer import I3D
from tlbench.observers.inception.checkpoint import FORMAT
from tlbench.observers.inception.dims import Dims
from tlbench.observers.inception.inference import FRAMES_A_PASS, InceptionInference
from tlbench.observers.inception.model import InceptionModel, as_network_input
from tlbench.observers.inception.observer import Inception
from tlbench.observing.observer import ClipChunk
from tlbench.observing.one_clip import as_chunk


def frames(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the published size, names and shapes, with formula weights."""
    path = tmp_path_factory.mktemp("inception") / "weights-inception.pth"
    torch.save(fill_lively(InceptionModel().state_dict()), path)
    return path


@pytest.mark.parametrize(("height", "width"), [(256, 256), (96, 300), (480, 640), (2, 4)])
def test_frames_are_resized_as_torch_fidelity_resizes_them(height: int, width: int) -> None:
    original = torch_fidelity_module("interpolate_compat_tensorflow")
    own = torch.from_numpy(frames(2, height, width))
    resized = original.interpolate_bilinear_2d_like_tensorflow1x(
        own.movedim(-1, 1).float(), size=(299, 299), align_corners=False
    )
    assert torch.equal(as_network_input(own, 299), (resized - 128) / 128)


@pytest.mark.slow
def test_features_are_those_of_torch_fidelity(published: Path) -> None:
    original = torch_fidelity_module("feature_extractor_inceptionv3")
    theirs = original.FeatureExtractorInceptionV3("own", ["2048"], feature_extractor_weights_path=str(published))
    own = frames(3, 256, 256)
    own[1, :128] //= 4
    own[2, :, :100, 0] = 255
    with torch.inference_mode():
        (expected,) = theirs(torch.from_numpy(own).movedim(-1, 1).contiguous())
    inference = InceptionInference(FORMAT.load(published), "cpu")
    found = inference.features(inference.prepared(own))
    assert found.shape == (3, 2048)
    scale = float(expected.abs().max())
    assert scale > 0
    assert np.abs(found - expected.numpy()).max() <= 1e-5 * scale
    assert np.ptp(expected.numpy(), axis=0).max() > 1e-2 * scale  # three frames with features of their own


def test_a_frame_has_its_features_whatever_comes_with_it_and_on_how_many_threads() -> None:
    model = InceptionModel(Dims(side=75, divisor=16))
    fill_lively(model.state_dict())
    inference = InceptionInference(model.eval(), "cpu")
    prepared = inference.prepared(frames(2 * FRAMES_A_PASS, 40, 50))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        together = inference.features(prepared)
        torch.set_num_threads(1)
        assert np.array_equal(inference.features(prepared), together)
    finally:
        torch.set_num_threads(threads)
    for count in range(1, 2 * FRAMES_A_PASS):  # a clip that ends there
        assert np.array_equal(inference.features(prepared[:count]), together[:count])


def test_another_models_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(3, 2)}, path)
    with pytest.raises(TlbenchError, match="inception"):
        FORMAT.read_published(path)


@pytest.mark.parametrize("wrong", [{"side": 20}, {"divisor": 3}])
def test_sizes_that_make_no_network_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"side|divisor"):
        Dims(**wrong)


@pytest.mark.parametrize("kind", [Inception, I3D])
def test_a_clip_without_a_face_has_no_features_of_a_crop_of_the_face(kind: type[Inception] | type[I3D]) -> None:
    pictures = frames(4, 64, 64)
    nothing = fill_gaps(np.full((4, 4), np.nan), np.array([0.0, 0.0, 64.0, 64.0]))
    for view, refused in (("face-256", True), ("whole-frame", False)):
        network = InceptionInference(InceptionModel(Dims(side=75, divisor=16)).eval(), "cpu")
        if kind is I3D:
            dims = I3DDims(frames=8, side=32, divisor=16, classes=12)
            state = I3D(I3DInference(I3DModel(dims).eval(), "cpu"), CROPS[view]).start_clip(Clip("a"), None)
        else:
            state = Inception(network, CROPS[view]).start_clip(Clip("a"), None)
        state.clip_boxes = Boxes(nothing.xyxy, 0, "blazeface", nothing)
        with pytest.raises(ClipError, match="clip a: most frames show no face") if refused else nullcontext():
            state.update(ClipChunk(as_chunk(pictures), None, nothing.xyxy))
