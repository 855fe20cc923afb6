"""Linear layers whose weights are packed once for oneDNN, for inference.

torch gives a linear layer in float32 to its matrix library (MKL), which on AMD's processors uses half of the vector
width and packs the weights anew for every product. oneDNN, which torch has as well, multiplies with weights that were
packed once. ``torch.compile`` makes the same two calls when it freezes a network (torch/_inductor/fx_passes/
mkldnn_fusion.py). Results differ from torch's by rounding only; which of the two a run's readers use is decided in
:mod:`tlbench.observing.matrix_product`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlbench.errors import TlbenchError


def can_pack() -> bool:
    """Whether this torch has oneDNN and the calls that pack a weight and multiply with it."""
    return bool(torch._C._has_mkldnn) and all(
        hasattr(torch.ops.mkldnn, call) for call in ("_reorder_linear_weight", "_linear_pointwise")
    )


class PackedLinear(nn.Module):
    """``y = x weight^T + bias``, as :class:`torch.nn.Linear`, on a CPU and without gradients.

    The packed weight can't be read back, saved or cast: pack what is finished.

    Parameters
    ----------
    weight : (out, in) float32 or bfloat16
    bias : (out,) or None
        Of the same number type.

    Raises
    ------
    TlbenchError
        If this torch can't pack weights.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        if not can_pack():
            raise TlbenchError("this torch has no oneDNN to pack weights for; pass --matrix-product torch")
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous())
        self._bias = None if bias is None else bias.detach()

    @classmethod
    def of(cls, layer: nn.Linear, dtype: torch.dtype | None = None) -> PackedLinear:
        """Pack a layer's weight, as ``dtype`` or in its own number type. The layer stays as it is."""
        made = layer.weight.dtype if dtype is None else dtype
        return cls(layer.weight.to(made), None if layer.bias is None else layer.bias.to(made))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        return self._activated(x, "none")

    def relu(self, x: Tensor) -> Tensor:
        """The same, and negative values become 0."""
        return self._activated(x, "relu")

    def gelu(self, x: Tensor) -> Tensor:
        """The same through GELU with the error function, as :func:`torch.nn.functional.gelu`."""
        return self._activated(x, "gelu", "none")

    def plus(self, x: Tensor, added: Tensor) -> Tensor:
        """The same plus ``added`` (..., out)."""
        made: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, added, self._weight, self._bias, "add")
        return made

    def _activated(self, x: Tensor, activation: str, algorithm: str = "") -> Tensor:
        made: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, activation, [], algorithm)
        return made
