"""The Conformer's character ids, and the number of frames that CTC needs for a transcript.

The table is that of ``evaluation/teacher_force_wer.py`` (Sxjdwang/TalkLip at 7ed53ee, from lordmartian/deep_avsr): 38
characters, most frequent first, one mark for begin and end, and CTC's blank.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from tlbench.datasets.transcripts import has_words, spelled, strange_characters, visible
from tlbench.errors import ClipError, quoted

BLANK = 0
SPACE = 1
EOS = 39  # first and last symbol of every sentence
VOCABULARY = 40
IDS = {character: number for number, character in enumerate(" ETOAINSHRLDUYWGCMFBP'VKJXQZ0192856734", SPACE)}
_CHARACTERS = {number: character for character, number in IDS.items()}


def ids_of(transcript: str, clip_id: str) -> np.ndarray:
    """The transcript in upper case as (n,) int64 character ids.

    A transcript with characters outside the alphabet is respelled first (:func:`tlbench.datasets.transcripts.spelled`):
    a curly apostrophe becomes ``'``, a comma is removed. The original stops on such a transcript with a KeyError, so
    ``paper`` leaves the clip out (:mod:`tlbench.metrics.intelligibility`).

    Raises
    ------
    ClipError
        ``empty-transcript`` if it has no word, ``characters`` if it can't be spelled after respelling either.
    """
    text = visible(transcript).upper()
    if not has_words(transcript):
        shown = f"{quoted(text.strip())} has no word" if text.strip() else "is empty"
        raise ClipError(
            "empty-transcript",
            f"clip {clip_id}: the transcript {shown} (WER2 compares with it); write the spoken words",
        )
    if strange_characters(text, IDS):
        text = spelled(transcript)
    unknown = strange_characters(text, IDS)
    if unknown:
        raise ClipError(
            "characters",
            f"clip {clip_id}: the transcript has {', '.join(map(repr, unknown))}, which the Conformer can't spell; "
            "it knows letters, digits, spaces and '",
        )
    return np.array([IDS[character] for character in text], np.int64)


def text_of(ids: Iterable[int]) -> str:
    """The text of character ids, without blanks and end marks."""
    return "".join(_CHARACTERS[number] for number in ids if number in _CHARACTERS)


def required_frames(ids: Sequence[int] | np.ndarray) -> int:
    """The number of frames that CTC needs for ``ids``: one per character, and one more between equal neighbours.

    ``req_input_length`` of the original. Under teacher forcing, clips with fewer frames are padded.
    """
    return len(ids) + sum(int(one == other) for one, other in pairwise(ids))
