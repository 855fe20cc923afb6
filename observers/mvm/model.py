"""MVM's four networks as published: visual front end, audio front end, visual-audio memory, temporal classifier.

Sizes and state-dict names are those of ms-dot-k/Multi-head-Visual-Audio-Memory at a902f49 (``src/models``), so that the
published file loads as it is. Kim, Yeo & Ro, "Distinguishing Homophenes Using Multi-Head Visual-Audio Memory for Lip
Reading", AAAI 2022.
:mod:`.fast` computes the same logits in less time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

SIDE = 112  # pixels of a crop
FRAMES = 29  # of a clip; a shorter one is filled up with zeros
WORDS = 500
FEATURES = 512  # of a frame
RADIUS = 16.0  # sharpness of the memory's addressing; as published (test.py: --radius)
SLOTS = 112
HEADS = 8
KERNELS = (3, 5, 7)  # of the branches, in frames
BRANCH = 256  # channels
WIDTH = BRANCH * len(KERNELS)
DILATIONS = (1, 2, 4, 8)  # of the four layers
FILTERBANKS = 80  # mel bands that the audio front end hears, four steps a frame


class ResidualBlock(nn.Module):
    """Two convolutions over what has been normalised, and a shortcut beside them."""

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
            convolution = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
            self.shortcut_layer = nn.Sequential(convolution, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut_layer is None else self.shortcut_layer(x)
        return shortcut + self.res_layer(x)  # type: ignore[no-any-return]


def _pair(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        ResidualBlock(channels_in, channels, stride, shortcut=True),
        ResidualBlock(channels, channels, 1, shortcut=False),
    )


class ResNet(nn.Module):
    """Eight residual blocks over single frames, and one linear layer over all that is left of the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = _pair(64, 64, 1)
        self.layer2 = _pair(64, 128, 2)
        self.layer3 = _pair(128, 256, 2)
        self.layer4 = _pair(256, 512, 2)
        self.out_layer = nn.Sequential(
            nn.BatchNorm2d(512),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(512 * 4 * 4, FEATURES),
            nn.LayerNorm(FEATURES),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, 64, 28, 28) to (n, 512)."""
        return self.out_layer(self.layer4(self.layer3(self.layer2(self.layer1(x)))))  # type: ignore[no-any-return]


class VisualFrontend(nn.Module):
    """Crops to features: a convolution over 5 frames, then each instant by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.frontend = nn.Sequential(
            nn.Conv3d(1, 64, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False),
            nn.BatchNorm3d(64),
            nn.PReLU(64),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )
        self.resnet = ResNet()

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 1, T, 112, 112) to (B, T, 512)."""
        x = self.frontend(crops)  # (B, 64, T, 28, 28)
        return self.resnet(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (len(crops), -1))  # type: ignore[no-any-return]


class AudioFrontend(nn.Module):
    """Log mel spectrum to features, four steps to one. Reading lips ignores it; the memory is trained with it."""

    def __init__(self) -> None:
        super().__init__()
        self.frontend = nn.Sequential(
            nn.Conv2d(1, 128, 3, 2, 1),
            nn.BatchNorm2d(128),
            nn.PReLU(128),
            nn.Conv2d(128, 256, 3, 2, 1),
            nn.BatchNorm2d(256),
            nn.PReLU(256),
        )
        self.Res_block = nn.Sequential(ResidualBlock(256, 256, 1, shortcut=False), nn.BatchNorm2d(256), nn.Dropout(0.4))
        self.Linear = nn.Sequential(nn.Linear(256 * FILTERBANKS // 4, FEATURES), nn.LayerNorm(FEATURES))

    def forward(self, spectrum: Tensor) -> Tensor:
        """(B, 1, 80, 4 T) to (B, T, 512)."""
        x = self.Res_block(self.frontend(spectrum))  # (B, 256, 20, T)
        return self.Linear(x.flatten(1, 2).transpose(1, 2))  # type: ignore[no-any-return]


class Memory(nn.Module):
    """What was heard while such a mouth was seen: each head addresses the slots by its share of the query.

    ``v_embd``, ``norm3`` and ``v_up`` take part in training only, where the values are addressed by real speech.

    Parameters
    ----------
    width : int
        Of the features. The memories inside the classifier have wider features than their values and hence a ``v_up``.
    """

    def __init__(self, width: int = FEATURES) -> None:
        super().__init__()
        self.key = nn.Parameter(torch.zeros(HEADS * SLOTS, FEATURES // HEADS))
        self.value = nn.Parameter(torch.zeros(SLOTS, FEATURES))
        self.linear = nn.Linear(HEADS * FEATURES, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)
        if width != FEATURES:
            self.v_up = nn.Linear(FEATURES, width)
        self.q_embd = nn.Linear(width, FEATURES)
        self.v_embd = nn.Linear(FEATURES, FEATURES)
        self.dropout = nn.Dropout(0.5)
        nn.init.normal_(self.key, 0, 0.5)
        nn.init.normal_(self.value, 0, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) with what the memory recalls for each frame."""
        query = F.normalize(self.q_embd(x).unflatten(-1, (HEADS, -1)), dim=-1)  # (B, T, heads, 64)
        key = F.normalize(self.key.view(HEADS, SLOTS, -1), dim=-1)  # (heads, slots, 64)
        address = torch.softmax(RADIUS * torch.einsum("bthd,hsd->bths", query, key), dim=-1)
        recalled = (address @ self.value).flatten(-2)  # (B, T, heads * 512)
        return self.dropout(self.norm1(x + self.norm2(self.linear(recalled))))  # type: ignore[no-any-return]


class Branch(nn.Module):
    """A convolution over time whose output is as long as its input."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        # The original pads twice as much and cuts it off again.
        self.conv = nn.Conv1d(channels, BRANCH, kernel, padding=(kernel - 1) * dilation // 2, dilation=dilation)
        self.batchnorm = nn.BatchNorm1d(BRANCH)
        self.non_lin = nn.PReLU(BRANCH)

    def forward(self, x: Tensor) -> Tensor:
        return self.non_lin(self.batchnorm(self.conv(x)))  # type: ignore[no-any-return]


class TemporalLayer(nn.Module):
    """Three branches side by side, three more on what they found, and a shortcut."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        first, second = ([Branch(n, kernel, dilation) for kernel in KERNELS] for n in (channels, WIDTH))
        self.cbcr0_0, self.cbcr0_1, self.cbcr0_2 = first
        self.cbcr1_0, self.cbcr1_1, self.cbcr1_2 = second
        self.dropout = nn.Dropout(0.2)
        self.downsample = nn.Conv1d(channels, WIDTH, 1)
        self.relu_final = nn.PReLU(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, T) to (B, 768, T)."""
        y = self.dropout(torch.cat([self.cbcr0_0(x), self.cbcr0_1(x), self.cbcr0_2(x)], dim=1))
        y = self.dropout(torch.cat([self.cbcr1_0(y), self.cbcr1_1(y), self.cbcr1_2(y)], dim=1))
        return self.relu_final(y + self.downsample(x))  # type: ignore[no-any-return]


class TemporalNetwork(nn.Module):
    """Four temporal layers with a memory between each two."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = TemporalLayer(FEATURES, DILATIONS[0])
        self.mem1 = Memory(WIDTH)
        self.layer2 = TemporalLayer(WIDTH, DILATIONS[1])
        self.mem2 = Memory(WIDTH)
        self.layer3 = TemporalLayer(WIDTH, DILATIONS[2])
        self.mem3 = Memory(WIDTH)
        self.layer4 = TemporalLayer(WIDTH, DILATIONS[3])

    def forward(self, x: Tensor) -> Tensor:
        """(B, 512, T) to (B, 768, T)."""
        for layer, memory in ((self.layer1, self.mem1), (self.layer2, self.mem2), (self.layer3, self.mem3)):
            x = memory(layer(x).transpose(1, 2)).transpose(1, 2)
        return self.layer4(x)  # type: ignore[no-any-return]


class _Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mb_ms_tcn = TemporalNetwork()
        self.tcn_output = nn.Linear(WIDTH, WORDS)


class TemporalClassifier(nn.Module):
    """Features of all frames to one logit a word."""

    def __init__(self) -> None:
        super().__init__()
        self.tcn = _Classifier()

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 512) to (B, 500)."""
        found = self.tcn.mb_ms_tcn(x.transpose(1, 2))
        return self.tcn.tcn_output(found.mean(dim=2))  # type: ignore[no-any-return]


class MVMModel(nn.Module):
    """The four networks of a checkpoint, named as its four state dicts are without ``_state_dict``."""

    def __init__(self) -> None:
        super().__init__()
        self.v_front = VisualFrontend()
        self.a_front = AudioFrontend()
        self.mem = Memory()
        self.tcn = TemporalClassifier()

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 1, 29, 112, 112) normalised crops to (B, 500) logits."""
        return self.tcn(self.mem(self.v_front(crops)))  # type: ignore[no-any-return]
