"""Files: hashes, atomic writes, and reading what comes from outside."""

from __future__ import annotations

import base64
import errno
import functools
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tlbench.errors import TlbenchError
from tlbench.litter import remove_litter, temporary_name


@dataclass(frozen=True)
class FileKind:
    """A kind of file that comes from outside, and how large one may be."""

    name: str
    most_bytes: int


# The largest is far above what anybody has: a file beyond it is a mistake or an attack, and is not read into memory.
TEXT = FileKind("text file", 100 * 10**6)
WORD_TIMES = FileKind("text file with word times", 2**20)
GENERATION_LOG = FileKind("note on generated videos", 2**28)  # of LRW's 25,000 clips it has 8 MB
JSON = FileKind("JSON file", 10**9)
OWNER = FileKind("owner file", 2**16)  # ours have less than 5 kB
ARRAY = FileKind("array file", 10**9)  # face boxes and landmarks: an hour at 25 frames a second has 3 MB of boxes
FEATURES = FileKind("file of features", 10**12)  # LRW's 25,000 clips of 29 x 2,048 float32 have 6 GB; read in pieces
WEIGHTS = FileKind("file of weights", 50 * 10**9)
ONNX = FileKind("ONNX file", 2**31)  # Protocol Buffers' own limit
PACKAGED = FileKind("file of a package", 100 * 10**6)  # vocabularies and texts
PACKAGE_ABOUT = FileKind("description of a package", 10 * 10**6)  # Python's objects of JSON take 25 times its bytes
PREPROCESSED = FileKind("preprocessed clip", 10 * 10**9)
RECORDS = FileKind("file of records", 100 * 10**9)  # read line by line
# One hour of video has 90,000 frames; SyncNet's 31 distances for each, in two views, are 30 MB of base64.
RECORD_LINE_BYTES = 256 * 2**20
RESULT = FileKind("result file", 2**28)  # LRW's 25,000 clips in fourteen metrics take 11 MiB
# GitHub refuses files above 100 MB.
BOARD_RECORD = FileKind("leaderboard record", 32 * 2**20)
BOARD_PAGE = FileKind("page of a leaderboard", 32 * 2**20)
REPORT = FileKind("page of a run", 2**30)  # with previews of 25,000 clips
PICTURE = FileKind("picture", 100 * 10**6)  # 4096x4096 RGB without compression has 50 MB
MEDIA = FileKind("media file", 10**12)  # read in pieces

_NAMES = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISDIR, "a folder"),
)


def open_outside(path: Path, kind: FileKind) -> BinaryIO:
    """Open a file that comes from outside for reading: a regular file, of a size that such a file can have.

    What it is is asked of the opened file itself, so nobody can exchange it in between, and a named pipe without a
    writer does not block.

    Raises
    ------
    OSError
        If it can't be opened, is no regular file, or is larger than ``kind`` allows; ``strerror`` says which.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            what = next((name for test, name in _NAMES if test(about.st_mode)), "something else")
            raise OSError(errno.EINVAL, f"it is {what}, not a regular file", str(path))
        if about.st_size > kind.most_bytes:
            size, most = about.st_size / 1e6, kind.most_bytes / 1e6
            raise OSError(errno.EFBIG, f"{size:,.0f} MB, a {kind.name} of at most {most:,.0f} MB is read", str(path))
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def read_outside(path: Path, kind: FileKind) -> bytes:
    """All bytes of a file that comes from outside, see :func:`open_outside`; never more than ``kind`` allows.

    Raises OSError as :func:`open_outside`, also if the file has grown beyond the limit while it was read.
    """
    with open_outside(path, kind) as file:
        content = bytearray()  # in pieces: a buffer for the most that may come is more memory than some runs have
        while block := file.read(min(2**22, kind.most_bytes + 1 - len(content))):
            content += block
    if len(content) > kind.most_bytes:
        raise OSError(errno.EFBIG, f"a {kind.name} of at most {kind.most_bytes / 1e6:,.0f} MB is read", str(path))
    return bytes(content)


def file_size(path: Path) -> int | None:
    """A file's size in bytes; None if there is no such file, or nobody can tell."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes. Raises OSError if it can't be read."""
    return _digest(path, hashlib.sha256())


def sha256_if_readable(path: Path | None) -> str | None:
    """:func:`file_sha256`; None if there is no file, or it can't be read."""
    try:
        return None if path is None else file_sha256(path)
    except OSError:
        return None


def file_md5(path: Path) -> str:
    """Hex MD5 of a file's bytes, for publishers that state nothing better. Raises OSError if it can't be read."""
    return _digest(path, hashlib.md5(usedforsecurity=False))


def _digest(path: Path, digest: hashlib._Hash) -> str:
    with open_outside(path, MEDIA) as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def atomic_path(path: Path, *, keep_suffix: bool = False) -> Iterator[Path]:
    """A temporary path that is renamed to ``path`` when the block ends, and removed if the block raises.

    So ``path`` holds either the whole new file or what was there before. What killed runs left in its folder is removed
    (:mod:`tlbench.litter`).

    Parameters
    ----------
    keep_suffix : bool
        For writers that choose the format by the file's suffix. The temporary name then ends in ``.part.SUFFIX``,
        else in ``.tmp``; what is left of a killed run is found by it (:mod:`tlbench.litter`).

    Raises
    ------
    OSError
        If the file can't be renamed.
    """
    _sweep(path.parent)
    # Not tempfile's: only their owner can read its files, and a cache or a result may be shared.
    name = temporary_name(f".part{path.suffix}", path.stem) if keep_suffix else temporary_name(".tmp")
    temporary = path.with_name(name)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@functools.cache
def _sweep(folder: Path) -> None:
    """Remove what killed runs left in a folder, before this process writes there for the first time."""
    remove_litter(folder)


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises TlbenchError if the disk is full or the folder can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, open(temporary, "xb") as file:
            file.write(content)
    except OSError as error:
        raise unwritable(path, error) from error


def write_text_atomically(path: Path, text: str) -> None:
    """:func:`write_bytes_atomically` of a text in UTF-8.

    Names of files keep their bytes, also where the locale is not UTF-8 (PEP 383). Raises TlbenchError as well if these
    bytes are not UTF-8.
    """
    try:
        content = text.encode("utf-8", "surrogateescape")
        content.decode("utf-8")
    except UnicodeError as error:
        at = next(place for place, letter in enumerate(text) if "\ud800" <= letter <= "\udfff")
        name = ascii(text[max(0, at - 40) : at + 40])
        raise TlbenchError(f"{path}: {name} is not UTF-8, so it can't be written there; rename that file") from error
    write_bytes_atomically(path, content)


def unwritable(path: Path, error: OSError) -> TlbenchError:
    """The error for a file that can't be written, with what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TlbenchError(
            f"{path.parent}: the disk is full; free some space and run the same command again, "
            "what is done already is kept"
        )
    return TlbenchError(f"{path}: can't be written ({error.strerror or error}); choose another folder")


def csp_hash(text: str) -> str:
    """SHA-256 of a style or script in base64, as content security policies name what a page may contain."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
