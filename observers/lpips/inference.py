"""One pair of frames to its distance. Each pair is a pass of its own, so no frame depends on how a video is cut."""

from __future__ import annotations

import numpy as np
import torch

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
