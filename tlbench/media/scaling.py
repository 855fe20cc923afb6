"""Scaling boxes and mouth placements from one frame size to another.

Both videos of a clip should show the same part of the scene. Then a position has the same share of width and height in
both, and boxes and placements of one can be scaled to the other.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

Size: TypeAlias = "tuple[int, int]"  # (width, height) in pixels

# How far the aspect ratio may differ between two sizes of the same framing. Encoders need even sizes: 320x240 shrunk to
# 106x80 differs by 0.6 %, while 4:3 and 5:4 differ by 6.7 %.
ASPECT_SLACK = 0.01


def same_aspect(size: Size, other: Size) -> bool:
    """Whether two (width, height) have the same ratio within :data:`ASPECT_SLACK`."""
    ratio = (size[0] * other[1]) / (size[1] * other[0])
    return max(ratio, 1 / ratio) <= 1 + ASPECT_SLACK


def scale_boxes(boxes: np.ndarray, size: Size, wanted: Size) -> np.ndarray:
    """Boxes scaled from frames of ``size`` to frames of ``wanted``.

    Parameters
    ----------
    boxes : ndarray
        (T, 4) x1 y1 x2 y2. Integers are rounded to the nearest, and boxes stay at least one pixel wide and high.
    size, wanted : (width, height)

    Returns
    -------
    ndarray
        (T, 4) of the same type; the same array if the sizes are equal.
    """
    if size == wanted:
        return boxes
    scaled: np.ndarray = boxes * np.tile(_factors(size, wanted), 2)
    if not np.issubdtype(boxes.dtype, np.integer):
        return scaled
    whole: np.ndarray = np.rint(scaled).astype(boxes.dtype)
    whole[:, 2:] = np.maximum(whole[:, 2:], whole[:, :2] + 1)
    return whole


def scale_placements(placements: np.ndarray, size: Size, wanted: Size) -> np.ndarray:
    """Mouth placements scaled from frames of ``size`` to frames of ``wanted``.

    Parameters
    ----------
    placements : ndarray
        (T, 2, 3) float64 from :func:`tlbench.media.mouth_patch.placements`. Their origin is the centre of the first
        pixel, so half a pixel is added before the scaling and subtracted after it.
    size, wanted : (width, height)

    Returns
    -------
    ndarray
        (T, 2, 3) float64; the same array if the sizes are equal.
    """
    if size == wanted:
        return placements
    back = _factors(wanted, size)
    scaled: np.ndarray = placements.copy()
    scaled[:, :, :2] = placements[:, :, :2] * back
    scaled[:, :, 2] += placements[:, :, :2] @ (0.5 * back - 0.5)
    return scaled


def _factors(size: Size, wanted: Size) -> np.ndarray:
    """(2,) float64 scale factors of x and y."""
    factors: np.ndarray = np.array(wanted, dtype=np.float64) / np.array(size, dtype=np.float64)
    return factors


def by(size: Size) -> str:
    """``160x120``, for messages."""
    return f"{size[0]}x{size[1]}"
