"""3x3 convolutions of maps of a few pixels as products of matrices with packed weights, for inference.

The last stage of a ResNet-18 sees 3x3 or 4x4 pixels. There oneDNN's convolution reaches half to two thirds of the
processor's peak, and a third of what it multiplies is padding. Here each row of the kernel is one product, of the
output rows for which it does not lie in the padding. ``python -m benchmarks.small_maps`` compares the two; they differ
by rounding only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlbench.observing.packed_linear import PackedLinear

KERNEL = 3
FEWEST_CHANNELS = 256  # out: with fewer, oneDNN's convolution is faster


class SmallMapConv2d(nn.Conv2d):
    """A 3x3 convolution of maps of a few pixels; what packs its network may replace it."""

    @property
    def faster_packed(self) -> bool:
        """Whether :class:`PackedRows` is faster; in bfloat16 its sums of rows would be rounded more often."""
        return self.out_channels >= FEWEST_CHANNELS and self.weight.dtype is torch.float32


class PackedRows(nn.Module):
    """A :class:`SmallMapConv2d` with a packed weight for each row of its kernel, on a CPU and without gradients."""

    def __init__(self, layer: SmallMapConv2d) -> None:
        super().__init__()
        assert layer.kernel_size == (KERNEL, KERNEL), layer
        assert layer.padding in ((0, 0), (1, 1)), layer
        assert (layer.dilation, layer.groups) == ((1, 1), 1), layer
        self._stride, self._padding = layer.stride[0], int(layer.padding[0])
        by_row = layer.weight.detach().permute(2, 0, 3, 1).flatten(2)  # (3, out, 3 in)
        self.rows = nn.ModuleList(
            PackedLinear(weight, layer.bias if row == self._padding else None) for row, weight in enumerate(by_row)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) to (n, out, h', w'); rows of pixels follow one another in memory."""
        count, channels, height, width = x.shape
        stride, around = self._stride, self._padding
        padded = x.new_zeros(height, count, width + 2 * around, channels)
        padded[:, :, around : around + width] = x.permute(2, 0, 3, 1)
        windows = padded.unfold(2, KERNEL, stride).transpose(3, 4).flatten(3)  # (h, n, w', 3 in)
        last = (height + 2 * around - KERNEL) // stride  # row of the output
        # The row of the kernel that lies on an input row for every output row; it has the bias.
        made: Tensor = self.rows[around](windows[: stride * last + 1 : stride])  # (h', n, w', out)
        for row, product in enumerate(self.rows):
            above = row - around  # the output's row y sees the input's row stride * y + above
            first, end = -(-max(-above, 0) // stride), min((height - 1 - above) // stride, last) + 1
            if row != around and first < end:
                seen = windows[stride * first + above : stride * (end - 1) + above + 1 : stride]
                made[first:end] += product(seen)
        return made.permute(1, 3, 0, 2)
