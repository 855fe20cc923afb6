"""Load SyncNet from ``syncnet_v2.model``, a state dict, or from a package."""

from __future__ import annotations

from pathlib import Path

from tlbench.checkpoints.build_network import build_network
from tlbench.checkpoints.package import Package, check_observer, open_package, read_dims
from tlbench.checkpoints.state_dict import published, read_checkpoint

from .dims import PUBLISHED, Dims
from .model import SyncNetModel

OBSERVER = "syncnet"


def read_published(path: Path) -> Package:
    """Read the published file as a package. Raises TlbenchError if it is damaged, holds code, or is another model's."""
    package = _read(path)
    network_of(package, path)
    return published(package, path)


def load_model(path: Path) -> SyncNetModel:
    """The network of the published file or of a package, ready for inference.

    The original keeps random values for tensors that are missing; here every tensor must be in the file.

    Raises
    ------
    TlbenchError
        If the file does not fit.
    """
    return network_of(open_package(path, _read), path).eval().requires_grad_(False)


def network_of(package: Package, path: Path) -> SyncNetModel:
    """The network of a package. Raises TlbenchError, naming ``path``, if it does not fit."""
    check_observer(package, OBSERVER, path)
    dims = read_dims(Dims, package.config.get("dims"), path)
    return build_network(lambda: SyncNetModel(dims), package.tensors, f"{OBSERVER}, {path}")


def _read(path: Path) -> Package:
    return Package(OBSERVER, read_checkpoint(path), {"dims": PUBLISHED.to_json()})
