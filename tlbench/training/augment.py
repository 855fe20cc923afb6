"""Data augmentation for training: random crops, brightness and mirroring of frames, and masked time spans.

These are the usual augmentations of lip reading (Park et al. 2019, "SpecAugment"; Ma et al. 2022, "Training strategies
for improved lip-reading"). All randomness comes from the generator that is passed in.
"""

from __future__ import annotations

import numpy as np

from tlbench.media.rates import FRAMES_PER_SECOND

MAX_SHIFT = 0.08  # of the frame's height and width
CONTRAST_STD = 0.15  # of the logarithm of the contrast
BRIGHTNESS_STD = 12.0  # grey levels of 255
MASKS_PER_SECOND = 0.6  # expected number of masked spans
MAX_MASK_FRAMES = 6  # length of a span


def normalise(frames: np.ndarray, mean: float, std: float) -> np.ndarray:
    """(T, H, W) uint8 to float32, ``(x / 255 - mean) / std``: the same values as a view's last step, ``Normalise``."""
    normalised: np.ndarray = _normalised(np.arange(256), mean, std)[frames]
    return normalised


def random_shift(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift (T, H, W, ...) frames by up to 8 % of their size, repeating the edges, and mirror half of the clips."""
    height, width = frames.shape[1:3]
    reach_y, reach_x = int(MAX_SHIFT * height), int(MAX_SHIFT * width)
    dy, dx = int(rng.integers(-reach_y, reach_y + 1)), int(rng.integers(-reach_x, reach_x + 1))
    rows = np.clip(np.arange(height) + dy, 0, height - 1)
    columns = np.clip(np.arange(width) + dx, 0, width - 1)
    if rng.random() < 0.5:
        columns = columns[::-1]
    shifted: np.ndarray = frames[:, rows][:, :, columns]
    return shifted


def random_levels(rng: np.random.Generator) -> np.ndarray:
    """(256,) float64: the grey level that replaces each grey level, with a random contrast and brightness."""
    gain = float(np.exp(rng.normal(0, CONTRAST_STD)))
    levels: np.ndarray = np.clip((np.arange(256) - 128.0) * gain + 128.0 + rng.normal(0, BRIGHTNESS_STD), 0, 255)
    return levels


def augment(frames: np.ndarray, rng: np.random.Generator, mean: float, std: float) -> np.ndarray:
    """(T, H, W) uint8 to float32: random levels, a random shift, and ``(x / 255 - mean) / std``."""
    levels = _normalised(random_levels(rng), mean, std)
    augmented: np.ndarray = levels[random_shift(frames, rng)]
    return augmented


def mask_spans(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Replace random spans of up to 6 rows of (T, ...) float features by the features' mean over time."""
    count = int(rng.poisson(MASKS_PER_SECOND * len(rows) / FRAMES_PER_SECOND))
    if not count:
        return rows
    masked: np.ndarray = rows.copy()
    mean = rows.mean(axis=0)
    for _ in range(count):
        start = int(rng.integers(len(rows)))
        masked[start : start + int(rng.integers(1, MAX_MASK_FRAMES + 1))] = mean
    return masked


def _normalised(levels: np.ndarray, mean: float, std: float) -> np.ndarray:
    """(256,) float32 of (256,) grey levels; computed in float64 and rounded once."""
    normalised: np.ndarray = ((levels / 255.0 - mean) / std).astype(np.float32)
    return normalised
