"""Windows to logits: batch normalisation fused, one window in each call of the network, each call on one thread.

So the logits of a window depend neither on other windows nor on the number of threads.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from tlbench.observing.fused_layers import fuse
from tlbench.observing.one_thread import each_on_one_thread
from tlbench.observing.precision import exact_products

from .model import I3DModel, VideoUnit, as_network_input


def fused(model: I3DModel) -> I3DModel:
    """The network with each batch normalisation fused into the convolution before it, in place, channels last."""
    for unit in [module for module in model.modules() if isinstance(module, VideoUnit)]:
        conv = unit.conv3d
        assert isinstance(conv, nn.Conv3d)
        weight, bias = fuse(conv.weight, None, unit.batch3d)
        conv.weight = nn.Parameter(weight.float(), requires_grad=False)
        conv.bias = nn.Parameter(bias.float(), requires_grad=False)
        unit.batch3d = nn.Identity()
    return model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]


class I3DInference:
    """The fused network on a device."""

    def __init__(self, model: I3DModel, device: str) -> None:
        self.frames = model.dims.frames
        self._side, self._classes = model.dims.side, model.dims.classes
        self._device = torch.device(device)
        self._model = fused(model).to(self._device)

    @torch.inference_mode()
    def prepared(self, pictures: np.ndarray) -> Tensor:
        """(n, height, width, 3) uint8 RGB to (3, n, side, side) float32 on the device."""
        return as_network_input(torch.from_numpy(pictures).to(self._device), self._side)

    def logits(self, frames: Tensor) -> np.ndarray:
        """(3, windows x frames, side, side) to (windows, classes) float32, a window after the other."""
        windows = [frames[:, start : start + self.frames] for start in range(0, frames.shape[1], self.frames)]
        found = each_on_one_thread(self._of_one, windows) if self._device.type == "cpu" else map(self._of_one, windows)
        return np.concatenate([np.zeros((0, self._classes), np.float32), *found])

    @torch.inference_mode()
    def _of_one(self, window: Tensor) -> np.ndarray:
        with exact_products(self._device):
            found = self._model(window[None].contiguous(memory_format=torch.channels_last_3d))
        return np.asarray(found.float().cpu().numpy())
