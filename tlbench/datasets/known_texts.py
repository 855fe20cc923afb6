"""What is known of a data set's texts without looking at a video: the lesson of a reader that does not look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Source
from tlbench.datasets.selection import Selection
from tlbench.errors import TlbenchError

LEARNED = ("train", "val")  # the splits that a reader may learn from, the first that is there


@dataclass(frozen=True)
class KnownTexts:
    """Transcripts, or word labels.

    Attributes
    ----------
    texts : tuple of str
    source : str
        Where they come from, in a few words: ``686 transcripts of grid:train``.
    own : bool
        Whether those of the clips that are read are among them, so that each clip's own has to be left out.
    """

    texts: tuple[str, ...]
    source: str
    own: bool


def known_transcripts(selection: Selection) -> KnownTexts:
    """Of the data set's training split, else its validation split; where it has neither, of the split that is read.

    Of that one all clips count, whichever of them are read; each has then to be guessed without its own.
    """
    return _known(selection, "transcripts", lambda clip: clip.transcript)


def known_words(selection: Selection) -> KnownTexts:
    """As :func:`known_transcripts`, of the word labels."""
    return _known(selection, "word labels", lambda clip: clip.word)


def _known(selection: Selection, what: str, text_of: Callable[[Clip], str | None]) -> KnownTexts:
    name = selection.dataset.name
    split, clips = _training_clips(selection)
    learned = _texts(clips, text_of)
    if learned:
        return KnownTexts(learned, f"{len(learned):,} {what} of {name}:{split}", own=False)
    texts = _texts([*selection.clips, *_clips_of(selection, selection.split)], text_of)
    source = f"the other {what} of {name}:{selection.split} ({len(texts):,} in all; no training split is there)"
    return KnownTexts(texts, source, own=True)


def _texts(clips: Sequence[Clip], text_of: Callable[[Clip], str | None]) -> tuple[str, ...]:
    return tuple(text for clip in clips if (text := (text_of(clip) or "").strip()))


def _training_clips(selection: Selection) -> tuple[str, list[Clip]]:
    """Clips of the split ``train`` (else ``val``) that are not scored; none if there is no such split.

    A manifest names the clips to be scored, whatever split is asked for: it is not followed here.
    """
    for split in LEARNED:
        clips = [] if split == selection.split else _clips_of(replace(selection, manifest=None), split)
        if clips:
            return split, clips
    return "", []


def _clips_of(selection: Selection, split: str) -> list[Clip]:
    """Clips of a split that are not scored; none if there is no such split, or it can't be read."""
    dataset, source = selection.dataset, Source(selection.root, selection.manifest)
    if selection.root is None:
        return []
    try:
        clips = dataset.clips(source, split) if split in dataset.splits(source) else []
    except TlbenchError:  # half a data set: lists of videos that are not there
        return []
    scored = {clip.id for clip in selection.clips}
    return [clip for clip in clips if clip.id not in scored]
