"""SyncNet's two networks: a lip tower over 5 frames and a speech tower over 0.2 s of MFCC.

Layers, state-dict names and default sizes are those of ``SyncNetModel.py`` in joonson/syncnet_python (class ``S``), so
that ``syncnet_v2.model`` loads unchanged. Chung & Zisserman, "Out of time: automated lip sync in the wild", 2016.
:mod:`.fast_model` computes the same in about half the time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from .dims import PUBLISHED, Dims


def _conv2d(channels_in: int, channels_out: int, kernel: tuple[int, int], padding: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels_in, channels_out, kernel, padding=padding)
    return [convolution, nn.BatchNorm2d(channels_out), nn.ReLU()]


def _conv3d(
    channels_in: int, channels_out: int, kernel: tuple[int, int, int], stride: int, padding: int
) -> list[nn.Module]:
    convolution = nn.Conv3d(channels_in, channels_out, kernel, (1, stride, stride), (0, padding, padding))
    return [convolution, nn.BatchNorm3d(channels_out), nn.ReLU()]


def _head(features: int, hidden: int, embedding: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, embedding))


class SyncNetModel(nn.Module):
    """Embeds lips and speech in one space, in which matching windows are near each other."""

    def __init__(self, dims: Dims = PUBLISHED) -> None:
        super().__init__()
        self.dims = dims
        a, b, c, d, e, f = dims.speech
        self.netcnnaud = nn.Sequential(
            *_conv2d(1, a, (3, 3), 1),
            nn.MaxPool2d(1, 1),  # without effect, but counted in the state dict's numbering
            *_conv2d(a, b, (3, 3), 1),
            nn.MaxPool2d(3, (1, 2)),
            *_conv2d(b, c, (3, 3), 1),
            *_conv2d(c, d, (3, 3), 1),
            *_conv2d(d, e, (3, 3), 1),
            nn.MaxPool2d(3, 2),
            *_conv2d(e, f, (5, 4), 0),
        )
        self.netfcaud = _head(f, dims.hidden, dims.embedding)
        a, b, c, d, e, f = dims.lips
        self.netfclip = _head(f, dims.hidden, dims.embedding)
        self.netcnnlip = nn.Sequential(
            *_conv3d(dims.colours, a, (5, 7, 7), 2, 0),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_conv3d(a, b, (1, 5, 5), dims.second_stride, 1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_conv3d(b, c, (1, 3, 3), 1, 1),
            *_conv3d(c, d, (1, 3, 3), 1, 1),
            *_conv3d(d, e, (1, 3, 3), 1, 1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_conv3d(e, f, (1, dims.rest, dims.rest), 1, 0),
        )

    def forward_aud(self, mfcc: Tensor) -> Tensor:
        """(B, 1, 13, 20) MFCC of 0.2 s to (B, embedding)."""
        return stretched(self.netfcaud(self.netcnnaud(mfcc).flatten(1)), self.dims.norm)

    def forward_lip(self, frames: Tensor) -> Tensor:
        """(B, colours, 5, side, side) pictures to (B, embedding)."""
        return stretched(self.netfclip(self.forward_lipfeat(frames)), self.dims.norm)

    def forward_lipfeat(self, frames: Tensor) -> Tensor:
        """(B, colours, 5, side, side) pictures to the features before the head, (B, 512) as published."""
        return torch.flatten(self.netcnnlip(frames), 1)


def stretched(embeddings: Tensor, norm: float) -> Tensor:
    """(B, embedding) scaled to the length ``norm``; unchanged if it is 0."""
    return F.normalize(embeddings) * norm if norm else embeddings
