"""MVM's checkpoint: four state dicts in one file, as published; and the package made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.golden.formula import fill
from tlbench.checkpoints.package import write_package
from tlbench.errors import TlbenchError
from tlbench.observers.mvm.checkpoint import PARTS, load_model, read_published
from tlbench.observers.mvm.fast_model import FastMVM
from tlbench.observers.mvm.model import MVMModel
from tlbench.observers.mvm.words import WORDS


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    """The content of a file as ``train.py`` of the original writes it."""
    with torch.device("meta"):
        model = MVMModel().to_empty(device="cpu")
    for parameter in model.state_dict().values():
        parameter.zero_()  # most of it is not looked at
    for part in ("mem", "a_front"):
        fill(getattr(model, part).state_dict())
    return {f"{part}_state_dict": getattr(model, part).state_dict() for part in PARTS}


@pytest.fixture(scope="module")
def file(published: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mvm") / "mvm.ckpt"
    torch.save({"optimizer": {"state": {0: torch.zeros(3)}}, "epoch": 7, **published}, path)
    return path


def test_a_file_in_the_published_form_loads_whole(file: Path, published: dict[str, Any]) -> None:
    model, words = load_model(file)
    assert words == WORDS
    assert not model.training
    for part in PARTS:
        own = getattr(model, part).state_dict()
        assert list(own) == list(published[f"{part}_state_dict"])
        for name, tensor in published[f"{part}_state_dict"].items():
            assert torch.equal(own[name], tensor), name


def test_its_package_gives_the_same_network(file: Path, tmp_path: Path) -> None:
    package = read_published(file)
    assert package.observer == "mvm"
    assert package.source_file == "mvm.ckpt"
    assert len(package.source_sha256) == 64
    assert "mem.key" in package.tensors
    assert "tcn.tcn.tcn_output.weight" in package.tensors
    write_package(package, tmp_path / "package")
    ours, theirs = (load_model(path)[0].state_dict() for path in (tmp_path / "package", file))
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_another_models_file_is_told_by_what_it_lacks(tmp_path: Path, published: dict[str, Any]) -> None:
    path = tmp_path / "other.ckpt"
    torch.save({"mem_state_dict": published["mem_state_dict"], "state_dict": {"a": torch.zeros(2)}}, path)
    with pytest.raises(TlbenchError) as caught:
        read_published(path)
    assert "v_front_state_dict, a_front_state_dict, tcn_state_dict" in str(caught.value)
    assert "mem_state_dict," not in str(caught.value)
    assert "other.ckpt" in str(caught.value)


def test_tensors_that_are_missing_or_of_another_shape_are_named(tmp_path: Path, published: dict[str, Any]) -> None:
    small = {f"{part}_state_dict": {"a": torch.zeros(2)} for part in PARTS}
    small["mem_state_dict"] = {**published["mem_state_dict"], "value": torch.zeros(88, 512)}
    torch.save(small, tmp_path / "small.ckpt")
    with pytest.raises(TlbenchError) as caught:
        read_published(tmp_path / "small.ckpt")
    message = str(caught.value)
    assert "v_front.frontend.0.weight" in message
    assert "v_front.a" in message
    assert "mem.value (88, 512) instead of (112, 512)" in message
    assert "\n" not in message


def test_the_fast_network_is_the_plain_one_whatever_its_weights() -> None:
    """Trained weights have negative scales and slopes, and means far from 0, which the formula's have not."""
    torch.manual_seed(0)
    model = MVMModel().eval().requires_grad_(False)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.3, 3)
        elif name.endswith("running_mean") or (name.endswith("bias") and tensor.dim() == 1):
            tensor.normal_()
    for module in model.modules():
        if isinstance(module, torch.nn.PReLU):
            module.weight.uniform_(-0.5, 1.5)
        elif isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)):
            module.weight.normal_()
    crops = torch.randn(1, 29, 112, 112)
    with torch.inference_mode():
        expected = model(crops[:, None])
    error = torch.linalg.vector_norm(FastMVM(model)(crops) - expected) / torch.linalg.vector_norm(expected)
    assert error < 1e-5
