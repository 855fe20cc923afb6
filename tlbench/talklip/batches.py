"""Clips as one batch of tensors, with the frames that are picked from each and the faces a generator is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.media.mel import mel_segments, mel_spectrogram
from tlbench.talklip.dataset import FACE_SIDE, TrainingClip
from tlbench.training.expert import AudioEncoder, Expert

VAL_STRIDE = 0.12  # train.py: of the frames, between two runs in validation
SHORTEST = 13  # frames; with fewer the original's int(0.08 T) is 0 and it stops with an error


@dataclass(frozen=True)
class FrameMasking:
    """Which frames of a clip are generated, and so masked for the lip reader (the paper's Sec. 3.5).

    Attributes
    ----------
    share : float
        p: of all frames, so many begin a run; 0.08 as published (TalkLip ``train.py``, ``prob``).
    run : int
        M: frames of a run, its first among them; 5 as published (``length``).

    Raises
    ------
    TlbenchError
        If nothing could be picked so, or nothing else would be left.
    """

    share: float = 0.08
    run: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise TlbenchError(f"a share of {self.share} of all frames can't be picked; give more than 0, 1 at most")
        if not 1 <= self.run <= SHORTEST - 2:
            raise TlbenchError(f"runs of {self.run} frames: clips may have {SHORTEST}; give 1 to {SHORTEST - 2}")


@dataclass(frozen=True)
class Batch:
    """What a step learns from. N frames are picked from B clips of up to T frames.

    Attributes
    ----------
    faces : (N, 6, 96, 96) float32
        BGR / 255: the face with its lower half black, then another picture of the person.
    truth : (N, 3, 96, 96) float32
    audio : (B, F, T) float32 for a global audio encoder, (N, 1, 80, 16) for a local one
    hidden : (B, T) bool
        True where a clip has no frame.
    index : (N,) int64
        Of the picked frames in the flattened (B, T).
    tokens : (B, L) int64
        Padded; (B, 0) if nobody reads.
    frames : (M, 160, 160, 3) uint8
        Of all clips, one after the other, BGR; M is 0 if nobody looks at them.
    boxes : (N, 4) int64
        Of the picked frames.
    rows : (N,) int64
        Of the picked frames in ``frames``.
    """

    faces: Tensor
    truth: Tensor
    audio: Tensor
    hidden: Tensor
    index: Tensor
    tokens: Tensor
    frames: Tensor
    boxes: Tensor
    rows: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        moved = {field.name: getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)}
        return replace(self, **moved)

    def pin_memory(self) -> Batch:
        """The same in memory that a GPU can fetch from by itself; torch's loader asks for it."""
        return replace(self, **{field.name: getattr(self, field.name).pin_memory() for field in fields(self)})


def picked_in_training(
    frames: int, rng: np.random.Generator, picking: FrameMasking | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Frames to be generated, and for each the frame that lends the face: runs of five, by chance.

    As ``train.py``: 8 % of the frames are drawn as starts, those nearer than five to the one before are dropped, and
    each run's identity is another run of the clip. Where the original draws none (clips of 12 frames and fewer), one is
    drawn. ``picking`` may say other numbers.
    """
    picking = picking or FrameMasking()
    places = frames - picking.run + 1  # where a run may begin
    count = min(max(int(frames * picking.share), 1), places - 1)
    starts = np.sort(rng.choice(np.arange(1, places), count, replace=False))
    kept = [int(starts[0])]
    for start in starts[1:]:
        if start - kept[-1] >= picking.run:
            kept.append(int(start))
    others = [int(rng.choice(np.delete(np.arange(places), start))) for start in kept]
    return _runs(kept, picking.run), _runs(others, picking.run)


def picked_in_validation(frames: int, run: int = FrameMasking.run) -> tuple[np.ndarray, np.ndarray]:
    """Frames to be generated, and 0 for each: the first frame lends the face, as when a finished generator speaks."""
    picked = _runs(list(range(0, frames - run + 1, max(int(frames * VAL_STRIDE), 1))), run)
    return picked, np.zeros_like(picked)


def _runs(starts: list[int], frames: int) -> np.ndarray:
    return (np.array(starts)[:, None] + np.arange(frames)).reshape(-1)


class BatchMaker:
    """Turns clips into batches.

    Parameters
    ----------
    ear : AudioEncoder or None
        The generator's global audio encoder; None if it has a local one.
    teacher : Expert or None
        Who reads what is generated.
    ahead_frames : int
        How far ahead of its frame the sound for a local audio encoder begins: what the generator's sizes say, or it
        will speak too early or too late.
    picking : FrameMasking or None
        None is as published.
    """

    def __init__(
        self,
        ear: AudioEncoder | None,
        teacher: Expert | None,
        ahead_frames: int = 0,
        picking: FrameMasking | None = None,
    ) -> None:
        self._ear = ear
        self._teacher = teacher
        self._ahead_frames = ahead_frames
        self._picking = picking or FrameMasking()

    def training(self, clips: Sequence[TrainingClip], rng: np.random.Generator, *, read: bool = True) -> Batch:
        """Clips with frames picked by chance, on the CPU. Without ``read`` no lip reader will look at them."""
        return self._batch(clips, [picked_in_training(len(clip), rng, self._picking) for clip in clips], read=read)

    def validation(self, clip: TrainingClip) -> Batch:
        """A clip with frames picked evenly."""
        return self._batch([clip], [picked_in_validation(len(clip), self._picking.run)], read=True)

    def whole(self, clip: TrainingClip, begin: int, end: int) -> Batch:
        """Each frame of a clip from ``begin`` up to ``end``, to be looked at by a person.

        The first frame of the clip lends the face.
        """
        picked = np.arange(begin, min(end, len(clip)))
        return self._batch([clip], [(picked, np.zeros_like(picked))], read=False)

    def _batch(
        self, clips: Sequence[TrainingClip], picks: Sequence[tuple[np.ndarray, np.ndarray]], *, read: bool
    ) -> Batch:
        longest = max(len(clip) for clip in clips)
        truth = np.concatenate([clip.faces[picked] for clip, (picked, _) in zip(clips, picks, strict=True)])
        identity = np.concatenate([clip.faces[other] for clip, (_, other) in zip(clips, picks, strict=True)])
        pose = truth.copy()
        pose[:, FACE_SIDE // 2 :] = 0
        index = [picked + longest * row for row, (picked, _) in enumerate(picks)]
        begins = np.cumsum([0, *(len(clip) for clip in clips)])
        rows = [picked + begin for begin, (picked, _) in zip(begins, picks, strict=False)]
        return Batch(
            faces=as_faces(np.concatenate([pose, identity], axis=-1)),
            truth=as_faces(truth),
            audio=self._hear(clips, [picked for picked, _ in picks], longest),
            hidden=torch.arange(longest)[None] >= torch.tensor([len(clip) for clip in clips])[:, None],
            index=torch.from_numpy(np.concatenate(index)),
            tokens=self._teacher.padded([clip.tokens for clip in clips])
            if self._teacher is not None
            else torch.zeros(len(clips), 0, dtype=torch.int64),
            frames=torch.from_numpy(np.concatenate([clip.frames() for clip in clips]))
            if read and self._teacher is not None
            else torch.zeros(0, 0, 0, 3, dtype=torch.uint8),
            boxes=torch.from_numpy(
                np.concatenate([clip.boxes[picked] for clip, (picked, _) in zip(clips, picks, strict=True)])
            ),
            rows=torch.from_numpy(np.concatenate(rows)),
        )

    def _hear(self, clips: Sequence[TrainingClip], picks: Sequence[np.ndarray], longest: int) -> Tensor:
        if self._ear is None:
            heard = [
                mel_segments(mel_spectrogram(clip.samples), len(clip), self._ahead_frames)[picked]
                for clip, picked in zip(clips, picks, strict=True)
            ]
            return torch.from_numpy(np.concatenate(heard))
        whole = np.zeros((len(clips), longest, 0), np.float32)
        for row, clip in enumerate(clips):
            features = self._ear.features(clip.samples, len(clip))  # (T, F)
            if not whole.size:
                whole = np.zeros((len(clips), longest, features.shape[1]), np.float32)
            whole[row, : len(clip)] = features
        return torch.from_numpy(whole).transpose(1, 2)


def as_pictures(faces: Tensor) -> np.ndarray:
    """(N, C, H, W) float between 0 and 1 to (N, H, W, C) uint8, cut off as the original's ``astype`` does."""
    levels: np.ndarray = (faces.float() * 255).clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return levels


def as_faces(pictures: np.ndarray) -> Tensor:
    """(N, H, W, C) uint8 to (N, C, H, W) float32 between 0 and 1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
