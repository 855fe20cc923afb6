"""The quantiser of each JPEG file of a dump, chosen as FFmpeg 5.1 does.

FFmpeg's rate control (``ff_rate_estimate_qscale`` in libavcodec/ratecontrol.c) for a stream in which every picture is
coded by itself, with the default options. It goes by the variance of each picture and the length of each file. PyAV's
encoder has the same control, but its files are a few bytes longer or shorter (:mod:`tlbench.media.jpeg_length`), and
between two quantisers a few bytes decide.
"""

from __future__ import annotations

from typing import Final

import numpy as np

_LAMBDA: Final = 118  # of a quantiser of 1: FF_QP2LAMBDA, libavutil/avutil.h
# Defaults of libavcodec/options_table.h and, for the limits, mpegvideoenc.h
_LEAST, _LARGEST = 2, 31  # quantisers: qmin, qmax
_TOLERANCE: Final = 4_000_000  # bits: bit_rate_tolerance
_STEP: Final = 3 * _LAMBDA  # between two pictures, before smoothing: max_qdiff
_SMOOTHING: Final = 0.5  # qblur
_OF_WHOLE_PICTURES: Final = float(np.float32(0.8))  # i_quant_factor
_FORGETTING: Final = 0.4  # of the predictor, ff_rate_control_init
_FIRST_LEARNT: Final = 2  # number of the first picture whose length is learnt from
_LEAST_DEVIATION: Final = 10.0  # of a picture whose length is learnt from, update_predictor
_BLOCK: Final = 16  # pixels; a macroblock's side


class JpegRate:
    """Chooses the quantisers of one clip: :meth:`quantiser` and :meth:`wrote` for each picture, in order.

    Numbers that FFmpeg keeps in 32 bits are rounded to them here.

    Parameters
    ----------
    bit_rate : int
        Target, in bits per second.
    frames_per_second : int
    """

    def __init__(self, bit_rate: int, frames_per_second: int) -> None:
        self._bit_rate, self._frames_per_second = bit_rate, frames_per_second
        self._count = 0
        self._total_bits = 0
        self._deviation = 0.0  # of the current picture
        self._lambda = 0  # its quantiser
        # Bits x quantiser / deviation of the pictures before, as a sum in which old ones fade, and its weight.
        self._cost, self._cost_weight = 7.0 * _LAMBDA, 1.0
        # Square roots of the predicted bits, and what the rate gives; their ratio scales the one to the other.
        self._roots = self._given_bits = 0.001
        self._unsmoothed: float | None = None
        self._smooth, self._smooth_weight = 0.001, 0.001

    def quantiser(self, luma: np.ndarray) -> int:
        """The factor of the quantiser tables, 2 to 31, for the next picture: (height, width) uint8."""
        self._deviation = variance(luma) ** 0.5
        fine = 2 * _LAMBDA  # bits are predicted for this quantiser
        bits = int(self._cost * self._deviation / (fine * self._cost_weight))
        root = float(bits * fine) ** 0.5
        wanted = 1 + root * (self._given_bits / self._roots * self._compensation())
        self._roots += root
        self._given_bits += self._bit_rate / self._frames_per_second
        chosen = self._smoothed(max(fine * (bits + 1) / wanted * _OF_WHOLE_PICTURES, 1.0))
        least, largest = (int(quantiser * _LAMBDA * _OF_WHOLE_PICTURES + 0.5) for quantiser in (_LEAST, _LARGEST))
        self._lambda = int(min(max(chosen, least), largest) + 0.5)
        scale = (self._lambda * 139 + 128 * 64) >> 14  # update_qscale, libavcodec/mpegvideo_enc.c
        return min(max(scale, _LEAST), _LARGEST)

    def wrote(self, length: int) -> None:
        """Take note of the length of the picture's file, in bytes."""
        self._total_bits += 8 * length
        if self._count >= _FIRST_LEARNT and self._deviation >= _LEAST_DEVIATION:
            self._cost = self._cost * _FORGETTING + 8 * length * self._lambda / (self._deviation + 1)
            self._cost_weight = self._cost_weight * _FORGETTING + 1
        self._count += 1

    def _compensation(self) -> float:
        """Above 1 if the files so far were too short."""
        wanted = int(self._bit_rate * float(self._count) / self._frames_per_second)
        share = _in_32_bits((_TOLERANCE - (self._total_bits - wanted)) / _TOLERANCE)
        return share if share > 0 else _in_32_bits(0.001)

    def _smoothed(self, value: float) -> float:
        value = _in_32_bits(value)
        if self._unsmoothed is not None:
            value = min(max(value, self._unsmoothed - _STEP), self._unsmoothed + _STEP)
        self._unsmoothed = value
        self._smooth = self._smooth * _SMOOTHING + _in_32_bits(value)
        self._smooth_weight = self._smooth_weight * _SMOOTHING + 1
        return _in_32_bits(self._smooth / self._smooth_weight)


def variance(luma: np.ndarray) -> int:
    """The sum of the variances of a picture's macroblocks; its last row and column are repeated to fill them.

    ``mb_var_thread`` in libavcodec/mpegvideo_enc.c.
    """
    height, width = luma.shape
    filled = np.pad(luma, ((0, -height % _BLOCK), (0, -width % _BLOCK)), mode="edge")
    blocks = filled.reshape(filled.shape[0] // _BLOCK, _BLOCK, -1, _BLOCK).astype(np.int64)
    sums, squares = blocks.sum((1, 3)), (blocks * blocks).sum((1, 3))
    return int(((squares - (sums * sums >> 8) + 628) >> 8).sum())


def _in_32_bits(value: float) -> float:
    return float(np.float32(value))
