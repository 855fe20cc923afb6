"""Matching files to clips by name. A file that fits two clips is an error that names both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from tlbench.errors import TlbenchError, quoted, shortened

COMMON_SUFFIXES = frozenset({".mp4", ".m4v", ".avi", ".mpg", ".mpeg", ".mov", ".mkv", ".webm"})
# Further suffixes of the formats in `tlbench.media.container.FORMATS`.
OTHER_SUFFIXES = frozenset(
    {
        ".qt",
        ".3gp",
        ".3g2",
        ".f4v",
        ".divx",
        ".mpe",
        ".m1v",
        ".m2v",
        ".vob",
        ".ts",
        ".m2ts",
        ".mts",
        ".wmv",
        ".asf",
        ".flv",
        ".ogv",
        ".nut",
        ".dv",
        ".mxf",
        ".y4m",
        ".gif",
        ".mjpeg",
        ".mjpg",
        ".h264",
        ".264",
        ".h265",
        ".265",
        ".hevc",
        ".ivf",
    }
)
# Formats that can't be read. Such a file is still matched to its clip, so that the error names it.
UNREAD_SUFFIXES = frozenset([".rm", ".rmvb", ".swf", ".wtv", ".bik", ".amv", ".nsv"])
VIDEO_SUFFIXES = COMMON_SUFFIXES | OTHER_SUFFIXES | UNREAD_SUFFIXES


@dataclass(frozen=True)
class FoundFile:
    """A file below a searched folder.

    Attributes
    ----------
    name : str
        Relative to that folder, ``/``-separated, without extension.
    path : Path
    """

    name: str
    path: Path


@dataclass(frozen=True)
class Matched:
    """The result of :func:`match_files`: files by clip id, and the other files sorted by name."""

    files: dict[str, Path]
    extra: list[Path]


def find_files(folder: Path, suffixes: frozenset[str] = VIDEO_SUFFIXES) -> list[FoundFile]:
    """All files below a folder with one of the suffixes (upper or lower case), sorted by name.

    Symbolic links are followed, but not back into a folder that is being searched. Hidden files and folders are left
    out. A broken link counts as a file, so that reading it gives an error.

    Raises
    ------
    TlbenchError
        If a folder can't be listed.
    """
    found: list[FoundFile] = []
    _search(folder, "", frozenset(), suffixes, found)
    found.sort(key=lambda file: (file.name, file.path.name))
    return found


def _search(
    folder: Path, prefix: str, above: frozenset[tuple[int, int]], suffixes: frozenset[str], found: list[FoundFile]
) -> None:
    try:
        status = os.stat(folder)
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        with os.scandir(folder) as listing:
            entries = [entry for entry in listing if not entry.name.startswith(".")]
    except OSError as error:
        raise TlbenchError(f"folder {folder} can't be listed ({error.strerror}); check its permissions") from error
    for entry in entries:
        if _is_folder(entry):
            _search(Path(entry.path), f"{prefix}{entry.name}/", above | {here}, suffixes, found)
            continue
        stem, dot, suffix = entry.name.rpartition(".")
        if dot + suffix.lower() in suffixes and _is_file(entry):
            found.append(FoundFile(prefix + stem, Path(entry.path)))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file or a broken link. Pipes and devices are left out, since opening one could block."""
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
    except OSError:
        return True


def without_previews(files: Iterable[FoundFile]) -> tuple[list[FoundFile], list[FoundFile]]:
    """The files without previews, and the previews: ``a.gif`` is a preview of ``a.mp4``.

    If exactly one of several files with the same name has a common video suffix, the others are previews.
    """
    named: dict[str, list[FoundFile]] = {}
    for file in files:
        named.setdefault(file.name, []).append(file)
    kept: list[FoundFile] = []
    beside: list[FoundFile] = []
    for same in named.values():
        common = [file for file in same if file.path.suffix.lower() in COMMON_SUFFIXES]
        chosen = common if len(common) == 1 else same
        kept += chosen
        beside += [file for file in same if file not in chosen]
    return kept, beside


class ClipNames:
    """Finds clips by name.

    A name is compared with the ids first. If no clip has that id, other spellings count: the id with ``_`` or ``-``
    instead of ``/`` (``6331559613336179781_00002``), the id without its leading folders (``00002``), and the data set's
    own.

    Parameters
    ----------
    ids : sequence of str
        All ids of the split, so that an ambiguous name is noticed.
    aliases : id -> names
        The data set's own further spellings.
    """

    def __init__(self, ids: Sequence[str], aliases: Callable[[str], tuple[str, ...]]) -> None:
        self._exact: dict[str, str] = {}
        for clip_id in ids:
            other = self._exact.setdefault(normalize("NFC", clip_id), clip_id)  # macOS gives decomposed names
            if other != clip_id:
                raise TlbenchError(
                    f"clips {quoted(other)} and {quoted(clip_id)} differ only in how letters are composed; rename one"
                )
        self._aliases = aliases
        self._others: dict[str, list[str]] | None = None

    def find(self, name: str) -> list[str]:
        """Ids of the clips with this name; more than one if it is ambiguous."""
        key = normalize("NFC", name)
        if key in self._exact:
            return [self._exact[key]]
        if self._others is None:
            self._others = self._index()
        return self._others.get(key, [])

    def _index(self) -> dict[str, list[str]]:
        others: dict[str, list[str]] = {}
        for key, clip_id in self._exact.items():
            parts = key.split("/")
            names = {"_".join(parts), "-".join(parts), *("/".join(parts[start:]) for start in range(1, len(parts)))}
            for name in names.union(self._aliases(key)):
                others.setdefault(name, []).append(clip_id)
        return others


def match_files(names: ClipNames, files: Iterable[FoundFile]) -> Matched:
    """Match each file to the clip it is named after. Previews (:func:`without_previews`) count as extra.

    Raises
    ------
    TlbenchError
        If a file fits two clips, or two files fit one clip (two containers, or two spellings).
    """
    matched: dict[str, Path] = {}
    kept, beside = without_previews(files)
    extra = [file.path for file in beside]
    for file in kept:
        owners = names.find(file.name)
        if not owners:
            extra.append(file.path)
            continue
        if len(owners) > 1:
            raise TlbenchError(
                f"{file.path}: could be clip {shortened(owners[0])} or {shortened(owners[1])}; name it "
                f"{shortened(owners[0])}{file.path.suffix} or so"
            )
        if owners[0] in matched:
            raise TlbenchError(
                f"clip {shortened(owners[0])}: two files claim it, {matched[owners[0]]} and {file.path}; remove one "
                "of them"
            )
        matched[owners[0]] = file.path
    return Matched(matched, sorted(extra))
