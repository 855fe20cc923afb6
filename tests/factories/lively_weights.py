"""Weights by a formula with which a deep network's output depends on its input.

Those of :mod:`tests.golden.formula` are small: after fifty layers all pictures look the same. Here the weights of a
layer have the variance 2 by the number of its inputs (He et al. 2015, "Delving deep into rectifiers"), which keeps the
size of a signal through rectifiers.
"""

from __future__ import annotations

import torch
from torch import Tensor


def fill_lively(state: dict[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """Fill every floating entry in place, in the order of the names, and return the mapping."""
    generator = torch.Generator().manual_seed(seed)
    for name in sorted(state):
        entry = state[name]
        if not entry.is_floating_point():
            continue
        with torch.no_grad():
            if entry.dim() > 1:
                fan_in = entry[0].numel()
                entry.copy_(torch.randn(entry.shape, generator=generator) * (2 / fan_in) ** 0.5)
            elif name.endswith(("running_var", "weight")):
                entry.copy_(0.8 + 0.4 * torch.rand(entry.shape, generator=generator))
            else:
                entry.copy_(0.1 * torch.randn(entry.shape, generator=generator))
    return state
