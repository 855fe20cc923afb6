"""The first layer of the readers' visual front ends, for inference: 5 frames, 7x7 pixels, every second pixel.

The frames are channels of a 2-D convolution, and so are the two columns of each step: a kernel of 7 rows and 4 pairs of
columns with 10 channels computes the same as one of 7x7 with 5. With 5 channels oneDNN's convolution was slow on an AMD
EPYC; 8 channels, of which 3 are zeros, take 1.4 times as long as 10 on an Intel Xeon, where 5 are as fast as 10
(``python -m benchmarks.small_maps``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.observing.fused_layers import fuse

FRAMES_SEEN = 5  # for each frame
AROUND = FRAMES_SEEN // 2
KERNEL, STRIDE, PADDING = 7, 2, 3  # in pixels


class FirstLayer(nn.Module):
    """A convolution over frames and its batch normalisation; it has its own weights.

    Parameters
    ----------
    layer : nn.Module
        A Conv3d of one channel in, 5 frames, 7x7 pixels, stride 2 and padding 3 in pixels, without bias.
    norm : nn.Module
        The batch normalisation after it.
    """

    def __init__(self, layer: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        assert isinstance(layer, nn.Conv3d)
        weight, bias = fuse(layer.weight[:, 0], None, norm)  # (out, 5, 7, 7)
        assert weight.shape[1:] == (FRAMES_SEEN, KERNEL, KERNEL), weight.shape
        with_zeros = F.pad(weight, (0, 1))  # an eighth column
        by_pair = with_zeros.view(*with_zeros.shape[:3], -1, STRIDE)  # (out, 5, 7, 4, 2)
        kernel = by_pair.permute(0, 4, 1, 2, 3).flatten(1, 2)  # (out, 10, 7, 4)
        size = (KERNEL, kernel.shape[3])
        self._conv = nn.Conv2d(STRIDE * FRAMES_SEEN, len(kernel), size, (STRIDE, 1), (PADDING, 0))
        self._conv.load_state_dict({"weight": kernel, "bias": bias})
        self._conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def device(self) -> torch.device:
        return self._conv.weight.device

    def forward(self, clips: Sequence[Tensor]) -> Tensor:
        """Each clip's n frames with two more at either end, (n + 4, h, w), to (all n, out, h/2, w/2)."""
        counts = [len(frames) - 2 * AROUND for frames in clips]
        height, width = clips[0].shape[1:]
        columns = STRIDE * (-(-width // STRIDE) + PADDING)
        windows = clips[0].new_empty(sum(counts), height, columns, FRAMES_SEEN)
        windows[:, :, :PADDING] = 0
        windows[:, :, PADDING + width :] = 0
        seen = windows[:, :, PADDING : PADDING + width]
        for own, frames in zip(torch.split(seen, counts), clips, strict=True):
            own.copy_(frames.unfold(0, FRAMES_SEEN, 1))
        pairs = windows.view(len(windows), height, -1, STRIDE * FRAMES_SEEN)
        made: Tensor = self._conv(pairs.movedim(-1, 1).to(self._conv.weight.dtype))
        return made
