"""``syncnet_v2.model``, or the package of a network that was trained here, to a network.

The published file is a plain state dict with the names of :class:`.model.SyncNetModel`.
"""

from __future__ import annotations

from pathlib import Path

from tlbench.checkpoints.package import Package, open_package
from tlbench.checkpoints.state_dict import load_into, published, read_checkpoint
from tlbench.errors import TlbenchError

from .dims import PUBLISHED, Dims
from .model import SyncNetModel

OBSERVER = "syncnet"


def read_published(path: Path) -> Package:
    """The published file as a package. Raises TlbenchError if it is damaged, holds code, or is another model's."""
    package = _read(path)
    network_of(package, path)
    return published(package, path)


def load_model(path: Path) -> SyncNetModel:
    """The network of the published file or of a package, ready for inference.

    The original copies what it finds and silently keeps random values for the rest; here every tensor must be there.

    Raises
    ------
    TlbenchError
        Naming what does not fit.
    """
    return network_of(open_package(path, _read), path).eval().requires_grad_(False)


def network_of(package: Package, path: Path) -> SyncNetModel:
    """The network of a package. Raises TlbenchError, naming ``path``, if it does not fit."""
    if package.observer != OBSERVER:
        raise TlbenchError(f"package {path}: is of observer {package.observer!r}, not {OBSERVER!r}")
    try:
        model = SyncNetModel(Dims.from_json(package.config["dims"]))
    except (KeyError, TypeError, ValueError) as error:
        raise TlbenchError(f"package {path}: its sizes can't be read ({error}); import or train it again") from error
    load_into(model, package.tensors, f"{OBSERVER}, {path}")
    return model


def _read(path: Path) -> Package:
    return Package(OBSERVER, read_checkpoint(path), {"dims": PUBLISHED.to_json()})
