"""Download GRID and unpack it for :mod:`tlbench.datasets.grid`."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from tlbench.errors import TlbenchError
from tlbench.files import Progress, download
from tlbench.owner import owned

# Zenodo record 3625687, CC BY 4.0: alignments.zip and one archive per speaker. There is no video of speaker 21.
ADDRESS = "https://zenodo.org/records/3625687/files/{name}.zip?download=1"
SPEAKERS = tuple(f"s{number}" for number in range(1, 35) if number != 21)
ALIGNMENTS = "alignments"
_VIDEO = re.compile(r"(?:[^/.][^/]*/)*(s\d+)/([a-z0-9]+\.mpg)")
_WORDS = re.compile(r"(?:[^/.][^/]*/)*(s\d+)/([a-z0-9]+\.align)")


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
        The address, with ``{name}`` in it.
    take_over : bool
        Take the archive and its folder at once from another run that writes it; see :func:`tlbench.owner.owned`.

    Returns
    -------
    Path
        ``root / name``.

    Raises
    ------
    TlbenchError
        No such archive; offline; the archive is damaged or not what it should be; no room; another run fetches it.
    """
    if name not in (*SPEAKERS, ALIGNMENTS):
        raise TlbenchError(f"GRID has no video of {name!r}; there are s1 to s34 without s21")
    folder = root / name
    if folder.is_dir():
        return folder
    archive, part = root / f"{name}.zip", root / f"{name}.zip.part"
    try:
        with owned(root, name=name, take_over=take_over):
            if folder.is_dir():  # another run has just fetched it
                return folder
            if not archive.is_file():
                download(f"GRID's {name}", address.format(name=name), archive, part, progress)
                os.replace(part, archive)
            _unpack(archive, folder)
            archive.unlink()
    except OSError as error:
        raise TlbenchError(
            f"GRID's {name}: {root} can't be written ({error.strerror or error}); make room, or choose another folder"
        ) from error
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack into a temporary folder and rename it, so that a folder with this name is always complete."""
    unfinished = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with ZipFile(archive) as packed:
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
                with packed.open(info) as source, target.open("xb") as file:
                    shutil.copyfileobj(source, file)
        os.replace(unfinished, folder)
    except (
        BadZipFile,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:  # the last two: encrypted, or an unknown compression
        archive.unlink()
        raise TlbenchError(
            f"GRID's {folder.name}: {archive} is no archive of it ({error}); it was removed, fetch again"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _wanted(packed: ZipFile, name: str) -> list[tuple[Path, ZipInfo]]:
    """The files to unpack and their paths, built from checked parts of their names so that they stay in the folder."""
    found: dict[Path, ZipInfo] = {}
    for info in packed.infolist():
        match = (_WORDS if name == ALIGNMENTS else _VIDEO).fullmatch(info.filename)
        if match is None or info.filename.startswith("__MACOSX"):
            continue
        if name == ALIGNMENTS:
            found.setdefault(Path(match[1], match[2]), info)
        elif match[1] == name:
            found.setdefault(Path(match[2]), info)
    return list(found.items())
