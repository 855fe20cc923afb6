"""SSIM (Wang et al., IEEE TIP 2004), equal to scikit-image's ``structural_similarity``, several times faster.

TalkLip ``evaluation/visual_quality.py`` (7ed53ee) uses ``gaussian_weights=True`` with scikit-image's defaults: sigma
1.5 truncated at 3.5 sigma (11 taps), population covariance, data range 255, and the mean over channels and over the
pixels with a complete window. scikit-image filters one channel of one map at a time, with the edges. Here all channels
of the four maps are filtered together, by matrix products, only where the window is complete, and buffers are reused.

All arithmetic is float64: in float32, cancellation in flat areas makes SSIM wrong by up to 1e-5.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import ceil, prod

import cv2
import numpy as np
from threadpoolctl import ThreadpoolController

SIGMA = 1.5
RADIUS = 5  # int(3.5 * 1.5 + 0.5), scikit-image's truncation
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2
SMALLEST_SIDE = 2 * RADIUS + 1
# The arrays of a strip should fit into the processor's cache: a 96x96 face is one strip, larger frames are cut into
# several. Strips with fewer rows than this spend most of the time on the rows they share with the next.
_WINDOWS_AT_ONCE = 86 * 96
_FEWEST_ROWS = 22
_OUTPUTS_AT_ONCE = 8  # the band matrix is mostly zeros; blocks of 8 rows leave most of them out
_FRAMES_PER_TASK = 8
_of_thread = threading.local()  # the latest strip of each thread


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The structural similarity of each frame.

    Parameters
    ----------
    a, b : (n, height, width, channels) uint8
        At least 11 pixels high and wide.

    Returns
    -------
    (n,) float64
    """
    return np.asarray(ssim_by_row(a, b).mean(axis=1))


def ssim_by_row(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The structural similarity of each row of windows; the mean over rows is the frame's SSIM.

    Row ``i`` has the windows over the pixel rows ``i`` to ``i + 10``. So the rows from ``k`` on are those of the frame
    without the pixel rows above ``k``: the SSIM of the lower part of a frame needs no further computation.

    Parameters
    ----------
    a, b : (n, height, width, channels) uint8
        At least 11 pixels high and wide.

    Returns
    -------
    (n, height - 10) float64
    """
    rows = np.empty((len(a), a.shape[1] - 2 * RADIUS))
    threads = max(1, cv2.getNumThreads())
    share = min(_FRAMES_PER_TASK, max(1, ceil(len(a) / threads)))
    tasks = [slice(start, start + share) for start in range(0, len(a), share)]

    def fill(task: slice) -> None:
        _fill(rows[task], a[task], b[task])

    # The products are too small for the matrix library's own threads.
    with _matrix_threads().limit(limits=1, user_api="blas"):
        _wait(_threads(threads).map(fill, tasks))
    return rows


def _fill(rows: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Compute the rows of some frames, strip by strip. The last strip of a frame may overlap the one before."""
    _, height, width, channels = a.shape
    wanted = height - 2 * RADIUS
    strips = ceil(wanted / max(_FEWEST_ROWS, _WINDOWS_AT_ONCE // width))
    outputs = ceil(wanted / strips)
    strip = _strip(outputs + 2 * RADIUS, width, channels)
    starts = [min(start, wanted - outputs) for start in range(0, wanted, outputs)]
    x, y = (np.ascontiguousarray(frames.transpose(0, 1, 3, 2)) for frames in (a, b))  # width last
    for frame in range(len(a)):
        for start in starts:
            span = slice(start, start + outputs + 2 * RADIUS)
            rows[frame, start : start + outputs] = strip.similarity(x[frame, span], y[frame, span])


def _strip(height: int, width: int, channels: int) -> _Strip:
    """The strip of this size of this thread; the strip of another size is given up."""
    shape = (height, width, channels)
    if getattr(_of_thread, "shape", None) != shape:
        _of_thread.shape, _of_thread.strip = shape, _Strip(*shape)
    strip: _Strip = _of_thread.strip
    return strip


class _Strip:
    """The buffers for one strip of two frames; to allocate them for each would take a third more time."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        rows, columns = height - 2 * RADIUS, width - 2 * RADIUS
        self._sum = np.empty((height, channels, width), np.int16)
        self._difference = np.empty_like(self._sum)
        self._maps = np.empty((4, height, channels, width))  # width last, so that both filters are matrix products
        maps = self._maps.reshape(4, height, channels * width)
        down = np.empty((4, rows, channels * width))
        lines = down.reshape(4 * rows * channels, width)  # two axes: one product for all maps
        # Each result is written where the inputs of the step before were, to need less of the processor's cache.
        self._means = _front(self._maps, (4, rows, channels * columns))
        means = self._means.reshape(4 * rows * channels, columns)
        self._spare = _front(down, (2, rows, channels * columns))
        self._down = [(w, maps[:, inputs], down[:, outputs]) for outputs, inputs, w in _blocks(height)]
        self._across = [
            (lines[:, inputs], np.ascontiguousarray(w.T), means[:, outputs]) for outputs, inputs, w in _blocks(width)
        ]

    def similarity(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(rows,) float64 mean SSIM of each row of windows in two (height, channels, width) uint8 strips."""
        # With s = x + y and d = x - y, 4 cov(x, y) = var(s) - var(d), and so on: the filtered squares of s and d give
        # all terms. C2 is added to s^2 before the filter, whose weights sum to 1.
        np.add(x, y, out=self._sum, dtype=np.int16)
        np.subtract(x, y, out=self._difference, dtype=np.int16)
        self._maps[0] = self._sum
        self._maps[1] = self._difference
        np.multiply(self._maps[:2], self._maps[:2], out=self._maps[2:])
        self._maps[2] += 2 * C2
        for weights, inputs, outputs in (*self._down, *self._across):
            np.matmul(weights, inputs, out=outputs)
        sum_squared, difference_squared, sum_variance, difference_variance = self._means
        luminance, structure = self._spare
        np.multiply(self._means[:2], self._means[:2], out=self._means[:2])
        self._means[2:] -= self._means[:2]
        sum_squared += 2 * C1
        np.subtract(sum_squared, difference_squared, out=luminance)
        np.subtract(sum_variance, difference_variance, out=structure)
        luminance *= structure
        sum_squared += difference_squared
        sum_variance += difference_variance
        sum_squared *= sum_variance
        luminance /= sum_squared
        mean: np.ndarray = luminance.mean(axis=1)
        return mean


def _front(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The first numbers of a contiguous array, as an array of this shape."""
    return array.reshape(-1)[: prod(shape)].reshape(shape)


@cache
def _blocks(side: int) -> tuple[tuple[slice, slice, np.ndarray], ...]:
    """The filter for a side of this length in blocks: (output rows, input rows, weights) of each."""
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


def _wait(results: Iterable[None]) -> None:
    for _ in results:  # raises the error of a task
        pass


@cache
def _matrix_threads() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    """A pool with as many threads as OpenCV may use; the run's engine limits that number."""
    return ThreadPoolExecutor(count, thread_name_prefix="ssim")
