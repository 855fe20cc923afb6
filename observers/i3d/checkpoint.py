"""Load I3D from the usual TorchScript file, a state dict with the same names, or a package.

Of the TorchScript file only the tensors are read. The code in it is never run.
"""

from __future__ import annotations

from pathlib import Path

from tlbench.checkpoints.build_network import build_network
from tlbench.checkpoints.package import Package, check_observer, open_package, read_dims
from tlbench.checkpoints.script_file import read_script
from tlbench.checkpoints.state_dict import published

from .dims import Dims
from .model import I3DModel

OBSERVER = "i3d"


def read_published(path: Path) -> Package:
    """Read the published file as a package. Raises TlbenchError if it is damaged, or is another model's."""
    package = _read(path)
    network_of(package, path)
    return published(package, path)


def load_model(path: Path) -> I3DModel:
    """The network of the published file or of a package, ready for inference.

    Raises TlbenchError if the file does not fit.
    """
    return network_of(open_package(path, _read), path).eval().requires_grad_(False)


def network_of(package: Package, path: Path) -> I3DModel:
    """The network of a package. Raises TlbenchError, naming ``path``, if it does not fit."""
    check_observer(package, OBSERVER, path)
    dims = read_dims(Dims, package.config.get("dims", {}), path)  # a published file states none
    return build_network(lambda: I3DModel(dims), package.tensors, f"{OBSERVER}, {path}")


def _read(path: Path) -> Package:
    return Package(OBSERVER, read_script(path))
