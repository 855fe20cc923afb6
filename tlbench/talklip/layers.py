"""The convolution blocks of Wav2Lip and TalkLip.

Names inside a block are those of the originals (Rudrabha/Wav2Lip and Sxjdwang/TalkLip, ``models/conv.py``):
``conv_block.0`` is the convolution, ``conv_block.1`` its batch normalisation.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

Pair = int | tuple[int, int]


class Convolution(nn.Module):
    """Convolution, batch normalisation, ReLU; with ``residual`` the input is added before the ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Pair, stride: Pair = 1, padding: int = 0, *, residual: bool = False
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.BatchNorm2d(outputs))
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv_block(x)
        return F.relu(out + x if self.residual else out)


class Upsampling(nn.Module):
    """Transposed 3x3 convolution, batch normalisation, ReLU: doubles the size; with ``first`` 1x1 becomes 3x3."""

    def __init__(self, inputs: int, outputs: int, *, first: bool = False) -> None:
        super().__init__()
        stride, padding, extra = (1, 0, 0) if first else (2, 1, 1)
        self.conv_block = nn.Sequential(
            nn.ConvTranspose2d(inputs, outputs, 3, stride, padding, extra), nn.BatchNorm2d(outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv_block(x))


class PlainConvolution(nn.Module):
    """Convolution and leaky ReLU, without batch normalisation; for discriminators."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: Pair = 1, padding: int = 0) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.conv_block(x), 0.01)


def with_residuals(first: nn.Module, channels: int, count: int) -> nn.Sequential:
    """``first``, followed by ``count`` residual 3x3 convolutions of the same size."""
    residuals = (Convolution(channels, channels, 3, 1, 1, residual=True) for _ in range(count))
    return nn.Sequential(first, *residuals)
