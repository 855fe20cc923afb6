"""Pairs of frames to their distances. Each is a pass of its own on one thread, so a distance depends on no other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tlbench.observing.one_thread import each_on_one_thread
from tlbench.observing.precision import exact_products

from .model import SMALLEST_SIDE, LPIPSDistance


class PairDistance:
    """The network on its device."""

    smallest_side = SMALLEST_SIDE

    def __init__(self, model: LPIPSDistance, device: str) -> None:
        self._model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = torch.device(device)

    @torch.inference_mode()
    def __call__(self, generated: np.ndarray, real: np.ndarray) -> float:
        """The distance of two (H, W, 3) uint8 RGB pictures of one size."""
        pair = torch.from_numpy(np.stack([generated, real])).to(self._device).permute(0, 3, 1, 2)
        with exact_products(self._device):
            return float(self._model(pair))

    def each(self, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[float]:
        """The distances of some pairs of pictures."""
        if self._device.type == "cpu":
            return each_on_one_thread(lambda pair: self(*pair), pairs)
        return [self(*pair) for pair in pairs]
