"""Errors of pixels: the published uint8 arithmetic, and the mean squared error it was meant to be."""

from __future__ import annotations

import cv2
import numpy as np

IDENTICAL_DB = 100.0  # what TalkLip evaluation/visual_quality.py gives two equal frames
PEAK = 255.0


def wrapped_psnr_db(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """PSNR as published: ``mean((a - b) ** 2)`` on uint8, where difference and square wrap modulo 256.

    TalkLip ``evaluation/visual_quality.py`` (7ed53ee) subtracts and squares without leaving uint8. A difference of 16
    then counts as none, and large damage saturates near 27.9 dB; docs/metrics.md shows what that does.

    Parameters
    ----------
    a, b : (n, height, width, 3) uint8

    Returns
    -------
    (n,) float64, in dB; 100 for identical frames. Never infinite: a frame all of whose wrapped squares are 0, though
    it differs (by multiples of 16 only), has the published value 100 too.
    """
    difference = a - b  # uint8 on purpose
    squares = difference * difference  # uint8 on purpose
    sums = squares.reshape(len(a), -1).sum(axis=1, dtype=np.int64)
    return psnr_db(sums / squares[0].size)


def mean_squared_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) float64 mean squared error of two (n, height, width, 3) uint8 stacks; sums are exact integers."""
    # OpenCV may take the root of the sum and square it again: rounding gives back the integer that it was.
    sums = np.array([round(cv2.norm(x, y, cv2.NORM_L2SQR)) for x, y in zip(a, b, strict=True)], np.float64)
    return np.asarray(sums / a[0].size)


def psnr_db(mse: np.ndarray) -> np.ndarray:
    """PSNR in dB of mean squared errors of 8-bit images; :data:`IDENTICAL_DB` where the error is 0."""
    mse = np.asarray(mse, dtype=np.float64)
    safe = np.where(mse == 0, 1.0, mse)
    return np.where(mse == 0, IDENTICAL_DB, 20 * np.log10(PEAK / np.sqrt(safe)))
