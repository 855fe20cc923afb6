"""LPIPS with formula weights for AlexNet and, where it is wished, for its channels; and pictures by formula."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.golden.formula import fill, value
from tlbench.observers.lpips import checkpoint
from tlbench.observers.lpips.inference import PairDistance
from tlbench.observers.lpips.model import CHANNELS, AlexNetFeatures, LPIPSDistance
from tlbench.observers.lpips.observer import LPIPS

SIZES = ((31, 31), (64, 48), (96, 96), (130, 257), (256, 256))  # height, width
# Of `pairs()`, by lpips 0.1.4 (net="alex", version 0.1) with AlexNet and its channels by formula; tests/live runs it.
BY_LPIPS_ALL_FORMULA = (
    0.014694537036120892,
    0.018308833241462708,
    0.017330870032310486,
    0.017022980377078056,
    0.017018403857946396,
)


def formula_channels_file() -> dict[str, Tensor]:
    """What the package's file holds, by formula: none is negative, as the package trains them."""
    names = {f"lin{number}.model.1.weight": (1, channels, 1, 1) for number, channels in enumerate(CHANNELS)}
    return {name: torch.from_numpy(np.abs(value(name, shape))) for name, shape in names.items()}


def formula_channels() -> dict[str, Tensor]:
    """The same as :func:`checkpoint.linear_weights` returns them."""
    return {name.partition(".")[0]: weights.flatten() for name, weights in formula_channels_file().items()}


@contextmanager
def channels_by_formula() -> Iterator[None]:
    """Observers that are loaded meanwhile have channels by formula, whether the package lpips is installed or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "linear_weights", formula_channels)
        patch.setattr(LPIPS, "lacking", classmethod(lambda cls, views: ""))
        yield


def formula_distance(channels: Mapping[str, Tensor]) -> PairDistance:
    """With AlexNet by formula and these weights of its channels."""
    features = AlexNetFeatures()
    fill(features.state_dict())
    return PairDistance(LPIPSDistance(features, channels).eval().requires_grad_(False), "cpu")


def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Two pictures of each size: waves of colour, and the same with noise that a seed gives."""
    made = []
    for seed, (height, width) in enumerate(SIZES):
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
        waves = [127 + 120 * np.sin(rows / a + columns / b + seed) for a, b in ((3, 5), (7, 2), (4, 9))]
        one = np.stack(waves, axis=-1)
        noise = np.random.RandomState(seed).uniform(-60, 60, one.shape)
        made.append((one.astype(np.uint8), np.clip(one + noise, 0, 255).astype(np.uint8)))
    return made
