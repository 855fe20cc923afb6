"""Weights made by a formula: every tensor from its own state-dict name, so that names and shapes are proved too.

The goldens were made by filling the original networks by the same rule. A network whose keys are named or shaped
otherwise than the original's gets other weights and can't agree with them.

The rule, all in float32: a normal sample drawn by ``numpy.random.RandomState`` seeded with the CRC-32 of the name
(plus ``seed``), then scaled so that activations neither vanish nor explode:

========================================  ==========================================
tensor                                    value
========================================  ==========================================
``*running_var``                          ``1 + 0.1 |x|``
``*running_mean``                         ``0.1 x``
two or more axes                          ``x / sqrt(product of all axes but the first)``
``*bias``, ``*beta`` of at most one axis  ``0.05 x``
any other of at most one axis             ``1 + 0.1 x``
``num_batches_tracked``, integers         left as they are
========================================  ==========================================
"""

from __future__ import annotations

import math
import zlib
from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


def value(name: str, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """The float32 array of ``shape`` which belongs to the state-dict key ``name``."""
    shape = tuple(int(size) for size in shape)
    draw = np.random.RandomState((zlib.crc32(name.encode()) + seed) % 2**32)
    x = draw.standard_normal(math.prod(shape)).astype(np.float32).reshape(shape)
    result: np.ndarray
    if name.endswith("running_var"):
        result = 1 + 0.1 * np.abs(x)
    elif name.endswith("running_mean"):
        result = 0.1 * x
    elif len(shape) >= 2:
        result = x / np.float32(math.sqrt(math.prod(shape[1:])))
    elif name.endswith(("bias", "beta")):
        result = 0.05 * x
    else:
        result = 1 + 0.1 * x
    return np.asarray(result, dtype=np.float32)


def fill(state_dict: MutableMapping[str, Any], seed: int = 0) -> MutableMapping[str, Any]:
    """Fill every floating entry in place by :func:`value` and return the mapping.

    Entries are torch tensors (written through, so a module's own ``state_dict()`` fills the module) or NumPy arrays.
    Keys go in sorted order, so that of two keys which share storage the last one wins.
    """
    for name in sorted(state_dict):
        entry = state_dict[name]
        if name.endswith("num_batches_tracked"):
            continue
        if isinstance(entry, np.ndarray):
            if np.issubdtype(entry.dtype, np.floating):
                state_dict[name] = value(name, entry.shape, seed).astype(entry.dtype)
        elif entry.is_floating_point():
            _fill_tensor(name, entry, seed)
    return state_dict


def _fill_tensor(name: str, tensor: torch.Tensor, seed: int) -> None:
    import torch

    with torch.no_grad():
        tensor.copy_(torch.from_numpy(value(name, tensor.shape, seed)))
