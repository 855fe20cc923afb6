"""Transcripts and word labels: is there one, and can an observer spell it?"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from unicodedata import name as unicode_name

from tlbench.datasets.clip import Clip
from tlbench.preflight.findings import Finding, finding

# What the Conformer observer can write: its table of 40 symbols (char_list of evaluation/teacher_force_wer.py in
# Sxjdwang/TalkLip) without blank and end. Transcripts are put into upper case before they are looked up there.
ALPHABET = frozenset(string.ascii_uppercase + string.digits + " '")


def check_texts(clips: Sequence[Clip], alphabet: frozenset[str], words: Sequence[str] | None) -> list[Finding]:
    """Findings about what is said in the clips.

    ``alphabet`` is what an observer can write, in upper case; ``words`` are LRW's, or None if the data set has labels
    of its own, which only the network that was trained on them knows.
    """
    spoken = [clip for clip in clips if clip.word is None]
    findings = []
    if spoken and all(clip.transcript is None for clip in spoken):
        findings.append(finding("no-transcripts", None, f"none of {len(spoken)} clips has a transcript"))
    else:
        for clip in spoken:
            findings += _check_transcript(clip, alphabet)
    return findings + (_check_words(clips, words) if words is not None else [])


def _check_words(clips: Sequence[Clip], words: Sequence[str]) -> list[Finding]:
    findings = []
    for clip in clips:
        if clip.word is not None and clip.word not in words:
            near = get_close_matches(clip.word.upper(), words, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            findings.append(finding("unknown-word", clip.id, f"{clip.word!r} is none of LRW's 500 words{hint}"))
    return findings


def _check_transcript(clip: Clip, alphabet: frozenset[str]) -> Iterator[Finding]:
    if clip.transcript is None:
        yield finding("no-transcript", clip.id, "no transcript, although other clips have one")
    elif not clip.transcript.strip():
        yield finding("empty-transcript", clip.id, "the transcript is empty")
    else:
        strange = sorted(set(clip.transcript.upper()) - alphabet)
        if strange:
            listed = ", ".join(f"{char!r} ({unicode_name(char, f'U+{ord(char):04X}')})" for char in strange[:3])
            more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
            yield finding("characters", clip.id, f"the transcript has {listed}{more}")
