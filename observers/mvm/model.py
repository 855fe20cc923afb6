"""MVM's four networks: visual front end, audio front end, visual-audio memory, temporal classifier.

State-dict names, and sizes unless :class:`.dims.Dims` says otherwise, are those of
ms-dot-k/Multi-head-Visual-Audio-Memory at a902f49 (``src/models``), so that the published file loads unchanged. Kim,
Yeo & Ro, "Distinguishing Homophenes Using Multi-Head Visual-Audio Memory for Lip Reading", AAAI 2022.
:mod:`.fast_model` computes the same logits in less time. Shapes in comments are of the published size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.observing.pointwise import StridedPointwise

from .dims import PUBLISHED, Dims

FRAMES = 29  # of a clip; a shorter one is padded with zeros
RADIUS = 16.0  # sharpness of the memory's addressing; as published (test.py: --radius)
KERNELS = (3, 5, 7)  # of the branches, in frames
DILATIONS = (1, 2, 4, 8)  # of the four layers
FILTERBANKS = 80  # mel bands of the audio front end's input, four steps per frame


class ResidualBlock(nn.Module):
    """Batch normalisation and two convolutions, with a shortcut."""

    def __init__(self, channels_in: int, channels: int, stride: int, *, shortcut: bool) -> None:
        super().__init__()
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(channels_in),
            nn.Conv2d(channels_in, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut_layer: nn.Sequential | None = None
        if shortcut:
            convolution = StridedPointwise(channels_in, channels, stride)
            self.shortcut_layer = nn.Sequential(convolution, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, h, w) to (n, channels, h / stride, w / stride), the sizes rounded up."""
        shortcut = x if self.shortcut_layer is None else self.shortcut_layer(x)
        return shortcut + self.res_layer(x)  # type: ignore[no-any-return]


def _two_blocks(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    """A stage of the ResNet: the first block changes channels and size, the second keeps them."""
    return nn.Sequential(
        ResidualBlock(channels_in, channels, stride, shortcut=True),
        ResidualBlock(channels, channels, 1, shortcut=False),
    )


class ResNet(nn.Module):
    """Eight residual blocks for each frame, and one linear layer over the whole last feature map."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        width, last = dims.visual_width, 8 * dims.visual_width
        self.layer1 = _two_blocks(width, width, 1)
        self.layer2 = _two_blocks(width, 2 * width, 2)
        self.layer3 = _two_blocks(2 * width, 4 * width, 2)
        self.layer4 = _two_blocks(4 * width, last, 2)
        self.out_layer = nn.Sequential(
            nn.BatchNorm2d(last),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(last * dims.rest**2, dims.features),
            nn.LayerNorm(dims.features),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, 64, 28, 28) to (n, 512)."""
        return self.out_layer(self.layer4(self.layer3(self.layer2(self.layer1(x)))))  # type: ignore[no-any-return]


class VisualFrontend(nn.Module):
    """Crops to features: a convolution over 5 frames, then a ResNet for each frame."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        width = dims.visual_width
        self.frontend = nn.Sequential(
            nn.Conv3d(1, width, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False),
            nn.BatchNorm3d(width),
            nn.PReLU(width),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )
        self.resnet = ResNet(dims)

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 1, T, 112, 112) to (B, T, 512)."""
        x = self.frontend(crops)  # (B, 64, T, 28, 28)
        return self.resnet(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (len(crops), -1))  # type: ignore[no-any-return]


class AudioFrontend(nn.Module):
    """Log mel spectrogram to features, four steps to one. The memory is trained with it; inference does not use it."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        width, last = dims.hearing_width, 2 * dims.hearing_width
        self.frontend = nn.Sequential(
            nn.Conv2d(1, width, 3, 2, 1),
            nn.BatchNorm2d(width),
            nn.PReLU(width),
            nn.Conv2d(width, last, 3, 2, 1),
            nn.BatchNorm2d(last),
            nn.PReLU(last),
        )
        block = ResidualBlock(last, last, 1, shortcut=False)
        self.Res_block = nn.Sequential(block, nn.BatchNorm2d(last), nn.Dropout(0.4))
        self.Linear = nn.Sequential(nn.Linear(last * FILTERBANKS // 4, dims.features), nn.LayerNorm(dims.features))

    def forward(self, spectrum: Tensor) -> Tensor:
        """(B, 1, 80, 4 T) to (B, T, 512)."""
        x = self.Res_block(self.frontend(spectrum))  # (B, 256, 20, T)
        return self.Linear(x.flatten(1, 2).transpose(1, 2))  # type: ignore[no-any-return]


class Memory(nn.Module):
    """Adds to visual features the audio features that it remembers for them.

    Each head compares its part of the query (made from the visual features) with the slots' keys, and takes the mean of
    the slots' values weighted by the likeness. Values are audio features, ``dims.features`` wide.

    ``v_embd``, ``norm3`` and ``v_up`` are used in training only, where audio features address the values.

    Parameters
    ----------
    dims : Dims
    width : int or None
        Width of the visual features if it is not ``dims.features``: inside the classifier, where the memory also has a
        ``v_up``. None for the memory before the classifier.
    """

    def __init__(self, dims: Dims, width: int | None = None) -> None:
        super().__init__()
        features = dims.features
        self.heads, self.slots = dims.heads, dims.slots
        self.key = nn.Parameter(torch.zeros(dims.heads * dims.slots, features // dims.heads))
        self.value = nn.Parameter(torch.zeros(dims.slots, features))
        visual = features if width is None else width
        self.linear = nn.Linear(dims.heads * features, visual)
        self.norm1 = nn.LayerNorm(visual)
        self.norm2 = nn.LayerNorm(visual)
        self.norm3 = nn.LayerNorm(visual)
        self.v_up = nn.Linear(features, visual) if width is not None else None
        self.q_embd = nn.Linear(visual, features)
        self.v_embd = nn.Linear(features, features)
        self.dropout = nn.Dropout(0.5)
        nn.init.normal_(self.key, 0, 0.5)
        nn.init.normal_(self.value, 0, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) visual features to the same shape, with what the memory recalls for each frame added."""
        query = F.normalize(self.q_embd(x).unflatten(-1, (self.heads, -1)), dim=-1)  # (B, T, heads, 64)
        key = F.normalize(self.key.view(self.heads, self.slots, -1), dim=-1)  # (heads, slots, 64)
        weights = torch.softmax(RADIUS * torch.einsum("bthd,hsd->bths", query, key), dim=-1)
        # Visual features do not change the values, only audio features do (the original's memory.py detaches too).
        recalled = (weights @ self.value.detach()).flatten(-2)  # (B, T, heads * 512)
        return self.dropout(self.norm1(x + self.norm2(self.linear(recalled))))  # type: ignore[no-any-return]


class Branch(nn.Module):
    """A convolution over time whose output has the length of its input."""

    def __init__(self, channels: int, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        # The original pads twice as much and removes the rest.
        self.conv = nn.Conv1d(channels, width, kernel, padding=(kernel - 1) * dilation // 2, dilation=dilation)
        self.batchnorm = nn.BatchNorm1d(width)
        self.non_lin = nn.PReLU(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, T) to (B, width, T)."""
        return self.non_lin(self.batchnorm(self.conv(x)))  # type: ignore[no-any-return]


class TemporalLayer(nn.Module):
    """Three parallel branches of ``branch_width`` channels, three more on their joined output, and a shortcut."""

    def __init__(self, channels: int, branch_width: int, dilation: int) -> None:
        super().__init__()
        width = branch_width * len(KERNELS)
        first, second = ([Branch(n, branch_width, kernel, dilation) for kernel in KERNELS] for n in (channels, width))
        self.cbcr0_0, self.cbcr0_1, self.cbcr0_2 = first
        self.cbcr1_0, self.cbcr1_1, self.cbcr1_2 = second
        self.dropout = nn.Dropout(0.2)
        self.downsample = nn.Conv1d(channels, width, 1)
        self.relu_final = nn.PReLU(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, T) to (B, 768, T)."""
        y = self.dropout(torch.cat([self.cbcr0_0(x), self.cbcr0_1(x), self.cbcr0_2(x)], dim=1))
        y = self.dropout(torch.cat([self.cbcr1_0(y), self.cbcr1_1(y), self.cbcr1_2(y)], dim=1))
        return self.relu_final(y + self.downsample(x))  # type: ignore[no-any-return]


class TemporalNetwork(nn.Module):
    """Four temporal layers with a memory between two of them."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        width = dims.branch * len(KERNELS)
        self.layer1 = TemporalLayer(dims.features, dims.branch, DILATIONS[0])
        self.mem1 = Memory(dims, width)
        self.layer2 = TemporalLayer(width, dims.branch, DILATIONS[1])
        self.mem2 = Memory(dims, width)
        self.layer3 = TemporalLayer(width, dims.branch, DILATIONS[2])
        self.mem3 = Memory(dims, width)
        self.layer4 = TemporalLayer(width, dims.branch, DILATIONS[3])

    def forward(self, x: Tensor) -> Tensor:
        """(B, 512, T) to (B, 768, T)."""
        for layer, memory in ((self.layer1, self.mem1), (self.layer2, self.mem2), (self.layer3, self.mem3)):
            x = memory(layer(x).transpose(1, 2)).transpose(1, 2)
        return self.layer4(x)  # type: ignore[no-any-return]


class _Classifier(nn.Module):
    """Only holds the two networks of :class:`TemporalClassifier`, whose tensors are named ``tcn.<network>.*``."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.mb_ms_tcn = TemporalNetwork(dims)
        self.tcn_output = nn.Linear(dims.branch * len(KERNELS), dims.words)


class TemporalClassifier(nn.Module):
    """Features of all frames to one logit per word."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.tcn = _Classifier(dims)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 512) to (B, 500)."""
        features = self.tcn.mb_ms_tcn(x.transpose(1, 2))  # (B, 768, T)
        return self.tcn.tcn_output(features.mean(dim=2))  # type: ignore[no-any-return]


class MVMModel(nn.Module):
    """The four networks of a checkpoint, with the names of its state dicts without ``_state_dict``."""

    def __init__(self, dims: Dims = PUBLISHED) -> None:
        super().__init__()
        self.dims = dims
        self.v_front = VisualFrontend(dims)
        self.a_front = AudioFrontend(dims)
        self.mem = Memory(dims)
        self.tcn = TemporalClassifier(dims)

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 1, 29, 112, 112) normalised crops to (B, 500) logits."""
        return self.tcn(self.mem(self.v_front(crops)))  # type: ignore[no-any-return]
