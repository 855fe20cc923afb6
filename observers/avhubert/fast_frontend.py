"""AV-HuBERT's visual front end for inference, see :mod:`tlbench.observing.fused_frontend`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlbench.observing.fused_frontend import BlockParts, FusedTrunk

from .encoder import VideoFrontend
from .resnet import BasicBlock


class FusedFrontend(nn.Module):
    """A :class:`.encoder.VideoFrontend` with fused layers: (B, 1, T, H, W) to (B, C, T), without gradients."""

    def __init__(self, frontend: VideoFrontend) -> None:
        super().__init__()
        first, norm, relu, _ = frontend.resnet.frontend3D
        trunk = frontend.resnet.trunk
        stages = (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4)
        blocks = [_parts(block) for stage in stages for block in stage if isinstance(block, BasicBlock)]
        self.trunk = FusedTrunk(first, norm, relu, blocks)
        self.proj = frontend.proj

    @torch.inference_mode()
    def forward(self, video: Tensor) -> Tensor:
        features = torch.stack([self.trunk(clip) for clip in video[:, 0]])  # (B, T, 8 width)
        return self.proj(features).transpose(1, 2)  # type: ignore[no-any-return]


def _parts(block: BasicBlock) -> BlockParts:
    return BlockParts((block.conv1, block.conv2), (block.bn1, block.bn2), (block.relu1, block.relu2), block.downsample)
