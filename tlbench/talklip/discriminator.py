"""The discriminator of real and generated faces (TalkLip, Table 6); Wav2Lip's quality discriminator is the same.

Names, order and shapes of the state dict are those of Sxjdwang/TalkLip ``models/talklip.py``, ``TalkLip_disc_qual``.
Where its strides differ from Table 6, the code's are used.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.talklip.layers import PlainConvolution

CHANNELS = (32, 64, 128, 256, 512, 512, 512)  # as published


class Discriminator(nn.Module):
    """Classifies the lower half of a face as real or generated.

    Parameters
    ----------
    width : float
        Factor on the published numbers of channels, more than 0 and at most 4.
    deepest : int
        The largest number of channels of a stage.

    Raises
    ------
    ValueError
        If a size is out of range.
    """

    def __init__(self, width: float = 1.0, deepest: int = 512) -> None:
        super().__init__()
        if not 0 < width <= 4 or not 0 < deepest < 2**16:
            raise ValueError(f"discriminator of width {width}, deepest {deepest}: out of range")
        self.width, self.deepest = width, deepest
        c = [min(max(round(count * width), 1), deepest) for count in CHANNELS]
        self.face_encoder_blocks = nn.ModuleList(
            [
                nn.Sequential(PlainConvolution(3, c[0], 7, 1, 3)),  # 48x96
                _stage(c[0], c[1], 5, (1, 2)),  # 48x48
                _stage(c[1], c[2], 5, 2),  # 24x24
                _stage(c[2], c[3], 5, 2),  # 12x12
                _stage(c[3], c[4], 3, 2),  # 6x6
                _stage(c[4], c[5], 3, 2),  # 3x3
                nn.Sequential(PlainConvolution(c[5], c[6], 3), PlainConvolution(c[6], c[6], 1)),  # 1x1
            ]
        )
        self.binary_pred = nn.Sequential(nn.Conv2d(c[6], 1, 1), nn.Sigmoid())

    def forward(self, faces: Tensor) -> Tensor:
        """Probability that each face is real: (N, 3, 96, 96) BGR / 255 to (N, 1)."""
        return torch.sigmoid(self.logits(faces))

    def logits(self, faces: Tensor) -> Tensor:
        """:meth:`forward` before its sigmoid, for losses that keep their precision: (N, 1)."""
        x = faces[:, :, faces.shape[2] // 2 :]
        for block in self.face_encoder_blocks:
            x = block(x)
        logits: Tensor = self.binary_pred[0](x)
        return logits.flatten(1)

    def perceptual(self, faces: Tensor) -> Tensor:
        """The generator's adversarial loss, a mean over faces in nats (a scalar).

        The original's ``perceptual_forward``: binary cross-entropy against "real".
        """
        return F.softplus(-self.logits(faces).float()).mean()


def _stage(inputs: int, outputs: int, kernel: int, stride: int | tuple[int, int]) -> nn.Sequential:
    padding = kernel // 2
    return nn.Sequential(
        PlainConvolution(inputs, outputs, kernel, stride, padding),
        PlainConvolution(outputs, outputs, kernel, 1, padding),
    )
