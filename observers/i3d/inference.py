"""Windows to logits: batch normalisation fused, one window in each call of the network, each call on one thread.

So the logits of a window depend neither on other windows nor on the number of threads.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.observing.fixed_passes import FixedPasses
from tlbench.observing.fused_layers import fuse

from .model import I3DModel, VideoUnit, as_network_input


class OneDNNConvolution(nn.Module):
    """A convolution by oneDNN on a CPU, whatever its size.

    On one thread torch itself takes oneDNN for large inputs only, and for the others products of matrices that it
    first copies together (``use_mkldnn`` in its ``aten/src/ATen/native/Convolution.cpp``).
    """

    def __init__(self, conv: nn.Conv3d, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self._stride = conv.stride

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            return F.conv3d(x, self.weight, self.bias, self._stride)
        found: Tensor = torch.mkldnn_convolution(x, self.weight, self.bias, (0, 0, 0), self._stride, (1, 1, 1), 1)
        return found


def fused(model: I3DModel) -> I3DModel:
    """The network with each batch normalisation fused into the convolution before it, in place."""
    for unit in [module for module in model.modules() if isinstance(module, VideoUnit)]:
        conv = unit.conv3d
        assert isinstance(conv, nn.Conv3d)
        weight, bias = fuse(conv.weight, None, unit.batch3d)
        unit.conv3d = OneDNNConvolution(conv, weight.float(), bias.float())
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
