"""Choosing the clips of a run from a data set, with the generated videos that belong to them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from os.path import abspath
from pathlib import Path

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Dataset, Source, Span, dataset_class
from tlbench.datasets.lists import check_clip_id, read_subset
from tlbench.datasets.locations import find_root, ways_to_say
from tlbench.datasets.matching import COMMON_SUFFIXES, OTHER_SUFFIXES, ClipNames, FoundFile, find_files, match_files
from tlbench.datasets.transcripts import visible
from tlbench.document import counted
from tlbench.errors import TlbenchError, listed, quoted, shortened
from tlbench.names import why_no_name


@dataclass(frozen=True)
class Selection:
    """The clips of a run, and how they were chosen.

    Attributes
    ----------
    dataset : Dataset
    split : str
    clips : list of Clip
    extra : list of Path
        Videos in the generated folder that belong to no clip **of the split**. Those of clips outside a subset do not
        count.
    clips_in_split : int
        Number of clips before ``subset`` and ``limit``.
    root, generated, subset, manifest, boxes, landmarks : Path or None
        As given.
    limit : int or None
    notes : tuple of str
    drive : str or None
        SHA-256 of the drive (:mod:`tlbench.generation.drive`) whose source clips these are.
    donors : tuple of Clip
        Further clips, whose speech the drive uses.
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
    drive: str | None = None
    donors: tuple[Clip, ...] = ()

    @property
    def expected(self) -> int | None:
        """Number of clips of the published split; None if not known."""
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
        """Whether this is the whole split as published (or as found, if the published number is not known)."""
        return len(self.clips) == self.clips_in_split == (self.expected or self.clips_in_split)


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
    split_option: str = "--split",
) -> Selection:
    """The clips of a data set, with the generated videos that belong to them.

    Parameters
    ----------
    name : str
        One of :func:`tlbench.datasets.dataset.dataset_names`.
    root : Path or None
        The data set's folder; if None, the one that :func:`tlbench.datasets.locations.find_root` finds.
    generated : Path or None
        Folder of the generated videos. A clip without one stays in the selection with ``generated=None``.
    split : str or None
        None for ``test``, or for the only split.
    subset : Path or None
        List of clips to keep (see :func:`read_subset`), in the data set's order.
    limit : int or None
        Number of clips to keep, from the first, after ``subset``.
    boxes : Path or None
        Folder of face boxes, ``<id>.npy``, one for every clip kept unless its manifest gives it.
    landmarks : Path or None
        Folder of face landmarks, ``<id>.npy``, one for every clip kept.
    manifest : Path or None
        The data set's own kind of list, if it takes one.
    split_option : str
        The option that chose ``split``, for messages.

    Raises
    ------
    TlbenchError
        What is missing or ambiguous, and which argument to change, in one line.
    """
    dataset = dataset_class(name)()
    if limit is not None and limit < 1:
        raise TlbenchError(f"limit {limit}: must be at least 1 (--limit)")
    if manifest is not None and dataset.manifest is None:
        raise TlbenchError(f"{name}: takes no manifest ({manifest}); to choose clips use a subset (--subset)")
    root = _find_folder(dataset, root)
    files = None if generated is None else _generated_files(generated)
    source = Source(root, manifest, None if files is None else tuple(files))

    split = _choose_split(dataset, source, split, split_option)
    clips = [_legible(clip) for clip in dataset.clips(source, split)]
    if not clips:
        raise TlbenchError(
            f"{name}: split {quoted(split)} holds no clips in {manifest or root or generated}; expected "
            f"{dataset.layout}"
        )
    _check_ids(name, clips)
    names = ClipNames([clip.id for clip in clips], dataset.aliases)
    chosen = clips if subset is None else _in_subset(clips, names, subset, f"{name} split {quoted(split)}")
    chosen = chosen[:limit]

    extra: list[Path] = []
    if generated is not None and files is not None:
        chosen, extra = _with_generated(chosen, clips, names, files, generated)
    chosen = _with_npy_files(chosen, names, boxes, landmarks, by_manifest=manifest is not None)
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
    """The data set's folder. ``folder`` has only the one that the call names."""
    found = find_root(dataset.name, given) if given is not None or not dataset.anonymous else None
    if found is None and dataset.needs_root:
        raise TlbenchError(f"{dataset.name}: needs the folder with {dataset.layout}; {ways_to_say(dataset.name)}")
    if found is not None:
        check_folder(found.folder, f"{dataset.name}: root", found.source)
    return None if found is None else found.folder


def check_folder(folder: Path, what: str, option: str) -> None:
    """Raises TlbenchError, naming the option, if a folder does not exist, or is a file."""
    if not folder.exists():
        raise TlbenchError(f"{what} {folder} does not exist; check the path ({option})")
    if not folder.is_dir():
        raise TlbenchError(f"{what} {folder} is a file, not a folder ({option})")


def _generated_files(generated: Path) -> list[FoundFile]:
    check_folder(generated, "generated folder", "GENERATED")
    files = find_files(generated)
    if not files:
        raise TlbenchError(
            f"generated folder {generated} holds no video; looked for {', '.join(sorted(COMMON_SUFFIXES))} "
            f"and {len(OTHER_SUFFIXES)} more"
        )
    return files


def _choose_split(dataset: Dataset, source: Source, split: str | None, option: str) -> str:
    if split is not None and split in dataset.refused_splits:
        raise TlbenchError(f"{dataset.name}: split {quoted(split)} {dataset.refused_splits[split]}")
    there = dataset.splits(source)
    if split is None and (len(there) == 1 or "test" in there):
        return there[0] if len(there) == 1 else "test"
    if split not in there:
        raise TlbenchError(f"{dataset.name}: no split {quoted(split)}{listed(split or '', there)} ({option})")
    return split


def _legible(clip: Clip) -> Clip:
    """The clip with an id and a speaker as results are read, and no invisible characters in its transcript and word."""
    transcript, word = (None if text is None else visible(text) for text in (clip.transcript, clip.word))
    speaker = None if clip.speaker is None else _composed(clip.speaker)
    return replace(clip, id=_composed(clip.id), transcript=transcript, word=word, speaker=speaker)


def _composed(text: str) -> str:
    """A letter and its accent as one character, where file names or lists have them as two."""
    return unicodedata.normalize("NFC", text)


def _check_ids(name: str, clips: list[Clip]) -> None:
    seen = set()
    for clip in clips:
        check_clip_id(clip.id, name)
        for what, text in (("speaker", clip.speaker), ("word", clip.word)):
            why = None if text is None else why_no_name(text)
            if why is not None:
                raise TlbenchError(f"{name}: {what} {quoted(text)} of clip {shortened(clip.id)} {why}; rename it")
        if clip.id in seen:  # or two ways to write one letter
            raise TlbenchError(f"{name}: clip {shortened(clip.id)} is there twice; remove or rename one")
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
                f"{subset}:{entry.line}: {shortened(entry.id)} could be {shortened(owners[0])} or "
                f"{shortened(owners[1])}; write the whole id"
            )
        if not owners:
            unknown.append(entry.id)
        elif owners[0] in kept:
            raise TlbenchError(f"{subset}:{entry.line}: clip {shortened(owners[0])} is listed twice; remove one line")
        kept.update(owners)
    if unknown:
        raise TlbenchError(
            f"subset {subset}: {counted(len(unknown), 'clip is', 'clips are')} not in {where}: "
            f"{_first_few(unknown)} (--subset)"
        )
    return [clip for clip in clips if clip.id in kept]


def _with_generated(
    chosen: list[Clip], clips: list[Clip], names: ClipNames, files: list[FoundFile], generated: Path
) -> tuple[list[Clip], list[Path]]:
    """Clips with their generated file, and the files left over. A file named by the manifest has priority."""
    named = {abspath(clip.generated) for clip in clips if clip.generated is not None}
    matched = match_files(names, (file for file in files if abspath(file.path) not in named) if named else files)
    if not matched.files and not named:
        raise TlbenchError(
            f"generated folder {generated}: none of its {counted(len(files), 'video')} is named after a clip (found "
            f"{files[0].name}, expected for example {clips[0].id}.mp4){_deeper(names, files, generated)}"
        )
    return [
        replace(clip, generated=matched.files.get(clip.id)) if clip.generated is None else clip for clip in chosen
    ], matched.extra


def _deeper(names: ClipNames, files: list[FoundFile], generated: Path) -> str:
    """A hint if the clips are one folder further down."""
    for file in files:
        top, _, rest = file.name.partition("/")
        if rest and len(names.find(rest)) == 1:
            return f"; pass {generated / top} instead"
    return ""


def _with_npy_files(
    clips: list[Clip], names: ClipNames, boxes: Path | None, landmarks: Path | None, *, by_manifest: bool
) -> list[Clip]:
    """Clips with their files of boxes and landmarks from these folders."""
    if boxes is not None:
        # The manifest has priority over the folder, and the folder over the data set's own boxes.
        listed = {clip.id for clip in clips if clip.boxes is not None} if by_manifest else set()
        found = _npy_files(clips, names, boxes, "boxes", listed)
        clips = [clip if clip.id in listed else replace(clip, boxes=found[clip.id]) for clip in clips]
    if landmarks is not None:
        found = _npy_files(clips, names, landmarks, "landmarks", set())
        clips = [replace(clip, landmarks=found[clip.id]) for clip in clips]
    return clips


def _npy_files(clips: list[Clip], names: ClipNames, folder: Path, what: str, given: set[str]) -> dict[str, Path]:
    """The ``.npy`` file of each clip whose id is not in ``given``. ``what`` is also the option's name."""
    check_folder(folder, f"{what} folder", f"--{what}")
    found = match_files(names, find_files(folder, frozenset({".npy"}))).files
    missing = [clip.id for clip in clips if clip.id not in given and clip.id not in found]
    if missing:
        make = "make them with `tlbench boxes`, or " if what == "boxes" else ""
        raise TlbenchError(
            f"{what} folder {folder}: no .npy for {len(missing)} of {counted(len(clips), 'clip')}: "
            f"{_first_few(missing)}; "
            f"{make}leave --{what} out to have all detected"
        )
    return found


def _first_few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
