"""3x3 convolutions of maps of a few pixels as products of matrices with packed weights, for inference.

The last stage of a ResNet-18 sees 3x3 or 4x4 pixels. There oneDNN's convolution reaches half of the processor's peak,
and a third of what it multiplies is padding. Here each row of the kernel is one product, of the output rows for which
it does not lie in the padding. ``python -m benchmarks.small_maps`` compares the two; they differ by rounding only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlbench.observing.packed_linear import PackedLinear

KERNEL = 3
FEWEST_CHANNELS = 256  # out: with fewer, oneDNN's convolution is faster


class SmallMapConv2d(nn.Conv2d):
    """A 3x3 convolution with padding of maps of a few pixels; what packs its network may replace it.

    Parameters
    ----------
    weight : (out, in, 3, 3)
    bias : (out,) or None
    stride, padding : int
        The padding is 1.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> None:
        out, channels, *kernel = weight.shape
        assert (kernel, padding) == ([KERNEL, KERNEL], 1), (kernel, padding)
        super().__init__(channels, out, KERNEL, stride, padding, bias=bias is not None)
        self.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def faster_packed(self) -> bool:
        """Whether :class:`PackedRows` is faster; in bfloat16 its sums of rows would be rounded more often."""
        return self.out_channels >= FEWEST_CHANNELS and self.weight.dtype is torch.float32


class PackedRows(nn.Module):
    """A :class:`SmallMapConv2d` with a packed weight for each row of its kernel, on a CPU and without gradients."""

    def __init__(self, layer: SmallMapConv2d) -> None:
        super().__init__()
        self._stride = layer.stride[0]
        above, middle, below = layer.weight.detach().permute(2, 0, 3, 1).flatten(2)  # (out, 3 in) each
        self.above = PackedLinear(above, None)
        self.middle = PackedLinear(middle, layer.bias)
        self.below = PackedLinear(below, None)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) to (n, out, h', w'); rows of pixels follow one another in memory."""
        count, channels, height, width = x.shape
        padded = x.new_zeros(height, count, width + 2, channels)
        padded[:, :, 1:-1] = x.permute(2, 0, 3, 1)
        windows = padded.unfold(2, KERNEL, self._stride).transpose(3, 4).flatten(3)  # (h, n, w', 3 in)
        made: Tensor = self.middle(windows[:: self._stride])  # (h', n, w', out)
        over = windows[self._stride - 1 : self._stride * (len(made) - 1) : self._stride]  # of all but the first row
        if len(over):
            made[1:] += self.above(over)
        under = windows[1 :: self._stride]  # of all rows, or of all but the last
        if len(under):
            made[: len(under)] += self.below(under)
        return made.permute(1, 3, 0, 2)
