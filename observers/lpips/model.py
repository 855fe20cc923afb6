"""LPIPS (Zhang et al., CVPR 2018): AlexNet's features of two pictures, compared pixel by pixel in five layers.

Version 0.1 of richzhang/PerceptualSimilarity (package lpips 0.1.4): pictures from -1 to 1 are shifted and scaled, the
features after each of the five rectified convolutions are divided by their length, and the squared differences are
weighted by channel and averaged over pixels; the five averages are added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

CHANNELS = (64, 192, 384, 256, 256)  # of the five layers
RECTIFIED = (1, 4, 7, 9, 11)  # their places among AlexNet's layers
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of red, green, blue from -1 to 1
EPSILON = 1e-10  # added to the length of the features
SMALLEST_SIDE = 31  # pixels: with fewer, the last layers have no pixel left


class AlexNetFeatures(nn.Module):
    """The convolutions of AlexNet with torchvision's names; its classifier is not used."""

    def __init__(self) -> None:
        super().__init__()
        layers: Sequence[nn.Module] = (
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(),
        )
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The outputs of the five rectified convolutions, (B, channels, h, w) each, for (B, 3, H, W)."""
        found = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in RECTIFIED:
                found.append(x)
        return found


class LPIPSDistance(nn.Module):
    """The distance of pairs of pictures. ``linear`` has the weights of each layer's channels, ``lin0`` to ``lin4``."""

    shift: Tensor
    scale: Tensor

    def __init__(self, features: AlexNetFeatures, linear: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.features = features
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])
        for number, channels in enumerate(CHANNELS):
            self.register_buffer(f"lin{number}", linear[f"lin{number}"].reshape(channels, 1, 1))

    def forward(self, pair: Tensor) -> Tensor:
        """() float32, 0 or more, for (2, 3, H, W) uint8 RGB: two pictures, at least 31 pixels high and wide."""
        x = pair.float() / 127.5 - 1
        total = torch.zeros((), device=pair.device)
        for number, found in enumerate(self.features((x - self.shift) / self.scale)):
            one, other = found / (found.square().sum(dim=1, keepdim=True).sqrt() + EPSILON)
            total = total + ((one - other).square() * getattr(self, f"lin{number}")).sum(dim=0).mean()
        return total
