"""The contract of a data set, and the data sets by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Literal

from tlbench.datasets.clip import Clip
from tlbench.datasets.clip import Span as Span
from tlbench.datasets.matching import FoundFile
from tlbench.errors import TlbenchError, did_you_mean, quoted
from tlbench.plugins import entry_points

_BUILT_IN = {
    "lrs2": "tlbench.datasets.lrs2:Lrs2",
    "lrw": "tlbench.datasets.lrw:Lrw",
    "grid": "tlbench.datasets.grid:Grid",
    "grid-sample": "tlbench.datasets.grid_sample:GridSample",
    "synthetic": "tlbench.datasets.synthetic.datasets:Synthetic",
    "synthetic-words": "tlbench.datasets.synthetic.datasets:SyntheticWords",
    "folder": "tlbench.datasets.folder:Folder",
    "lrs2-wav2lip-pairs": "tlbench.datasets.pairs:Lrs2Pairs",
    "lrs3-wav2lip-pairs": "tlbench.datasets.pairs:Lrs3Pairs",
    "lrw-wav2lip-pairs": "tlbench.datasets.pairs:LrwPairs",
}


@dataclass(frozen=True)
class Source:
    """The folders and files of the user that hold a data set.

    Attributes
    ----------
    root : Path or None
        The data set's folder, which exists.
    manifest : Path or None
        A list file of the kind that the data set's ``manifest`` describes.
    generated : tuple of FoundFile or None
        The generated videos, for data sets that take their clips from them.
    """

    root: Path | None = None
    manifest: Path | None = None
    generated: tuple[FoundFile, ...] | None = None


class Dataset(ABC):
    """A data set with its splits and facts. It has no state; the user's files are passed as a :class:`Source`.

    Class attributes
    ----------------
    name, title : str
        The name on the command line, and the usual name.
    layout : str
        The layout of the root folder, for errors and help.
    manifest : str or None
        What the ``manifest`` argument is for this data set; None if it takes none.
    needs_root : bool
        Whether it needs a root folder.
    frame_size : (width, height) or None
        Frame size in pixels of every clip; None if they differ.
    frame_count : int or None
        Number of frames of every clip; None if they differ.
    expected_clips : split -> int
        Number of clips of each published split, if known.
    refused_splits : split -> str
        Splits that exist but can't be used, with the reason.
    cluster : str or None
        What ``Clip.speaker`` is: clips of the same speaker or programme are not independent. None if not known.
    boxes : "detected" or (x1, y1, x2, y2)
        Where face boxes come from if the user gives none.
    metrics : tuple of str or None
        Metrics that make sense for this data set; None for all that its clips allow.
    own_words : bool
        Whether its word labels are not LRW's, so that MVM's published word list and window do not apply.
    origin : str
        Name of the data set that its clips come from; "" for its own.
    anonymous : bool
        Whether it holds any clips of the user, so that its name does not say where they come from.
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
        """The splits in this source. Raises TlbenchError if it does not have the layout."""

    @abstractmethod
    def clips(self, source: Source, split: str) -> list[Clip]:
        """All clips of a split in a fixed order, which does not depend on the file system.

        ``generated`` is set only by the user's manifest, ``boxes`` by the manifest or if the data set has them.
        """

    def aliases(self, clip_id: str) -> tuple[str, ...]:
        """Further names for a clip in generated files or a subset, besides its id.

        See :class:`tlbench.datasets.matching.ClipNames`.
        """
        return ()

    def spans(self, source: Source, clip: Clip) -> tuple[Span, ...]:
        """Words or phonemes with times, in order, including silences; empty if not known."""
        return ()

    def contradictions(self, source: Source, clip: Clip) -> tuple[tuple[str, str], ...]:
        """Contradictions in what the data set says of a clip: (code of a finding, message that names both)."""
        return ()

    def notes(self, source: Source) -> tuple[str, ...]:
        """Notes for the user about how this source was read, one line each."""
        return ()


@cache
def dataset_names() -> dict[str, str]:
    """``module:Class`` by name: the built-in data sets, then the entry points of the group ``tlbench.datasets``."""
    found = dict(_BUILT_IN)
    for point in entry_points(group="tlbench.datasets"):
        if point.name in found:
            raise TlbenchError(
                f"data set {quoted(point.name)}: {point.value} takes the name of {found[point.name]}; uninstall one "
                "of them"
            )
        found[point.name] = point.value
    return found


def dataset_class(name: str) -> type[Dataset]:
    """The data set class of a name. Imports its module. Raises TlbenchError if there is no such data set."""
    names = dataset_names()
    if name not in names:
        hint = did_you_mean(name, names)
        raise TlbenchError(f"no data set {quoted(name)}{hint} (there are {', '.join(names)})")
    module, _, attribute = names[name].partition(":")
    found: type[Dataset] = getattr(import_module(module), attribute)
    return found
