"""The 500 words MVM knows; a word's place in the list is its output of the network.

Published as the sorted folder names of LRW (``vid_aud_lrw.py``). The list belongs to the weights, so it stands here as
``words.txt`` and is never taken from a folder, which may lack some words. A network that was trained here has a list of
its own in its package.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from tlbench.errors import ClipError

WORDS: tuple[str, ...] = tuple(Path(__file__).with_name("words.txt").read_text(encoding="utf-8").split())


def label_of(word: str, clip_id: str, words: Sequence[str] = WORDS) -> int:
    """The word's place in a network's list.

    Raises
    ------
    ClipError
        ``unknown-word`` if it is none of them.
    """
    if word not in words:
        near = get_close_matches(word.upper(), words, n=1)
        way_out = f"did you mean {near[0]}?" if near else "leave acc out"
        known = "500 LRW words that MVM knows" if words is WORDS else f"{len(words)} words that this MVM has learned"
        raise ClipError("unknown-word", f"clip {clip_id}: {word!r} is none of the {known}; {way_out}")
    return words.index(word)
