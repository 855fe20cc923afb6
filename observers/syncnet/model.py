"""SyncNet's two networks, as published: a lip tower over 5 frames and a speech tower over 0.2 s of MFCC.

Layer sizes and state-dict names are those of ``SyncNetModel.py`` in joonson/syncnet_python (class ``S``), so that
``syncnet_v2.model`` loads as it is. Chung & Zisserman, "Out of time: automated lip sync in the wild", 2016.
:mod:`tlbench.observers.syncnet.fast` computes the same thing in about half the time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

EMBEDDING = 1024


def _conv2d(channels_in: int, channels_out: int, kernel: tuple[int, int], padding: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels_in, channels_out, kernel, padding=padding)
    return [convolution, nn.BatchNorm2d(channels_out), nn.ReLU()]


def _conv3d(
    channels_in: int, channels_out: int, kernel: tuple[int, int, int], stride: int, padding: int
) -> list[nn.Module]:
    convolution = nn.Conv3d(channels_in, channels_out, kernel, (1, stride, stride), (0, padding, padding))
    return [convolution, nn.BatchNorm3d(channels_out), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING))


class SyncNetModel(nn.Module):
    """Embeds mouths and speech in one space; where they belong together, they lie close."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_conv2d(1, 64, (3, 3), 1),
            nn.MaxPool2d(1, 1),  # does nothing, but the numbering of the state dict counts it
            *_conv2d(64, 192, (3, 3), 1),
            nn.MaxPool2d(3, (1, 2)),
            *_conv2d(192, 384, (3, 3), 1),
            *_conv2d(384, 256, (3, 3), 1),
            *_conv2d(256, 256, (3, 3), 1),
            nn.MaxPool2d(3, 2),
            *_conv2d(256, 512, (5, 4), 0),
        )
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = nn.Sequential(
            *_conv3d(3, 96, (5, 7, 7), 2, 0),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_conv3d(96, 256, (1, 5, 5), 2, 1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_conv3d(256, 256, (1, 3, 3), 1, 1),
            *_conv3d(256, 256, (1, 3, 3), 1, 1),
            *_conv3d(256, 256, (1, 3, 3), 1, 1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_conv3d(256, 512, (1, 6, 6), 1, 0),
        )

    def forward_aud(self, mfcc: Tensor) -> Tensor:
        """(B, 1, 13, 20) MFCC of 0.2 s to (B, 1024)."""
        return self.netfcaud(self.netcnnaud(mfcc).flatten(1))  # type: ignore[no-any-return]

    def forward_lip(self, frames: Tensor) -> Tensor:
        """(B, 3, 5, 224, 224) frames, BGR from 0 to 255, to (B, 1024)."""
        return self.netfclip(self.forward_lipfeat(frames))  # type: ignore[no-any-return]

    def forward_lipfeat(self, frames: Tensor) -> Tensor:
        """(B, 3, 5, 224, 224) frames to the (B, 512) features before the head."""
        return torch.flatten(self.netcnnlip(frames), 1)
