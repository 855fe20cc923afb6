"""SSIM of many frames at once, equal to scikit-image's ``structural_similarity`` as the original calls it.

TalkLip ``evaluation/visual_quality.py`` (7ed53ee) asks for ``gaussian_weights=True`` with scikit-image's defaults for
that: sigma 1.5 cut at 3.5 sigma (11 taps), population covariance, 255 as the range, the mean over channels and over
the pixels whose window lies inside the image. That function filters one channel of one map at a time; here the same
sums are matrix products over four frames, in float64, and only where they are wanted. Wang et al., IEEE TIP 2004.
"""

from __future__ import annotations

from functools import cache

import numpy as np

SIGMA = 1.5
RADIUS = 5  # int(3.5 * 1.5 + 0.5), scikit-image's truncation
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2
SMALLEST_SIDE = 2 * RADIUS + 1
_FRAMES_AT_ONCE = 4  # the maps of four 96x96 frames still lie in the cache
_ROWS_AT_ONCE = 22  # a band matrix is mostly zeros; cut in blocks of 22 rows, most of the zeros go


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
    pieces = [
        _ssim(a[start : start + _FRAMES_AT_ONCE], b[start : start + _FRAMES_AT_ONCE])
        for start in range(0, len(a), _FRAMES_AT_ONCE)
    ]
    return np.concatenate(pieces)


def _ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    count, _, width, _ = a.shape
    x, y = _rows_first(a), _rows_first(b)
    mean_x, mean_y, mean_squares, mean_product = (_filter(values, width) for values in (x, y, x * x + y * y, x * y))
    product = mean_x * mean_y
    squares = mean_x * mean_x + mean_y * mean_y
    similarity = (2 * product + C1) * (2 * (mean_product - product) + C2)
    similarity /= (squares + C1) * (mean_squares - squares + C2)
    rows = a.shape[1] - 2 * RADIUS
    return similarity.reshape(rows, count, -1).mean(axis=(0, 2))


def _rows_first(frames: np.ndarray) -> np.ndarray:
    """(n, height, width, channels) uint8 to (height, n * channels * width) float64: both filters become products."""
    return np.ascontiguousarray(frames.transpose(1, 0, 3, 2)).astype(np.float64).reshape(frames.shape[1], -1)


def _filter(values: np.ndarray, width: int) -> np.ndarray:
    """Gaussian-weighted means where the window fits: (height, k * width) to ((height - 10) * k, width - 10)."""
    height = len(values)
    down = np.empty((height - 2 * RADIUS, values.shape[1]))
    for at, seen, weights in _blocks(height):
        np.matmul(weights, values[seen], out=down[at])
    down = down.reshape(-1, width)
    across = np.empty((len(down), width - 2 * RADIUS))
    for at, seen, weights in _blocks(width):
        across[:, at] = down[:, seen] @ weights.T
    return across


@cache
def _blocks(side: int) -> tuple[tuple[slice, slice, np.ndarray], ...]:
    """The filter of a side of so many pixels as blocks: which outputs, from which inputs, with which weights."""
    taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    taps /= taps.sum()
    outputs = side - 2 * RADIUS
    blocks = []
    for start in range(0, outputs, _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, outputs)
        weights = np.zeros((stop - start, stop - start + 2 * RADIUS))
        for row in range(stop - start):
            weights[row, row : row + len(taps)] = taps
        blocks.append((slice(start, stop), slice(start, stop + 2 * RADIUS), weights))
    return tuple(blocks)
