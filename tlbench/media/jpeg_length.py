"""How long FFmpeg 5.1 makes a JPEG file.

Every FFmpeg makes the Huffman codes of a picture equally long, but which symbols of one length come first has changed:
in 5.1 it follows from an unstable sort (``AV_QSORT`` of libavutil/qsort.h, in libavcodec/mjpegenc_huffman.c), in
8.1 from how frequent they are. The bits of the codes decide how many bytes of the scan are 255, and after each of these
a file has a zero byte. So the files differ by a few bytes, and then the rate control differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

_IDENTITY = len(b"Lavc59.37.100\0")  # of 5.1's libavcodec, in a comment of each file
# Markers, ITU-T T.81, table B.1
_START_OF_FRAME, _HUFFMAN_TABLES, _START_OF_SCAN, _COMMENT = 0xC0, 0xC4, 0xDA, 0xFE
_LONGEST = 16  # bits of a code
_COEFFICIENTS = 64  # of a block
_END_OF_BLOCK = 0  # the AC symbol, the same standard, F.1.2.2


@dataclass(frozen=True)
class _Codes:
    """A table of Huffman codes, by the next 16 bits of a scan.

    Attributes
    ----------
    bits : (65536,) uint8
        Length of the code and of the number after it.
    coefficients : (65536,) uint8
        How many coefficients of the block an AC symbol stands for; those that are left, if it ends the block.
    changes : (65536,) uint16
        The bits that FFmpeg 5.1 has the other way round.
    """

    bits: np.ndarray
    coefficients: np.ndarray
    changes: np.ndarray


def length_in_ffmpeg_5(file: bytes) -> int:
    """The length in bytes that FFmpeg 5.1 gives the picture of ``file``, which another FFmpeg's encoder wrote.

    The file has no restart markers, which the encoder writes if it has several threads.
    """
    length = len(file)
    tables: dict[int, _Codes] = {}
    frame = b""
    segments = list(_segments(file))
    for marker, segment, _ in segments:
        if marker == _COMMENT:
            length += _IDENTITY - len(segment)
        elif marker == _HUFFMAN_TABLES:
            tables |= _tables(segment)
        elif marker == _START_OF_FRAME:
            frame = segment
    _, scan_header, start = segments[-1]
    scan = file[start:-2].replace(b"\xff\x00", b"\xff")  # without the marker of the end
    changed = _changed(scan, tables, _blocks(frame, scan_header))
    return length + changed.count(b"\xff") - scan.count(b"\xff")


def _segments(file: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, content and end of each segment up to the header of the scan, which is the last."""
    marker, end = 0, 2
    while marker != _START_OF_SCAN:
        marker, start = file[end + 1], end + 4
        end += 2 + int.from_bytes(file[end + 2 : start], "big")
        yield marker, file[start:end], end


def _tables(segment: bytes) -> dict[int, _Codes]:
    """The codes of each table, by its class and number (B.2.4.2 of the standard)."""
    tables = {}
    while segment:
        counts = segment[1 : 1 + _LONGEST]  # of codes of 1 to 16 bits
        end = 1 + _LONGEST + sum(counts)
        lengths = [1 + index for index, count in enumerate(counts) for _ in range(count)]
        tables[segment[0]] = _codes(segment[1 + _LONGEST : end], lengths)
        segment = segment[end:]
    return tables


def _codes(symbols: bytes, lengths: list[int]) -> _Codes:
    """``lengths`` are in bits, ascending."""
    shares = [1 << (_LONGEST - length) for length in lengths]  # of the values of 16 bits
    codes = [0, *accumulate(shares)]  # the first value of each share; the last share has no code
    rest = (1 << _LONGEST) - codes[-1]
    of_symbol = dict(zip(in_ffmpegs_order(dict(zip(symbols, lengths, strict=True))), codes, strict=False))
    changes = [code ^ of_symbol[symbol] for symbol, code in zip(symbols, codes, strict=False)]
    bits = [length + (symbol & 15) for symbol, length in zip(symbols, lengths, strict=True)]
    coefficients = [_COEFFICIENTS if symbol == _END_OF_BLOCK else 1 + (symbol >> 4) for symbol in symbols]

    def spread(values: list[int], kind: type[np.unsignedinteger]) -> np.ndarray:
        return np.repeat(np.array([*values, 0], kind), [*shares, rest])

    return _Codes(spread(bits, np.uint8), spread(coefficients, np.uint8), spread(changes, np.uint16))


def _blocks(frame: bytes, scan: bytes) -> list[tuple[int, int]]:
    """The DC and the AC table of each block, in the order of the scan; from the headers of the frame and the scan."""
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    sampling = {frame[at]: divmod(frame[at + 1], 16) for at in range(6, len(frame), 3)}  # component: across, down
    unit: list[tuple[int, int]] = []
    for at in range(1, 1 + 2 * scan[0], 2):
        (across, down), (dc, ac) = sampling[scan[at]], divmod(scan[at + 1], 16)
        unit += [(dc, 16 + ac)] * (across * down)
    unit_width, unit_height = (8 * max(blocks[axis] for blocks in sampling.values()) for axis in (0, 1))
    return unit * (-(-width // unit_width) * -(-height // unit_height))


def _changed(scan: bytes, tables: Mapping[int, _Codes], blocks: Sequence[tuple[int, int]]) -> bytes:
    """A scan with the codes of FFmpeg 5.1."""
    padded = np.frombuffer(scan + bytes(3), np.uint8).astype(np.uint32)
    words = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    following = (
        (words[:, None] >> np.arange(8, 0, -1, dtype=np.uint32)).astype(np.uint16).ravel()
    )  # 16 bits from each bit on
    starts = _starts(tables, blocks, following)
    places = np.concatenate([np.array(found, np.int64) for found in starts.values()])
    changes = np.concatenate([tables[table].changes[following[found]] for table, found in starts.items()])
    bits = np.unpackbits(np.frombuffer(scan, np.uint8))
    for bit in range(_LONGEST):
        bits[places[changes >> (_LONGEST - 1 - bit) & 1 == 1] + bit] ^= 1
    return np.packbits(bits).tobytes()


def _starts(
    tables: Mapping[int, _Codes], blocks: Sequence[tuple[int, int]], following: np.ndarray
) -> dict[int, list[int]]:
    """Where the codes of each table begin, in bits from the start of the scan."""
    # Python reads single elements of bytes faster than those of arrays
    bits = {table: codes.bits[following].tobytes() for table, codes in tables.items()}
    coefficients = {table: codes.coefficients[following].tobytes() for table, codes in tables.items()}
    starts: dict[int, list[int]] = {table: [] for table in tables}
    at = 0
    for dc, ac in blocks:
        starts[dc].append(at)
        at += bits[dc][at]
        bits_here, coefficients_here, found = bits[ac], coefficients[ac], starts[ac]
        done = 1
        while done < _COEFFICIENTS:
            found.append(at)
            done += coefficients_here[at]
            at += bits_here[at]
    return starts


def in_ffmpegs_order(lengths: Mapping[int, int]) -> list[int]:
    """Symbols by the length of their code, and those of one length as the quicksort of FFmpeg 5.1 leaves them.

    ``lengths`` has the length of each symbol's code.
    """
    symbols = sorted(lengths)
    keys = [lengths[symbol] for symbol in symbols]
    parts = [(0, len(symbols) - 1)]
    while parts:
        first, last = parts.pop()
        if first < last:
            parts += _partition(symbols, keys, first, last)
    return symbols


def _partition(symbols: list[int], keys: list[int], first: int, last: int) -> list[tuple[int, int]]:
    """One step of the sort, on the elements from ``first`` to ``last``; gives the parts that are still to be sorted."""

    def swap(one: int, other: int) -> None:
        for row in (symbols, keys):
            row[one], row[other] = row[other], row[one]

    middle = (first + last) // 2
    before = (keys[first], keys[middle], keys[last])
    smallest = first
    if keys[first] > keys[last]:
        smallest = middle if keys[last] > keys[middle] else last
    elif keys[first] > keys[middle]:
        smallest = middle
    swap(first, smallest)
    if keys[middle] > keys[last]:
        swap(middle, last)
    if last - first <= 2:
        return []
    in_order = before == (keys[first], keys[middle], keys[last])
    swap(last - 1, middle)
    pivot = keys[last - 1]
    left, right = first + 1, last - 2
    while left <= right:
        while left <= right and keys[left] < pivot:
            left += 1
        while left <= right and keys[right] > pivot:
            right -= 1
        if left <= right:
            swap(left, right)
            left, right = left + 1, right - 1
    swap(last - 1, left)
    if in_order and middle in (left - 1, left) and keys[first : last + 1] == sorted(keys[first : last + 1]):
        return []
    return [(first, right), (left + 1, last)]
