"""Levels of a frame in the range that JPEG uses, 0 to 255, computed as FFmpeg 5.1 does.

Video has luma from 16 to 235 and chroma from 16 to 240, JPEG the full range. The scalers of later FFmpeg releases give
half of the chroma samples the next level, so this does not depend on the FFmpeg that is here. Every rule was compared
with ``ffmpeg -pix_fmt yuvj444p`` and the like of 5.1.9: all samples are equal. Chroma is made wider before its range
changes, and taller after that (:mod:`tlbench.media.jpeg_chroma`).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from tlbench.media.jpeg_chroma import taller, wider

# lumRangeToJpeg_c and chrRangeToJpeg_c, libswscale/swscale.c: highest 15-bit sample, factor, offset, shift
_LUMA, _CHROMA = (30189, 19077, 39057361, 14), (30775, 4663, 9289992, 12)
_HALF = 64  # of a level in 7 bits more: rounding, yuv2plane1_8_c in libswscale/output.c
# ff_dither_8x8_128, the same file: rounding of samples that had more than 8 bits
_DITHER = np.array(
    [
        [36, 68, 60, 92, 34, 66, 58, 90],
        [100, 4, 124, 28, 98, 2, 122, 26],
        [52, 84, 44, 76, 50, 82, 42, 74],
        [116, 20, 108, 12, 114, 18, 106, 10],
        [32, 64, 56, 88, 38, 70, 62, 94],
        [96, 0, 120, 24, 102, 6, 126, 30],
        [48, 80, 40, 72, 54, 86, 46, 78],
        [112, 16, 104, 8, 118, 22, 110, 14],
    ]
)
_DITHER_COLUMN = (0, 0, 3)  # of Y, U and V: where a row begins in the matrix, vscale.c


def planar_levels(
    samples: np.ndarray, plane: int, bits: int, shape: tuple[int, int], *, limited: bool, dithered: bool
) -> np.ndarray:
    """(height, width) uint8: one plane of planar YUV.

    Parameters
    ----------
    samples : (h, w) uint8 or uint16
    plane : int
        0, 1 or 2 for Y, U and V.
    bits : int
        Of a sample, 8 to 16.
    shape : (int, int)
        Height and width of the result. The chroma of 4:1:1, 4:1:0 and 4:4:0 has fewer samples, 8 to 12 bits each.
    limited : bool
        Whether the samples have the limited range.
    dithered : bool
        Whether they are rounded by the matrix, as samples are that had 9 to 16 bits in the video.
    """
    inside = np.minimum(samples, 2**bits - 1)  # the two bytes of a sample can say more
    if samples.shape == shape:
        table = _table(plane > 0, bits, limited)
        return _levels(table[inside] + _rounding(shape, plane)) if dithered else np.take(_levels(table + _HALF), inside)
    wide = wider(inside, shape[1], bits)
    if limited:
        wide = _in_full_range(wide, chroma=True)
    rounding = _rounding(shape, plane) if dithered else np.full(shape, _HALF)
    if wide.shape == shape:
        return _levels(wide + rounding)
    return taller(wide, rounding, exact_rows=1 if samples.shape[1] < shape[1] else 2)  # 4:1:0 becomes 4:2:0


@cache
def _table(chroma: bool, bits: int, limited: bool) -> np.ndarray:
    """(2**bits,): the 15-bit sample in the full range of each sample."""
    samples = np.arange(2**bits)
    samples = samples << (15 - bits) if bits < 16 else samples >> 1
    return _in_full_range(samples, chroma=chroma) if limited else samples


def _in_full_range(samples: np.ndarray, *, chroma: bool) -> np.ndarray:
    highest, factor, offset, shift = _CHROMA if chroma else _LUMA
    shifted: np.ndarray = (np.minimum(samples, highest) * factor - offset) >> shift
    return shifted


def _rounding(shape: tuple[int, int], plane: int) -> np.ndarray:
    """(height, width): what the matrix adds to each sample."""
    rows, columns = np.arange(shape[0]) & 7, (np.arange(shape[1]) + _DITHER_COLUMN[plane]) & 7
    return np.asarray(_DITHER[np.ix_(rows, columns)])


def _levels(rounded: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(rounded >> 7, 0, 255), np.uint8)
