"""A network that always gets the same number of pictures at once, each pass on one thread.

The last digits of a convolution depend on how many pictures it gets and on how many threads share it. So with passes of
one size the output for a picture depends neither on what else a clip has nor on the number of workers.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from tlbench.observing.one_thread import each_on_one_thread
from tlbench.observing.precision import exact_products


class FixedPasses:
    """Runs a network in passes of ``size`` inputs; those that a last pass lacks are zeros.

    Parameters
    ----------
    model : nn.Module
        From (size, ...) to (size, outputs) float32, on ``device`` and in ``memory`` format.
    size : int
    outputs : int
    device : torch.device
    memory : torch.memory_format
        ``torch.channels_last``, or ``torch.channels_last_3d`` for windows of frames.
    """

    def __init__(
        self, model: nn.Module, size: int, outputs: int, device: torch.device, memory: torch.memory_format
    ) -> None:
        self._model = model.to(device=device, memory_format=memory)  # type: ignore[call-overload]
        self._size, self._outputs = size, outputs
        self._device, self._memory = device, memory

    def __call__(self, inputs: Tensor) -> np.ndarray:
        """(n, ...) on the device to (n, outputs) float32."""
        passes = [inputs[start : start + self._size] for start in range(0, len(inputs), self._size)]
        if self._device.type == "cpu":
            found = each_on_one_thread(self._pass, passes)
        else:
            found = [self._pass(one) for one in passes]
        return np.concatenate([self.empty(), *found])

    def empty(self) -> np.ndarray:
        """(0, outputs) float32."""
        return np.zeros((0, self._outputs), np.float32)

    @torch.inference_mode()
    def _pass(self, inputs: Tensor) -> np.ndarray:
        count = len(inputs)
        if count < self._size:
            inputs = torch.cat([inputs, inputs.new_zeros(self._size - count, *inputs.shape[1:])])
        with exact_products(self._device):
            found = self._model(inputs.contiguous(memory_format=self._memory))[:count]
        return np.asarray(found.float().cpu().numpy())
