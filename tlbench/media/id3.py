"""The ID3 tags that sound files begin with."""

from __future__ import annotations

from typing import BinaryIO

ID3_HEAD_BYTES = (
    10  # "ID3", version, flags, and the size in four bytes of seven bits (https://id3.org/id3v2.4.0-structure)
)
MOST_TAGS = 8  # a file has one, or a second one from a careless tagger
FOOTER_FLAG = 0x10  # the tag has ten more bytes at its end


def id3_bytes(file: BinaryIO) -> int:
    """How many bytes of ID3v2 tags a file begins with, 0 without. The file's position is left anywhere."""
    total = 0
    for _ in range(MOST_TAGS):
        file.seek(total)
        head = file.read(ID3_HEAD_BYTES)
        if len(head) < ID3_HEAD_BYTES or not head.startswith(b"ID3") or any(byte > 127 for byte in head[6:]):
            break
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        total += ID3_HEAD_BYTES + size + (ID3_HEAD_BYTES if head[5] & FOOTER_FLAG else 0)
    return total
