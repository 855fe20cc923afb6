"""ArcFace's ResNet as a plain module: from an aligned face to its embedding.

The structure is that of deepinsight/insightface ``recognition/arcface_torch/backbones/iresnet.py`` (Deng et al., CVPR
2019): a block begins with batch normalisation, its second convolution strides, and its output is not rectified. Batch
normalisation behind a layer is computed into it, as in the published file; that before one is a scale and a shift,
since the zeros of the layer's padding are not shifted.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .dims import SIDE, STAGES, Dims


class Affine(nn.Module):
    """A scale and a shift of each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale[:, None, None] + self.shift[:, None, None]


class Block(nn.Module):
    """Two convolutions and the way around them, which has a convolution of its own where the block strides."""

    def __init__(self, channels: int, out: int, *, strides: bool) -> None:
        super().__init__()
        stride = 2 if strides else 1
        self.before = Affine(channels)
        self.first = nn.Conv2d(channels, out, 3, 1, 1)
        self.prelu = nn.PReLU(out)
        self.second = nn.Conv2d(out, out, 3, stride, 1)
        self.around = nn.Conv2d(channels, out, 1, stride) if strides else None

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.second(self.prelu(self.first(self.before(x))))
        return found + (x if self.around is None else self.around(x))


class ArcFaceNetwork(nn.Module):
    """Aligned faces to embeddings."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.dims = dims
        channels = dims.channels[0]
        self.first = nn.Conv2d(3, channels, 3, 1, 1)
        self.prelu = nn.PReLU(channels)
        self.blocks = nn.ModuleList()
        for count, out in zip(dims.blocks, dims.channels, strict=True):
            for number in range(count):
                self.blocks.append(Block(channels, out, strides=number == 0))
                channels = out
        self.last = Affine(channels)
        self.linear = nn.Linear(channels * (SIDE // 2**STAGES) ** 2, dims.features)

    def forward(self, faces: Tensor) -> Tensor:
        """(n, 3, 112, 112) of :func:`as_network_input` to (n, features)."""
        x = self.prelu(self.first(faces))
        for block in self.blocks:
            x = block(x)
        found: Tensor = self.linear(self.last(x).flatten(1))
        return found


def as_network_input(faces: Tensor) -> Tensor:
    """(n, 112, 112, 3) uint8 RGB to (n, 3, 112, 112) float32 from -1 to 1."""
    return ((faces.float() - 127.5) / 127.5).movedim(-1, 1)
