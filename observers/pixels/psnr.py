"""PSNR: the published uint8 arithmetic, which overflows, and the correct mean squared error."""

from __future__ import annotations

import cv2
import numpy as np

IDENTICAL_DB = 100.0  # of two equal frames, in TalkLip evaluation/visual_quality.py
PEAK = 255.0


def wrapped_psnr_db(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """PSNR as published: ``mean((a - b) ** 2)`` in uint8, where difference and square wrap modulo 256.

    TalkLip ``evaluation/visual_quality.py`` (7ed53ee) subtracts and squares in uint8. A difference of 16 then counts as
    none, and large errors saturate near 27.9 dB; docs/metrics.md shows the effect.

    Parameters
    ----------
    a, b : (n, height, width, 3) uint8

    Returns
    -------
    (n,) float64
        In dB; 100 for identical frames, and for frames that differ by multiples of 16 only.
    """
    difference = a - b  # uint8 on purpose
    squares = difference * difference  # uint8 on purpose
    sums = squares.reshape(len(a), -1).sum(axis=1, dtype=np.int64)
    return psnr_db(sums / squares[0].size)


def mean_squared_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) float64 mean squared errors of two (n, height, width, 3) uint8 arrays; the sums are exact integers."""
    # OpenCV may take the root of the sum and square it again; rounding restores the integer.
    sums = np.array([round(cv2.norm(x, y, cv2.NORM_L2SQR)) for x, y in zip(a, b, strict=True)], np.float64)
    return np.asarray(sums / a[0].size)


def psnr_db(mse: np.ndarray) -> np.ndarray:
    """PSNR in dB of mean squared errors of 8-bit images; :data:`IDENTICAL_DB` where the error is 0."""
    mse = np.asarray(mse, dtype=np.float64)
    safe = np.where(mse == 0, 1.0, mse)
    return np.where(mse == 0, IDENTICAL_DB, 20 * np.log10(PEAK / np.sqrt(safe)))
