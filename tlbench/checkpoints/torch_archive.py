"""The two file formats of torch.save: the place of the pickle, and of the numbers of each storage.

Opening a file returns its content with a :class:`~.pickle_records.TensorSlice` for each tensor. A tensor's numbers are
read, memory-mapped, when the tensor is accessed. So the optimizer's state, twice as large as the model, is never read.

The formats are those of torch/serialization.py: ``_save`` (zip, since torch 1.6) and ``_legacy_save``.
"""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from tlbench.files import WEIGHTS, open_outside
from tlbench.zip_files import damage_as_bad_zip, open_zip

from .pickle_limits import MOST_PICKLE_BYTES
from .pickle_records import BrokenPickleError, Storage, TensorSlice
from .unpickle import Unpickler

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
# Reading a checkpoint may take this many times its size, and a constant: float16 becomes float32, and is there twice.
TIMES_THE_FILE = 4
CONSTANT_BYTES = 256 * 10**6
# Far above what any checkpoint has: one entry a tensor, and about 110 bytes of pickle for each.
MOST_ENTRIES = 200_000
MOST_DIRECTORY_BYTES = 32 * 2**20


@dataclass(frozen=True)
class _Span:
    """A range of bytes in the file. ``crc32`` is None in the older format, which has none."""

    start: int
    length: int
    crc32: int | None = None


class Archive:
    """An opened checkpoint.

    Attributes
    ----------
    tree : Any
        The saved object as plain data, with a TensorSlice for each tensor.
    """

    def __init__(self, path: Path, tree: Any, spans: dict[str, _Span], size_bytes: int) -> None:
        self.tree = tree
        self._allowed_bytes = TIMES_THE_FILE * size_bytes + CONSTANT_BYTES
        self._given_bytes = 0
        self._path = path
        self._spans = spans
        self._bytes: np.ndarray | None = None
        self._blocks: dict[str, Tensor] = {}  # storages already mapped; tensors that shared one share it again

    def tensor(self, described: TensorSlice) -> Tensor:
        """One tensor on the CPU, memory-mapped from the file. Changes to it stay in memory.

        Raises
        ------
        BrokenPickleError
            If its numbers are not in the file, or are damaged; if all tensors so far have far more bytes than the
            file, because they share them.
        """
        storage = described.storage
        self._given_bytes += math.prod(described.shape) * getattr(torch, storage.dtype).itemsize
        if self._given_bytes > self._allowed_bytes:
            raise BrokenPickleError("damaged: its tensors share their numbers and are many times as large as the file")
        if storage.key not in self._blocks:
            self._blocks[storage.key] = self._block(storage)
        return self._blocks[storage.key].as_strided(described.shape, described.stride, described.offset)

    def _block(self, storage: Storage) -> Tensor:
        dtype: torch.dtype = getattr(torch, storage.dtype)
        span = self._spans.get(storage.key)
        if span is None or span.length != storage.numel * dtype.itemsize:
            raise BrokenPickleError(f"the numbers of storage {storage.key} are not in the file")
        if not span.length:
            return torch.empty(0, dtype=dtype)
        if self._bytes is None:
            self._bytes = np.memmap(self._path, np.uint8, mode="c")
        block = self._bytes[span.start : span.start + span.length]
        if span.crc32 is not None and zlib.crc32(block.data) != span.crc32:
            raise BrokenPickleError(f"the numbers of storage {storage.key} are damaged")
        if span.start % dtype.itemsize:
            block = block.copy()  # torch needs aligned numbers
        return torch.from_numpy(block).view(dtype)


def open_archive(path: Path, inert: Collection[str] = (), mentioned: Collection[str] = ()) -> Archive:
    """Open a file that torch.save wrote, in either format.

    Parameters
    ----------
    inert, mentioned : collection of str
        As :class:`~.unpickle.Unpickler`.

    Raises
    ------
    NotPlainDataError
        If the file mentions a name that is not listed.
    BrokenPickleError
        If it is not such a file, or incomplete.
    OSError
        If it can't be read.
    """
    reader = Unpickler(inert, mentioned)
    with open_outside(path, WEIGHTS) as file:
        zipped = file.read(2) == b"PK"
        file.seek(0)
        return _open_zip(path, file, reader) if zipped else _open_legacy(path, file, reader)


def _open_zip(path: Path, file: IO[bytes], reader: Unpickler) -> Archive:
    try:
        with damage_as_bad_zip(), open_zip(file, MOST_DIRECTORY_BYTES) as archive:
            entries = {info.filename: info for info in archive.infolist()}
            if len(entries) > MOST_ENTRIES:
                raise BrokenPickleError(f"a zip file of {len(entries):,} entries")
            if len(entries) != len(archive.infolist()):
                raise BrokenPickleError("a zip file with two entries of one name")
            folders = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")]
            read = tuple(f"{folder}{name}" for folder in folders for name in ("data.pkl", "data/", "byteorder"))
            stored = [info for name, info in entries.items() if name.startswith(read)]
            packed = any(info.compress_type != zipfile.ZIP_STORED for info in stored)
            if len(folders) != 1 or packed:
                raise BrokenPickleError("a zip file that torch.save did not write")
            folder = folders[0]
            if entries[f"{folder}data.pkl"].file_size > MOST_PICKLE_BYTES:
                raise BrokenPickleError("a pickle larger than that of any checkpoint")
            byte_order = entries.get(f"{folder}byteorder")
            if byte_order is not None and (byte_order.file_size > 6 or archive.read(byte_order) != b"little"):
                raise BrokenPickleError("big-endian numbers")
            tree = reader.read(io.BytesIO(archive.read(f"{folder}data.pkl")))
    except (zipfile.BadZipFile, ValueError) as error:
        raise BrokenPickleError(str(error)) from error
    used = {key: entries[name] for key in reader.storages if (name := f"{folder}data/{key}") in entries}
    spans = {key: _zip_span(file, info) for key, info in used.items()}
    return Archive(path, tree, spans, file.seek(0, os.SEEK_END))


def _zip_span(file: IO[bytes], info: zipfile.ZipInfo) -> _Span:
    """The bytes of an entry: they follow its local header, which states its own length (zip's APPNOTE, 4.3.7)."""
    file.seek(info.header_offset)
    header = file.read(30)
    size = file.seek(0, os.SEEK_END)
    if len(header) < 30:
        raise BrokenPickleError("an entry without a header")
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    start = info.header_offset + 30 + name_length + extra_length
    if start + info.file_size > size:
        raise BrokenPickleError("an entry beyond the end of the file")
    return _Span(start, info.file_size, info.CRC)


def _open_legacy(path: Path, file: IO[bytes], reader: Unpickler) -> Archive:
    if reader.read(file) != LEGACY_MAGIC or reader.read(file) != LEGACY_PROTOCOL:
        raise BrokenPickleError("not a file of torch.save")
    system = reader.read(file)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise BrokenPickleError("big-endian numbers")
    tree, keys = reader.read(file), reader.read(file)
    position, size = file.tell(), file.seek(0, os.SEEK_END)
    spans: dict[str, _Span] = {}
    for key in keys if isinstance(keys, list) else [None]:
        if not isinstance(key, str) or key not in reader.storages or key in spans:
            raise BrokenPickleError("numbers of an unknown storage")
        storage = reader.storages[key]
        file.seek(position)
        length = storage.numel * getattr(torch, storage.dtype).itemsize
        if file.read(8) != storage.numel.to_bytes(8, "little") or position + 8 + length > size:
            raise BrokenPickleError("a storage of the wrong length")
        spans[key] = _Span(position + 8, length)
        position += 8 + length
    return Archive(path, tree, spans, size)
