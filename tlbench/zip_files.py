"""Zip files from outside: the list of files at their end is checked first, because :mod:`zipfile` reads it whole."""

from __future__ import annotations

import lzma
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO
from zipfile import BadZipFile, ZipFile

_END, _END_BYTES = b"PK\5\6", 22  # of the list; its length follows at byte 12 (APPNOTE.TXT of PKWARE, 4.3.16)
_LARGE = b"PK\6\6"  # for more than 4 GB; the length follows at byte 40 (4.3.14)
_TAIL_BYTES = 2**16 + 1024  # the end with the longest comment, and what comes before it


@contextmanager
def damage_as_bad_zip() -> Iterator[None]:
    """Raise BadZipFile for every error by which :mod:`zipfile` and its unpackers say that a zip file is damaged.

    Changed bytes are also reported as an unknown version, compression or encryption, and as names in no encoding.
    """
    try:
        yield
    except (RuntimeError, UnicodeDecodeError, EOFError, struct.error, zlib.error, lzma.LZMAError) as error:
        raise BadZipFile(str(error) or "a zip file that ends too early") from error


def open_zip(file: IO[bytes], most_bytes: int) -> ZipFile:
    """Open a zip file whose list of files is short enough.

    Parameters
    ----------
    file : file
        The zip file, which can seek.
    most_bytes : int
        Of the list: 46 bytes and a name for each file.

    Raises
    ------
    BadZipFile
        If it is longer, or there is none, or the file is damaged or not readable with :mod:`zipfile`.
    OSError
        If the file can't be read.
    """
    _check_directory(file, most_bytes)
    with damage_as_bad_zip():
        return ZipFile(file)


def _check_directory(file: IO[bytes], most_bytes: int) -> None:
    """The file is at its start afterwards. A list of another length than stated is refused by :mod:`zipfile`."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _TAIL_BYTES, 0))
    tail = file.read()
    end = tail.rfind(_END)
    if end < 0 or len(tail) < end + _END_BYTES:
        raise BadZipFile("a zip file without an end")
    stated = int.from_bytes(tail[end + 12 : end + 16], "little")
    large = [int.from_bytes(tail[at + 40 : at + 48], "little") for at in _all(tail[:end], _LARGE)]
    if large:
        stated = max(large) if stated == 2**32 - 1 else max(stated, *large)
    if stated > min(most_bytes, size):
        raise BadZipFile(f"a zip file with a list of files of {stated:,} bytes")
    file.seek(0)


def _all(content: bytes, sign: bytes) -> list[int]:
    """Where ``sign`` begins."""
    found = []
    at = content.find(sign)
    while at >= 0:
        found.append(at)
        at = content.find(sign, at + 1)
    return found
