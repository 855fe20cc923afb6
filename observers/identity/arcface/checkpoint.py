"""Load ArcFace from insightface's ONNX file, whose graph is not run, or from a package."""

from __future__ import annotations

from pathlib import Path

from tlbench.checkpoints.build_network import build_network
from tlbench.checkpoints.onnx_file import read_onnx
from tlbench.checkpoints.package import Package, check_observer, open_package, read_dims
from tlbench.checkpoints.state_dict import published
from tlbench.errors import TlbenchError

from .dims import Dims
from .graph import network_tensors
from .model import ArcFaceNetwork

OBSERVER = "arcface"


def read_published(path: Path) -> Package:
    """Read the published file as a package. Raises TlbenchError if it is damaged, or is another model's."""
    package = _read(path)
    network_of(package, path)
    return published(package, path)


def load_model(path: Path) -> ArcFaceNetwork:
    """The network of the published file or of a package, ready for inference.

    Raises TlbenchError if the file does not fit.
    """
    return network_of(open_package(path, _read), path).eval().requires_grad_(False)


def network_of(package: Package, path: Path) -> ArcFaceNetwork:
    """The network of a package. Raises TlbenchError, naming ``path``, if it does not fit."""
    check_observer(package, OBSERVER, path)
    dims = read_dims(Dims, package.config.get("dims", {}), path)
    return build_network(lambda: ArcFaceNetwork(dims), package.tensors, f"{OBSERVER}, {path}")


def _read(path: Path) -> Package:
    try:
        dims, tensors = network_tensors(read_onnx(path))
    except ValueError as error:
        raise TlbenchError(
            f"weights {path}: not an ArcFace ResNet as PyTorch writes it ({error}); take w600k_r50.onnx of buffalo_l"
        ) from error
    return Package(OBSERVER, tensors, {"dims": dims.to_json()})
