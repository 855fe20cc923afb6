"""Copying part of a face from one picture to another with soft edges, so that no seam is visible."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np

Region: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom: edges in pixels of a picture

SOFT_SHARE = 0.25  # of a region's width or height: the part on each side in which the weight rises from 0 to 1


def window(region: Region, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the pixels with centres inside a region, clipped to a picture of that size."""
    left, top, right, bottom = np.round(region).astype(int).tolist()
    rows = slice(min(max(top, 0), height), min(max(bottom, 0), height))
    columns = slice(min(max(left, 0), width), min(max(right, 0), width))
    return rows, columns


def softness(region: Region, rows: slice, columns: slice) -> np.ndarray:
    """A region's weight at the pixels of a window: (rows, columns, 1) float32.

    1 in the middle, falling as a squared sine to 0 at the region's edges (a Tukey window in both directions), and 0
    outside.
    """
    left, top, right, bottom = region
    down, across = _rise(rows, top, bottom), _rise(columns, left, right)
    return np.asarray((down[:, None] * across[None, :])[..., None])


def _rise(pixels: slice, begin: float, end: float) -> np.ndarray:
    place = (np.arange(pixels.start, pixels.stop) + 0.5 - begin) / max(end - begin, 1e-9)  # 0 to 1 within the region
    risen = np.clip(np.minimum(place, 1 - place) / SOFT_SHARE, 0, 1)
    return np.asarray(np.sin(np.pi / 2 * risen) ** 2, np.float32)


def carry(image: np.ndarray, source: Region, target: Region, rows: slice, columns: slice) -> np.ndarray:
    """The part of a picture in ``source``, scaled and moved to ``target``, at the pixels of a window there.

    Bilinear; pixels at the picture's edge are repeated beyond it. Equal regions give unchanged pixels.

    Parameters
    ----------
    image : (H, W, 3) uint8 or float32

    Returns
    -------
    (rows, columns, 3) float32
    """
    across = (source[2] - source[0]) / (target[2] - target[0])
    down = (source[3] - source[1]) / (target[3] - target[1])
    matrix = np.array(
        [
            [across, 0.0, source[0] + (columns.start + 0.5 - target[0]) * across - 0.5],
            [0.0, down, source[1] + (rows.start + 0.5 - target[1]) * down - 0.5],
        ]
    )
    size = (columns.stop - columns.start, rows.stop - rows.start)
    carried = cv2.warpAffine(
        np.asarray(image, np.float32),
        matrix,
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(carried, np.float32)
