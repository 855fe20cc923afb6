"""Inception-v3 as FID uses it: the layers of TensorFlow's network of 2015-12-05, named as in torch-fidelity's file.

The structure is that of Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision". What differs
from torchvision's network is stated by mseitzer/pytorch-fid (``inception.py``) and toshas/torch-fidelity
(``feature_extractor_inceptionv3.py``): average pooling leaves the padding out of its mean, the last block pools by the
maximum, and there are 1,008 classes. The file also holds the classifier, ``fc``, which FID does not use.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from .dims import PUBLISHED, Dims

CLASSES = 1008
Size = int | tuple[int, int]


class ConvUnit(nn.Module):
    """Convolution without bias, batch normalisation, rectifier."""

    conv: nn.Module
    bn: nn.Module

    def __init__(self, channels: int, out: int, kernel: Size, stride: int = 1, *, same: bool = True) -> None:
        super().__init__()
        sizes = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sizes[0] // 2, sizes[1] // 2) if same else (0, 0)
        self.conv = nn.Conv2d(channels, out, sizes, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


def mean_pool(x: Tensor) -> Tensor:
    """Mean of 3x3 pixels, at the edge of those that are there."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def same_max_pool(x: Tensor) -> Tensor:
    """Maximum of 3x3 pixels, at the edge of those that are there."""
    return F.max_pool2d(x, 3, 1, 1)


def half_max_pool(x: Tensor) -> Tensor:
    """Maximum of 3x3 pixels at every other pixel."""
    return F.max_pool2d(x, 3, 2)


class BlockA(nn.Module):
    """35x35 pixels."""

    def __init__(self, channels: int, pooled: int, k: int) -> None:
        super().__init__()
        self.branch1x1 = ConvUnit(channels, 64 // k, 1)
        self.branch5x5_1 = ConvUnit(channels, 48 // k, 1)
        self.branch5x5_2 = ConvUnit(48 // k, 64 // k, 5)
        self.branch3x3dbl_1 = ConvUnit(channels, 64 // k, 1)
        self.branch3x3dbl_2 = ConvUnit(64 // k, 96 // k, 3)
        self.branch3x3dbl_3 = ConvUnit(96 // k, 96 // k, 3)
        self.branch_pool = ConvUnit(channels, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        fives = self.branch5x5_2(self.branch5x5_1(x))
        threes = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), fives, threes, self.branch_pool(mean_pool(x))], 1)


class BlockB(nn.Module):
    """35x35 to 17x17 pixels."""

    def __init__(self, channels: int, k: int) -> None:
        super().__init__()
        self.branch3x3 = ConvUnit(channels, 384 // k, 3, 2, same=False)
        self.branch3x3dbl_1 = ConvUnit(channels, 64 // k, 1)
        self.branch3x3dbl_2 = ConvUnit(64 // k, 96 // k, 3)
        self.branch3x3dbl_3 = ConvUnit(96 // k, 96 // k, 3, 2, same=False)

    def forward(self, x: Tensor) -> Tensor:
        threes = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), threes, half_max_pool(x)], 1)


class BlockC(nn.Module):
    """17x17 pixels."""

    def __init__(self, channels: int, inner: int, k: int) -> None:
        super().__init__()
        out = 192 // k
        self.branch1x1 = ConvUnit(channels, out, 1)
        self.branch7x7_1 = ConvUnit(channels, inner, 1)
        self.branch7x7_2 = ConvUnit(inner, inner, (1, 7))
        self.branch7x7_3 = ConvUnit(inner, out, (7, 1))
        self.branch7x7dbl_1 = ConvUnit(channels, inner, 1)
        self.branch7x7dbl_2 = ConvUnit(inner, inner, (7, 1))
        self.branch7x7dbl_3 = ConvUnit(inner, inner, (1, 7))
        self.branch7x7dbl_4 = ConvUnit(inner, inner, (7, 1))
        self.branch7x7dbl_5 = ConvUnit(inner, out, (1, 7))
        self.branch_pool = ConvUnit(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        sevens = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        doubled = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        doubled = self.branch7x7dbl_5(self.branch7x7dbl_4(doubled))
        return torch.cat([self.branch1x1(x), sevens, doubled, self.branch_pool(mean_pool(x))], 1)


class BlockD(nn.Module):
    """17x17 to 8x8 pixels."""

    def __init__(self, channels: int, k: int) -> None:
        super().__init__()
        self.branch3x3_1 = ConvUnit(channels, 192 // k, 1)
        self.branch3x3_2 = ConvUnit(192 // k, 320 // k, 3, 2, same=False)
        self.branch7x7x3_1 = ConvUnit(channels, 192 // k, 1)
        self.branch7x7x3_2 = ConvUnit(192 // k, 192 // k, (1, 7))
        self.branch7x7x3_3 = ConvUnit(192 // k, 192 // k, (7, 1))
        self.branch7x7x3_4 = ConvUnit(192 // k, 192 // k, 3, 2, same=False)

    def forward(self, x: Tensor) -> Tensor:
        threes = self.branch3x3_2(self.branch3x3_1(x))
        sevens = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([threes, sevens, half_max_pool(x)], 1)


class BlockE(nn.Module):
    """8x8 pixels. ``pool`` is the mean in the first of the two and the maximum in the second."""

    def __init__(self, channels: int, pool: Callable[[Tensor], Tensor], k: int) -> None:
        super().__init__()
        half = 384 // k
        self.branch1x1 = ConvUnit(channels, 320 // k, 1)
        self.branch3x3_1 = ConvUnit(channels, half, 1)
        self.branch3x3_2a = ConvUnit(half, half, (1, 3))
        self.branch3x3_2b = ConvUnit(half, half, (3, 1))
        self.branch3x3dbl_1 = ConvUnit(channels, 448 // k, 1)
        self.branch3x3dbl_2 = ConvUnit(448 // k, half, 3)
        self.branch3x3dbl_3a = ConvUnit(half, half, (1, 3))
        self.branch3x3dbl_3b = ConvUnit(half, half, (3, 1))
        self.branch_pool = ConvUnit(channels, 192 // k, 1)
        self._pool = pool

    def forward(self, x: Tensor) -> Tensor:
        threes = self.branch3x3_1(x)
        doubled = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        parts = [self.branch1x1(x), self.branch3x3_2a(threes), self.branch3x3_2b(threes)]
        parts += [self.branch3x3dbl_3a(doubled), self.branch3x3dbl_3b(doubled), self.branch_pool(self._pool(x))]
        return torch.cat(parts, 1)


class InceptionModel(nn.Module):
    """Pictures to the features before the classifier."""

    def __init__(self, dims: Dims = PUBLISHED) -> None:
        super().__init__()
        k = dims.divisor
        self.dims = dims
        self.Conv2d_1a_3x3 = ConvUnit(3, 32 // k, 3, 2, same=False)
        self.Conv2d_2a_3x3 = ConvUnit(32 // k, 32 // k, 3, same=False)
        self.Conv2d_2b_3x3 = ConvUnit(32 // k, 64 // k, 3)
        self.Conv2d_3b_1x1 = ConvUnit(64 // k, 80 // k, 1)
        self.Conv2d_4a_3x3 = ConvUnit(80 // k, 192 // k, 3, same=False)
        self.Mixed_5b = BlockA(192 // k, 32 // k, k)
        self.Mixed_5c = BlockA(256 // k, 64 // k, k)
        self.Mixed_5d = BlockA(288 // k, 64 // k, k)
        self.Mixed_6a = BlockB(288 // k, k)
        self.Mixed_6b = BlockC(768 // k, 128 // k, k)
        self.Mixed_6c = BlockC(768 // k, 160 // k, k)
        self.Mixed_6d = BlockC(768 // k, 160 // k, k)
        self.Mixed_6e = BlockC(768 // k, 192 // k, k)
        self.Mixed_7a = BlockD(768 // k, k)
        self.Mixed_7b = BlockE(1280 // k, mean_pool, k)
        self.Mixed_7c = BlockE(dims.features, same_max_pool, k)
        self.fc = nn.Linear(dims.features, CLASSES)

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, 3, side, side) from -1 to 1 to (n, features)."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(pictures)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(half_max_pool(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(half_max_pool(x))))
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))
        x = self.Mixed_6e(self.Mixed_6d(x))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        features: Tensor = x.mean((2, 3))
        return features


def as_network_input(frames: Tensor, side: int) -> Tensor:
    """Frames as the network takes them: resized as TensorFlow 1 does, and scaled by ``(x - 128) / 128``.

    TensorFlow 1's bilinear resizing has no half-pixel centres: pixel i of the result is at ``i * in / out`` of the
    frame, and nothing is averaged when a frame becomes smaller (toshas/torch-fidelity
    ``interpolate_compat_tensorflow.py``). The scaling is the network's own (``feature_extractor_inceptionv3.py``).

    Parameters
    ----------
    frames : (n, height, width, 3) uint8 RGB

    Returns
    -------
    (n, 3, side, side) float32, channels last
    """
    x = frames.float()
    for axis in (2, 1):
        length = frames.shape[axis]
        place = torch.arange(side, dtype=torch.float32, device=frames.device) * torch.tensor(length / side)
        low = place.long()
        share = (place - low).view(-1, *[1] * (3 - axis))
        first = x.index_select(axis, low)
        x = first + (x.index_select(axis, (low + 1).clamp_max(length - 1)) - first) * share
    return ((x - 128) / 128).movedim(-1, 1)
