"""In which numbers networks compute: float32 to its last bit, or half precision for those who ask for speed.

Half precision is bfloat16 on every device, so that one protocol means one kind of number. (float16 has three bits more,
but ends at 65,504, and CPUs compute it no faster.) Networks are cast once and whole, not by ``torch.autocast``: that
would cast the weights anew for every token of a search, as it keeps no copies of weights that need no gradient, and
would leave other layers in float32 on a CPU than on a GPU. What is cast: weights, and what stands between layers. Sums
inside a product, a normalisation or a softmax are float32 in torch's kernels all the same.

The last layer, whose scores decide between symbols, stays in float32: two symbols' scores are often nearer to each
other than bfloat16 can tell, and would be equal.
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
    """Cast a network's floating-point parameters and buffers in place, but those of the layers in ``whole``."""
    kept = {id(tensor) for module in whole for tensor in chain(module.parameters(), module.buffers())}
    for tensor in chain(network.parameters(), network.buffers()):
        if tensor.is_floating_point() and id(tensor) not in kept:
            tensor.data = tensor.data.to(HALF)


def exact_products(device: torch.device) -> AbstractContextManager[None]:
    """Within it convolutions are what they are on a CPU: cuDNN would round their factors to 10 bits (TF32)."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
