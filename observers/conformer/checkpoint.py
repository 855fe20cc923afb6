"""The published file, a bare state dict, or the package made of it, to a network."""

from __future__ import annotations

from pathlib import Path

import torch

from tlbench.observing.checkpoints import load_into, read_checkpoint
from tlbench.observing.package import Package, open_package

from .model import ConformerModel


def read_published(path: Path) -> Package:
    """The published file as a package. Raises TlbenchError if it is damaged, holds code, or is another model's."""
    package = _read(path)
    _model_of(package, path)
    return package


def load_model(path: Path) -> ConformerModel:
    """The network, ready for inference. Raises TlbenchError naming what does not fit."""
    return _model_of(open_package(path, _read), path).eval().requires_grad_(False)


def _read(path: Path) -> Package:
    state, sha256 = read_checkpoint(path)
    return Package("conformer", state, source_file=path.name, source_sha256=sha256)


def _model_of(package: Package, path: Path) -> ConformerModel:
    with torch.device("meta"):  # 52 million random numbers would be drawn only to be overwritten
        model = ConformerModel().to_empty(device="cpu")
    load_into(model, package.tensors, f"conformer, {path}")
    return model
