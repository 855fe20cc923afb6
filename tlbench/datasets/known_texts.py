"""What is known of a data set's texts without looking at a video: the lesson of a reader that does not look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Selection, Source
from tlbench.errors import TlbenchError

TRAIN = "train"  # the split that a reader may learn from


@dataclass(frozen=True)
class KnownTexts:
    """Transcripts, or word labels.

    Attributes
    ----------
    texts : tuple of str
    source : str
        Where they come from, in a few words: ``686 transcripts of grid:train``.
    own : bool
        Whether they are those of the clips that are read, so that each clip's own has to be left out.
    """

    texts: tuple[str, ...]
    source: str
    own: bool


def known_transcripts(selection: Selection) -> KnownTexts:
    """Of the data set's training split; where it has none, those of the clips themselves, each without its own."""
    return _known(selection, "transcripts", lambda clip: clip.transcript)


def known_words(selection: Selection) -> KnownTexts:
    """As :func:`known_transcripts`, of the word labels."""
    return _known(selection, "word labels", lambda clip: clip.word)


def _known(selection: Selection, what: str, text_of: Callable[[Clip], str | None]) -> KnownTexts:
    name = selection.dataset.name
    learned = _texts(_training_clips(selection), text_of)
    if learned:
        return KnownTexts(learned, f"{len(learned):,} {what} of {name}:{TRAIN}", own=False)
    texts = _texts(selection.clips, text_of)
    source = f"the other {what} of {name}:{selection.split} ({len(texts):,} in all; no training split is there)"
    return KnownTexts(texts, source, own=True)


def _texts(clips: Sequence[Clip], text_of: Callable[[Clip], str | None]) -> tuple[str, ...]:
    return tuple(text for clip in clips if (text := (text_of(clip) or "").strip()))


def _training_clips(selection: Selection) -> list[Clip]:
    """Clips of the split ``train`` that are not scored; none if there is no such split, or it can't be read.

    A manifest names the clips to be scored, whatever split is asked for: it is not followed here.
    """
    dataset, source = selection.dataset, Source(selection.root)
    if selection.split == TRAIN or selection.root is None:
        return []
    try:
        if TRAIN not in dataset.splits(source):
            return []
        clips = dataset.clips(source, TRAIN)
    except TlbenchError:  # half a data set: lists of videos that are not there
        return []
    scored = {clip.id for clip in selection.clips}
    return [clip for clip in clips if clip.id not in scored]
