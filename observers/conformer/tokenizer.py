"""The Conformer's alphabet, and how many frames a transcript needs.

``evaluation/teacher_force_wer.py`` (Sxjdwang/TalkLip at 7ed53ee; it took the table from lordmartian/deep_avsr): 38
characters, most frequent first, and the mark of beginning and end. Blank is CTC's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from tlbench.datasets.transcripts import has_words, spelled, strange_characters, visible
from tlbench.errors import ClipError

BLANK = 0
SPACE = 1
EOS = 39  # begins and ends every sentence
VOCABULARY = 40
IDS = {character: number for number, character in enumerate(" ETOAINSHRLDUYWGCMFBP'VKJXQZ0192856734", SPACE)}
_CHARACTERS = {number: character for character, number in IDS.items()}


def ids_of(transcript: str, clip_id: str) -> np.ndarray:
    """The transcript, put into upper case, as (n,) int64.

    A transcript that the alphabet does not spell as it is written is respelled first, see
    :func:`tlbench.datasets.transcripts.spelled`: a curly apostrophe is an apostrophe, a comma is not said. The original
    stops on it with a KeyError, so ``paper`` leaves the clip out (:mod:`tlbench.metrics.intelligibility`).

    Raises
    ------
    ClipError
        ``empty-transcript`` if there is no word in it, ``characters`` if the alphabet lacks some of it even then.
    """
    spelt = visible(transcript).upper()
    if not has_words(transcript):
        shown = f"{spelt.strip()!r} has no word" if spelt.strip() else "is empty"
        raise ClipError(
            "empty-transcript", f"clip {clip_id}: the transcript {shown} (WER2 compares with it); write what is said"
        )
    if strange_characters(spelt, IDS):
        spelt = spelled(transcript)
    strange = strange_characters(spelt, IDS)
    if strange:
        raise ClipError(
            "characters",
            f"clip {clip_id}: the transcript has {', '.join(map(repr, strange))}, which the Conformer can't spell; "
            "it knows letters, digits, spaces and '",
        )
    return np.array([IDS[character] for character in spelt], np.int64)


def text_of(ids: Iterable[int]) -> str:
    """The characters of ``ids``; blanks and end marks have none."""
    return "".join(_CHARACTERS[number] for number in ids if number in _CHARACTERS)


def required_frames(ids: Sequence[int] | np.ndarray) -> int:
    """How many frames CTC needs to spell ``ids``: one a character, and one more between two equal neighbours.

    ``req_input_length`` of the original. Clips with fewer are padded, when they are read under the true prefix.
    """
    return len(ids) + sum(int(one == other) for one, other in pairwise(ids))
