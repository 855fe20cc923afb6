"""Findings about transcripts and word labels: whether there is one, and whether an observer can spell it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from unicodedata import name as unicode_name
from unicodedata import normalize

from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection
from tlbench.datasets.transcripts import ALPHABET as ALPHABET
from tlbench.datasets.transcripts import bracketed, has_words, spelled, spoken, strange_characters, visible
from tlbench.datasets.word_times import word_times
from tlbench.errors import quoted
from tlbench.preflight.findings import Finding, finding


def check_texts(clips: Sequence[Clip], alphabet: frozenset[str], words: Sequence[str] | None) -> list[Finding]:
    """Findings about the transcripts and word labels of clips.

    ``alphabet`` holds the characters an observer can write, in upper case. ``words`` are LRW's words, or None if the
    data set has labels of its own.
    """
    spoken = [clip for clip in clips if clip.word is None]
    findings = []
    if spoken and all(clip.transcript is None for clip in spoken):
        findings.append(finding("no-transcripts", None, f"none of {len(spoken)} clips has a transcript"))
    else:
        for clip in spoken:
            findings += _check_transcript(clip, alphabet)
    return findings + (_check_words(clips, words) if words is not None else [])


def check_contradictions(selection: Selection) -> list[Finding]:
    """A finding for each clip with contradicting texts in the data set."""
    return [
        finding(code, clip.id, message)
        for clip in selection.clips
        for code, message in (*selection.contradictions(clip), *_texts_that_disagree(clip))
    ]


def _texts_that_disagree(clip: Clip) -> Iterator[tuple[str, str]]:
    """Code and message if a clip's word times or word label do not fit its transcript."""
    if clip.transcript is None:
        return
    said = visible(clip.transcript).upper().split()
    timed = [span.label.upper() for span in word_times(replace(clip, word=None), ())]
    if timed and timed != said:
        yield (
            "texts-disagree",
            f"its word times are of {quoted(' '.join(timed))}, its transcript is {quoted(' '.join(said))}",
        )
    if clip.word is not None and visible(clip.word).upper() not in said:
        yield "texts-disagree", f"its word label is {quoted(clip.word)}, its transcript {quoted(clip.transcript)}"


def _check_words(clips: Sequence[Clip], words: Sequence[str]) -> list[Finding]:
    findings = []
    for clip in clips:
        if clip.word is not None and clip.word not in words:
            near = get_close_matches(clip.word.upper(), words, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            findings.append(finding("unknown-word", clip.id, f"{quoted(clip.word)} is none of LRW's 500 words{hint}"))
    return findings


def _check_transcript(clip: Clip, alphabet: frozenset[str]) -> Iterator[Finding]:
    if clip.transcript is None:
        yield finding("no-transcript", clip.id, "no transcript, although other clips have one")
        return
    text = visible(clip.transcript)
    if not text.strip():
        yield finding("empty-transcript", clip.id, "the transcript is empty")
        return
    if not has_words(text):
        yield finding("empty-transcript", clip.id, f"the transcript {quoted(text.strip())} has no word that is said")
        return
    strange = strange_characters(text, alphabet)
    if strange:
        listed = ", ".join(f"{quoted(char)} ({unicode_name(char, f'U+{ord(char):04X}')})" for char in strange[:3])
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        yield finding("characters", clip.id, f"the transcript has {listed}{more}; {_respelled(text, alphabet)}")
    marks = bracketed(text)
    if marks:
        yield finding("annotation", clip.id, f"the transcript has {quoted(marks[0])} beside words; it counts as said")
    digits = [word for word in spoken(text) if any(char.isdigit() for char in word)]
    if digits:
        yield finding(
            "digits", clip.id, f"the transcript has {quoted(digits[0])} in digits; readers mostly write words"
        )


def _respelled(text: str, alphabet: frozenset[str]) -> str:
    """How the text is spelled in this alphabet, and which metrics leave the clip out; for the message.

    auto_avsr's units have the same characters. It leaves out only a text of which it has no unit at all.
    """
    changed = spelled(text)
    folded = set(normalize("NFKC", text).upper())  # as sentencepiece does before it looks for units
    also = "" if folded & ALPHABET - {" "} else ", as does WER3 in `paper`"
    if strange_characters(changed, alphabet):
        return f"there is no other spelling, so WER2 leaves the clip out{also}"
    return f"WER2 in `sound` is told {quoted(changed)}, in `paper` it leaves the clip out{also}"
