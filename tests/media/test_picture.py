"""Source pictures come from outside: they are read as OpenCV reads them, and never larger than a video's pictures."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tlbench.errors import ClipError
from tlbench.media.picture import read_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
SUFFIXES = ("png", "jpg", "webp", "bmp")


def read(path: Path) -> np.ndarray:
    return read_picture(path, "x", "source picture")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("turned", [1, 6])
def test_a_picture_is_what_opencv_reads_upright(tmp_path: Path, suffix: str, turned: int) -> None:
    path, about = tmp_path / f"a.{suffix}", Image.Exif()
    about[0x0112] = turned  # EXIF's orientation
    Image.fromarray(PIXELS).save(path, **({} if suffix == "bmp" else {"exif": about}))
    np.testing.assert_array_equal(read(path), cv2.imread(str(path), cv2.IMREAD_COLOR_RGB))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1"])
def test_every_picture_has_three_colours(tmp_path: Path, mode: str) -> None:
    Image.fromarray(PIXELS).convert(mode).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").shape == PIXELS.shape


def enormous(path: Path) -> None:
    """A PNG of some bytes that announces 30,000 x 30,000 pixels."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(1000))))
    ends = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(ends))


def cut(path: Path) -> None:
    Image.fromarray(PIXELS).save(path)
    path.write_bytes(path.read_bytes()[:30])


WRONG: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "too many pixels": (enormous, "too-large", "more than 16,777,216 pixels"),
    "a cut file": (cut, "unreadable", "or damaged"),
    "a text": (lambda path: path.write_text("hello"), "unreadable", "it is none of PNG, JPEG"),
    "an empty file": (lambda path: path.touch(), "unreadable", "it is none of PNG, JPEG"),
    "a drawing that runs programs": (lambda path: path.write_text("%!PS-Adobe-3.0"), "unreadable", "none of PNG"),
    "nothing": (lambda path: None, "missing", "there is no source picture a.png"),
    "a folder": (Path.mkdir, "unreadable", "it is a folder"),
    "a named pipe": (os.mkfifo, "unreadable", "it is a named pipe"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "unreadable", "it is a device"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_picture_is_an_error_of_its_clip(tmp_path: Path, name: str) -> None:
    make, code, said = WRONG[name]
    make(tmp_path / "a.png")
    with pytest.raises(ClipError, match=said) as raised:
        read(tmp_path / "a.png")
    assert raised.value.code == code
    assert "\n" not in str(raised.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(SUFFIXES), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_are_another_picture_or_an_error(
    tmp_path: Path, suffix: str, changes: list[tuple[float, int]]
) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path)
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[min(int(place**3 * len(content)), len(content) - 1)] = value  # most of them where the header is
    path.write_bytes(content)
    try:
        assert read(path).ndim == 3
    except ClipError as error:
        assert error.code in ("unreadable", "too-large")  # noqa: PT017  # most changed bytes raise nothing
