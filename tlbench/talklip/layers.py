"""The convolutions that Wav2Lip and TalkLip are made of.

Names inside a block are the originals' (Rudrabha/Wav2Lip and Sxjdwang/TalkLip, ``models/conv.py``): ``conv_block.0`` is
the convolution, ``conv_block.1`` its batch normalisation.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

Pair = int | tuple[int, int]


class Convolution(nn.Module):
    """Convolution, batch normalisation, ReLU; with ``residual``, what came in is added before the ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Pair, stride: Pair = 1, padding: int = 0, *, residual: bool = False
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.BatchNorm2d(outputs))
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv_block(x)
        return F.relu(found + x if self.residual else found)


class Upsampling(nn.Module):
    """Transposed 3x3 convolution, batch normalisation, ReLU: twice the size, or from 1x1 to 3x3 with ``first``."""

    def __init__(self, inputs: int, outputs: int, *, first: bool = False) -> None:
        super().__init__()
        stride, padding, extra = (1, 0, 0) if first else (2, 1, 1)
        self.conv_block = nn.Sequential(
            nn.ConvTranspose2d(inputs, outputs, 3, stride, padding, extra), nn.BatchNorm2d(outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv_block(x))


class PlainConvolution(nn.Module):
    """Convolution and leaky ReLU, of discriminators."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: Pair = 1, padding: int = 0) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.conv_block(x), 0.01)


def with_residuals(first: nn.Module, channels: int, count: int) -> nn.Sequential:
    """``first``, then ``count`` residual 3x3 convolutions that keep its size."""
    kept = (Convolution(channels, channels, 3, 1, 1, residual=True) for _ in range(count))
    return nn.Sequential(first, *kept)
