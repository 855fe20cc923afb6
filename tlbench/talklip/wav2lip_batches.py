"""Batches for Wav2Lip: one window of five frames of each clip, its speech frame by frame and as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tlbench.media.mel import SEGMENT_STEPS, mel_segments, mel_spectrogram
from tlbench.talklip.batches import Clips, FaceBatch, FaceBatchMaker, generator_input, to_float
from tlbench.talklip.dataset import TrainingClip
from tlbench.talklip.sync_windows import frames_of, window_speech, window_starts

VAL_WINDOWS = 4  # of a clip; the original draws windows of 300 batches at random


@dataclass(frozen=True)
class WindowBatch(FaceBatch):
    """The tensors of a step of Wav2Lip: the N = 5 B frames of B windows, one window after the other.

    Attributes
    ----------
    audio : (N, 1, 80, 16) float32
        The 0.2 s of speech of each frame.
    speech : (B, 1, 80, 16) float32
        The 0.2 s of speech of each window, for the sync expert; (0, 1, 80, 16) in batches of single frames.
    """

    audio: Tensor
    speech: Tensor


class WindowMaker(FaceBatchMaker[WindowBatch]):
    """Makes Wav2Lip's batches.

    Parameters
    ----------
    ahead_frames : int
        How many frames before its frame the generator's 0.2 s of speech begin; 1 in ``hq_wav2lip_train.py``.
    val_windows : int
        Windows in a validation batch; as many as in a training batch, because the published sync expert normalises by
        the batch.
    """

    def __init__(self, ahead_frames: int, val_windows: int) -> None:
        self._ahead_frames = ahead_frames
        self._val_windows = val_windows

    def training(
        self, clips: Sequence[TrainingClip], rng: np.random.Generator, *, use_expert: bool = True
    ) -> WindowBatch:
        """A window of each clip, and another window of it for the identities, both at random."""
        windows = []
        for clip in clips:
            mel = mel_spectrogram(clip.samples)
            start = int(rng.choice(self._starts(clip, mel)))
            others = np.delete(np.arange(len(clip) - 4), start)
            windows.append(self._window(clip, mel, start, int(rng.choice(others))))
        return _joined(windows)

    def validation_batches(self, clips: Clips, count: int) -> Iterator[WindowBatch]:
        """Evenly spaced windows of each clip, the windows of a batch from as many clips as possible.

        The identities are those of the clip's first window, or of its last one for windows of the first half.
        """
        pairs = [(index, number) for number in range(VAL_WINDOWS) for index in range(count)]
        for some in np.array_split(np.array(pairs), max(-(-len(pairs) // self._val_windows), 1)):
            yield _joined([self._val_window(clips[int(index)], int(number)) for index, number in some])

    def _val_window(self, clip: TrainingClip, number: int) -> WindowBatch:
        mel = mel_spectrogram(clip.samples)
        starts = self._starts(clip, mel)
        start = int(starts[round(number * (len(starts) - 1) / (VAL_WINDOWS - 1))])
        return self._window(clip, mel, start, int(starts[-1]) if 2 * start < len(clip) else 0)

    def all_frames(self, clip: TrainingClip, begin: int, end: int) -> WindowBatch:
        """Single frames, as in inference."""
        frames = np.arange(begin, min(end, len(clip)))
        return self._batch(clip, mel_spectrogram(clip.samples), frames, np.zeros_like(frames), np.zeros(0, np.int64))

    def _starts(self, clip: TrainingClip, mel: np.ndarray) -> np.ndarray:
        return window_starts(len(clip), mel.shape[1], clip.clip.id, self._ahead_frames)

    def _window(self, clip: TrainingClip, mel: np.ndarray, start: int, other: int) -> WindowBatch:
        starts = np.array([start])
        return self._batch(clip, mel, frames_of(starts), frames_of(np.array([other])), starts)

    def _batch(
        self, clip: TrainingClip, mel: np.ndarray, frames: np.ndarray, identities: np.ndarray, starts: np.ndarray
    ) -> WindowBatch:
        faces = clip.faces[frames]
        speech = window_speech(mel, starts) if len(starts) else np.zeros((0, 1, len(mel), SEGMENT_STEPS), np.float32)
        return WindowBatch(
            faces=generator_input(faces, clip.faces[identities]),
            target=to_float(faces),
            audio=torch.from_numpy(mel_segments(mel, len(clip), self._ahead_frames)[frames]),
            speech=torch.from_numpy(speech),
        )


def _joined(windows: Sequence[WindowBatch]) -> WindowBatch:
    return WindowBatch(
        faces=torch.cat([window.faces for window in windows]),
        target=torch.cat([window.target for window in windows]),
        audio=torch.cat([window.audio for window in windows]),
        speech=torch.cat([window.speech for window in windows]),
    )
