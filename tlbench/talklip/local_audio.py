"""The audio encoder of the local variants: 0.2 s of mel spectrogram to one embedding (TalkLip, Table 3).

It is Wav2Lip's (Rudrabha/Wav2Lip ``models/wav2lip.py``), with its state-dict names ``audio_encoder.<n>.conv_block.*``.
"""

from __future__ import annotations

from torch import nn

from tlbench.talklip.layers import Convolution


def local_audio_encoder(channels: tuple[int, int, int, int, int]) -> nn.Sequential:
    """A network from (N, 1, 80, 16) mel segments to (N, C, 1, 1) embeddings.

    Parameters
    ----------
    channels : tuple of int
        Of the five stages; 32, 64, 128, 256, 512 as published. The last is C.
    """
    one, two, three, four, five = channels
    return nn.Sequential(
        Convolution(1, one, 3, 1, 1),
        *_residuals(one, 2),  # 80x16
        Convolution(one, two, 3, (3, 1), 1),
        *_residuals(two, 2),  # 27x16
        Convolution(two, three, 3, 3, 1),
        *_residuals(three, 2),  # 9x6
        Convolution(three, four, 3, (3, 2), 1),
        *_residuals(four, 1),  # 3x3
        Convolution(four, five, 3),  # 1x1
        Convolution(five, five, 1),
    )


def _residuals(channels: int, count: int) -> list[Convolution]:
    return [Convolution(channels, channels, 3, 1, 1, residual=True) for _ in range(count)]
