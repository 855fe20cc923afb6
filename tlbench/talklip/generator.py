"""TalkLip's generator: from a face with its lower half black, another face of the person, and speech, to the face.

After the paper's Tables 4 and 5 and the published code (Sxjdwang/TalkLip ``models/talklip.py``), which is followed
where they disagree: the first transposed convolution of Table 5 has stride 1, as only then 1x1 becomes 3x3, and the
table's last rows are 3x3 convolutions that keep the size, followed by an output block that the table omits. Names,
order and shapes of the state dict are the code's. With the local audio encoder and without a contrastive layer it is
exactly Wav2Lip's generator (Rudrabha/Wav2Lip ``models/wav2lip.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from tlbench.checkpoints.dims import NetworkDims
from tlbench.errors import TlbenchError, did_you_mean, quoted
from tlbench.media.mel import mel_segments, mel_spectrogram
from tlbench.talklip.layers import Convolution, Upsampling, with_residuals
from tlbench.talklip.local_audio import local_audio_encoder
from tlbench.training.expert import AudioEncoder

SIDE = 96  # pixels; width and height of a face
# Channels as published: models/talklip.py enc_channel, dec_channel, and of its output block.
FACES = 6  # channels of the input: two faces of three colours
ENCODER = (16, 32, 64, 128, 256, 512, 512)
DECODER = (512, 512, 512, 384, 256, 128, 64)
OUTPUT = 32
LOCAL_AUDIO = (32, 64, 128, 256)
ENCODER_RESIDUALS = (0, 2, 3, 2, 2, 1)  # of each stage but the last, after its first convolution
DECODER_RESIDUALS = (1, 2, 2, 2, 2, 2)  # of each stage but the first


@dataclass(frozen=True)
class GeneratorDims(NetworkDims):
    """Sizes of a generator.

    Attributes
    ----------
    audio : "global" or "local"
        Whether the audio encoder uses the whole utterance (an expert's transformer) or 0.2 s of mel spectrogram.
    width : float
        Factor on the published numbers of channels.
    deepest : int
        The largest number of channels of a stage. The deep stages have nearly all parameters and little of the
        computation.
    narrowest : int
        The smallest number of channels of a stage. The first stage has to pass on two faces of three colours, and can't
        with two channels behind a ReLU.
    audio_width : int
        Size of a global audio encoder's features: 768 as published. 0 for a local one, whose size follows from the
        others.
    contrast_width : int
        Size of the expert's video features, which the contrastive layer projects audio to; 0 without that layer.
        TalkLip's published code has the layer in every variant.
    ahead_frames : int
        How many frames before its frame the 0.2 s of a local audio encoder begin: 0 as in Wav2Lip's ``inference.py``,
        2 to have the frame in the middle.
    """

    audio: Literal["global", "local"] = "global"
    width: float = 1.0
    deepest: int = 512
    narrowest: int = 1
    audio_width: int = 0
    contrast_width: int = 0
    ahead_frames: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = (self.audio_width, self.contrast_width, self.ahead_frames, self.deepest - 1, self.narrowest - 1)
        if not 0 < self.width <= 4 or not 0 <= min(counts) <= max(counts) < 2**16 or self.narrowest > self.deepest:
            raise ValueError(f"sizes of a generator out of range: {self}")
        if (self.audio == "local") != (self.audio_width == 0):
            raise ValueError(f"a {self.audio} audio encoder with audio_width {self.audio_width}")

    def channels(self, published: int) -> int:
        """Channels of a stage that has ``published`` channels in the published generator."""
        return min(max(round(published * self.width), self.narrowest), self.deepest)

    @property
    def embedding(self) -> int:
        """Channels of the deepest stage, where audio and face are joined: 512 as published."""
        return self.channels(ENCODER[-1])

    @property
    def audio_embedding_width(self) -> int:
        """Size of an audio embedding."""
        return self.audio_width or self.embedding


PUBLISHED = GeneratorDims("local")  # Wav2Lip's
MINIATURE = replace(PUBLISHED, width=1 / 8, deepest=64, narrowest=8)
TINY = replace(PUBLISHED, width=1 / 16, deepest=8)  # for tests
AHEAD_FRAMES = 2  # of a local audio encoder trained here: the frame is in the middle of its 0.2 s
SIZES = {"published": PUBLISHED, "miniature": MINIATURE, "tiny": TINY}


def dims_for(
    size: str | Mapping[str, Any], audio: Literal["global", "local"], audio_width: int, contrast_width: int
) -> GeneratorDims:
    """The sizes of a generator that is to be trained here.

    Parameters
    ----------
    size : str or mapping
        One of ``SIZES``, or what differs from the published sizes: ``{"width": 0.25, "deepest": 96}``.
    audio : "global" or "local"
    audio_width : int
        Size of the global audio encoder's features; ignored for a local one.
    contrast_width : int
        Size of the expert's video features if the contrastive loss is used, else 0.

    Raises
    ------
    TlbenchError
        If there is no such size.
    """
    if isinstance(size, str):
        if size not in SIZES:
            known = f"there are {', '.join(SIZES)}, or a JSON file of sizes (--size)"
            raise TlbenchError(f"no size {quoted(size)}{did_you_mean(size, SIZES)}; {known}")
        dims = SIZES[size]
    else:
        try:
            dims = replace(PUBLISHED, **size)
        except (TypeError, ValueError) as error:
            raise TlbenchError(f"size {dict(size)}: these are not sizes of the generator ({error}) (--size)") from error
    if audio == "local":
        return replace(dims, contrast_width=contrast_width, ahead_frames=AHEAD_FRAMES)
    return replace(dims, audio="global", audio_width=audio_width, contrast_width=contrast_width)


class ContrastiveProjection(nn.Module):
    """The layer between audio embeddings and the contrastive loss (TalkLip ``models/learn_sync.py``)."""

    def __init__(self, audio_width: int, contrast_width: int) -> None:
        super().__init__()
        self.Linearaudio = nn.Linear(audio_width, contrast_width)

    def forward(self, embedding: Tensor) -> Tensor:
        """(N, audio_width) to (N, contrast_width) of unit length: normalised before and after the layer."""
        projected = self.Linearaudio(nn.functional.normalize(embedding, dim=1))
        return nn.functional.normalize(projected, dim=1)


class FacePainter(nn.Module):
    """What paints a face: the encoder of two faces, and the decoder that joins its stages with an embedding.

    Subclasses call :meth:`_build_encoder` and :meth:`_build_decoder`, around what they have between them: the order of
    a state dict is the published one.
    """

    audio_encoder: nn.Module
    face_encoder_blocks: nn.ModuleList
    face_decoder_blocks: nn.ModuleList
    output_block: nn.Sequential

    def __init__(self, dims: GeneratorDims) -> None:
        super().__init__()
        self.dims = dims

    def _build_encoder(self) -> None:
        down = [self.dims.channels(count) for count in ENCODER]
        self.face_encoder_blocks = nn.ModuleList(
            [nn.Sequential(Convolution(FACES, down[0], 7, 1, 3))]  # 96x96
            + [
                with_residuals(Convolution(down[i - 1], down[i], 3, 2, 1), down[i], ENCODER_RESIDUALS[i])
                for i in range(1, 6)  # 48x48, 24x24, 12x12, 6x6, 3x3
            ]
            + [nn.Sequential(Convolution(down[5], down[6], 3), Convolution(down[6], down[6], 1))]  # 1x1
        )

    def _build_decoder(self) -> None:
        dims = self.dims
        down = [dims.channels(count) for count in ENCODER]
        up = [dims.channels(count) for count in DECODER]
        joined = [below + skip for below, skip in zip(up, reversed(down), strict=True)]  # after each skip connection
        self.face_decoder_blocks = nn.ModuleList(
            [nn.Sequential(Convolution(dims.embedding, up[0], 1))]  # 1x1
            + [
                with_residuals(Upsampling(joined[i - 1], up[i], first=i == 1), up[i], DECODER_RESIDUALS[i - 1])
                for i in range(1, 7)  # 3x3, 6x6, 12x12, 24x24, 48x48, 96x96
            ]
        )
        narrow = dims.channels(OUTPUT)
        self.output_block = nn.Sequential(
            Convolution(joined[6], narrow, 3, 1, 1), nn.Conv2d(narrow, 3, 1), nn.Sigmoid()
        )

    def encode_faces(self, faces: Tensor) -> list[Tensor]:
        """Outputs of the face encoder's stages: (N, 16, 96, 96) first, (N, 512, 1, 1) last."""
        outputs = []
        for block in self.face_encoder_blocks:
            faces = block(faces)
            outputs.append(faces)
        return outputs

    def decode(self, embedding: Tensor, skips: list[Tensor]) -> Tensor:
        """Faces from (N, 512) embeddings and the outputs of the encoder's stages: (N, 3, 96, 96)."""
        x = embedding[:, :, None, None]  # (N, 512, 1, 1)
        for block, skip in zip(self.face_decoder_blocks, reversed(skips), strict=True):
            x = torch.cat([block(x), skip], dim=1)
        generated: Tensor = self.output_block(x)
        return generated


class TalkLip(FacePainter):
    """The generator. :meth:`forward` is :meth:`audio_embedding`, then :meth:`paint`.

    Parameters
    ----------
    dims : GeneratorDims
    audio_encoder : AudioEncoder or None
        A global one with features of size ``dims.audio_width``. None for a local one, which is built here.
    """

    def __init__(self, dims: GeneratorDims, audio_encoder: AudioEncoder | None = None) -> None:
        super().__init__(dims)
        if (audio_encoder is None) != (dims.audio == "local"):
            raise ValueError(f"a generator with a {dims.audio} audio encoder was given {audio_encoder}")
        self._build_encoder()
        if audio_encoder is None:
            one, two, three, four = (dims.channels(count) for count in LOCAL_AUDIO)
            self.audio_encoder = local_audio_encoder((one, two, three, four, dims.embedding))
        else:
            self.audio_encoder = audio_encoder
            self.audio_map = nn.Linear(dims.audio_embedding_width, dims.embedding)
        self._build_decoder()
        if dims.contrast_width:
            self.sync_net = ContrastiveProjection(dims.audio_embedding_width, dims.contrast_width)

    def forward(self, audio: Tensor, padding_mask: Tensor | None, index: Tensor | None, faces: Tensor) -> Tensor:
        """Generate faces.

        Parameters
        ----------
        audio, padding_mask, index
            As in :meth:`audio_embedding`.
        faces : (N, 6, 96, 96) float32
            BGR / 255: the face with its lower half black, then another face of the person.

        Returns
        -------
        (N, 3, 96, 96) float32
            BGR / 255.
        """
        return self.paint(self.audio_embedding(audio, padding_mask, index), faces)

    def audio_embedding(self, audio: Tensor, padding_mask: Tensor | None, index: Tensor | None) -> Tensor:
        """Audio embeddings of N frames, (N, audio_embedding_width), before they are mapped to the face's width.

        Parameters
        ----------
        audio : (B, F, T) or (N, 1, 80, 16) float32
            Features of whole utterances for a global encoder, a mel segment for each frame for a local one.
        padding_mask : (B, T) bool or None
            True for padding; None for a local encoder.
        index : (N,) int64 or None
            Frame ``t`` of utterance ``b`` is ``b * T + t``; None for a local encoder.
        """
        if self.dims.audio == "local":
            local: Tensor = self.audio_encoder(audio)
            return local.flatten(1)
        if index is None:
            raise ValueError("a global audio encoder needs the index of the frames that embeddings are wanted of")
        utterances: Tensor = self.audio_encoder(audio, padding_mask)  # (B, T, audio_width)
        return utterances.flatten(0, 1)[index]

    def paint(self, embedding: Tensor, faces: Tensor) -> Tensor:
        """Faces from audio embeddings: (N, audio_embedding_width) and (N, 6, 96, 96) to (N, 3, 96, 96)."""
        x = embedding if self.dims.audio == "local" else self.audio_map(embedding)
        return self.decode(x, self.encode_faces(faces))

    def tune_audio(self, blocks: int) -> None:
        """Make the last ``blocks`` transformer blocks of a global audio encoder trainable, and freeze the rest of it.

        Frozen parameters have ``requires_grad`` False, so that an optimiser skips them. A local encoder is not
        pre-trained; all of it is always trained.
        """
        if self.dims.audio == "local":
            return
        encoder = self._global_audio_encoder()
        encoder.requires_grad_(False)
        for parameter in encoder.tunable(blocks):
            parameter.requires_grad_(True)

    def audio_features(self, samples: np.ndarray, frames: int) -> np.ndarray:
        """The audio encoder's input features of a clip, from (N,) int16 samples at 16 kHz.

        For a global encoder (frames, F) float32, to be transposed for :meth:`audio_embedding`. For a local encoder
        (frames, 1, 80, 16) float32, a mel segment for each frame. Raises MediaError if there are no samples.
        """
        if self.dims.audio == "local":
            return mel_segments(mel_spectrogram(samples), frames, self.dims.ahead_frames)
        return self._global_audio_encoder().features(samples, frames)

    def _global_audio_encoder(self) -> AudioEncoder:
        if not isinstance(self.audio_encoder, AudioEncoder):
            raise ValueError("this generator has no global audio encoder")
        return self.audio_encoder
