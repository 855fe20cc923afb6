"""AV-HuBERT's visual front end for inference: the features of :class:`.encoder.VideoFrontend` to rounding, faster.

Batch normalisation is fused into the convolutions, the first layer's 5 frames are channels of a 2-D convolution, memory
is channels-last, and frames are computed a few at a time, so that intermediate values stay in the processor's cache.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.observing.fused_layers import conv2d, fuse

from .encoder import VideoFrontend
from .resnet import BasicBlock

FRAMES_SEEN = 5  # by the first layer, for each frame
_FIRST_CHANNELS = 8  # FRAMES_SEEN of them are used: oneDNN is a third faster with 8 channels than with 5
FRAMES_A_PASS = 32


class _Block(nn.Module):
    """A :class:`.resnet.BasicBlock`."""

    def __init__(self, block: BasicBlock) -> None:
        super().__init__()
        stride = block.conv1.stride[0]
        self.first = conv2d(*fuse(block.conv1.weight, None, block.bn1), stride, 1)
        self.second = conv2d(*fuse(block.conv2.weight, None, block.bn2), 1, 1)
        self.shortcut: nn.Conv2d | None = None
        if block.downsample is not None:
            convolution, norm = block.downsample
            assert isinstance(convolution, nn.Conv2d)
            self.shortcut = conv2d(*fuse(convolution.weight, None, norm), stride, 0)
        self.first_relu, self.second_relu = block.relu1, block.relu2

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first_relu(self.first(x)))
        return self.second_relu(y.add_(x if self.shortcut is None else self.shortcut(x)))  # type: ignore[no-any-return]


class FusedFrontend(nn.Module):
    """A :class:`.encoder.VideoFrontend` with fused layers: (B, 1, T, H, W) to (B, C, T), without gradients."""

    def __init__(self, frontend: VideoFrontend) -> None:
        super().__init__()
        first, norm, self.relu, _ = frontend.resnet.frontend3D
        assert isinstance(first, nn.Conv3d)
        kernel = F.pad(first.weight[:, 0], (0, 0, 0, 0, 0, _FIRST_CHANNELS - FRAMES_SEEN))
        self.first = conv2d(*fuse(kernel, None, norm), 2, 3)
        trunk = frontend.resnet.trunk
        stages = (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4)
        self.blocks = nn.Sequential(*(_Block(block) for stage in stages for block in stage))  # type: ignore[arg-type]
        self.proj = frontend.proj

    @torch.inference_mode()
    def forward(self, video: Tensor) -> Tensor:
        features = torch.stack([self._features(clip) for clip in video[:, 0]])  # (B, T, 8 width)
        return self.proj(features).transpose(1, 2)  # type: ignore[no-any-return]

    def _features(self, clip: Tensor) -> Tensor:
        """(T, H, W) to (T, 8 width)."""
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
        x = self.relu(self.first(windows.movedim(-1, 1)))
        x = F.max_pool2d(x, 3, 2, 1)
        return self.blocks(x).mean(dim=(2, 3))  # type: ignore[no-any-return]
