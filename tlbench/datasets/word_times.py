"""Word times of clips, from the data set or from text files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import dropwhile
from math import isfinite

from tlbench.datasets.clip import Clip, Span
from tlbench.datasets.selection import Selection
from tlbench.files import WORD_TIMES, read_outside

LRW_SECONDS = 29 / 25  # length of a clip of LRW, with the word in its middle (LRW's page: "29 frames (1.16 seconds)")
_TABLE = ["WORD", "START", "END"]  # header of the times in text files of LRS2 and of the synthetic data set
_DURATION = re.compile(r"^Duration:\s*([0-9]+(?:\.[0-9]+)?)\s*seconds", re.MULTILINE)  # in LRW's


def word_times(clip: Clip, spans: Sequence[Span]) -> tuple[Span, ...]:
    """The words of a clip with their times, in order; empty if they are not known.

    Parameters
    ----------
    clip : Clip
        The text file next to its real video is read: a table ``WORD START END`` as in LRS2, or the ``Duration`` of the
        word in the middle of a clip of LRW.
    spans : sequence of Span
        From the data set, used if the file has no times. Phonemes are ignored.
    """
    text = _text_of(clip)
    lines = [line.split() for line in text.splitlines()]
    table = list(dropwhile(lambda line: line[:3] != _TABLE, lines))
    if table:
        return tuple(span for line in table[1:] if (span := _row(line)) is not None)
    duration = _DURATION.search(text)
    if duration is not None and clip.word is not None:
        half = min(float(duration[1]), LRW_SECONDS) / 2
        return (Span(LRW_SECONDS / 2 - half, LRW_SECONDS / 2 + half, clip.word),)
    said = set((clip.transcript or "").upper().split())
    return tuple(span for span in spans if span.label.upper() in said)


def with_word_times(selection: Selection) -> Selection:
    """The selection with the word times of each clip, from its text file or the data set."""
    timed = [replace(clip, word_times=word_times(clip, selection.spans(clip))) for clip in selection.clips]
    return replace(selection, clips=timed)


def _text_of(clip: Clip) -> str:
    if clip.reference is None:
        return ""
    path = clip.reference.with_suffix(".txt")
    try:
        return read_outside(path, WORD_TIMES).decode(errors="replace")
    except OSError:
        return ""


def _row(line: Sequence[str]) -> Span | None:
    """The word and its time in a line of the table, or None for another line."""
    try:
        begin, end = float(line[1]), float(line[2])
    except (IndexError, ValueError):
        return None
    return Span(begin, end, line[0]) if 0 <= begin < end and isfinite(end) else None
