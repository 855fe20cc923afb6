"""When the words of a clip are said, as far as its data set knows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import dropwhile
from math import isfinite

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Span
from tlbench.files import WORD_TIMES, read_outside

LRW_SECONDS = 29 / 25  # a clip of LRW, with the word in its middle (LRW's page: "29 frames (1.16 seconds)")
_TABLE = ["WORD", "START", "END"]  # heads the times in LRS2's text files, and in those of the synthetic talker
_DURATION = re.compile(r"^Duration:\s*([0-9]+(?:\.[0-9]+)?)\s*seconds", re.MULTILINE)  # in LRW's


def word_times(clip: Clip, spans: Sequence[Span]) -> tuple[Span, ...]:
    """The words of a clip with their times, in order; empty if nobody knows them.

    Parameters
    ----------
    clip : Clip
        The text file beside its reference is looked at: a table headed ``WORD START END`` as LRS2 has, or the
        ``Duration`` of the word in the middle of a clip of LRW.
    spans : sequence of Span
        As the data set tells them. Phonemes (of the synthetic talker) are no words.
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


def _text_of(clip: Clip) -> str:
    if clip.reference is None:
        return ""
    path = clip.reference.with_suffix(".txt")
    try:
        return read_outside(path, WORD_TIMES).decode(errors="replace")
    except OSError:
        return ""


def _row(line: Sequence[str]) -> Span | None:
    """A word of the table, or None for a line that is none."""
    try:
        begin, end = float(line[1]), float(line[2])
    except (IndexError, ValueError):
        return None
    return Span(begin, end, line[0]) if 0 <= begin < end and isfinite(end) else None
