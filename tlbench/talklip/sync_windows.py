"""Windows of five frames and the 0.2 s of speech that begin with them, for Wav2Lip and its sync expert.

After ``Dataset`` of Rudrabha/Wav2Lip ``hq_wav2lip_train.py`` and ``color_syncnet_train.py``.
"""

from __future__ import annotations

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.media.mel import SEGMENT_STEPS, STEPS_PER_SECOND, mel_segments
from tlbench.media.rates import FRAMES_PER_SECOND
from tlbench.talklip.wav2lip import SYNC_FRAMES

MIN_WINDOW_FRAMES = 3 * SYNC_FRAMES + 1  # shorter clips are skipped by the original


def window_starts(frames: int, mel_steps: int, clip_id: str, ahead_frames: int | None = None) -> np.ndarray:
    """Frames at which a window may begin: its frames are in the clip, and its speech is whole.

    Parameters
    ----------
    frames : int
        Of the clip.
    mel_steps : int
        Columns of its mel spectrogram.
    clip_id : str
        For messages.
    ahead_frames : int or None
        How many frames before its frame the speech of each single frame begins, which has to be whole as well; None if
        only the speech of the window is used.

    Returns
    -------
    (n,) int64, n at least 2

    Raises
    ------
    TlbenchError
        If the sound ends too early for two windows.
    """
    starts = np.arange(ahead_frames or 0, frames - SYNC_FRAMES + 1)
    latest = starts if ahead_frames is None else starts + max(SYNC_FRAMES - 1 - ahead_frames, 0)
    whole = starts[speech_start(latest) + SEGMENT_STEPS <= mel_steps]
    if len(whole) < 2:
        raise TlbenchError(
            f"clip {clip_id}: its sound ends after {mel_steps / STEPS_PER_SECOND:.2f} s, too early for two windows of "
            f"{SYNC_FRAMES} frames; leave it out (--train-list, --val-list)"
        )
    return whole


def speech_start(frames: np.ndarray) -> np.ndarray:
    """The column of the mel spectrogram at which each frame's 0.2 s begin."""
    columns: np.ndarray = np.trunc(frames * STEPS_PER_SECOND / FRAMES_PER_SECOND).astype(np.int64)
    return columns


def frames_of(starts: np.ndarray) -> np.ndarray:
    """The frames of the windows that begin at ``starts``, one window after the other: (5 n,) int64."""
    frames: np.ndarray = (starts[:, None] + np.arange(SYNC_FRAMES)).reshape(-1)
    return frames


def window_speech(mel: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The speech of the windows that begin at ``starts``, from an (80, S) spectrogram: (n, 1, 80, 16) float32."""
    segments: np.ndarray = mel_segments(mel, int(starts.max()) + 1)[starts]
    return segments
