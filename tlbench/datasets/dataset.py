"""The contract of a data set, the list of those there are, and :func:`load_dataset`, which makes clips of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Literal

from tlbench.datasets.clip import Clip
from tlbench.datasets.matching import FoundFile
from tlbench.errors import TlbenchError

_BUILT_IN = {
    "lrs2": "tlbench.datasets.lrs2:Lrs2",
    "lrw": "tlbench.datasets.lrw:Lrw",
    "grid": "tlbench.datasets.grid:Grid",
    "synthetic": "tlbench.datasets.synthetic.datasets:Synthetic",
    "synthetic-words": "tlbench.datasets.synthetic.datasets:SyntheticWords",
    "folder": "tlbench.datasets.folder:Folder",
    "lrs2-wav2lip-pairs": "tlbench.datasets.pairs:Lrs2Pairs",
    "lrs3-wav2lip-pairs": "tlbench.datasets.pairs:Lrs3Pairs",
    "lrw-wav2lip-pairs": "tlbench.datasets.pairs:LrwPairs",
}


@dataclass(frozen=True)
class Source:
    """What the user gave to find clips in.

    Attributes
    ----------
    root : Path or None
        The data set's folder, known to be one.
    manifest : Path or None
        A list file of the kind the data set's ``manifest`` names.
    generated : tuple of FoundFile or None
        The video files of the folder under test, for data sets that take their clips from it.
    """

    root: Path | None = None
    manifest: Path | None = None
    generated: tuple[FoundFile, ...] | None = None


@dataclass(frozen=True)
class Span:
    """What is said from when to when: a phoneme, or a word where only words have times."""

    begin_seconds: float
    end_seconds: float
    label: str


class Dataset(ABC):
    """A set of clips with names, splits and facts. It has no state; the user's files come in as a :class:`Source`.

    Class attributes
    ----------------
    name, title : str
        The key at the command line, and what people call it.
    layout : str
        What the root folder looks like, for errors and help.
    manifest : str or None
        What the ``manifest`` argument is to this data set; None if it takes none.
    needs_root : bool
        Whether there is nothing to load without a root.
    frame_size : (width, height) or None
        Size in pixels every clip has; None if they differ.
    frame_count : int or None
        Frames every clip has; None if they differ.
    expected_clips : split -> int
        How many clips the published split has; a split that is not named is unknown.
    refused_splits : split -> str
        Splits that exist but are of no use here, and why.
    cluster : str or None
        What ``Clip.speaker`` is: the unit within which clips are not independent. None if it is not known.
    boxes : "detected" or (x1, y1, x2, y2)
        Where face boxes come from if the user gives none.
    metrics : tuple of str or None
        Metrics that make sense on this set; None for all whose needs the clips meet.
    own_words : bool
        Whether its word labels are a list of its own, so that what MVM was published for (LRW's 500 words, a fixed
        window in LRW's frames) says nothing about its clips.
    origin : str
        Name of the data set whose clips these are; "" for its own.
    anonymous : bool
        Whether it is whatever its user has, so that its name says nothing of where its clips come from.
    licence, cite : str
    """

    name: ClassVar[str]
    title: ClassVar[str]
    layout: ClassVar[str]
    licence: ClassVar[str]
    cite: ClassVar[str]
    manifest: ClassVar[str | None] = None
    needs_root: ClassVar[bool] = True
    frame_size: ClassVar[tuple[int, int] | None] = None
    frame_count: ClassVar[int | None] = None
    expected_clips: ClassVar[Mapping[str, int]] = MappingProxyType({})
    refused_splits: ClassVar[Mapping[str, str]] = MappingProxyType({})
    cluster: ClassVar[str | None] = None
    boxes: ClassVar[Literal["detected"] | tuple[int, int, int, int]] = "detected"
    metrics: ClassVar[tuple[str, ...] | None] = None
    own_words: ClassVar[bool] = False
    origin: ClassVar[str] = ""
    anonymous: ClassVar[bool] = False

    @abstractmethod
    def splits(self, source: Source) -> tuple[str, ...]:
        """The splits this source holds. Raises TlbenchError if it has not the layout."""

    @abstractmethod
    def clips(self, source: Source, split: str) -> list[Clip]:
        """All clips of a split in a fixed order, whatever order the file system lists them in.

        ``generated`` is filled in only if the user's manifest gives it, ``boxes`` also where the data set has them.
        """

    def aliases(self, clip_id: str) -> tuple[str, ...]:
        """Further names a generated file or a subset may use for a clip, besides those of :class:`ClipNames`."""
        return ()

    def spans(self, source: Source, clip: Clip) -> tuple[Span, ...]:
        """What is said when, in order, silences included; empty if the data set does not know. For training only."""
        return ()

    def contradictions(self, source: Source, clip: Clip) -> tuple[tuple[str, str], ...]:
        """Where two sources of truth about a clip disagree: (code of a finding, message that names both), each."""
        return ()

    def notes(self, source: Source) -> tuple[str, ...]:
        """What the user should know about how this source was read, a line each."""
        return ()


@cache
def dataset_names() -> dict[str, str]:
    """Name to ``module:Class``, the built-in ones first. Others are entry points of the group ``tlbench.datasets``."""
    found = dict(_BUILT_IN)
    for point in entry_points(group="tlbench.datasets"):
        if point.name in found:
            raise TlbenchError(
                f"data set {point.name!r}: {point.value} takes the name of {found[point.name]}; uninstall one of them"
            )
        found[point.name] = point.value
    return found


def dataset_class(name: str) -> type[Dataset]:
    """The class behind a name; its module is imported now."""
    names = dataset_names()
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TlbenchError(f"no data set {name!r}{hint} (there are {', '.join(names)})")
    module, _, attribute = names[name].partition(":")
    found: type[Dataset] = getattr(import_module(module), attribute)
    return found
