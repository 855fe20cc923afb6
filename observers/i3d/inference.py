"""Windows to logits: batch normalisation fused, one window in each call of the network, each call on one thread.

So the logits of a window depend neither on other windows nor on the number of threads.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from tlbench.observing.fixed_passes import FixedPasses
from tlbench.observing.fused_layers import fuse

from .model import I3DModel, VideoUnit, as_network_input


def fused(model: I3DModel) -> I3DModel:
    """The network with each batch normalisation fused into the convolution before it, in place."""
    for unit in [module for module in model.modules() if isinstance(module, VideoUnit)]:
        conv = unit.conv3d
        assert isinstance(conv, nn.Conv3d)
        weight, bias = fuse(conv.weight, None, unit.batch3d)
        conv.weight = nn.Parameter(weight.float(), requires_grad=False)
        conv.bias = nn.Parameter(bias.float(), requires_grad=False)
        unit.batch3d = nn.Identity()
    return model


class I3DInference:
    """The fused network on a device."""

    def __init__(self, model: I3DModel, device: str) -> None:
        self.frames = model.dims.frames
        self._side = model.dims.side
        self._device = torch.device(device)
        self._network = FixedPasses(fused(model), 1, model.dims.classes, self._device, torch.channels_last_3d)

    @torch.inference_mode()
    def prepared(self, pictures: np.ndarray) -> Tensor:
        """(n, height, width, 3) uint8 RGB to (3, n, side, side) float32 on the device."""
        return as_network_input(torch.from_numpy(pictures).to(self._device), self._side)

    def logits(self, frames: Tensor) -> np.ndarray:
        """(3, windows x frames, side, side) to (windows, classes) float32, a window after the other."""
        windows = frames.reshape(len(frames), -1, self.frames, *frames.shape[2:])
        return self._network(windows.movedim(1, 0))
