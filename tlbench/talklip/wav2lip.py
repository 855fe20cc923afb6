"""Wav2Lip: its generator, which TalkLip's was derived from, with the interface of its own code, and its sync expert.

After Rudrabha/Wav2Lip ``models/wav2lip.py`` and ``models/syncnet.py``, with their state-dict names. The quality
discriminator is :class:`~tlbench.talklip.discriminator.Discriminator` on :func:`frames_first`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.checkpoints.dims import NetworkDims
from tlbench.talklip.generator import PUBLISHED, GeneratorDims, TalkLip
from tlbench.talklip.layers import Convolution

SYNC_FRAMES = 5  # of a window, as long as 0.2 s of speech; syncnet_T of color_syncnet_train.py
SYNC_CHANNELS = (32, 64, 128, 256, 512)  # of both encoders, as published


class Wav2Lip(TalkLip):
    """TalkLip's generator with the local audio encoder and the input shapes of Wav2Lip's code."""

    def __init__(self, dims: GeneratorDims = PUBLISHED) -> None:
        super().__init__(dims)

    def generate(self, mels: Tensor, faces: Tensor) -> Tensor:
        """Generate faces.

        Parameters
        ----------
        mels : (B, 1, 80, 16) or (B, T, 1, 80, 16) float32
        faces : (B, 6, 96, 96) or (B, 6, T, 96, 96) float32
            BGR / 255, the face with its lower half black first.

        Returns
        -------
        (B, 3, 96, 96) or (B, 3, T, 96, 96) float32
        """
        if faces.ndim == 4:
            generated: Tensor = self(mels, None, None, faces)
            return generated
        clips = len(faces)
        generated = self(mels.transpose(0, 1).flatten(0, 1), None, None, frames_first(faces))
        return generated.view(-1, clips, *generated.shape[1:]).permute(1, 2, 0, 3, 4)


def frames_first(faces: Tensor) -> Tensor:
    """(B, C, T, H, W) to (T * B, C, H, W): first frames of all clips, then second frames, and so on."""
    return faces.permute(2, 0, 1, 3, 4).flatten(0, 1)


@dataclass(frozen=True)
class SyncDims(NetworkDims):
    """Sizes of a sync expert.

    Attributes
    ----------
    width : float
        Factor on the published numbers of channels.
    deepest : int
        The largest number of channels of a stage, and the size of the embeddings.
    """

    width: float = 1.0
    deepest: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.width <= 4 or not 0 < self.deepest < 2**16:
            raise ValueError(f"sizes of a sync expert out of range: {self}")

    def channels(self, published: int) -> int:
        """Channels of a stage that has ``published`` channels in the published network."""
        return min(max(round(published * self.width), 1), self.deepest)


class ColourSyncNet(nn.Module):
    """Wav2Lip's lip-sync expert: embeddings of five lower halves of faces and of 0.2 s of speech, of unit length.

    Parameters
    ----------
    dims : SyncDims
    """

    def __init__(self, dims: SyncDims = SyncDims()) -> None:
        super().__init__()
        self.dims = dims
        a, b, c, d, e = (dims.channels(count) for count in SYNC_CHANNELS)
        self.face_encoder = nn.Sequential(
            Convolution(3 * SYNC_FRAMES, a, 7, 1, 3),  # 48x96
            *_stage(a, b, 5, (1, 2), 2),
            *_stage(b, c, 3, 2, 3),
            *_stage(c, d, 3, 2, 2),
            *_stage(d, e, 3, 2, 2),
            *_stage(e, e, 3, 2, 0),
            Convolution(e, e, 3),
            Convolution(e, e, 1),
        )
        self.audio_encoder = nn.Sequential(
            *_stage(1, a, 3, 1, 2),  # 80x16
            *_stage(a, b, 3, (3, 1), 2),
            *_stage(b, c, 3, 3, 2),
            *_stage(c, d, 3, (3, 2), 2),
            Convolution(d, e, 3),
            Convolution(e, e, 1),
        )

    def forward(self, mels: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, 80, 16) and (B, 15, 48, 96) to embeddings of speech and faces, (B, 512) each."""
        return tuple(  # type: ignore[return-value]
            F.normalize(encoder(x).flatten(1), dim=1)
            for encoder, x in ((self.audio_encoder, mels), (self.face_encoder, faces))
        )


def lower_halves(faces: Tensor) -> Tensor:
    """(B * 5, 3, 96, 96) faces, the five of a window one after the other, to (B, 15, 48, 96) for the sync expert."""
    halves = faces[:, :, faces.shape[2] // 2 :]
    return halves.reshape(-1, SYNC_FRAMES * halves.shape[1], *halves.shape[2:])


def _stage(inputs: int, outputs: int, kernel: int, stride: int | tuple[int, int], residuals: int) -> list[Convolution]:
    residual_blocks = [Convolution(outputs, outputs, 3, 1, 1, residual=True) for _ in range(residuals)]
    return [Convolution(inputs, outputs, kernel, stride, 1), *residual_blocks]
