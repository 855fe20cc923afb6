"""Give a finished network's layers packed weights, see :mod:`tlbench.observing.packed_linear`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from tlbench.observing.packed_linear import PackedLinear
from tlbench.observing.small_maps import PackedRows, SmallMapConv2d


def pack_layers(network: nn.Module, whole: Sequence[nn.Module] = ()) -> None:
    """Replace a network's linear layers but those in ``whole``, and its convolutions of small maps, in place.

    Their own weights are dropped, so memory does not double; nothing can read ``weight`` of such a layer any more.
    """
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and child not in whole:
                setattr(parent, name, PackedLinear.of(child))
            elif isinstance(child, SmallMapConv2d) and child.faster_packed:
                setattr(parent, name, PackedRows(child))
