"""What observers, generators and trainings must do on a GPU: keep their tensors there, and find what they do on a CPU.

The GPU is a pretended one (:mod:`tests.factories.pretended_gpu`), so its rounding, memory and speed are not shown.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.contract.test_generator_contract import FACES, loaded, made, pictures
from tests.contract.test_observer_contract import Show, loaded_on, observe, shows_of
from tests.contract.test_trainable_contract import NAMES
from tests.factories.lpips_factory import channels_by_formula
from tests.factories.pretended_gpu import no_inference_mode, pretended_gpu
from tests.factories.training_factory import INVENTORY, training_samples
from tlbench.checkpoints.catalogue import observer_names
from tlbench.errors import ClipError
from tlbench.observing.evidence import Evidence
from tlbench.observing.registry import capability
from tlbench.talklip import face_generator, faceformer_generator
from tlbench.training.trainable import TOTAL, Trainable

__all__ = ["no_inference_mode"]
pytestmark = pytest.mark.usefixtures("no_inference_mode")
GPU = pretended_gpu()
OF_FULL_SIZE = ("conformer", "mvm")  # their trainings below are of small ones
CLOSE = 1e-4  # of the largest number of an array: fused layers and passes differ from CPU to GPU


@pytest.fixture(scope="module")
def shows(tmp_path_factory: pytest.TempPathFactory) -> list[Show]:
    return shows_of(tmp_path_factory.mktemp("clips"), 8, 10)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in OF_FULL_SIZE else name for name in observer_names()]
)
def test_an_observer_finds_the_same(name: str, shows: list[Show], tmp_path: Path) -> None:
    with channels_by_formula():
        expected, found = (observe(one, *shows) for one in loaded_on(name, tmp_path, "cpu", str(GPU)))
    for theirs, ours in zip(expected, found, strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("name", FACES)
def test_a_generator_makes_the_same_faces(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [tmp_path / device for device in ("cpu", "gpu")]
    for folder in folders:
        folder.mkdir()
    expected = made(loaded(name, folders[0]), pictures(0))
    for module in (face_generator, faceformer_generator):
        monkeypatch.setattr(module, "choose_device", lambda *_, **__: str(GPU))
    found = made(loaded(name, folders[1]), pictures(0))
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_an_observer_learns_the_same(name: str) -> None:
    """Losses and gradients of a batch, then what it predicts."""
    kind: type[Trainable] = capability(name, "trainable")
    on_cpu, on_gpu = (kind.from_scratch("tiny", INVENTORY, 0) for _ in range(2))
    samples = training_samples(name)
    batch = on_cpu.batch(samples, np.random.default_rng(0))
    on_gpu.network.to(GPU)
    torch.manual_seed(0)  # of dropout
    expected = on_cpu.network(batch)
    torch.manual_seed(0)
    found = on_gpu.network({key: tensor.to(GPU) for key, tensor in batch.items()})
    assert {key: loss.item() for key, loss in found.items()} == pytest.approx(
        {key: loss.item() for key, loss in expected.items()}, rel=CLOSE
    )
    expected[TOTAL].backward()
    found[TOTAL].backward()
    slopes = [
        (ours.grad, theirs.grad)
        for ours, theirs in zip(on_gpu.network.parameters(), on_cpu.network.parameters(), strict=True)
    ]
    steepest = max(float(theirs.abs().max()) for _, theirs in slopes if theirs is not None)
    for ours, theirs in slopes:
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            assert ours.device == GPU
            assert float((ours.cpu() - theirs).abs().max()) < CLOSE * steepest
    said = (one.predict(samples, where) for one, where in ((on_gpu, GPU), (on_cpu, torch.device("cpu"))))
    for ours, theirs in zip(*said, strict=True):
        assert_close(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["talklip", "wav2lip"])
def test_a_generator_learns_the_same(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The losses of a recorded step, and where the new weights are."""
    lightning_fabric = pytest.importorskip("lightning_fabric", reason="training needs the extra 'train'")
    from tests.golden import test_talklip_step, test_wav2lip_step

    def taken(device: torch.device) -> test_talklip_step.Step | test_wav2lip_step.Step:
        if step == "talklip":
            return test_talklip_step.take_step("tiny")
        return test_wav2lip_step.take_step(use_expert=True, device=device)

    expected = taken(torch.device("cpu"))
    monkeypatch.setattr(lightning_fabric.Fabric, "device", GPU)
    found = taken(GPU)
    for name, loss in expected.losses.items():
        assert found.losses[name].item() == pytest.approx(loss.item(), rel=CLOSE), name
    assert {tensor.device for state in found.after.values() for tensor in state.values()} == {GPU}


def assert_close(ours: Evidence | ClipError, theirs: Evidence | ClipError) -> None:
    if isinstance(theirs, ClipError):
        assert str(ours) == str(theirs)
        return
    assert isinstance(ours, Evidence), ours
    assert ours.values.keys() == theirs.values.keys()
    for name, value in theirs.values.items():
        a, b = np.asarray(ours.values[name]), np.asarray(value)
        assert (a.shape, a.dtype) == (b.shape, b.dtype), name
        if b.dtype.kind in "iubU":
            assert (a == b).all(), name
        else:
            np.testing.assert_allclose(a, b, rtol=CLOSE, atol=CLOSE * float(np.abs(b).max(initial=0)), err_msg=name)
