"""I3D's logits are those of another implementation with the same weights, and its TorchScript file is read."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from tests.factories.lively_weights import fill_lively
from tests.factories.script_files import save_script
from tests.factories.torch_fidelity_modules import missing
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.observers.i3d.checkpoint import FORMAT
from tlbench.observers.i3d.dims import PUBLISHED, Dims
from tlbench.observers.i3d.inference import I3DInference
from tlbench.observers.i3d.model import I3DModel, SamePool, Shape, same_padding
from tlbench.observers.i3d.observer import I3D
from tlbench.observing.evidence import Evidence

SMALL = Dims(frames=16, side=32, divisor=16, classes=12)


def frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 40, 60, 3), dtype=np.uint8)


def small() -> I3DModel:
    model = I3DModel(SMALL)
    fill_lively(model.state_dict())
    return model.eval()


def other_implementation() -> ModuleType:
    """piergiaj's module as cd-fvd has it; the package itself imports much that it does not need."""
    spec = find_spec("cdfvd")
    if spec is None or not spec.submodule_search_locations:
        missing("cd-fvd")
    path = Path(spec.submodule_search_locations[0]) / "third_party" / "i3d" / "pytorch_i3d.py"
    own = spec_from_file_location("piergiaj_i3d", path)
    assert own is not None
    assert own.loader is not None
    module = module_from_spec(own)
    own.loader.exec_module(module)
    return module


def piergiaj_name(name: str) -> str:
    """The name of a tensor in piergiaj's network: ``Mixed_3b.b1a.conv3d.weight`` for ``mixed_3b.branch_1.0...``."""
    name = name.replace("batch3d", "bn").replace("conv3d_0c_1x1", "logits")
    name = name.replace("mixed_", "Mixed_").replace("conv3d_1a", "Conv3d_1a").replace("conv3d_2", "Conv3d_2")
    name = name.replace("branch_0.", "b0.").replace("branch_3.1.", "b3b.")
    for branch in "12":
        for place, letter in (("0", "a"), ("1", "b")):
            name = name.replace(f"branch_{branch}.{place}.", f"b{branch}{letter}.")
    return name


@pytest.mark.slow
def test_logits_are_those_of_another_implementation() -> None:
    theirs = other_implementation().InceptionI3d(400, in_channels=3).eval()
    for layer in theirs.modules():
        if isinstance(layer, torch.nn.BatchNorm3d):
            layer.eps = 1e-3  # cd-fvd has 1e-5; DeepMind's code has Sonnet's default of 1e-3, as hassony2's has
    model = I3DModel().eval()
    state: dict[str, Tensor] = dict(model.state_dict())
    fill_lively(state)
    theirs.load_state_dict({piergiaj_name(name): tensor for name, tensor in state.items()})
    inference = I3DInference(model, "cpu")  # which fuses it
    window = inference.prepared(frames(PUBLISHED.frames))
    with torch.inference_mode():
        expected = theirs(window[None]).reshape(-1).numpy()
    found = inference.logits(window)[0]
    assert found.shape == expected.shape == (400,)
    assert np.ptp(expected) > 0.01
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_torchscript_file_gives_the_logits_of_its_network(tmp_path: Path) -> None:
    model = small()
    window = I3DInference(small(), "cpu").prepared(frames(16))
    path = save_script(model, window[None], tmp_path / "i3d_torchscript.pt")
    own = replace(FORMAT, build=lambda _: I3DModel(SMALL))  # a published file states no sizes
    found = I3DInference(own.load(path), "cpu").logits(window)
    with torch.inference_mode():
        expected = model(window[None]).numpy()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    assert own.read_published(path).tensors.keys() == model.state_dict().keys()


@pytest.mark.parametrize(("kernel", "stride"), [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (1, 1, 1)), ((2, 2, 2), (2, 2, 2))])
def test_pooling_axis_by_axis_is_torchs_pooling_bit_for_bit(kernel: Shape, stride: Shape) -> None:
    x = torch.rand(1, 4, 6, 10, 12).contiguous(memory_format=torch.channels_last_3d)
    found = SamePool(kernel, stride)(x)
    assert torch.equal(found, F.max_pool3d(F.pad(x, same_padding(kernel, stride)), kernel, stride))
    assert found.is_contiguous(memory_format=torch.channels_last_3d)


def test_windows_follow_each_other_whatever_the_threads() -> None:
    inference = I3DInference(small(), "cpu")
    prepared = inference.prepared(frames(48))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        together = inference.logits(prepared)
        torch.set_num_threads(1)
        assert np.array_equal(inference.logits(prepared), together)
    finally:
        torch.set_num_threads(threads)
    assert together.shape == (3, 12)
    for window in range(3):
        assert np.array_equal(inference.logits(prepared[:, 16 * window : 16 * window + 16])[0], together[window])


def test_a_clip_shorter_than_a_window_is_refused_with_its_length(tmp_path: Path) -> None:
    from tests.factories.media_factory import write_clip
    from tlbench.media.crops import CROPS
    from tlbench.media.video_reader import VideoReader
    from tlbench.observing.observer import ClipChunk

    observer = I3D(I3DInference(small(), "cpu"), CROPS["whole-frame"])
    outcomes = []
    for count in (15, 16, 33):
        state = observer.start_clip(Clip("a"), None)
        for chunk in VideoReader(write_clip(tmp_path / f"{count}.mp4", frames=count), 2**30).frames(7):
            state.update(ClipChunk(chunk))
        outcomes += observer.compute([state])
    assert isinstance(outcomes[0], ClipError)
    assert outcomes[0].code == "too-short"
    assert "15 frames, a window of FVD has 16" in outcomes[0].message
    found = [outcome for outcome in outcomes if isinstance(outcome, Evidence)]
    assert [evidence.array("features").shape for evidence in found] == [(1, 12), (2, 12)]


def test_another_models_file_is_refused(tmp_path: Path) -> None:
    torch.save({"conv3d_1a_7x7.conv3d.weight": torch.zeros(3, 2)}, tmp_path / "other.pt")
    with pytest.raises(TlbenchError, match="i3d"):
        FORMAT.read_published(tmp_path / "other.pt")


@pytest.mark.parametrize("wrong", [{"frames": 12}, {"side": 100}, {"divisor": 3}])
def test_sizes_that_make_no_network_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"frames|divisor"):
        Dims(**wrong)
