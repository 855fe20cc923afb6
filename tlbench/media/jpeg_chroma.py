"""Chroma of 4:1:1, 4:1:0 and 4:4:0 with more samples, as the scaler of FFmpeg 5.1 on x86-64 makes them.

It interpolates by a cubic, in 15 bits, first across and then down. Going down it cuts bits off each product: later
releases have other functions, which give every twentieth sample the next level.
"""

from __future__ import annotations

from functools import cache

import numpy as np

_SHARPNESS = int(0.6 * (1 << 24))  # the cubic's parameter C; B is 0: initFilter, libswscale/utils.c
_MOST_TAPS = 4
_NEXT_TO_NOTHING = (1 << 54) // 500  # a factor that counts as none: SWS_MAX_REDUCE_CUTOFF, libswscale/swscale.h


def wider(samples: np.ndarray, width: int, bits: int) -> np.ndarray:
    """(height, width) samples of 15 bits, of (height, w) samples of ``bits`` bits."""
    if samples.shape[1] == width:
        return samples.astype(np.int64) << (15 - bits)
    places, factors = _filter(samples.shape[1], width, 1 << 14)
    sums = (samples.astype(np.int64)[:, places] * factors).sum(2)
    return np.asarray(np.minimum(sums >> (bits - 1), (1 << 15) - 1))  # hScale8To15_c, libswscale/swscale.c


def taller(samples: np.ndarray, rounding: np.ndarray, exact_rows: int) -> np.ndarray:
    """(height, width) uint8 levels, of (h, width) samples of 15 bits.

    ``rounding``, (height, width), is added to the 7 bits that are cut off. A fast function, which cuts off more, makes
    all rows but those that go with the last two of the luma, of which there are ``exact_rows``.
    """
    places, factors = _filter(samples.shape[0], rounding.shape[0], 1 << 12)
    products = samples[places] * factors[..., None]  # (height, taps, width)
    of_taps = 8 * (places.shape[1] - 1)
    fast = ((products >> 16).sum(1) + ((rounding + of_taps) >> 4)) >> 3  # libswscale/x86/yuv2yuvX.asm
    exact = (products.sum(1) + (rounding << 12)) >> 19  # yuv2planeX_8_c, libswscale/output.c
    return np.asarray(np.clip(np.concatenate([fast[:-exact_rows], exact[-exact_rows:]]), 0, 255), np.uint8)


@cache
def _filter(size: int, wanted: int, one: int) -> tuple[np.ndarray, np.ndarray]:
    """(wanted, taps) indices of the samples and (wanted, taps) factors, which sum to ``one``.

    Left of the picture there are fewer samples than right of it: FFmpeg rounds their index towards 0.
    """
    candidates = max(min(_MOST_TAPS + 1, size - 2), 1)
    taps = min(candidates, _MOST_TAPS)
    step = ((size << 16) + (wanted >> 1)) // wanted  # from one new sample to the next, in 2**16ths of an old one
    all_places, all_factors = [], []
    for index in range(wanted):
        middle = step - (1 << 16) + 2 * step * index  # of the new sample, in 2**17ths
        first = int((middle - ((candidates - 2) << 16)) / (1 << 17))
        given = [_cubic(abs((place << 17) - middle) << 13) for place in range(first, first + candidates)]
        if abs(given[0]) <= _NEXT_TO_NOTHING:
            first, given = first + 1, [*given[1:], 0]
        start = min(max(first, 0), size - taps)
        factors = [0] * taps
        for place, factor in enumerate(given[:taps], first):
            factors[min(max(place, 0), size - 1) - start] += factor
        all_places.append(range(start, start + taps))
        all_factors.append(_of_sum(factors, one))
    return np.array(all_places), np.array(all_factors, np.int64)


def _cubic(distance: int) -> int:
    """The weight of a sample at this distance, in 2**30ths of a sample; times 2**54."""
    square = distance * distance >> 30
    cube = square * distance >> 30
    if distance < 1 << 30:
        whole = 12 * (1 << 24) - 6 * _SHARPNESS, -18 * (1 << 24) + 6 * _SHARPNESS, 0, 6 << 24
    elif distance < 1 << 31:
        whole = -6 * _SHARPNESS, 30 * _SHARPNESS, -48 * _SHARPNESS, 24 * _SHARPNESS
    else:
        return 0
    return whole[0] * cube + whole[1] * square + whole[2] * distance + (whole[3] << 30)


def _of_sum(factors: list[int], one: int) -> list[int]:
    """Factors scaled to this sum; what rounding takes from one goes to the next."""
    unit = (sum(factors) + one // 2) // one
    scaled, rest = [], 0
    for factor in factors:
        value = factor + rest
        scaled.append((abs(value) + (unit >> 1)) // unit * (1 if value > 0 else -1))
        rest = value - scaled[-1] * unit
    return scaled
