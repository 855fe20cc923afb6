"""The 500 words of the published MVM; a word's index in the list is its class.

The original uses the sorted folder names of LRW (``vid_aud_lrw.py``). The list belongs to the weights, so it is stored
here in ``words.txt`` and not read from a folder, which may lack words. The package of a network that tlbench trained
has its own list.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from tlbench.errors import ClipError, quoted

WORDS: tuple[str, ...] = tuple(Path(__file__).with_name("words.txt").read_text(encoding="utf-8").split())


def label_of(word: str, clip_id: str, words: Sequence[str] = WORDS, metric: str = "acc") -> int:
    """The class of a word; ``metric`` is what to leave out if it has none.

    Raises
    ------
    ClipError
        ``unknown-word`` if the word is not in the list.
    """
    if word not in words:
        near = get_close_matches(word.upper(), words, n=1)
        way_out = f"did you mean {near[0]}?" if near else f"leave {metric} out"
        known = "500 LRW words that MVM knows" if words is WORDS else f"{len(words)} words that this MVM was trained on"
        raise ClipError("unknown-word", f"clip {clip_id}: {quoted(word)} is none of the {known}; {way_out}")
    return words.index(word)
