"""Pickles that are small and make much: refused at once, within the memory that reading a small file needs."""

from __future__ import annotations

import contextlib
import io
import struct
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlbench.checkpoints.pickle_records import BrokenPickleError, NotPlainDataError
from tlbench.checkpoints.unpickle import Unpickler

PROTO = b"\x80\x02"
STOP = b"."


def text(letters: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(letters)) + letters


def named(module: bytes, name: bytes) -> bytes:
    return b"c" + module + b"\n" + name + b"\n"


def nested_tuples(levels: int) -> bytes:
    """A tuple that holds the one before twice, ``levels`` times over: 2^levels values for whoever walks through it."""
    return PROTO + b")" + b"".join(b"q\x00h\x00\x86" for _ in range(levels))


def many_copies_of_bytes(copies: int) -> bytes:
    """A megabyte of text, made bytes ``copies`` times: 20 bytes of pickle each."""
    encode = named(b"_codecs", b"encode") + b"q\x01" + text(b"x" * 2**20) + b"q\x02" + text(b"latin1") + b"q\x03"
    once = b"h\x01h\x02h\x03\x86R"
    return PROTO + b"]q\x00" + encode + b"000" + b"(" + once * copies + b"e" + STOP


def many_copies_of_a_dict(copies: int) -> bytes:
    items = b"".join(text(str(number).encode()) + b"K\x01" for number in range(2000))
    ordered = named(b"collections", b"OrderedDict") + b"q\x01"
    return PROTO + ordered + b"0}(" + items + b"uq\x02" + b"0](" + b"h\x01h\x02\x85R" * copies + b"e" + STOP


def tensor(shape: bytes, stride: bytes) -> bytes:
    storage = b"(" + text(b"storage") + named(b"torch", b"FloatStorage") + text(b"0") + text(b"cpu") + b"K\x01" + b"tQ"
    return PROTO + named(b"torch._utils", b"_rebuild_tensor_v2") + b"(" + storage + b"K\x00" + shape + stride + b"tR."


BOMBS = {
    "nested tuples": nested_tuples(60) + STOP,
    "nested tuples as a key": PROTO + b"}" + nested_tuples(60)[2:] + b"K\x01s" + STOP,
    "nested tuples as a name": nested_tuples(60) + text(b"x") + b"\x93" + STOP,
    "nested tuples as an encoding": PROTO
    + named(b"_codecs", b"encode")
    + text(b"x")
    + nested_tuples(60)[2:]
    + b"\x86R.",
    "copies of bytes": many_copies_of_bytes(20_000),
    "copies of a dict": many_copies_of_a_dict(50_000),
    "a deep list": PROTO + b"]" * 5000 + b"a" * 4999 + STOP,
    "a list that holds itself": PROTO + b"]q\x00h\x00a" + STOP,
    "a number of a million bits": PROTO + b"\x8b" + struct.pack("<i", 125_000) + b"\x7f" * 125_000 + STOP,
    "a text longer than the file": PROTO + b"\x8d" + struct.pack("<Q", 2**40) + b"abc" + STOP,
    "bytes longer than the file": PROTO + b"\x8e" + struct.pack("<Q", 2**33) + b"abc" + STOP,
    "a line without an end": PROTO + b"c" + b"a" * 2_000_000,
    "a tensor of a thousand dimensions": tensor(b"(" + b"K\x01" * 1000 + b"t", b"(" + b"K\x01" * 1000 + b"t"),
    "a hundred thousand arguments": PROTO + named(b"torch", b"Size") + b"(" + b"K\x01" * 100_000 + b"tR" + STOP,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_soon_and_without_memory(bomb: bytes) -> None:
    started = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises((BrokenPickleError, NotPlainDataError)):
            Unpickler().read(io.BytesIO(bomb))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 30
    assert peak < 4 * len(bomb) + 256 * 2**20


@given(st.binary(max_size=400))
def test_any_bytes_end_in_a_value_or_a_refusal(content: bytes) -> None:
    with contextlib.suppress(BrokenPickleError, NotPlainDataError):
        Unpickler().read(io.BytesIO(content))
