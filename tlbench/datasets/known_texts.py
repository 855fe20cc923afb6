"""The texts that blind guesses are made from: transcripts or word labels of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Source
from tlbench.datasets.selection import Selection
from tlbench.errors import TlbenchError

LEARNED = ("train", "val")  # the splits to take texts from: the first that exists


@dataclass(frozen=True)
class KnownTexts:
    """Transcripts, or word labels.

    Attributes
    ----------
    texts : tuple of str
    source : str
        Where they come from: ``686 transcripts of grid:train``.
    own : bool
        Whether they include the texts of the scored clips, so that each clip is guessed without its own text.
    """

    texts: tuple[str, ...]
    source: str
    own: bool


def known_transcripts(selection: Selection) -> KnownTexts:
    """The transcripts of the data set's training split, else of its validation split, else of the scored split.

    Of the scored split all clips count, also those outside a subset; each clip is then guessed without its own text.
    """
    return _known(selection, "transcripts", lambda clip: clip.transcript)


def known_words(selection: Selection) -> KnownTexts:
    """The word labels, chosen as by :func:`known_transcripts`."""
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

    A manifest is ignored here, because it names the scored clips for every split.
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
    except TlbenchError:  # an incomplete data set: lists of videos that do not exist
        return []
    scored = {clip.id for clip in selection.clips}
    return [clip for clip in clips if clip.id not in scored]
