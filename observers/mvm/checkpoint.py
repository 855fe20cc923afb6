"""The published file, four state dicts in one, or the package made of it, to a network."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.observing.checkpoints import load_into, open_checkpoint, published, read_state
from tlbench.observing.package import Package, open_package

from .model import MVMModel

# train.py and test.py of the original; a package has these names without "_state_dict" in front of the tensors'.
PARTS = ("v_front", "a_front", "mem", "tcn")


def read_published(path: Path) -> Package:
    """The published file as a package. Raises TlbenchError if it is damaged, holds code, or is another model's."""
    package = _read(path)
    _model_of(package, path)
    return published(package, path)


def load_model(path: Path) -> MVMModel:
    """The network, ready for inference, of the file or its package. Raises TlbenchError naming what does not fit."""
    return _model_of(open_package(path, _read), path).eval().requires_grad_(False)


def _read(path: Path) -> Package:
    """Optimizer states and the like, which lie beside the four dicts, are not read."""
    archive = open_checkpoint(path)
    tree = archive.tree if isinstance(archive.tree, dict) else {}
    missing = [f"{part}_state_dict" for part in PARTS if not isinstance(tree.get(f"{part}_state_dict"), dict)]
    if missing:
        raise TlbenchError(f"weights of mvm, {path}: this is another model's file; it has no {', '.join(missing)}")
    tensors: dict[str, Tensor] = {}
    for part in PARTS:
        state = read_state(archive, tree[f"{part}_state_dict"], path)
        tensors |= {f"{part}.{name}": tensor for name, tensor in state.items()}
    return Package("mvm", tensors)


def _model_of(package: Package, path: Path) -> MVMModel:
    with torch.device("meta"):  # 60 million random numbers would be drawn only to be overwritten
        model = MVMModel().to_empty(device="cpu")
    load_into(model, package.tensors, f"mvm, {path}")
    return model
