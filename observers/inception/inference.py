"""Frames to features: batch normalisation fused, and always the same number of frames in one call of the network.

So the features of frame k of a clip depend neither on the frames after it nor on the number of threads.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from tlbench.observing.fixed_passes import FixedPasses
from tlbench.observing.fused_layers import fuse

from .model import ConvUnit, InceptionModel, as_network_input

FRAMES_A_PASS = 4  # enough for full speed of one thread; the products' last digits depend on it


def fused(model: InceptionModel) -> InceptionModel:
    """The network with each batch normalisation fused into the convolution before it, in place."""
    for unit in [module for module in model.modules() if isinstance(module, ConvUnit)]:
        conv = unit.conv
        assert isinstance(conv, nn.Conv2d)
        weight, bias = fuse(conv.weight, None, unit.bn)
        conv.weight = nn.Parameter(weight.float(), requires_grad=False)
        conv.bias = nn.Parameter(bias.float(), requires_grad=False)
        unit.bn = nn.Identity()
    return model


class InceptionInference:
    """The fused network on a device."""

    def __init__(self, model: InceptionModel, device: str) -> None:
        self._side = model.dims.side
        self._device = torch.device(device)
        self._network = FixedPasses(fused(model), FRAMES_A_PASS, model.dims.features, self._device, torch.channels_last)

    @torch.inference_mode()
    def prepared(self, pictures: np.ndarray) -> Tensor:
        """(n, height, width, 3) uint8 RGB to (n, 3, side, side) float32 on the device."""
        return as_network_input(torch.from_numpy(pictures).to(self._device), self._side)

    def features(self, waiting: Tensor) -> np.ndarray:
        """(n, 3, side, side) to (n, features) float32."""
        return self._network(waiting)

    def empty(self) -> np.ndarray:
        """(0, features) float32."""
        return self._network.empty()
