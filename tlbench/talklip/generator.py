"""TalkLip's generator: a masked face, a face of the same person and speech to the face that says it.

After the paper's Tables 4 and 5, with the published code deciding where they disagree (Sxjdwang/TalkLip
``models/talklip.py``): Table 5's first transposed convolution has stride 1, without which 1x1 does not become 3x3, and
its last rows are 3x3 convolutions that keep the size, followed by an output block that the table leaves out. Names,
order and shapes of the state dict are that code's. With the local audio encoder and without a contrastive layer it is
Wav2Lip's generator (Rudrabha/Wav2Lip ``models/wav2lip.py``), to the letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from tlbench.errors import TlbenchError
from tlbench.media.mel import mel_segments, mel_spectrogram
from tlbench.talklip.layers import Convolution, Upsampling, with_residuals
from tlbench.talklip.local_audio import local_audio_encoder
from tlbench.training.expert import AudioEncoder

SIDE = 96  # pixels of a face
# Channels as published: models/talklip.py enc_channel, dec_channel, and what its output block narrows to.
FACES = 6
ENCODER = (16, 32, 64, 128, 256, 512, 512)
DECODER = (512, 512, 512, 384, 256, 128, 64)
OUTPUT = 32
LOCAL_AUDIO = (32, 64, 128, 256)
ENCODER_RESIDUALS = (0, 2, 3, 2, 2, 1)  # of each stage but the last, after its first convolution
DECODER_RESIDUALS = (1, 2, 2, 2, 2, 2)  # of each stage but the first


@dataclass(frozen=True)
class GeneratorDims:
    """Sizes of a generator.

    Attributes
    ----------
    audio : "global" or "local"
        Whether it hears the whole utterance, by a lip reader's transformer, or 0.2 s of mel spectrogram.
    width : float
        What the published numbers of channels are multiplied by.
    deepest : int
        No stage has more channels than this: the deep ones hold nearly all parameters and little of the work.
    narrowest : int
        No stage has fewer. The first looks at two pictures of three colours and hands them on past all the others: with
        two channels behind a ReLU it can't, and what it can't hand on has to be painted from memory.
    audio_width : int
        Of a global audio encoder's features: 768 as published. 0 for a local one, whose follows from the rest.
    contrast_width : int
        Width of the lip reader's features, which the contrastive layer projects speech to; 0 without that layer.
        TalkLip's published code has the layer whether or not it is trained.
    ahead_frames : int
        How many frames ahead of its picture the 0.2 s of a local audio encoder begin: 0 as Wav2Lip's ``inference.py``
        has it, 2 to have the picture in the middle.
    """

    audio: Literal["global", "local"] = "global"
    width: float = 1.0
    deepest: int = 512
    narrowest: int = 1
    audio_width: int = 0
    contrast_width: int = 0
    ahead_frames: int = 0

    def __post_init__(self) -> None:
        counts = (self.audio_width, self.contrast_width, self.ahead_frames, self.deepest - 1, self.narrowest - 1)
        if (
            self.audio not in ("global", "local")
            or not 0 < self.width <= 4
            or not 0 <= min(counts) <= max(counts) < 2**16
            or self.narrowest > self.deepest
        ):
            raise ValueError(f"no such generator: {self}")
        if (self.audio == "local") != (self.audio_width == 0):
            raise ValueError(f"a {self.audio} audio encoder with audio_width {self.audio_width}")

    def channels(self, published: int) -> int:
        """How many channels a stage has that has so many as published."""
        return min(max(round(published * self.width), self.narrowest), self.deepest)

    @property
    def embedding(self) -> int:
        """Channels of the deepest stage, where speech and face meet: 512 as published."""
        return self.channels(ENCODER[-1])

    @property
    def heard(self) -> int:
        """Width of an audio embedding."""
        return self.audio_width or self.embedding

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> GeneratorDims:
        """The inverse of :meth:`to_json`. Raises TypeError or ValueError on what is no generator's size."""
        return cls(**data)


PUBLISHED = GeneratorDims("local")  # Wav2Lip's
MINIATURE = replace(PUBLISHED, width=1 / 8, deepest=64, narrowest=8)
TINY = replace(PUBLISHED, width=1 / 16, deepest=8)  # for tests
AHEAD_FRAMES = 2  # of a local audio encoder that is trained here: the frame is in the middle of what it hears
SIZES = {"published": PUBLISHED, "miniature": MINIATURE, "tiny": TINY}


def dims_for(size: str | Mapping[str, Any], audio: Literal["global", "local"], heard: int, seen: int) -> GeneratorDims:
    """The sizes of a generator that is to be trained here.

    Parameters
    ----------
    size : str or mapping
        One of ``SIZES``, or what differs from the published size: ``{"width": 0.25, "deepest": 96}``.
    audio : "global" or "local"
    heard : int
        Width of the global audio encoder's features; not looked at for a local one.
    seen : int
        Width of the lip reader's features if there is contrastive learning, else 0.

    Raises
    ------
    TlbenchError
        If there is no such size.
    """
    if isinstance(size, str):
        if size not in SIZES:
            raise TlbenchError(f"no size {size!r}; there are {', '.join(SIZES)}, or a JSON file of dimensions (--size)")
        dims = SIZES[size]
    else:
        try:
            dims = replace(PUBLISHED, **size)
        except (TypeError, ValueError) as error:
            raise TlbenchError(
                f"size {dict(size)}: these are no dimensions of the generator ({error}) (--size)"
            ) from error
    if audio == "local":
        return replace(dims, contrast_width=seen, ahead_frames=AHEAD_FRAMES)
    return replace(dims, audio="global", audio_width=heard, contrast_width=seen)


class ContrastiveProjection(nn.Module):
    """The layer that contrastive learning sends speech through (TalkLip ``models/learn_sync.py``)."""

    def __init__(self, heard: int, seen: int) -> None:
        super().__init__()
        self.Linearaudio = nn.Linear(heard, seen)

    def forward(self, embedding: Tensor) -> Tensor:
        """(N, heard) to (N, seen), of unit length: normalised before the layer and behind it."""
        projected = self.Linearaudio(nn.functional.normalize(embedding, dim=1))
        return nn.functional.normalize(projected, dim=1)


class TalkLip(nn.Module):
    """The generator. :meth:`forward` is :meth:`audio_embedding`, then :meth:`paint`.

    Parameters
    ----------
    dims : GeneratorDims
    audio_encoder : AudioEncoder or None
        Of a global one, as wide as ``dims.audio_width``. None for
        a local one, which is built here.
    """

    def __init__(self, dims: GeneratorDims, audio_encoder: AudioEncoder | None = None) -> None:
        super().__init__()
        if (audio_encoder is None) != (dims.audio == "local"):
            raise ValueError(f"a generator with a {dims.audio} audio encoder was given {audio_encoder}")
        self.dims = dims
        down = [dims.channels(count) for count in ENCODER]
        up = [dims.channels(count) for count in DECODER]
        met = [below + beside for below, beside in zip(up, reversed(down), strict=True)]  # after each skip connection
        self.face_encoder_blocks = nn.ModuleList(
            [nn.Sequential(Convolution(FACES, down[0], 7, 1, 3))]  # 96x96
            + [
                with_residuals(Convolution(down[i - 1], down[i], 3, 2, 1), down[i], ENCODER_RESIDUALS[i])
                for i in range(1, 6)  # 48x48, 24x24, 12x12, 6x6, 3x3
            ]
            + [nn.Sequential(Convolution(down[5], down[6], 3), Convolution(down[6], down[6], 1))]  # 1x1
        )
        if audio_encoder is None:
            one, two, three, four = (dims.channels(count) for count in LOCAL_AUDIO)
            self.audio_encoder: nn.Module = local_audio_encoder((one, two, three, four, dims.embedding))
        else:
            self.audio_encoder = audio_encoder
            self.audio_map = nn.Linear(dims.heard, dims.embedding)
        self.face_decoder_blocks = nn.ModuleList(
            [nn.Sequential(Convolution(dims.embedding, up[0], 1))]  # 1x1
            + [
                with_residuals(Upsampling(met[i - 1], up[i], first=i == 1), up[i], DECODER_RESIDUALS[i - 1])
                for i in range(1, 7)  # 3x3, 6x6, 12x12, 24x24, 48x48, 96x96
            ]
        )
        narrow = dims.channels(OUTPUT)
        self.output_block = nn.Sequential(Convolution(met[6], narrow, 3, 1, 1), nn.Conv2d(narrow, 3, 1), nn.Sigmoid())
        if dims.contrast_width:
            self.sync_net = ContrastiveProjection(dims.heard, dims.contrast_width)

    def forward(self, audio: Tensor, hidden: Tensor | None, index: Tensor | None, faces: Tensor) -> Tensor:
        """Faces that say it.

        Parameters
        ----------
        audio, hidden, index
            As :meth:`audio_embedding` takes them.
        faces : (N, 6, 96, 96) float32
            BGR / 255: the face to be spoken by, its lower half black, then another picture of that person.

        Returns
        -------
        (N, 3, 96, 96) float32
            BGR / 255.
        """
        return self.paint(self.audio_embedding(audio, hidden, index), faces)

    def audio_embedding(self, audio: Tensor, hidden: Tensor | None, index: Tensor | None) -> Tensor:
        """What is heard at each of N frames, (N, heard), before it is brought to the face's width.

        Parameters
        ----------
        audio : (B, F, T) or (N, 1, 80, 16) float32
            Features of whole utterances for a global encoder, a mel segment for each frame for a local one.
        hidden : (B, T) bool or None
            True where an utterance has no frame; None for a local encoder.
        index : (N,) int64 or None
            Frame ``t`` of utterance ``b`` is ``b * T + t``; None for a local encoder.
        """
        if self.dims.audio == "local":
            local: Tensor = self.audio_encoder(audio)
            return local.flatten(1)
        if index is None:
            raise ValueError("a global audio encoder hears whole utterances; say which of their frames are wanted")
        utterances: Tensor = self.audio_encoder(audio, hidden)  # (B, T, heard)
        return utterances.flatten(0, 1)[index]

    def paint(self, embedding: Tensor, faces: Tensor) -> Tensor:
        """The rest of :meth:`forward`: (N, heard) and (N, 6, 96, 96) to (N, 3, 96, 96)."""
        x = embedding if self.dims.audio == "local" else self.audio_map(embedding)
        x = x[:, :, None, None]  # (N, 512, 1, 1)
        for block, seen in zip(self.face_decoder_blocks, reversed(self.look(faces)), strict=True):
            x = torch.cat([block(x), seen], dim=1)
        painted: Tensor = self.output_block(x)
        return painted

    def look(self, faces: Tensor) -> list[Tensor]:
        """What each stage of the video encoder sees: 96x96 first, (N, 512, 1, 1) last."""
        seen = []
        for block in self.face_encoder_blocks:
            faces = block(faces)
            seen.append(faces)
        return seen

    def tune_audio(self, blocks: int) -> None:
        """Let the last so many transformer blocks of a global audio encoder learn, and nothing else of it.

        What does not learn has ``requires_grad`` False, so that an optimizer that was given all parameters passes over
        it. A local encoder is not pre-trained and always learns as a whole.
        """
        if self.dims.audio == "local":
            return
        encoder = self._listener()
        encoder.requires_grad_(False)
        for parameter in encoder.tunable(blocks):
            parameter.requires_grad_(True)

    def audio_features(self, samples: np.ndarray, frames: int) -> np.ndarray:
        """What the audio encoder is given of (N,) int16 samples at 16 kHz beside so many frames of video.

        (frames, F) float32 for a global one: features of the utterance, to be transposed and put beside others. For a
        local one (frames, 1, 80, 16) float32: a mel segment for each frame. Raises MediaError if there are no samples.
        """
        if self.dims.audio == "local":
            return mel_segments(mel_spectrogram(samples), frames, self.dims.ahead_frames)
        return self._listener().features(samples, frames)

    def _listener(self) -> AudioEncoder:
        if not isinstance(self.audio_encoder, AudioEncoder):
            raise ValueError("this generator has no global audio encoder")
        return self.audio_encoder
