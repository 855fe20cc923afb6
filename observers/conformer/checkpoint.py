"""The published file, a bare state dict, or the package made of it or of a training, to a network."""

from __future__ import annotations

from pathlib import Path

import torch

from tlbench.checkpoints.package import Package, open_package
from tlbench.checkpoints.state_dict import load_into, published, read_checkpoint
from tlbench.errors import TlbenchError

from .dims import Dims
from .model import ConformerModel

OBSERVER = "conformer"


def read_published(path: Path) -> Package:
    """The published file as a package. Raises TlbenchError if it is damaged, holds code, or is another model's."""
    package = _read(path)
    network_of(package, path)
    return published(package, path)


def load_model(path: Path) -> ConformerModel:
    """The network, ready for inference. Raises TlbenchError naming what does not fit."""
    return network_of(open_package(path, _read), path).eval().requires_grad_(False)


def network_of(package: Package, path: Path) -> ConformerModel:
    """The network of a package. Raises TlbenchError, naming ``path``, if it does not fit."""
    if package.observer != OBSERVER:
        raise TlbenchError(f"package {path}: is of observer {package.observer!r}, not {OBSERVER!r}")
    try:
        dims = Dims.from_json(package.config.get("dims", {}))  # a published file has none
    except (TypeError, ValueError) as error:
        raise TlbenchError(f"package {path}: its sizes can't be read ({error}); import or train it again") from error
    with torch.device("meta"):  # 52 million random numbers would be drawn only to be overwritten
        model = ConformerModel(dims).to_empty(device="cpu")
    load_into(model, package.tensors, f"{OBSERVER}, {path}")
    return model


def _read(path: Path) -> Package:
    return Package(OBSERVER, read_checkpoint(path))
