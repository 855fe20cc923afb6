"""Damage to media files, from a seed: what disks, copies and crashed writers do to them.

Each function takes the bytes of a whole file and a source of randomness, and returns the bytes of a damaged one.
"""

from __future__ import annotations

import random
from collections.abc import Callable

HEAD_BYTES = 4096


def flip_some(data: bytes, rng: random.Random) -> bytes:
    """One byte in about 2,000 is another one."""
    return _flip(data, rng, max(1, len(data) // 2000), 0, len(data))


def flip_many(data: bytes, rng: random.Random) -> bytes:
    """One byte in about 100 is another one."""
    return _flip(data, rng, max(1, len(data) // 100), 0, len(data))


def flip_head(data: bytes, rng: random.Random) -> bytes:
    """Three bytes of the beginning, where containers keep what they hold, are other ones."""
    return _flip(data, rng, 3, 0, min(HEAD_BYTES, len(data)))


def flip_tail(data: bytes, rng: random.Random) -> bytes:
    """Three bytes of the end, where many containers keep their index, are other ones."""
    return _flip(data, rng, 3, max(0, len(data) - HEAD_BYTES), len(data))


def cut(data: bytes, rng: random.Random) -> bytes:
    """The end is missing: a full disk, a copy that broke off."""
    return data[: rng.randrange(1, len(data))]


def behead(data: bytes, rng: random.Random) -> bytes:
    """The beginning is missing."""
    return data[rng.randrange(1, min(HEAD_BYTES, len(data))) :]


def hole(data: bytes, rng: random.Random) -> bytes:
    """A block of zeros in the middle, as a crashed file system leaves it."""
    start = rng.randrange(len(data))
    length = rng.randrange(1, max(2, len(data) // 4))
    return data[:start] + bytes(min(length, len(data) - start)) + data[start + length :]


def swap(data: bytes, rng: random.Random) -> bytes:
    """Two blocks have changed places."""
    size = max(1, len(data) // 8)
    first, second = sorted(rng.sample(range(8), 2))
    blocks = [data[i * size : (i + 1) * size] for i in range(7)] + [data[7 * size :]]
    blocks[first], blocks[second] = blocks[second], blocks[first]
    return b"".join(blocks)


def double(data: bytes, rng: random.Random) -> bytes:
    """A block is there twice."""
    start = rng.randrange(len(data))
    length = rng.randrange(1, max(2, len(data) // 4))
    return data[: start + length] + data[start:]


def append(data: bytes, rng: random.Random) -> bytes:
    """Something else follows: noise, or the file once more."""
    return data + (data if rng.random() < 0.5 else rng.randbytes(rng.randrange(1, 20_000)))


def lie(data: bytes, rng: random.Random) -> bytes:
    """A four-byte number of the first kilobytes is enormous: a length, a count, a width that the file does not have."""
    place = rng.randrange(0, min(HEAD_BYTES, len(data)) - 4)
    number = rng.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00"])
    return data[:place] + number + data[place + 4 :]


def lie_of_size(data: bytes, rng: random.Random) -> bytes:
    """A box of an mp4 says another length than it has; other files as :func:`lie`."""
    places = [place for name in (b"moov", b"trak", b"mdat", b"stsz", b"stco", b"avcC") for place in _all(data, name)]
    if not places:
        return lie(data, rng)
    place = rng.choice(places) - 4
    length = rng.choice([0, 1, 7, 2**31 - 1, 2**32 - 1, rng.randrange(2**20)])
    return data[:place] + length.to_bytes(4, "big") + data[place + 4 :]


def _all(data: bytes, word: bytes) -> list[int]:
    places, start = [], data.find(word)
    while start >= 0:
        if start >= 4:
            places.append(start)
        start = data.find(word, start + 1)
    return places


def _flip(data: bytes, rng: random.Random, count: int, start: int, end: int) -> bytes:
    changed = bytearray(data)
    for _ in range(count):
        changed[rng.randrange(start, end)] ^= rng.randrange(1, 256)
    return bytes(changed)


Damage = Callable[[bytes, random.Random], bytes]
DAMAGES: tuple[Damage, ...] = (
    *(flip_some, flip_many, flip_head, flip_tail, cut, behead, hole, swap, double, append, lie, lie_of_size),
)
