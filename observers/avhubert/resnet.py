"""The visual front end of AV-HuBERT: one convolution over time and space, then a ResNet-18 for each frame.

Names, order and shapes of the state dict are the original's (facebookresearch/av_hubert ``avhubert/resnet.py``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlbench.observing.pointwise import StridedPointwise

WIDTH = 64  # channels of the first stage as published; each of the four stages has twice as many as the one before


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, each convolution with its own trained PReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.PReLU(outputs)
        self.relu2 = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(StridedPointwise(inputs, outputs, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        joined: Tensor = self.relu2(x + shortcut)
        return joined


class ResNet(nn.Module):
    """ResNet-18 without its first convolution: (N, width, h, w) to (N, 8 width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer1 = _stage(width, width, 1)
        self.layer2 = _stage(width, 2 * width, 2)
        self.layer3 = _stage(2 * width, 4 * width, 2)
        self.layer4 = _stage(4 * width, 8 * width, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.avgpool(self.layer4(self.layer3(self.layer2(self.layer1(x)))))
        return pooled.flatten(1)


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1))


class ResEncoder(nn.Module):
    """Grey video to a feature vector per frame: (B, 1, T, H, W) to (B, 8 width, T)."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.frontend3D = nn.Sequential(
            nn.Conv3d(1, width, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False),
            nn.BatchNorm3d(width),
            nn.PReLU(width),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )
        self.trunk = ResNet(width)

    def forward(self, video: Tensor) -> Tensor:
        batch = len(video)
        x = self.frontend3D(video)  # (B, width, T, h, w)
        x = x.transpose(1, 2).flatten(0, 1)  # (B T, width, h, w)
        if not torch.is_grad_enabled():
            x = x.contiguous(memory_format=torch.channels_last)  # half the time on a CPU
        features: Tensor = self.trunk(x)  # (B T, 8 width)
        return features.reshape(batch, -1, features.shape[1]).transpose(1, 2)
