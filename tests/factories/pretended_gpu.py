"""A GPU that is none: its tensors say that they are on ``cuda``, are refused where a GPU refuses them, and are computed
by the CPU.

Where no GPU is, this shows what else would only come out on one: a tensor that is made on the CPU within a network, a
result that is read without being copied back. It knows nothing of a GPU's numbers, memory and speed.

    with PretendedGPU():
        network.to(GPU)(pictures.to(GPU)).cpu()

What it refuses is what CUDA refuses: an operation on tensors of both devices, but for numbers (tensors without
dimensions) of the CPU and for an index on the CPU into a tensor of the GPU; copies are what takes one to the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

GPU = torch.device("cuda", 0)
CPU = torch.device("cpu")
ATEN = torch.ops.aten
COPIES = {ATEN._to_copy.default, ATEN.copy_.default}  # from either device to the other
INDEXED = {ATEN.index.Tensor, ATEN.index_put_.default, ATEN.index_put.default, ATEN._index_put_impl_.default}


class OnGPU(Tensor):
    """A tensor that says it is on the GPU; ``inner`` has its numbers."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnGPU:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=GPU,
            requires_grad=False,
        )
        made.inner = inner
        return made

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"OnGPU({self.inner})"

    @classmethod
    def __torch_dispatch__(
        cls,
        function: Any,
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        return _computed(function, args, dict(kwargs or {}))


class PretendedGPU(TorchDispatchMode):
    """While it is entered, tensors can be made on and taken to the GPU."""

    _mode_key = torch._C._TorchDispatchModeKey.FAKE  # so torch does not look for a driver

    def __torch_dispatch__(
        self,
        function: Any,
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        return _computed(function, args, dict(kwargs or {}))


def _computed(function: Any, args: Sequence[object], kwargs: dict[str, object]) -> object:
    tensors = list(_tensors((args, kwargs)))
    on_gpu = any(isinstance(one, OnGPU) for one in tensors)
    if on_gpu and function not in COPIES:
        _refuse_mixed(function, args, tensors)
    if kwargs.get("device") is not None:
        on_gpu = torch.device(kwargs["device"]).type == GPU.type  # type: ignore[arg-type]
        kwargs["device"] = CPU
    kwargs.pop("pin_memory", None)
    found = function(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    written = _written(function, args, kwargs)
    if written is not None:
        return written
    return tree_map(lambda one: OnGPU(one) if isinstance(one, Tensor) else one, found) if on_gpu else found


def _refuse_mixed(function: Any, args: Sequence[object], tensors: Sequence[Tensor]) -> None:
    """Raises RuntimeError if the operation has tensors of both devices that CUDA would not take."""
    if function in INDEXED and isinstance(args[0], OnGPU):
        tensors = [args[0]]
    elsewhere = [one for one in tensors if not isinstance(one, OnGPU) and one.dim()]
    if elsewhere:
        shapes = ", ".join(str(tuple(one.shape)) for one in elsewhere)
        raise RuntimeError(f"{function}: expected all tensors to be on the GPU; on the CPU is one of shape {shapes}")


def _tensors(tree: object) -> Iterator[Tensor]:
    return (one for one in tree_iter(tree) if isinstance(one, Tensor))


def _inner(one: object) -> object:
    return one.inner if isinstance(one, OnGPU) else one


def _written(function: Any, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
    """What an operation that writes into one of its tensors returns: that tensor. None if it writes into none."""
    schema = function._schema
    if len(schema.returns) != 1 or schema.returns[0].alias_info is None or not schema.returns[0].alias_info.is_write:
        return None
    for place, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            return args[place] if place < len(args) else kwargs[argument.name]
    return None
