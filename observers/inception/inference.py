"""Frames to features: batch normalisation fused, and always the same number of frames in one call of the network.

So the features of frame k of a clip depend neither on the frames after it nor on the number of threads.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from tlbench.observing.fused_layers import fuse
from tlbench.observing.one_thread import each_on_one_thread
from tlbench.observing.precision import exact_products

from .model import ConvUnit, InceptionModel, as_network_input

FRAMES_A_PASS = 4  # enough for full speed of one thread; the products' last digits depend on it


def fused(model: InceptionModel) -> InceptionModel:
    """The network with each batch normalisation fused into the convolution before it, in place, channels last."""
    for unit in [module for module in model.modules() if isinstance(module, ConvUnit)]:
        conv = unit.conv
        assert isinstance(conv, nn.Conv2d)
        weight, bias = fuse(conv.weight, None, unit.bn)
        conv.weight = nn.Parameter(weight.float(), requires_grad=False)
        conv.bias = nn.Parameter(bias.float(), requires_grad=False)
        unit.bn = nn.Identity()
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


class InceptionInference:
    """The fused network on a device."""

    def __init__(self, model: InceptionModel, device: str) -> None:
        self._side = model.dims.side
        self._features = model.dims.features
        self._device = torch.device(device)
        self._model = fused(model).to(self._device)

    @torch.inference_mode()
    def prepared(self, pictures: np.ndarray) -> Tensor:
        """(n, height, width, 3) uint8 RGB to (n, 3, side, side) float32 on the device."""
        return as_network_input(torch.from_numpy(pictures).to(self._device), self._side)

    def features(self, waiting: Tensor) -> np.ndarray:
        """(n, 3, side, side) to (n, features) float32."""
        passes = [waiting[start : start + FRAMES_A_PASS] for start in range(0, len(waiting), FRAMES_A_PASS)]
        found = each_on_one_thread(self._pass, passes) if self._device.type == "cpu" else list(map(self._pass, passes))
        return np.concatenate([self.empty(), *found])

    @torch.inference_mode()
    def _pass(self, pictures: Tensor) -> np.ndarray:
        """(n, 3, side, side), at most :data:`FRAMES_A_PASS`, to (n, features); fewer are filled up with grey."""
        missing = FRAMES_A_PASS - len(pictures)
        if missing:
            pictures = torch.cat([pictures, pictures.new_zeros(missing, *pictures.shape[1:])])
        with exact_products(self._device):
            found = self._model(pictures.contiguous(memory_format=torch.channels_last))[: FRAMES_A_PASS - missing]
        return np.asarray(found.float().cpu().numpy())

    def empty(self) -> np.ndarray:
        """(0, features) float32."""
        return np.zeros((0, self._features), np.float32)
