"""The frames around each word of a sentence: a window whose middle frame shows the middle of the word."""

from __future__ import annotations

import math

import numpy as np

from tlbench.datasets.clip import Clip, Span
from tlbench.errors import ClipError, quoted
from tlbench.media.rates import FRAMES_PER_SECOND

NO_WORD_TIMES = "no-word-times"


def timed_words(clip: Clip) -> tuple[Span, ...]:
    """The word times of a clip.

    Raises
    ------
    ClipError
        ``no-word-times`` if they are not known, or are not those of the words of its transcript.
    """
    if not clip.word_times:
        raise ClipError(
            NO_WORD_TIMES,
            f"clip {clip.id}: the times of its words are not known; add its alignment, or leave acc_aligned out",
        )
    timed = [span.label.upper() for span in clip.word_times]
    said = (clip.transcript or "").upper().split()
    if timed != said:
        raise ClipError(
            NO_WORD_TIMES,
            f"clip {clip.id}: its word times are of {quoted(' '.join(timed))}, its transcript is "
            f"{quoted(' '.join(said))}; correct one of them, or leave acc_aligned out",
        )
    return clip.word_times


def window_start(word: Span, frames: int) -> int:
    """The first frame of the window of ``frames``, an odd number, around a word.

    Frame k shows the time from k/25 s to (k + 1)/25 s. The window's middle frame is the one that shows the middle of
    the word. The result is below 0 for a word near the beginning of its clip.
    """
    middle = (word.begin_seconds + word.end_seconds) / 2 * FRAMES_PER_SECOND
    return math.floor(round(middle, 6)) - frames // 2  # rounded, because 0.56 s is a little less than 14 frames


def cut_window(rows: np.ndarray, start: int, frames: int) -> np.ndarray:
    """(frames, ...): rows from ``start`` on of (T, ...), with zeros before the first row and after the last."""
    window = np.zeros((frames, *rows.shape[1:]), rows.dtype)
    first, last = max(start, 0), min(start + frames, len(rows))
    if first < last:
        window[first - start : last - start] = rows[first:last]
    return window
