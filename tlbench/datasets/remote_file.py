"""A file on a server that is read in parts, so that a few members of a large archive can be taken out of it."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from tlbench.downloads import FetchedRange, Wanted, fetch_range
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

TAIL_BYTES = 2**18  # fetched first: the list of files of an archive with 1,000 members has 100 kB
AHEAD_BYTES = 2**16  # at least so many bytes are fetched at a time


class RemoteFile(io.RawIOBase):
    """A file for ``zipfile.ZipFile``, fetched as it is read.

    Parameters
    ----------
    wanted : Wanted

    Raises
    ------
    TlbenchError
        From the constructor and from reading: as :func:`tlbench.downloads.fetch_range`, and if the server's file is
        exchanged meanwhile.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._tail = fetch_range(wanted, -TAIL_BYTES, TAIL_BYTES)
        self._piece = self._tail
        self._position = 0
        self._ahead_bytes = AHEAD_BYTES
        self.size_bytes = self._tail.total_bytes

    def expect(self, size_bytes: int) -> None:
        """Fetch so many bytes at once when something is read next."""
        self._ahead_bytes = max(AHEAD_BYTES, size_bytes)

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size_bytes}[whence]
        if base + offset < 0:
            raise OSError(22, "a position before the file")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read what fits into ``buffer``, and no more than is fetched at once."""
        view = memoryview(buffer).cast("B")
        size = min(len(view), self.size_bytes - self._position)
        if size <= 0:
            return 0
        piece = next((held for held in (self._tail, self._piece) if _has(held, self._position)), None)
        if piece is None:
            piece = self._piece = fetch_range(self._wanted, self._position, max(size, self._ahead_bytes))
            if (piece.version, piece.total_bytes) != (self._tail.version, self.size_bytes):
                raise TlbenchError(f"{self._wanted.what}: {self._wanted.url} has changed meanwhile; fetch again")
        inside = self._position - piece.begin
        data = piece.data[inside : inside + size]
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def _has(piece: FetchedRange, position: int) -> bool:
    return piece.begin <= position < piece.begin + len(piece.data)
