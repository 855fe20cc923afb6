"""I3D (Carreira & Zisserman 2017, "Quo vadis, action recognition?"), of RGB frames, to the logits of Kinetics-400.

Names of tensors, padding and the 1e-3 of the normalisation are those of hassony2/kinetics_i3d_pytorch
(``src/i3dpt.py``), from which the class of the usual TorchScript file is made (it is called ``src.i3dpt_jit.I3D``
there). Padding is TensorFlow's SAME: of an odd number of pixels the larger half is behind. Sizes are even wherever a
stride halves them, so the padding is the same for every window.
"""

from __future__ import annotations

from functools import reduce

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from .dims import PUBLISHED, Dims

Shape = tuple[int, int, int]  # time, height, width
ONES: Shape = (1, 1, 1)


def same_padding(kernel: Shape, stride: Shape) -> list[int]:
    """The padding for :func:`torch.nn.functional.pad`: before and behind of width, height and time."""
    found: list[int] = []
    for size, step in reversed(list(zip(kernel, stride, strict=True))):
        padded = max(size - step, 0)
        found += [padded // 2, padded - padded // 2]
    return found


class VideoUnit(nn.Module):
    """Convolution with SAME padding, batch normalisation, rectifier."""

    conv3d: nn.Module
    batch3d: nn.Module

    def __init__(self, channels: int, out: int, kernel: Shape = ONES, stride: Shape = ONES) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(channels, out, kernel, stride, bias=False)
        self.batch3d = nn.BatchNorm3d(out, eps=1e-3)
        self._padding = same_padding(kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, self._padding) if any(self._padding) else x
        return F.relu(self.batch3d(self.conv3d(padded)), inplace=True)


class VideoLogits(nn.Module):
    """The classifier: a convolution of one pixel with a bias."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(channels, classes, ONES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.conv3d(x)
        return logits


class SamePool(nn.Module):
    """Maximum with SAME padding by zeros, which change nothing behind a rectifier.

    The largest of a box is that of the largest along one axis after the other: the same number, and several times as
    fast as torch's pooling of three axes on a CPU.
    """

    def __init__(self, kernel: Shape, stride: Shape) -> None:
        super().__init__()
        self._kernel, self._stride = kernel, stride
        self._padding = same_padding(kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, self._padding)
        for axis, (size, step) in enumerate(zip(self._kernel, self._stride, strict=True), start=2):
            x = reduce(torch.maximum, x.unfold(axis, size, step).unbind(-1))
        return x


class Mixed(nn.Module):
    """Four branches side by side; ``out`` are their channels in the order of the paper."""

    def __init__(self, channels: int, out: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        threes: Shape = (3, 3, 3)
        self.branch_0 = VideoUnit(channels, out[0])
        self.branch_1 = nn.Sequential(VideoUnit(channels, out[1]), VideoUnit(out[1], out[2], threes))
        self.branch_2 = nn.Sequential(VideoUnit(channels, out[3]), VideoUnit(out[3], out[4], threes))
        self.branch_3 = nn.Sequential(SamePool(threes, ONES), VideoUnit(channels, out[5]))
        self.channels = out[0] + out[2] + out[4] + out[5]

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch_0(x), self.branch_1(x), self.branch_2(x), self.branch_3(x)], 1)


class I3DModel(nn.Module):
    """A window of frames to its logits."""

    def __init__(self, dims: Dims = PUBLISHED) -> None:
        super().__init__()
        k = dims.divisor
        self.dims = dims

        def mixed(channels: int, *out: int) -> Mixed:
            a, b, c, d, e, f = (width // k for width in out)
            return Mixed(channels, (a, b, c, d, e, f))

        self.conv3d_1a_7x7 = VideoUnit(3, 64 // k, (7, 7, 7), (2, 2, 2))
        self.maxPool3d_2a_3x3 = SamePool((1, 3, 3), (1, 2, 2))
        self.conv3d_2b_1x1 = VideoUnit(64 // k, 64 // k)
        self.conv3d_2c_3x3 = VideoUnit(64 // k, 192 // k, (3, 3, 3))
        self.maxPool3d_3a_3x3 = SamePool((1, 3, 3), (1, 2, 2))
        self.mixed_3b = mixed(192 // k, 64, 96, 128, 16, 32, 32)
        self.mixed_3c = mixed(self.mixed_3b.channels, 128, 128, 192, 32, 96, 64)
        self.maxPool3d_4a_3x3 = SamePool((3, 3, 3), (2, 2, 2))
        self.mixed_4b = mixed(self.mixed_3c.channels, 192, 96, 208, 16, 48, 64)
        self.mixed_4c = mixed(self.mixed_4b.channels, 160, 112, 224, 24, 64, 64)
        self.mixed_4d = mixed(self.mixed_4c.channels, 128, 128, 256, 24, 64, 64)
        self.mixed_4e = mixed(self.mixed_4d.channels, 112, 144, 288, 32, 64, 64)
        self.mixed_4f = mixed(self.mixed_4e.channels, 256, 160, 320, 32, 128, 128)
        self.maxPool3d_5a_2x2 = SamePool((2, 2, 2), (2, 2, 2))
        self.mixed_5b = mixed(self.mixed_4f.channels, 256, 160, 320, 32, 128, 128)
        self.mixed_5c = mixed(self.mixed_5b.channels, 384, 192, 384, 48, 128, 128)
        self.conv3d_0c_1x1 = VideoLogits(self.mixed_5c.channels, dims.classes)

    def forward(self, windows: Tensor) -> Tensor:
        """(n, 3, frames, side, side) from -1 to 1 to (n, classes)."""
        x = self.maxPool3d_2a_3x3(self.conv3d_1a_7x7(windows))
        x = self.maxPool3d_3a_3x3(self.conv3d_2c_3x3(self.conv3d_2b_1x1(x)))
        x = self.maxPool3d_4a_3x3(self.mixed_3c(self.mixed_3b(x)))
        x = self.mixed_4e(self.mixed_4d(self.mixed_4c(self.mixed_4b(x))))
        x = self.maxPool3d_5a_2x2(self.mixed_4f(x))
        x = self.mixed_5c(self.mixed_5b(x))
        x = F.avg_pool3d(x, (self.dims.frames // 8, self.dims.side // 32, self.dims.side // 32), 1)
        logits: Tensor = self.conv3d_0c_1x1(x).flatten(3).squeeze(3).mean(2)
        return logits


def as_network_input(frames: Tensor, side: int) -> Tensor:
    """(n, height, width, 3) uint8 RGB to (3, n, side, side) float32 from -1 to 1.

    Resized bilinearly without antialiasing, whatever their shape, and scaled by ``2 x / 255 - 1``. StyleGAN-V
    (universome/stylegan-v ``src/metrics/frechet_video_distance.py``) leaves both to the file: ``resize``, ``rescale``.
    """
    pictures = F.interpolate(frames.movedim(-1, 1).float(), (side, side), mode="bilinear", align_corners=False)
    return (pictures * (2 / 255) - 1).transpose(0, 1)
