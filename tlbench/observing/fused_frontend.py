"""The visual front end of AV-HuBERT and auto_avsr for inference: the features of the plain one to rounding, faster.

A convolution over 5 frames (:mod:`tlbench.observing.first_layer`), then a ResNet-18 for each frame. Batch normalisation
is fused into the convolutions, memory is channels-last, and frames are computed a few at a time, so that intermediate
values stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.observing.first_layer import AROUND, FirstLayer
from tlbench.observing.fused_layers import conv2d, fuse
from tlbench.observing.small_maps import SmallMapConv2d

FRAMES_A_PASS = 32
LAST_STAGE = 2  # blocks, whose maps have few pixels


@dataclass(frozen=True)
class BlockParts:
    """A residual block: two convolutions, each with its batch normalisation and activation, and its shortcut."""

    convolutions: tuple[nn.Conv2d, nn.Conv2d]
    norms: tuple[nn.BatchNorm2d, nn.BatchNorm2d]
    activations: tuple[nn.Module, nn.Module]
    downsample: nn.Sequential | None


class _Block(nn.Module):
    def __init__(self, parts: BlockParts, small_maps: bool) -> None:
        super().__init__()
        kind = SmallMapConv2d if small_maps else nn.Conv2d
        (first, second), (first_norm, second_norm) = parts.convolutions, parts.norms
        stride = first.stride[0]
        self.first = conv2d(*fuse(first.weight, None, first_norm), stride, 1, kind)
        self.second = conv2d(*fuse(second.weight, None, second_norm), 1, 1, kind)
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
        self.first = FirstLayer(first, norm)
        self.activation = activation
        small_maps = len(blocks) - LAST_STAGE
        self.blocks = nn.Sequential(*(_Block(parts, place >= small_maps) for place, parts in enumerate(blocks)))

    @torch.inference_mode()
    def forward(self, clip: Tensor) -> Tensor:
        """(T, H, W) normalised crops to (T, 8 width)."""
        padded = F.pad(clip, (0, 0, 0, 0, AROUND, AROUND))
        passes = [
            self._pass(padded[start : start + FRAMES_A_PASS + 2 * AROUND])
            for start in range(0, len(clip), FRAMES_A_PASS)
        ]
        return torch.cat(passes)

    def _pass(self, frames: Tensor) -> Tensor:
        """(n + 4, H, W) to the (n, 8 width) features of all but the first and last two frames."""
        x = F.max_pool2d(self.activation(self.first([frames])), 3, 2, 1)
        return self.blocks(x).mean(dim=(2, 3))  # type: ignore[no-any-return]
