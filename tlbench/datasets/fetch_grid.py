"""Download GRID and unpack it for :mod:`tlbench.datasets.grid`."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile, ZipInfo

from tlbench.datasets.fetched_clips import fetched_clips, forget_clips
from tlbench.downloads import Progress, Wanted, download, end_part
from tlbench.errors import TlbenchError, did_you_mean, one_line
from tlbench.litter import remove_litter, temporary_name
from tlbench.owner import owned
from tlbench.zip_files import damage_as_bad_zip, open_zip

# Zenodo record 3625687, CC BY 4.0: alignments.zip and one archive per speaker. There is no video of speaker 21.
ADDRESS = "https://zenodo.org/records/3625687/files/{name}.zip?download=1"
SPEAKERS = tuple(f"s{number}" for number in range(1, 35) if number != 21)
ALIGNMENTS = "alignments"
_VIDEO = re.compile(r"(?:[^/.][^/]*/)*(s\d+)/([a-z0-9]+\.mpg)")
_WORDS = re.compile(r"(?:[^/.][^/]*/)*(s\d+)/([a-z0-9]+\.align)")
# Of a speaker there are 1,000 videos of 3 s, 0.5 GB in all; the alignments are 34,000 files of 1 kB. An archive beyond
# these limits is not GRID's.
MOST_BYTES = 2 * 10**9
MOST_FILES = {ALIGNMENTS: 50_000}
MOST_FILES_OF_A_SPEAKER = 2_000
MOST_DIRECTORY_BYTES = 64 * 10**6  # the list of files in an archive, which is read into memory


def check_speakers(names: Iterable[str]) -> None:
    """Raises TlbenchError for the first name that is not in :data:`SPEAKERS`, before anything is fetched."""
    for name in names:
        if name not in SPEAKERS:
            hint = did_you_mean(name, SPEAKERS)
            raise TlbenchError(f"GRID has no video of {name!r:.120}{hint} (there are s1 to s34 without s21)")


def fetch_grid(
    root: Path, name: str, progress: Progress | None = None, address: str = ADDRESS, *, take_over: bool = False
) -> Path:
    """Download one archive of GRID and unpack the files that tlbench reads, unless its folder exists.

    An interrupted download continues at the next call. The archive is removed after it is unpacked.

    Parameters
    ----------
    root : Path
        The data set's root.
    name : str
        One of :data:`SPEAKERS`, or :data:`ALIGNMENTS` for the word times of all speakers.
    address : str
        The address, with ``{name}`` in it; https.
    take_over : bool
        Take the archive and its folder at once from another run that writes it; see :func:`tlbench.owner.owned`.

    Returns
    -------
    Path
        ``root / name``.

    Raises
    ------
    TlbenchError
        No such archive; offline; the archive is damaged, too large or not what it should be; no room; another run
        fetches it.
    """
    if name != ALIGNMENTS:
        check_speakers([name])
    folder = root / name
    if _is_whole(root, name):
        return folder
    archive, part = root / f"{name}.zip", root / f"{name}.zip.part"
    try:
        with owned(root, name=name, take_over=take_over):
            if _is_whole(root, name):  # another run has just fetched it
                return folder
            remove_litter(root)
            if not archive.is_file():
                # The sums in the archive are checked when it is unpacked.
                wanted = Wanted(f"GRID's {name}", address.format(name=name), archive, MOST_BYTES, checked=True)
                download(wanted, part, progress)
                os.replace(part, archive)
                end_part(part)
            _unpack(archive, folder)
            archive.unlink()
            forget_clips(root, name)
    except OSError as error:
        raise TlbenchError(
            f"GRID's {name}: {root} can't be written ({error.strerror or error}); make room, or choose another folder"
        ) from error
    return folder


def _is_whole(root: Path, name: str) -> bool:
    """Whether a speaker's folder is there, and not with single clips alone."""
    return (root / name).is_dir() and name not in fetched_clips(root)


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack into a temporary folder and rename it, so that a folder with this name is always complete."""
    unfinished = folder.with_name(temporary_name(".new", folder.name))
    try:
        with archive.open("rb") as file, damage_as_bad_zip(), open_archive(file) as packed:
            wanted = _wanted(packed, folder.name)
            if not wanted:
                raise TlbenchError(
                    f"GRID's {folder.name}: {archive} holds no files named like GRID's; unpack it by hand into "
                    f"{folder} and remove it"
                )
            needed, free = sum(info.file_size for _, info in wanted), shutil.disk_usage(archive.parent).free
            if needed > free:
                raise TlbenchError(
                    f"GRID's {folder.name}: unpacked it takes {needed / 1e6:,.0f} MB, {archive.parent} has room for "
                    f"{free / 1e6:,.0f} MB; make room"
                )
            for place, info in wanted:
                target = unfinished / place
                target.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(info) as source, target.open("xb") as unpacked:
                    shutil.copyfileobj(source, unpacked)
        if folder.is_dir():  # single clips of it were fetched before
            shutil.rmtree(folder)
        os.replace(unfinished, folder)
    except BadZipFile as error:
        archive.unlink()
        why = f"{one_line(str(error)):.120}"
        raise TlbenchError(
            f"GRID's {folder.name}: {archive} is no archive of it ({why}); it was removed, fetch again"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def open_archive(file: BinaryIO) -> ZipFile:
    """The zip file of a speaker. Raises BadZipFile if it can't be one of GRID's."""
    return open_zip(file, MOST_DIRECTORY_BYTES)


def videos_in(packed: ZipFile, name: str) -> dict[str, ZipInfo]:
    """The videos of a speaker's archive by the names of their clips, checked as when it is unpacked.

    Raises BadZipFile for what GRID's archives do not have.
    """
    return {place.stem: info for place, info in _wanted(packed, name)}


def _wanted(packed: ZipFile, name: str) -> list[tuple[Path, ZipInfo]]:
    """The files to unpack and their paths, built from checked parts of their names so that they stay in the folder.

    Raises BadZipFile for what GRID's archives do not have: links, two files of one name, too many or too large files.
    """
    found: dict[Path, ZipInfo] = {}
    for info in packed.infolist():
        match = (_WORDS if name == ALIGNMENTS else _VIDEO).fullmatch(info.filename)
        if match is None or info.filename.startswith("__MACOSX") or name not in (ALIGNMENTS, match[1]):
            continue
        place = Path(match[1], match[2]) if name == ALIGNMENTS else Path(match[2])
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive was not made on Unix
        if kind not in (0, stat.S_IFREG):
            raise BadZipFile(f"{place} is a link or a device")
        if place in found:
            raise BadZipFile(f"{place} is there twice")
        found[place] = info
    if len(found) > MOST_FILES.get(name, MOST_FILES_OF_A_SPEAKER):
        raise BadZipFile(f"{len(found)} files are too many")
    if sum(info.file_size for info in found.values()) > MOST_BYTES:
        raise BadZipFile(f"more than {MOST_BYTES / 1e9:.0f} GB unpacked")
    return list(found.items())
