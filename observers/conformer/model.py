"""The Conformer: visual front end, Conformer encoder, Transformer decoder, CTC output.

State-dict names, and sizes unless :class:`.dims.Dims` says otherwise, are those of Sxjdwang/TalkLip
(``models/conformer_lip_reading.py``, ``models/visual_frontend.py``, ``evaluation/conformer_arg.txt``) on espnet 0.10.6,
so that the published file loads unchanged. Every step is computed as there, with the same padding and masks.
:mod:`.fast_model` computes the same for several clips at once, faster. Shapes in comments are of the published size.

Gulati et al. 2020, "Conformer"; relative positions after Dai et al. 2019, "Transformer-XL", appendix B.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.observing.espnet_layers import (
    BlockSizes,
    ConvolutionModule,
    DecoderBlock,
    EncoderBlock,
    layer_norm,
    positions,
    relative_positions,
)
from tlbench.observing.pointwise import StridedPointwise

from .dims import PUBLISHED, Dims
from .tokenizer import VOCABULARY

POSITIONS = 5000  # length of espnet's tables; the original extends them for a longer clip, here it is refused


class ResNetLayer(nn.Module):
    """Two residual blocks; the second block's shortcut is the first block's sum before its batch normalisation."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1a = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1a = nn.BatchNorm2d(channels, eps=1e-3)
        self.conv2a = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.downsample = StridedPointwise(channels_in, channels, stride)  # not used at stride 1
        self.outbna = nn.BatchNorm2d(channels, eps=1e-3)
        self.conv1b = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1b = nn.BatchNorm2d(channels, eps=1e-3)
        self.conv2b = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.outbnb = nn.BatchNorm2d(channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.stride == 1 else self.downsample(x)
        stream = self.conv2a(F.relu(self.bn1a(self.conv1a(x)))) + shortcut
        x = F.relu(self.outbna(stream))
        stream = self.conv2b(F.relu(self.bn1b(self.conv1b(x)))) + stream
        return F.relu(self.outbnb(stream))


class ResNet(nn.Module):
    """Four layers, applied to each frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer1 = ResNetLayer(width, width, 1)
        self.layer2 = ResNetLayer(width, 2 * width, 2)
        self.layer3 = ResNetLayer(2 * width, 4 * width, 2)
        self.layer4 = ResNetLayer(4 * width, 8 * width, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 64, 28, 28) to (n, 512)."""
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return F.avg_pool2d(x, x.shape[-1]).flatten(1)  # 4x4 pixels as published


class VisualFrontend(nn.Module):
    """Crops to features: a convolution over 5 frames, then a ResNet for each frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.frontend3D = nn.Sequential(
            nn.Conv3d(1, width, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False),
            nn.BatchNorm2d(width, eps=1e-3),  # the frames of all clips are concatenated after the first layer
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        )
        self.resnet = ResNet(width)

    def forward(self, crops: Tensor, frames: list[int]) -> list[Tensor]:
        """(B, T, 112, 112) float32 to (frames, 512) of each clip. Its last frames see the padding after them."""
        x = self.frontend3D[0](crops[:, None]).transpose(1, 2)  # (B, T, 64, 56, 56)
        packed = torch.cat([clip[:count] for clip, count in zip(x, frames, strict=True)])
        return list(self.resnet(self.frontend3D[1:](packed)).split(frames))


def pad_features(features: list[Tensor], lengths: list[int]) -> Tensor:
    """Pad each clip's (n, 512) with zeros on both sides to its ``length``, then at the end to the longest: (B, L, 512).

    The zeros within ``length`` count as frames and are not masked (``outpadding`` of the original).
    """
    longest = max(lengths)
    lefts = [(length - len(rows)) // 2 for rows, length in zip(features, lengths, strict=True)]
    return torch.stack(
        [F.pad(rows, (0, 0, left, longest - left - len(rows))) for rows, left in zip(features, lefts, strict=True)]
    )


def _sizes(dims: Dims) -> BlockSizes:
    return BlockSizes(dims.width, dims.heads, dims.hidden)


def _encoder_block(dims: Dims) -> EncoderBlock:
    return EncoderBlock(_sizes(dims), ConvolutionModule(dims.width, dims.kernel, "pointwise_conv"), nn.SiLU)


class Encoder(nn.Module):
    """Visual features to the encoding that decoder and CTC use."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.dims = dims
        width = dims.width
        self.embed = nn.Sequential(
            nn.Linear(dims.features, width), nn.LayerNorm(width, eps=1e-5)
        )  # torch's default eps
        self.encoders = nn.ModuleList(_encoder_block(dims) for _ in range(dims.encoder_blocks))
        self.after_norm = layer_norm(width)

    def forward(self, features: Tensor, mask: Tensor, *, apart: bool = False) -> Tensor:
        """(B, T, 512) features and a (B, 1, T) bool mask of frames to (B, T, 256).

        With ``apart`` the result for a clip does not depend on the padding. The original masks attention only: its
        convolutions see the padding of the shorter clips of a batch.
        """
        width = self.dims.width
        x = self.embed(features) * math.sqrt(width)
        distances = relative_positions(x.shape[1], width).to(x.device)
        for block in self.encoders:
            x = block(x, distances, mask, mask if apart else None)
        return self.after_norm(x)  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """Logits of the next character at each position of a text."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.dims = dims
        width = dims.width
        self.embed = nn.Sequential(nn.Embedding(VOCABULARY, width))
        self.decoders = nn.ModuleList(DecoderBlock(_sizes(dims)) for _ in range(dims.decoder_blocks))
        self.after_norm = layer_norm(width)
        self.output_layer = nn.Linear(width, VOCABULARY)

    def forward(self, prefix: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """(B, n) int64 that starts with 39, the encoding (B, T, 256) and its (B, 1, T) bool mask to (B, n, 40)."""
        length, width = prefix.shape[1], self.dims.width
        x = self.embed(prefix) * math.sqrt(width) + positions(torch.arange(length, device=prefix.device), width)
        causal = torch.ones(1, length, length, dtype=torch.bool, device=prefix.device).tril()
        for block in self.decoders:
            x = block(x, causal, memory, mask)
        return self.output_layer(self.after_norm(x))  # type: ignore[no-any-return]


class CTC(nn.Module):
    """The CTC output: logits of a character or blank for each frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ctc_lo = nn.Linear(width, VOCABULARY)

    def forward(self, encoded: Tensor) -> Tensor:
        """(..., T, 256) to (..., T, 40) logits."""
        return self.ctc_lo(encoded)  # type: ignore[no-any-return]


class ConformerModel(nn.Module):
    """The whole network: 52,496,656 parameters as published."""

    def __init__(self, dims: Dims = PUBLISHED) -> None:
        super().__init__()
        self.dims = dims
        self.visual_frontend = VisualFrontend(dims.visual_width)
        self.encoder = Encoder(dims)
        self.decoder = Decoder(dims)
        self.ctc = CTC(dims.width)

    def encode(self, crops: Tensor, frames: list[int], lengths: list[int]) -> tuple[Tensor, Tensor]:
        """Encode a padded batch of clips as the original does.

        Parameters
        ----------
        crops : (B, T, 112, 112) float32
            Normalised.
        frames, lengths : list of B int
            The number of crops of each clip, and the number of frames that its features are padded to.

        Returns
        -------
        encoded : (B, L, 256) float32
        mask : (B, 1, L) bool
            True for the first ``length`` frames of each clip.
        """
        padded = pad_features(self.visual_frontend(crops, frames), lengths)
        mask = torch.arange(padded.shape[1])[None, None] < torch.tensor(lengths)[:, None, None]
        mask = mask.to(padded.device)
        return self.encoder(padded, mask), mask
