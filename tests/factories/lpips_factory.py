"""LPIPS with formula weights for AlexNet and the published weights of its channels, and pictures by formula."""

from __future__ import annotations

import numpy as np

from tests.golden.formula import fill
from tlbench.observers.lpips.checkpoint import linear_weights
from tlbench.observers.lpips.inference import PairDistance
from tlbench.observers.lpips.model import AlexNetFeatures, LPIPSDistance

SIZES = ((31, 31), (64, 48), (96, 96), (130, 257), (256, 256))  # height, width


def formula_distance() -> PairDistance:
    features = AlexNetFeatures()
    fill(features.state_dict())
    return PairDistance(LPIPSDistance(features, linear_weights()).eval().requires_grad_(False), "cpu")


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
