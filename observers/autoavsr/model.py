"""auto_avsr: visual front end, Conformer encoder, Transformer decoder, CTC output.

State-dict names, and sizes unless :class:`.dims.Dims` says otherwise, are those of mpc001/auto_avsr at 182b628
(``espnet/nets/pytorch_backend``: ``e2e_asr_conformer.py``, ``frontend/resnet.py``, ``encoder/conformer_encoder.py``,
``decoder/transformer_decoder.py``, ``ctc.py``), so that the published files load unchanged. Every step is computed as
there, with the same padding and masks. Shapes in comments are of the published size.

The encoder blocks are those of espnet (:mod:`tlbench.observing.espnet_layers`) with ReLU in the feed-forward steps.
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

BLANK = 0  # of CTC; the last token marks both ends of a text
POSITIONS = 5000  # tokens and frames; the original extends its tables for a longer clip, here it is refused


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, with SiLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(StridedPointwise(inputs, outputs, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn2(self.conv2(F.silu(self.bn1(self.conv1(x)))))
        return F.silu(x + shortcut)


class Trunk(nn.Module):
    """ResNet-18 without its first convolution: (N, 64, 22, 22) to (N, 512)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer1 = _stage(width, width, 1)
        self.layer2 = _stage(width, 2 * width, 2)
        self.layer3 = _stage(2 * width, 4 * width, 2)
        self.layer4 = _stage(4 * width, 8 * width, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean(dim=(2, 3))  # type: ignore[no-any-return]


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1))


class VisualFrontend(nn.Module):
    """Crops to features: a convolution over 5 frames, then a ResNet for each frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.trunk = Trunk(width)
        self.frontend3D = nn.Sequential(
            nn.Conv3d(1, width, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False),
            nn.BatchNorm3d(width),
            nn.SiLU(),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )

    def forward(self, crops: Tensor) -> Tensor:
        """(B, T, 1, 88, 88) to (B, T, 512). Frames of padding see the frames before them, and are seen by them."""
        x = self.frontend3D(crops.transpose(1, 2)).transpose(1, 2)  # (B, T, 64, 22, 22)
        return self.trunk(x.flatten(0, 1)).view(*x.shape[:2], -1)  # type: ignore[no-any-return]


def _sizes(dims: Dims) -> BlockSizes:
    return BlockSizes(dims.width, dims.heads, dims.hidden)


def _encoder_block(dims: Dims) -> EncoderBlock:
    return EncoderBlock(_sizes(dims), ConvolutionModule(dims.width, dims.kernel, "pointwise_cov"), nn.ReLU)


class Encoder(nn.Module):
    """Projected visual features to the encoding that decoder, CTC and LipScore use."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.dims = dims
        self.encoders = nn.ModuleList(_encoder_block(dims) for _ in range(dims.encoder_blocks))
        self.after_norm = layer_norm(dims.width)

    def forward(self, projected: Tensor, mask: Tensor, *, apart: bool) -> Tensor:
        """(B, T, 768) and a (B, 1, T) bool mask of frames to (B, T, 768).

        With ``apart`` the result for a clip does not depend on the padding. The original masks attention only: its
        convolutions see the padding of the shorter clips of a batch.
        """
        x = projected * math.sqrt(self.dims.width)
        distances = relative_positions(x.shape[1], self.dims.width).to(x.device)
        for block in self.encoders:
            x = block(x, distances, mask, mask if apart else None)
        return self.after_norm(x)  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """Logits of the next token at each position of a text."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.dims = dims
        self.embed = nn.Sequential(nn.Embedding(dims.vocabulary, dims.width))
        self.decoders = nn.ModuleList(DecoderBlock(_sizes(dims)) for _ in range(dims.decoder_blocks))
        self.after_norm = layer_norm(dims.width)
        self.output_layer = nn.Linear(dims.width, dims.vocabulary)

    def forward(self, prefix: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """(B, n) int64 that starts with the end mark, the encoding (B, T, 768) and its (B, 1, T) bool mask to
        (B, n, 5049)."""
        length, width = prefix.shape[1], self.dims.width
        x = self.embed(prefix) * math.sqrt(width) + positions(torch.arange(length, device=prefix.device), width)
        causal = torch.ones(1, length, length, dtype=torch.bool, device=prefix.device).tril()
        for block in self.decoders:
            x = block(x, causal, memory, mask)
        return self.output_layer(self.after_norm(x))  # type: ignore[no-any-return]


class CTC(nn.Module):
    """The CTC output: logits of a token or blank for each frame."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.ctc_lo = nn.Linear(dims.width, dims.vocabulary)

    def forward(self, encoded: Tensor) -> Tensor:
        """(..., T, 768) to (..., T, 5049) logits."""
        return self.ctc_lo(encoded)  # type: ignore[no-any-return]


class AutoAVSRModel(nn.Module):
    """The whole network: 250,383,410 parameters as published."""

    def __init__(self, dims: Dims = PUBLISHED) -> None:
        super().__init__()
        self.dims = dims
        self.frontend = VisualFrontend(dims.visual_width)
        self.proj_encoder = nn.Linear(8 * dims.visual_width, dims.width)
        self.encoder = Encoder(dims)
        self.decoder = Decoder(dims)
        self.ctc = CTC(dims)

    @property
    def end(self) -> int:
        """The token of both ends of a text."""
        return self.dims.vocabulary - 1

    def encode(self, crops: Tensor, frames: Tensor, *, apart: bool) -> tuple[Tensor, Tensor]:
        """Encode a padded batch of clips.

        Parameters
        ----------
        crops : (B, T, 1, 88, 88) float32
            Normalised; zeros after a clip's last frame.
        frames : (B,) int64
            The number of crops of each clip.
        apart : bool
            See :meth:`Encoder.forward`; False is the original's training forward.

        Returns
        -------
        encoded : (B, T, 768) float32
        mask : (B, 1, T) bool
            True for a clip's own frames.
        """
        mask = (torch.arange(crops.shape[1], device=crops.device) < frames[:, None])[:, None]
        return self.encoder(self.proj_encoder(self.frontend(crops)), mask, apart=apart), mask
