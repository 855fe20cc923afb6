"""The visual front end of AV-HuBERT and auto_avsr for inference: the features of the plain one to rounding, faster.

A convolution over 5 frames, then a ResNet-18 for each frame. Batch normalisation is fused into the convolutions, the
first layer's 5 frames are channels of a 2-D convolution, memory is channels-last, and frames are computed a few at a
time, so that intermediate values stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.observing.fused_layers import conv2d, fuse

FRAMES_SEEN = 5  # by the first layer, for each frame
_FIRST_CHANNELS = 8  # FRAMES_SEEN of them are used: oneDNN is a third faster with 8 channels than with 5
FRAMES_A_PASS = 32


@dataclass(frozen=True)
class BlockParts:
    """A residual block: two convolutions, each with its batch normalisation and activation, and its shortcut."""

    convolutions: tuple[nn.Conv2d, nn.Conv2d]
    norms: tuple[nn.BatchNorm2d, nn.BatchNorm2d]
    activations: tuple[nn.Module, nn.Module]
    downsample: nn.Sequential | None


class _Block(nn.Module):
    def __init__(self, parts: BlockParts) -> None:
        super().__init__()
        (first, second), (first_norm, second_norm) = parts.convolutions, parts.norms
        stride = first.stride[0]
        self.first = conv2d(*fuse(first.weight, None, first_norm), stride, 1)
        self.second = conv2d(*fuse(second.weight, None, second_norm), 1, 1)
        self.shortcut: nn.Conv2d | None = None
        if parts.downsample is not None:
            convolution, norm = parts.downsample
            assert isinstance(convolution, nn.Conv2d)
            self.shortcut = conv2d(*fuse(convolution.weight, None, norm), stride, 0)
        self.first_activation, self.second_activation = parts.activations

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first_activation(self.first(x)))
        return self.second_activation(y.add_(x if self.shortcut is None else self.shortcut(x)))  # type: ignore[no-any-return]


class FusedTrunk(nn.Module):
    """A front end with fused layers; it has its own weights.

    Parameters
    ----------
    first : nn.Conv3d
        Over 5 frames, 7x7 pixels, one channel in.
    norm, activation : nn.Module
        After it.
    blocks : sequence of BlockParts
    """

    def __init__(self, first: nn.Module, norm: nn.Module, activation: nn.Module, blocks: Sequence[BlockParts]) -> None:
        super().__init__()
        assert isinstance(first, nn.Conv3d)
        kernel = F.pad(first.weight[:, 0], (0, 0, 0, 0, 0, _FIRST_CHANNELS - FRAMES_SEEN))
        self.first = conv2d(*fuse(kernel, None, norm), 2, 3)
        self.activation = activation
        self.blocks = nn.Sequential(*map(_Block, blocks))

    @torch.inference_mode()
    def forward(self, clip: Tensor) -> Tensor:
        """(T, H, W) normalised crops to (T, 8 width)."""
        around = FRAMES_SEEN // 2
        padded = F.pad(clip, (0, 0, 0, 0, around, around))
        passes = [
            self._pass(padded[start : start + FRAMES_A_PASS + 2 * around])
            for start in range(0, len(clip), FRAMES_A_PASS)
        ]
        return torch.cat(passes)

    def _pass(self, frames: Tensor) -> Tensor:
        """(n + 4, H, W) to the (n, 8 width) features of all but the first and last two frames."""
        count = len(frames) - FRAMES_SEEN + 1
        windows = frames.new_zeros(count, *frames.shape[1:], _FIRST_CHANNELS)
        windows[..., :FRAMES_SEEN] = frames.unfold(0, FRAMES_SEEN, 1)
        x = self.activation(self.first(windows.movedim(-1, 1)))
        x = F.max_pool2d(x, 3, 2, 1)
        return self.blocks(x).mean(dim=(2, 3))  # type: ignore[no-any-return]
