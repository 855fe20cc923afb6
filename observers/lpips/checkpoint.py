"""Load AlexNet from torchvision's file or from a package, and LPIPS's bundled weights of its channels."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load
from torch import Tensor

from tlbench.checkpoints.build_network import build_network
from tlbench.checkpoints.package import Package, check_observer, open_package
from tlbench.checkpoints.state_dict import published, read_checkpoint
from tlbench.errors import TlbenchError
from tlbench.files import file_sha256

from .model import AlexNetFeatures, LPIPSDistance

OBSERVER = "lpips"
# The tensors lin0.model.1.weight to lin4.model.1.weight of lpips 0.1.4, weights/v0.1/alex.pth (sha256 df73285e...),
# unchanged, as lin0 to lin4; BSD-2-Clause, see LICENSE.txt there.
LINEAR = Path(__file__).parent / "bundled" / "lpips_0.1" / "alex.safetensors"
LINEAR_SHA256 = "e62475ea6ad0ed1976b09beae720c28ab9e11cbb36d123f1a4491e50352baa4e"


def read_published(path: Path) -> Package:
    """Read the published file as a package. Raises TlbenchError if it is damaged, holds code, or is another model's."""
    package = _read(path)
    features_of(package, path)
    return published(package, path)


def load_model(path: Path) -> LPIPSDistance:
    """The network of the published file or of a package, ready for inference.

    Raises TlbenchError if the file does not fit.
    """
    features = features_of(open_package(path, _read), path)
    return LPIPSDistance(features, linear_weights()).eval().requires_grad_(False)


def features_of(package: Package, path: Path) -> AlexNetFeatures:
    """The network of a package. Raises TlbenchError, naming ``path``, if it does not fit."""
    check_observer(package, OBSERVER, path)
    return build_network(AlexNetFeatures, package.tensors, f"{OBSERVER}, {path}")


def linear_weights() -> dict[str, Tensor]:
    """LPIPS's weights of the channels of each layer, (channels,) float32 each, by ``lin0`` to ``lin4``.

    Raises TlbenchError if the file is not the bundled one.
    """
    if file_sha256(LINEAR) != LINEAR_SHA256:
        raise TlbenchError(f"{LINEAR} is not the file that tlbench comes with; install tlbench again")
    return load(LINEAR.read_bytes())


def _read(path: Path) -> Package:
    """Without the classifier, which LPIPS does not use."""
    tensors = read_checkpoint(path)
    return Package(OBSERVER, {name: value for name, value in tensors.items() if not name.startswith("classifier.")})
