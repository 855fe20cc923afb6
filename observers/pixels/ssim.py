"""SSIM, equal to scikit-image's ``structural_similarity`` as the original calls it, several times faster.

TalkLip ``evaluation/visual_quality.py`` (7ed53ee) asks for ``gaussian_weights=True`` with scikit-image's defaults for
that: sigma 1.5 cut at 3.5 sigma (11 taps), population covariance, 255 as the range, the mean over channels and over
the pixels whose window lies inside the image. That function filters one channel of one map at a time, edges included;
here the four maps of all channels lie side by side, both directions are matrix products in float64, only where the
window fits, and frames are spread over threads. Wang et al., IEEE TIP 2004.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import cv2
import numpy as np
from threadpoolctl import ThreadpoolController

SIGMA = 1.5
RADIUS = 5  # int(3.5 * 1.5 + 0.5), scikit-image's truncation
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2
SMALLEST_SIDE = 2 * RADIUS + 1
_OUTPUTS_AT_ONCE = 22  # a band matrix is mostly zeros; cut in blocks of 22 rows, most of the zeros go


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity, frame by frame.

    Parameters
    ----------
    a, b : (n, height, width, channels) uint8
        At least 11 pixels high and wide.

    Returns
    -------
    (n,) float64
    """
    # The products are too small to be worth the matrix library's own threads: those wait more than they work.
    with _matrix_threads().limit(limits=1, user_api="blas"):
        return np.fromiter(_threads(cv2.getNumThreads()).map(_ssim, a, b), np.float64, len(a))


def _ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Of one pair of (height, width, channels) frames."""
    height, width, channels = a.shape
    maps = np.empty((4, height, channels, width))  # x, y, x^2 + y^2, xy; width last, so that both filters are products
    x, y, squares, product = maps
    x[...] = a.transpose(0, 2, 1)
    y[...] = b.transpose(0, 2, 1)
    np.multiply(x, x, out=squares)
    squares += y * y
    np.multiply(x, y, out=product)
    down = np.empty((4, height - 2 * RADIUS, channels * width))
    for at, seen, weights in _blocks(height):
        np.matmul(weights, maps.reshape(4, height, -1)[:, seen], out=down[:, at])
    lines = down.reshape(4, -1, width)
    total = sum(_similarity(lines[:, :, seen] @ weights.T) for _, seen, weights in _blocks(width))
    return total / (down.shape[1] * channels * (width - 2 * RADIUS))


def _similarity(means: np.ndarray) -> float:
    """The sum of SSIM over points whose (4, ...) local means of x, y, x^2 + y^2 and xy are known. Overwrites them."""
    mean_x, mean_y, mean_squares, mean_product = means
    both = mean_x * mean_y
    mean_product -= both  # the covariance
    mean_x *= mean_x
    mean_y *= mean_y
    mean_x += mean_y
    mean_squares -= mean_x  # the sum of the variances
    similarity = 2 * both + C1
    similarity *= 2 * mean_product + C2
    mean_x += C1
    mean_squares += C2
    mean_x *= mean_squares
    similarity /= mean_x
    return float(similarity.sum())


@cache
def _blocks(side: int) -> tuple[tuple[slice, slice, np.ndarray], ...]:
    """The filter of a side of so many pixels as blocks: which outputs, from which inputs, with which weights."""
    taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    taps /= taps.sum()
    outputs = side - 2 * RADIUS
    blocks = []
    for start in range(0, outputs, _OUTPUTS_AT_ONCE):
        stop = min(start + _OUTPUTS_AT_ONCE, outputs)
        weights = np.zeros((stop - start, stop - start + 2 * RADIUS))
        for row in range(stop - start):
            weights[row, row : row + len(taps)] = taps
        blocks.append((slice(start, stop), slice(start, stop + 2 * RADIUS), weights))
    return tuple(blocks)


@cache
def _matrix_threads() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    """As many threads as OpenCV may use, which is what a run's engine limits."""
    return ThreadPoolExecutor(max(1, count), thread_name_prefix="ssim")
