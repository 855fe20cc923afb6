"""Clips as batches of tensors: the frames to be generated, the faces that the generator is given, and the audio."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.media.mel import mel_segments, mel_spectrogram
from tlbench.talklip.dataset import FACE_SIDE, TrainingClip
from tlbench.training.expert import AudioEncoder, Expert

VALIDATION_STRIDE = 0.12  # train.py: distance between two runs in validation, as a fraction of the clip's frames
MIN_FRAMES = 13  # with fewer the original's int(0.08 T) is 0 and it stops with an error


@dataclass(frozen=True)
class FrameMasking:
    """Which frames of a clip are generated in training, and so masked for the expert (the paper's Sec. 3.5).

    Attributes
    ----------
    probability : float
        p: the fraction of all frames that a run of generated frames begins at; 0.08 as published (TalkLip ``train.py``,
        ``prob``).
    length : int
        M: frames of a run; 5 as published (``length``).

    Raises
    ------
    TlbenchError
        If no frame would be selected, or a clip of ``MIN_FRAMES`` frames is too short for a run.
    """

    probability: float = 0.08
    length: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise TlbenchError(f"mask probability {self.probability}: give more than 0, at most 1 (mask_probability)")
        if not 1 <= self.length <= MIN_FRAMES - 2:
            raise TlbenchError(
                f"mask length {self.length}: clips may have only {MIN_FRAMES} frames; give 1 to {MIN_FRAMES - 2} "
                "(mask_length)"
            )


AnyBatch = TypeVar("AnyBatch", bound="FaceBatch")


@dataclass(frozen=True)
class FaceBatch:
    """The faces of a step, of any generator.

    Attributes
    ----------
    faces : (N, 6, 96, 96) float32
        BGR / 255: the face with its lower half black, then the identity, another face of the same clip.
    target : (N, 3, 96, 96) float32
        BGR / 255: the real face.
    """

    faces: Tensor
    target: Tensor

    def to(self: AnyBatch, device: torch.device) -> AnyBatch:
        """The batch on a device."""
        moved = {field.name: getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)}
        return replace(self, **moved)

    def pin_memory(self: AnyBatch) -> AnyBatch:
        """The batch in pinned memory; called by torch's loader."""
        return replace(self, **{field.name: getattr(self, field.name).pin_memory() for field in fields(self)})


@dataclass(frozen=True)
class Batch(FaceBatch):
    """The tensors of a step of TalkLip: N selected frames of B clips of up to T frames.

    Attributes
    ----------
    audio : (B, F, T) float32 for a global audio encoder, (N, 1, 80, 16) for a local one
    padding_mask : (B, T) bool
        True for padding.
    index : (N,) int64
        Of the selected frames in the flattened (B, T).
    tokens : (B, L) int64
        The transcripts, padded; (B, 0) without an expert.
    frames : (M, 160, 160, 3) uint8
        BGR, of all clips one after the other; M is 0 if no expert uses them.
    boxes : (N, 4) int64
        Face boxes of the selected frames, x1 y1 x2 y2.
    rows : (N,) int64
        Of the selected frames in ``frames``.
    """

    audio: Tensor
    padding_mask: Tensor
    index: Tensor
    tokens: Tensor
    frames: Tensor
    boxes: Tensor
    rows: Tensor


def training_frames(
    frames: int, rng: np.random.Generator, masking: FrameMasking | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Frames to be generated, and for each the frame that gives the identity, both (N,) int64.

    As ``train.py``: 8 % of the frames are drawn as the starts of runs of five, starts nearer than five frames to the
    one before are dropped, and the identities of a run are another run of the clip. The original draws no start from
    clips of 12 frames and fewer; here at least one is drawn. ``masking`` may give other numbers.
    """
    masking = masking or FrameMasking()
    starts_end = frames - masking.length + 1  # runs start before this frame
    count = min(max(int(frames * masking.probability), 1), starts_end - 1)
    drawn = np.sort(rng.choice(np.arange(1, starts_end), count, replace=False))
    starts = [int(drawn[0])]
    for start in drawn[1:]:
        if start - starts[-1] >= masking.length:
            starts.append(int(start))
    identities = [int(rng.choice(np.delete(np.arange(starts_end), start))) for start in starts]
    return _runs(starts, masking.length), _runs(identities, masking.length)


def validation_frames(frames: int, length: int = FrameMasking.length) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spaced runs of frames to be generated, and 0 for each: the first frame gives the identity, as in tests."""
    selected = _runs(list(range(0, frames - length + 1, max(int(frames * VALIDATION_STRIDE), 1))), length)
    return selected, np.zeros_like(selected)


def _runs(starts: list[int], length: int) -> np.ndarray:
    return (np.array(starts)[:, None] + np.arange(length)).reshape(-1)


class Clips(Protocol):
    """The clips of a set, by their numbers."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> TrainingClip: ...


class FaceBatchMaker(ABC, Generic[AnyBatch]):
    """Makes a generator's batches of clips, on the CPU.

    Attributes
    ----------
    sample_frames : int
        Frames of a sample video that are generated at once.
    """

    sample_frames: ClassVar[int] = 25

    @abstractmethod
    def training(self, clips: Sequence[TrainingClip], rng: np.random.Generator, *, use_expert: bool = True) -> AnyBatch:
        """Clips with frames selected at random; with ``use_expert`` also what only the expert's loss needs."""

    @abstractmethod
    def validation_batches(self, clips: Clips, count: int) -> Iterator[AnyBatch]:
        """Batches of the first ``count`` clips, the same at each validation."""

    @abstractmethod
    def all_frames(self, clip: TrainingClip, begin: int, end: int) -> AnyBatch:
        """Every frame of a clip from ``begin`` up to ``end``, for sample videos. The first frame gives the identity."""


class BatchMaker(FaceBatchMaker[Batch]):
    """Makes batches of clips for TalkLip.

    Parameters
    ----------
    audio_encoder : AudioEncoder or None
        The generator's global audio encoder; None if it has a local one.
    expert : Expert or None
    ahead_frames : int
        How many frames before its frame the input of a local audio encoder begins. It must be the generator's, or
        lips and speech will be out of sync.
    masking : FrameMasking or None
        None for the published one.
    """

    def __init__(
        self,
        audio_encoder: AudioEncoder | None,
        expert: Expert | None,
        ahead_frames: int = 0,
        masking: FrameMasking | None = None,
    ) -> None:
        self._audio_encoder = audio_encoder
        self._expert = expert
        self._ahead_frames = ahead_frames
        self._masking = masking or FrameMasking()

    def training(self, clips: Sequence[TrainingClip], rng: np.random.Generator, *, use_expert: bool = True) -> Batch:
        """Clips with randomly selected frames, on the CPU. Without ``use_expert`` whole frames are not decoded."""
        selections = [training_frames(len(clip), rng, self._masking) for clip in clips]
        return self._batch(clips, selections, use_expert=use_expert)

    def validation(self, clip: TrainingClip) -> Batch:
        """A clip with evenly spaced runs of frames."""
        return self._batch([clip], [validation_frames(len(clip), self._masking.length)], use_expert=True)

    def validation_batches(self, clips: Clips, count: int) -> Iterator[Batch]:
        """A batch for each clip."""
        return (self.validation(clips[index]) for index in range(count))

    def all_frames(self, clip: TrainingClip, begin: int, end: int) -> Batch:
        """Every frame of a clip from ``begin`` up to ``end``, for sample videos. The first frame gives the identity."""
        selected = np.arange(begin, min(end, len(clip)))
        return self._batch([clip], [(selected, np.zeros_like(selected))], use_expert=False)

    def _batch(
        self, clips: Sequence[TrainingClip], selections: Sequence[tuple[np.ndarray, np.ndarray]], *, use_expert: bool
    ) -> Batch:
        longest = max(len(clip) for clip in clips)
        selected = [frames for frames, _ in selections]
        target = np.concatenate([clip.faces[frames] for clip, frames in zip(clips, selected, strict=True)])
        identity = np.concatenate([clip.faces[other] for clip, (_, other) in zip(clips, selections, strict=True)])
        first_rows = np.cumsum([0, *(len(clip) for clip in clips)])[:-1]
        boxes = [clip.boxes[frames] for clip, frames in zip(clips, selected, strict=True)]
        no_tokens, no_frames = torch.zeros(len(clips), 0, dtype=torch.int64), torch.zeros(0, 0, 0, 3, dtype=torch.uint8)
        decode = use_expert and self._expert is not None
        return Batch(
            faces=generator_input(target, identity),
            target=to_float(target),
            audio=self._audio(clips, selected, longest),
            padding_mask=torch.arange(longest)[None] >= torch.tensor([len(clip) for clip in clips])[:, None],
            index=torch.from_numpy(np.concatenate([frames + longest * row for row, frames in enumerate(selected)])),
            tokens=no_tokens if self._expert is None else self._expert.pad([clip.tokens for clip in clips]),
            frames=torch.from_numpy(np.concatenate([clip.frames() for clip in clips])) if decode else no_frames,
            boxes=torch.from_numpy(np.concatenate(boxes)),
            rows=torch.from_numpy(
                np.concatenate([first + frames for first, frames in zip(first_rows, selected, strict=True)])
            ),
        )

    def _audio(self, clips: Sequence[TrainingClip], selected: Sequence[np.ndarray], longest: int) -> Tensor:
        if self._audio_encoder is None:
            segments = [
                mel_segments(mel_spectrogram(clip.samples), len(clip), self._ahead_frames)[frames]
                for clip, frames in zip(clips, selected, strict=True)
            ]
            return torch.from_numpy(np.concatenate(segments))
        features = [self._audio_encoder.features(clip.samples, len(clip)) for clip in clips]  # (T, F) each
        padded = np.zeros((len(clips), longest, features[0].shape[1]), np.float32)
        for row, of_clip in enumerate(features):
            padded[row, : len(of_clip)] = of_clip
        return torch.from_numpy(padded).transpose(1, 2)


def generator_input(faces: np.ndarray, identity: np.ndarray) -> Tensor:
    """What a generator is given: (N, 96, 96, 3) uint8 faces and identities to (N, 6, 96, 96) float32.

    The lower half of each face becomes black.
    """
    pose = faces.copy()
    pose[:, FACE_SIDE // 2 :] = 0
    return to_float(np.concatenate([pose, identity], axis=-1))


def to_uint8(faces: Tensor) -> np.ndarray:
    """(N, C, H, W) float between 0 and 1 to (N, H, W, C) uint8, truncated as the original's ``astype`` does."""
    levels: np.ndarray = (faces.float() * 255).clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return levels


def to_float(pictures: np.ndarray) -> Tensor:
    """(N, H, W, C) uint8 to (N, C, H, W) float32 between 0 and 1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
