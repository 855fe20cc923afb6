"""The precision of networks: exact float32, or half precision for speed.

Half precision is bfloat16 on every device, so that one protocol means one number type. (float16 has three bits more,
but a maximum of 65,504, and is no faster on CPUs.) Networks are cast once as a whole, not by ``torch.autocast``, which
would cast the weights again for every token of a search (it caches only weights that need a gradient) and would leave
other layers in float32 on a CPU than on a GPU. Weights and activations are cast. Sums inside a product, a normalisation
or a softmax are still float32 in torch's kernels.

The last layer, which scores the symbols, stays in float32: the scores of two symbols are often closer than bfloat16 can
resolve, and would be equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain

import torch
from torch import nn

from tlbench.observing.observer import HALF_NAME

HALF: torch.dtype = getattr(torch, HALF_NAME)


def to_half(network: nn.Module, whole: Sequence[nn.Module] = ()) -> None:
    """Cast a network's floating-point parameters and buffers in place, except those of the layers in ``whole``."""
    kept = {id(tensor) for module in whole for tensor in chain(module.parameters(), module.buffers())}
    for tensor in chain(network.parameters(), network.buffers()):
        if tensor.is_floating_point() and id(tensor) not in kept:
            tensor.data = tensor.data.to(HALF)


def exact_products(device: torch.device) -> AbstractContextManager[None]:
    """A context in which convolutions on a GPU use float32: cuDNN would round their inputs to 10 bits (TF32)."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
