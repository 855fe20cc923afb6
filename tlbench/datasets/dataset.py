"""The contract of a data set, the list of those there are, and :func:`load_dataset`, which makes clips of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from os.path import abspath
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Literal

from tlbench.datasets.clip import Clip
from tlbench.datasets.lists import check_clip_id, read_subset
from tlbench.datasets.locations import find_root, ways_to_say
from tlbench.datasets.matching import COMMON_SUFFIXES, OTHER_SUFFIXES, ClipNames, FoundFile, find_files, match_files
from tlbench.datasets.transcripts import visible
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


@dataclass(frozen=True)
class Selection:
    """The clips of a run, and how they were chosen.

    Attributes
    ----------
    dataset : Dataset
    split : str
    clips : list of Clip
    extra : list of Path
        Videos in the generated folder that belong to no clip **of the split**, so a subset does not make others extra.
    clips_in_split : int
        Before ``subset`` and ``limit``.
    root, generated, subset, manifest, boxes, landmarks : Path or None
        As given.
    limit : int or None
    notes : tuple of str
    """

    dataset: Dataset
    split: str
    clips: list[Clip]
    extra: list[Path]
    clips_in_split: int
    root: Path | None = None
    generated: Path | None = None
    subset: Path | None = None
    manifest: Path | None = None
    boxes: Path | None = None
    landmarks: Path | None = None
    limit: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def expected(self) -> int | None:
        """How many clips the published split has, if that is known."""
        return self.dataset.expected_clips.get(self.split)

    @property
    def fixed_box(self) -> tuple[int, int, int, int] | None:
        """The data set's own face box x1 y1 x2 y2, if it has one."""
        return None if self.dataset.boxes == "detected" else self.dataset.boxes

    def spans(self, clip: Clip) -> tuple[Span, ...]:
        """See :meth:`Dataset.spans`."""
        return self.dataset.spans(Source(self.root, self.manifest), clip)

    def contradictions(self, clip: Clip) -> tuple[tuple[str, str], ...]:
        """See :meth:`Dataset.contradictions`."""
        return self.dataset.contradictions(Source(self.root, self.manifest), clip)

    @property
    def whole(self) -> bool:
        """Whether this is the split as published (or, where that is not known, as it was found)."""
        return len(self.clips) == self.clips_in_split == (self.expected or self.clips_in_split)


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


def load_dataset(
    name: str,
    root: Path | None,
    *,
    generated: Path | None = None,
    split: str | None = None,
    subset: Path | None = None,
    limit: int | None = None,
    boxes: Path | None = None,
    landmarks: Path | None = None,
    manifest: Path | None = None,
) -> Selection:
    """The clips of a data set, with the generated videos that belong to them.

    Parameters
    ----------
    name : str
        One of :func:`dataset_names`.
    root : Path or None
        The data set's folder; if None, the one that :func:`tlbench.datasets.locations.find_root` finds.
    generated : Path or None
        Folder of the videos under test; a clip without one gets None, so that whoever scores can count it.
    split : str or None
        None is ``test``, or the only split there is.
    subset : Path or None
        List of clips to keep (see :func:`read_subset`); their order stays the data set's.
    limit : int or None
        Keep the first so many, after ``subset``.
    boxes : Path or None
        Folder of face boxes, ``<id>.npy``; every clip kept must have one unless its manifest gives it.
    landmarks : Path or None
        Folder of face landmarks, ``<id>.npy``; every clip kept must have one.
    manifest : Path or None
        The data set's own kind of list, where it takes one.

    Raises
    ------
    TlbenchError
        One line: what is missing or ambiguous, and which argument to mend.
    """
    dataset = dataset_class(name)()
    if limit is not None and limit < 1:
        raise TlbenchError(f"limit {limit}: must be at least 1 (--limit)")
    if manifest is not None and dataset.manifest is None:
        raise TlbenchError(f"{name}: takes no manifest ({manifest}); to choose clips use a subset (--subset)")
    root = _find_folder(dataset, root)
    files = None if generated is None else _generated_files(generated)
    source = Source(root, manifest, None if files is None else tuple(files))

    split = _choose_split(dataset, source, split)
    clips = [_legible(clip) for clip in dataset.clips(source, split)]
    if not clips:
        raise TlbenchError(
            f"{name}: split {split!r} holds no clips in {manifest or root or generated}; expected {dataset.layout}"
        )
    _check_ids(name, clips)
    names = ClipNames([clip.id for clip in clips], dataset.aliases)
    chosen = clips if subset is None else _in_subset(clips, names, subset, f"{name} split {split!r}")
    chosen = chosen[:limit]

    extra: list[Path] = []
    if generated is not None and files is not None:
        chosen, extra = _with_generated(chosen, clips, names, files, generated)
    if boxes is not None:
        # The user's list goes before the user's folder, and that before what the data set itself has.
        listed = {clip.id for clip in chosen if clip.boxes is not None} if manifest is not None else set()
        found = _npy_files(chosen, names, boxes, "boxes", listed)
        chosen = [clip if clip.id in listed else replace(clip, boxes=found[clip.id]) for clip in chosen]
    if landmarks is not None:
        found = _npy_files(chosen, names, landmarks, "landmarks", set())
        chosen = [replace(clip, landmarks=found[clip.id]) for clip in chosen]
    return Selection(
        dataset,
        split,
        chosen,
        extra,
        len(clips),
        root,
        generated,
        subset,
        manifest,
        boxes,
        landmarks,
        limit,
        dataset.notes(source),
    )


def _find_folder(dataset: Dataset, given: Path | None) -> Path | None:
    """The data set's folder. Clips of ``folder`` are wherever the call says, so nothing else is asked for them."""
    found = find_root(dataset.name, given) if given is not None or not dataset.anonymous else None
    if found is None and dataset.needs_root:
        raise TlbenchError(f"{dataset.name}: needs the folder with {dataset.layout}; {ways_to_say(dataset.name)}")
    if found is not None:
        _check_folder(found.folder, f"{dataset.name}: root", found.source)
    return None if found is None else found.folder


def _check_folder(folder: Path, what: str, option: str) -> None:
    if not folder.exists():
        raise TlbenchError(f"{what} {folder} does not exist; check the path ({option})")
    if not folder.is_dir():
        raise TlbenchError(f"{what} {folder} is a file, not a folder ({option})")


def _generated_files(generated: Path) -> list[FoundFile]:
    _check_folder(generated, "generated folder", "GENERATED")
    files = find_files(generated)
    if not files:
        raise TlbenchError(
            f"generated folder {generated} holds no video; looked for {', '.join(sorted(COMMON_SUFFIXES))} "
            f"and {len(OTHER_SUFFIXES)} more"
        )
    return files


def _choose_split(dataset: Dataset, source: Source, split: str | None) -> str:
    if split is not None and split in dataset.refused_splits:
        raise TlbenchError(f"{dataset.name}: split {split!r} {dataset.refused_splits[split]}")
    there = dataset.splits(source)
    if split is None and (len(there) == 1 or "test" in there):
        return there[0] if len(there) == 1 else "test"
    if split not in there:
        raise TlbenchError(f"{dataset.name}: no split {split!r}; there are {', '.join(there)} (--split)")
    return split


def _legible(clip: Clip) -> Clip:
    """The clip without invisible characters in what is said."""
    transcript, word = (None if text is None else visible(text) for text in (clip.transcript, clip.word))
    same = (transcript, word) == (clip.transcript, clip.word)
    return clip if same else replace(clip, transcript=transcript, word=word)


def _check_ids(name: str, clips: list[Clip]) -> None:
    seen = set()
    for clip in clips:
        check_clip_id(clip.id, name)
        if clip.id in seen:
            raise TlbenchError(f"{name}: clip {clip.id} is there twice; remove or rename one")
        seen.add(clip.id)


def _in_subset(clips: list[Clip], names: ClipNames, subset: Path, where: str) -> list[Clip]:
    kept = set()
    unknown = []
    listed = read_subset(subset)
    if not listed:
        raise TlbenchError(f"subset {subset} names no clip; put one id a line into it (--subset)")
    for entry in listed:
        owners = names.find(entry.id)
        if len(owners) > 1:
            raise TlbenchError(
                f"{subset}:{entry.line}: {entry.id} could be {owners[0]} or {owners[1]}; write the whole id"
            )
        if not owners:
            unknown.append(entry.id)
        elif owners[0] in kept:
            raise TlbenchError(f"{subset}:{entry.line}: clip {owners[0]} is listed twice; remove one line")
        kept.update(owners)
    if unknown:
        raise TlbenchError(
            f"subset {subset}: {len(unknown)} clips are not in {where}: {_first_few(unknown)} (--subset)"
        )
    return [clip for clip in clips if clip.id in kept]


def _with_generated(
    chosen: list[Clip], clips: list[Clip], names: ClipNames, files: list[FoundFile], generated: Path
) -> tuple[list[Clip], list[Path]]:
    """Clips with their generated file, and the files left over. Where a manifest names a file, that one holds."""
    named = {abspath(clip.generated) for clip in clips if clip.generated is not None}
    matched = match_files(names, (file for file in files if abspath(file.path) not in named) if named else files)
    if not matched.files and not named:
        raise TlbenchError(
            f"generated folder {generated}: none of its {len(files)} videos is named after a clip (found "
            f"{files[0].name}, expected for example {clips[0].id}.mp4){_deeper(names, files, generated)}"
        )
    return [
        replace(clip, generated=matched.files.get(clip.id)) if clip.generated is None else clip for clip in chosen
    ], matched.extra


def _deeper(names: ClipNames, files: list[FoundFile], generated: Path) -> str:
    """A hint, if the clips lie one folder further down."""
    for file in files:
        top, _, rest = file.name.partition("/")
        if rest and len(names.find(rest)) == 1:
            return f"; pass {generated / top} instead"
    return ""


def _npy_files(clips: list[Clip], names: ClipNames, folder: Path, what: str, given: set[str]) -> dict[str, Path]:
    """The ``.npy`` file of each clip whose id is not in ``given``. ``what`` is also the option's name."""
    _check_folder(folder, f"{what} folder", f"--{what}")
    found = match_files(names, find_files(folder, frozenset({".npy"}))).files
    missing = [clip.id for clip in clips if clip.id not in given and clip.id not in found]
    if missing:
        make = "make them with `tlbench boxes`, or " if what == "boxes" else ""
        raise TlbenchError(
            f"{what} folder {folder}: no .npy for {len(missing)} of {len(clips)} clips: {_first_few(missing)}; "
            f"{make}leave --{what} out to have all detected"
        )
    return found


def _first_few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
