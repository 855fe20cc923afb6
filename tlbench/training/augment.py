"""Pictures and features varied by chance, so that a network learns what matters. For training only.

The kinds are the usual ones of lip reading: a crop that moves, light that differs, mirrored faces, and spans of time
that are hidden (Park et al. 2019, SpecAugment; Ma et al. 2022, "Training strategies for improved lip-reading").
"""

from __future__ import annotations

import numpy as np

SHIFT_SHARE = 0.08  # of the side: how far a crop moves at most
GAIN = 0.15  # standard deviation of the contrast's logarithm
OFFSET = 12.0  # levels of 255, standard deviation of the brightness
HIDDEN_SPANS = 0.6  # expected spans in a second of 25 frames
HIDDEN_FRAMES = 6  # in a span at most


def shifted(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same (T, H, W, ...) pictures moved by up to 8 % of their size, their edges repeated; half are mirrored."""
    height, width = pictures.shape[1:3]
    reach_y, reach_x = int(SHIFT_SHARE * height), int(SHIFT_SHARE * width)
    dy, dx = int(rng.integers(-reach_y, reach_y + 1)), int(rng.integers(-reach_x, reach_x + 1))
    rows = np.clip(np.arange(height) + dy, 0, height - 1)
    columns = np.clip(np.arange(width) + dx, 0, width - 1)
    if rng.random() < 0.5:
        columns = columns[::-1]
    moved: np.ndarray = pictures[:, rows][:, :, columns]
    return moved


def relit(rng: np.random.Generator) -> np.ndarray:
    """(256,) float64: each grey level under another light."""
    gain = float(np.exp(rng.normal(0, GAIN)))
    levels: np.ndarray = np.clip((np.arange(256) - 128.0) * gain + 128.0 + rng.normal(0, OFFSET), 0, 255)
    return levels


def jitter(pictures: np.ndarray, rng: np.random.Generator, mean: float, std: float) -> np.ndarray:
    """(T, H, W) uint8, moved and relit, to float32 normalised as ``(x / 255 - mean) / std``."""
    levels = ((relit(rng) / 255.0 - mean) / std).astype(np.float32)
    varied: np.ndarray = levels[shifted(pictures, rng)]
    return varied


def hide_spans(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T, ...) float with some spans of up to 6 rows set to their mean over time."""
    count = int(rng.poisson(HIDDEN_SPANS * len(rows) / 25))
    if not count:
        return rows
    varied: np.ndarray = rows.copy()
    mean = rows.mean(axis=0)
    for _ in range(count):
        begin = int(rng.integers(len(rows)))
        varied[begin : begin + int(rng.integers(1, HIDDEN_FRAMES + 1))] = mean
    return varied
