"""A convolution of single pixels with a stride, as in the shortcuts of a ResNet."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class StridedPointwise(nn.Conv2d):
    """A 1x1 convolution of one pixel in ``stride`` rows and columns, without bias.

    In training the pixels are picked first. PyTorch 2.13 on a CPU, in the backward pass of the same convolution with a
    stride in channels-last memory, writes far beyond the buffer of the weight's gradient: with fewer than 16 input
    channels on a processor with AVX-512, fewer than 8 with AVX2.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h / stride, w / stride), the sizes rounded up."""
        if not (torch.is_grad_enabled() and self.weight.requires_grad):
            return super().forward(x)
        rows, columns = self.stride
        return F.conv2d(x[:, :, ::rows, ::columns], self.weight)
