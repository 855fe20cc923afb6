"""The 500 words MVM knows; a word's place in the list is its output of the network.

Published as the sorted folder names of LRW (``vid_aud_lrw.py``). The list belongs to the weights, so it stands here as
``words.txt`` and is never taken from a folder, which may lack some words.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from tlbench.errors import ClipError

WORDS: tuple[str, ...] = tuple(Path(__file__).with_name("words.txt").read_text(encoding="utf-8").split())
_LABELS = {word: label for label, word in enumerate(WORDS)}


def label_of(word: str, clip_id: str) -> int:
    """The word's place in the list.

    Raises
    ------
    ClipError
        ``unknown-word`` if it is none of the 500.
    """
    if word not in _LABELS:
        near = get_close_matches(word.upper(), WORDS, n=1)
        way_out = f"did you mean {near[0]}?" if near else "leave acc out"
        raise ClipError(
            "unknown-word", f"clip {clip_id}: {word!r} is none of the 500 LRW words that MVM knows; {way_out}"
        )
    return _LABELS[word]
