"""The standard streams of the command line, made safe: closed, full, or read by a program that has gone.

What is printed either arrives or the command says so and exits with 2. Only a reader that has gone (``| head -1``) is
no error: it has what it wanted, so the rest is dropped, and the exit code is that of the command.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Output(io.FileIO):
    """An output that fails at most once: what comes after a failure is dropped, also when the interpreter ends."""

    failure: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        if self.failure is None:
            try:
                return super().write(data)
            except OSError as error:
                self.failure = error
                self.report()
        return memoryview(data).nbytes

    def report(self) -> None:
        """Nobody can be told that messages do not arrive."""


class _Results(_Output):
    """Standard output."""

    def report(self) -> None:
        """Raises TlbenchError if something could not be written and somebody waits for it."""
        if self.failure is not None and not isinstance(self.failure, BrokenPipeError):
            raise TlbenchError(
                f"standard output can't be written ({self.failure.strerror}); send it to another place, "
                "files that the command wrote are kept"
            ) from self.failure


def prepare() -> None:
    """Replace the standard streams of this process; those that a test has put in their place stay.

    A stream that is closed gets the null device. Otherwise the next file that is opened would have its number, and what
    a library prints would go into that file. Writing to a closed standard output fails, as to a full one.
    """
    # In this order, so that each gets its own number.
    if sys.stdin is None:
        nothing = io.FileIO(_nothing(os.O_RDONLY), closefd=False)
        sys.stdin = io.TextIOWrapper(io.BufferedReader(nothing), "utf-8")
    sys.stdout = _safe(sys.stdout, 1, _Results, os.O_RDONLY)  # so that a write to a closed output fails
    sys.stderr = _safe(sys.stderr, 2, _Output, os.O_WRONLY)


def _nothing(flags: int) -> int:
    """The null device at the lowest free number, that of the closed stream. Processes that are started have it, too."""
    descriptor = os.open(os.devnull, flags)
    os.set_inheritable(descriptor, True)
    return descriptor


def flush() -> None:
    """Send what is printed. Raises TlbenchError if it can't be, or if that failed before and a library hid it."""
    sys.stdout.flush()
    raw = _raw(sys.stdout)
    if isinstance(raw, _Results):
        raw.report()


def end() -> None:
    """Send what is printed if that is possible: for a command that fails for another reason, which is said already."""
    with suppress(TlbenchError):
        sys.stdout.flush()


def _safe(stream: TextIO | None, number: int, kind: type[_Output], flags: int) -> TextIO:
    """A stream to a file descriptor that takes every text: what the terminal's encoding lacks is escaped."""
    if stream is None:
        buffer = io.BufferedWriter(kind(_nothing(flags), "wb", closefd=False))
        return io.TextIOWrapper(buffer, "utf-8", "backslashreplace")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.reconfigure(errors="backslashreplace")
    raw = _raw(stream)
    if not isinstance(raw, io.FileIO) or isinstance(raw, _Output) or raw.fileno() != number:
        return stream  # somebody else's
    stream.flush()
    safe = kind(number, "wb", closefd=False)
    return io.TextIOWrapper(
        safe if raw is stream.buffer else io.BufferedWriter(safe),
        stream.encoding,
        "backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _raw(stream: TextIO) -> object:
    """What is below a stream and its buffer, which `python -u` does not have; None for a stream in memory."""
    buffer: object = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)
