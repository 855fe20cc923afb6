"""Arrays of NumPy's format in zip files from outside: never more memory than the file may take.

NumPy allocates what an array's header says before it reads, and unpacks a member whatever its size.
"""

from __future__ import annotations

import math
from typing import IO
from zipfile import ZipFile, ZipInfo

import numpy as np

from tlbench.zip_files import damage_as_bad_zip, open_zip

MOST_HEADER_BYTES = 10_000  # NumPy's own limit for the text before the numbers
MOST_DIRECTORY_BYTES = 2**20  # of a few arrays
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def check_array(member: IO[bytes], info: ZipInfo) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of an array, and compare it with the size of its member.

    Parameters
    ----------
    member : file
        The opened member; what is left to read afterwards are the numbers.
    info : ZipInfo
        Of the member.

    Returns
    -------
    tuple of (tuple of int, bool, dtype)
        Shape, whether it is stored by columns, and type.

    Raises
    ------
    ValueError
        If it is no array of numbers or texts, or says another size.
    """
    read = _HEADERS.get(np.lib.format.read_magic(member))
    if read is None:
        raise ValueError(f"{info.filename:.60} has another version of NumPy's format")
    shape, by_columns, dtype = read(member, max_header_size=MOST_HEADER_BYTES)
    if dtype.hasobject:
        raise ValueError(f"{info.filename:.60} has Python objects, not numbers")
    if member.tell() + math.prod(shape) * dtype.itemsize != info.file_size:
        raise ValueError(f"{info.filename:.60} says {shape} of {dtype}, and has other bytes")
    return shape, by_columns, dtype


def open_archive(file: IO[bytes], most_bytes: int = MOST_DIRECTORY_BYTES) -> ZipFile:
    """The zip file; ``most_bytes`` is of its list of files. Raises BadZipFile or OSError."""
    return open_zip(file, most_bytes)


def read_array(archive: ZipFile, name: str, most_bytes: int) -> np.ndarray:
    """One array of an archive.

    Parameters
    ----------
    archive : ZipFile
    name : str
        Of the member.
    most_bytes : int
        A larger array is refused before it is unpacked.

    Raises
    ------
    KeyError, ValueError, OSError, BadZipFile
        If it is not there, is too large, or is damaged.
    """
    info = _of_size(archive, name, most_bytes)
    with damage_as_bad_zip(), archive.open(info) as member:
        shape, by_columns, dtype = check_array(member, info)
        content = member.read()
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")


def read_shape(archive: ZipFile, name: str, most_bytes: int) -> tuple[int, ...]:
    """The shape of an array of an archive, from its header. Parameters and errors as of :func:`read_array`."""
    info = _of_size(archive, name, most_bytes)
    with damage_as_bad_zip(), archive.open(info) as member:
        return check_array(member, info)[0]


def _of_size(archive: ZipFile, name: str, most_bytes: int) -> ZipInfo:
    """A member that may be read. Raises KeyError or ValueError."""
    info = archive.getinfo(name)
    if info.file_size > most_bytes:
        raise ValueError(f"{name:.60} has {info.file_size:,} bytes, at most {most_bytes:,} are read")
    return info
