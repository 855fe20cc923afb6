"""Limits for reading a pickle: bytes read, bytes made, processor time, depth.

A pickle is a program, so a small one can make much: copies of copies, tuples in tuples, enormous numbers. What it makes
is counted as it is made and compared with the length of the pickle.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import IO, Any

from .pickle_records import BrokenPickleError, Thing

# Far above what any checkpoint has: about 110 bytes of pickle for each tensor.
MOST_PICKLE_BYTES = 256 * 2**20
LONGEST_LINE = 65_536  # bytes: of the instructions that end with a line feed
# What a pickle may make: a state dict of 1,000 tensors with Adam's state takes 125,000 instructions and makes 15 MB.
# With what the reader itself needs, this stays below four times the file plus 256 MB.
MOST_MADE_BYTES = 64 * 2**20
MADE_BYTES_A_BYTE = 2
PROCESSOR_SECONDS = 60.0
MOST_VALUES = 20_000_000  # that a walk through all containers may visit
MOST_DEPTH = 100
_CHECK_TIME_EVERY = 1024  # instructions


class Budget:
    """What reading one pickle may still cost. Bytes are those that Python's objects take in memory, roughly."""

    def __init__(self) -> None:
        self._made_bytes = 0
        self._read_bytes = 0
        self._instructions = 0
        self._started = time.thread_time()

    def step(self, read_bytes: int) -> None:
        """Count an instruction; ``read_bytes`` of the pickle are read. Raises BrokenPickleError if it takes long."""
        self._read_bytes = read_bytes
        self._instructions += 1
        if self._instructions % _CHECK_TIME_EVERY == 0 and time.thread_time() - self._started > PROCESSOR_SECONDS:
            raise BrokenPickleError(f"a pickle that takes more than {PROCESSOR_SECONDS:.0f} s to read")

    def make(self, size_bytes: int) -> None:
        """Count an object, before it is made if it is large. Raises BrokenPickleError if that is too much."""
        self._made_bytes += size_bytes
        if self._made_bytes > MOST_MADE_BYTES + MADE_BYTES_A_BYTE * self._read_bytes:
            raise BrokenPickleError(f"{self._read_bytes:,} bytes that make more than {self._made_bytes // 10**6:,} MB")


class BoundedStream:
    """A stream that gives no more than it has: a length that a pickle declares is compared with what is left."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        here = stream.tell()
        self._end = min(stream.seek(0, os.SEEK_END), here + MOST_PICKLE_BYTES)
        stream.seek(here)

    def read(self, size: int) -> bytes:
        return self._stream.read(max(min(size, self._end - self._stream.tell()), 0))

    def readline(self) -> bytes:
        line = self._stream.readline(LONGEST_LINE)
        if len(line) == LONGEST_LINE:
            raise BrokenPickleError(f"a line of more than {LONGEST_LINE} bytes")
        return line

    def tell(self) -> int:
        return self._stream.tell()


def check_size(value: Any) -> None:
    """Compare depth and size with the limits, as a walk through all containers finds them.

    A container that is there several times counts each time, because a walk visits it each time: thirty tuples, each of
    which holds the last one twice, are a billion values. Objects may refer to those that hold them, as omegaconf's
    parents do in fairseq's files; dicts, lists and tuples may not.

    Raises BrokenPickleError beyond the limits, and for a dict, list or tuple that holds itself.
    """
    sizes: dict[int, int] = {}  # by id: how many values are in a container that has been walked through
    path: dict[int, Any] = {}  # the containers that are being walked through, from the outermost on
    stack: list[tuple[Any, bool]] = [(value, False)]
    while stack:
        node, done = stack.pop()
        if done:
            size = 1 + sum(sizes.get(id(child), 1) for child in _children(node))
            if size > MOST_VALUES:
                raise BrokenPickleError("containers that hold each other many times over")
            sizes[id(node)] = size
            del path[id(node)]
        elif id(node) in path:
            circle = list(path.values())[list(path).index(id(node)) :]
            if not any(isinstance(container, Thing) for container in circle):
                raise BrokenPickleError("a container that holds itself")
        elif id(node) not in sizes:
            children = [child for child in _children(node) if isinstance(child, (dict, list, tuple, Thing))]
            path[id(node)] = node
            if len(path) > MOST_DEPTH:
                raise BrokenPickleError(f"containers in containers, more than {MOST_DEPTH} deep")
            stack.append((node, True))
            stack += [(child, False) for child in children]


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    if isinstance(node, Thing):
        return (*node.args, node.state)
    return node if isinstance(node, (list, tuple)) else ()
