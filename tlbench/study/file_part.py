"""A file, or the part of it that a browser asks for, as an answer."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import BinaryIO

from flask import Response
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.http import is_resource_modified, parse_range_header
from werkzeug.wsgi import wrap_file


class FilePart(io.RawIOBase):
    """Bytes ``start`` to ``stop`` of an open file, as a file of their own, which closes the other."""

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        super().__init__()
        self._file, self._start, self._stop = file, start, stop
        file.seek(start)

    def seekable(self) -> bool:
        """True."""
        return True

    def readable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position, from the start of the part."""
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position of the part, as in any file; the new position."""
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._file.tell(), os.SEEK_END: self._stop}[whence]
        self._file.seek(base + offset)
        return self.tell()

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes, or all that are left. Raises OSError if the file has lost them."""
        left = max(0, self._stop - self._file.tell())
        wanted = left if size < 0 else min(size, left)
        data = self._file.read(wanted)
        if wanted and not data:
            raise OSError("the file became shorter while it was sent")
        return data

    def close(self) -> None:
        """Close the whole file."""
        self._file.close()
        super().close()


def send_part(file: BinaryIO, tag: str, environment: Mapping[str, object]) -> Response:
    """The answer with a file, or with the part of it that the request asks for (RFC 9110, 14).

    The file is handed to the server as a file, so that no thread waits until it is read, and none of it is kept in
    memory. A range that can't be understood, or several, are ignored, as the standard allows: the whole file is sent.

    Parameters
    ----------
    file : open file
        Closed with the answer.
    tag : str
        Its strong ETag.
    environment : mapping
        Of WSGI.

    Raises
    ------
    RequestedRangeNotSatisfiable
        If the range begins beyond the end.
    """
    environ = dict(environment)
    size = os.fstat(file.fileno()).st_size
    headers = Headers({"Accept-Ranges": "bytes", "ETag": f'"{tag}"'})
    if not is_resource_modified(environ, tag):
        file.close()
        return Response(status=412 if "HTTP_IF_MATCH" in environ else 304, headers=headers)
    try:
        wanted = _range(environ, tag, size)
    except RequestedRangeNotSatisfiable:
        file.close()
        raise
    start, stop = wanted or (0, size)
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["Content-Length"] = str(stop - start)
    body = wrap_file(environ, FilePart(file, start, stop))  # type: ignore[arg-type]  # it reads, seeks and closes
    return Response(body, 206 if wanted else 200, headers, mimetype="video/mp4", direct_passthrough=True)


def _range(environ: dict[str, object], tag: str, size: int) -> tuple[int, int] | None:
    """The first byte wanted and the one after the last; None for the whole file."""
    if environ["REQUEST_METHOD"] != "GET" or "HTTP_RANGE" not in environ:
        return None
    if "HTTP_IF_RANGE" in environ and is_resource_modified(environ, tag, ignore_if_range=False):
        return None
    asked = parse_range_header(str(environ["HTTP_RANGE"]))
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return None
    start, stop = asked.ranges[0]
    start = max(0, start + size) if start < 0 else start  # the last bytes
    stop = size if stop is None else min(stop, size)
    if start >= stop:
        raise RequestedRangeNotSatisfiable(size)
    return start, stop
