"""A simulated GPU: its tensors say that they are on another device, are refused where a GPU refuses them, and are
computed by the CPU.

Where no GPU is, this shows what else would only come out on one: a tensor that is made on the CPU within a network, a
result that is read without being copied back. It knows nothing of a GPU's numbers, memory and speed.

    device = pretended_gpu()
    network.to(device)(pictures.to(device)).cpu()

What it refuses is what CUDA refuses: an operation on tensors of both devices, but for numbers (tensors without
dimensions) of the CPU and for an index on the CPU into a tensor of the GPU; copies are what takes one to the other.
The device is torch's own place for one that a program brings along (``torch.utils.backend_registration``): with the
name ``cuda`` a torch that was built without CUDA ends the process when gradients are wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.library import Library
from torch.utils import backend_registration
from torch.utils._pytree import tree_iter, tree_map

if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
    pytest.skip("this torch has no place for a device that a program brings along", allow_module_level=True)

NAME = "pretended"
CPU = torch.device("cpu")
ATEN = torch.ops.aten
COPIES = {ATEN._to_copy.default, ATEN.copy_.default}  # from either device to the other
INDEXED = {ATEN.index.Tensor, ATEN.index_put_.default, ATEN.index_put.default, ATEN._index_put_impl_.default}
# The others fill one that has its size already. These would make an empty one and resize it.
MADE_THERE = ("empty.memory_format", "empty_strided", "arange", "arange.start", "arange.start_step", "eye", "randperm")


class OnGPU(Tensor):
    """A tensor that says it is on the GPU; ``inner`` has its numbers."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnGPU:
        made: OnGPU = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=torch.device(NAME, 0),
            requires_grad=False,
        )
        made.inner = inner
        return made

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"OnGPU({self.inner})"

    def tolist(self) -> object:
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(
        cls,
        function: Any,
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        return _computed(function, args, dict(kwargs or {}))


class _Backend(backend_registration._DummyBackendModule):  # type: ignore[misc]
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


class _Hook(backend_registration._DummyPrivateUse1Hook):  # type: ignore[misc]
    def is_available(self) -> bool:
        return False  # else other tests would have an accelerator, and pin memory for it


@cache
def pretended_gpu() -> torch.device:
    """The device, which torch knows from now on, and can make tensors on.

    A test that wants gradients calls this as its module is imported: what computes them asks for the devices once, when
    it is first used.
    """
    backend_registration._setup_privateuseone_for_python_backend(NAME, _Backend(), _Hook())
    functions = Library("aten", "IMPL")
    for name in MADE_THERE:
        packet, overload = (*name.split("."), "default")[:2]
        functions.impl(name, _made_by(getattr(getattr(ATEN, packet), overload)), "PrivateUse1")
    functions.impl("_copy_from", _copied, "PrivateUse1")  # of torch.tensor, which asks no subclass
    _kept.append(functions)
    return torch.device(NAME, 0)


_kept: list[Library] = []  # functions that nobody holds are taken back


def _made_by(function: Any) -> Any:
    def made(*args: object, **kwargs: object) -> Tensor:
        return OnGPU(function(*args, **{**kwargs, "device": CPU, "pin_memory": False}))

    return made


def _copied(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    for one in (source, target):
        assert isinstance(one, OnGPU) == (one.device.type == NAME)
    _inner(target).copy_(_inner(source))
    return target


@pytest.fixture
def no_inference_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """``torch.inference_mode`` only turns gradients off: it has no place for tensors like these."""

    def without_gradients(mode: bool) -> AbstractContextManager[None]:
        return torch.no_grad() if mode else nullcontext()

    monkeypatch.setattr(torch._C, "_InferenceMode", without_gradients)


def _computed(function: Any, args: Sequence[object], kwargs: dict[str, object]) -> object:
    tensors = list(_tensors((args, kwargs)))
    on_gpu = True
    if function not in COPIES:
        _refuse_mixed(function, args, tensors)
    if kwargs.get("device") is not None:
        on_gpu = torch.device(kwargs["device"]).type == NAME  # type: ignore[arg-type]
        kwargs["device"] = CPU
    kwargs.pop("pin_memory", None)
    found = function(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    written = _written(function, args, kwargs)
    if isinstance(written, OnGPU):
        if written.shape != written.inner.shape:
            raise NotImplementedError(f"{function} resizes a tensor; name what makes it in MADE_THERE")
        return written
    return tree_map(lambda one: OnGPU(one) if isinstance(one, Tensor) else one, found) if on_gpu else found


def _refuse_mixed(function: Any, args: Sequence[object], tensors: Sequence[Tensor]) -> None:
    """Raises RuntimeError if the operation has tensors of both devices that CUDA would not take."""
    if function in INDEXED and isinstance(args[0], OnGPU):  # the second one is the index
        tensors = list(_tensors((args[0], args[2:3])))
    elsewhere = [one for one in tensors if not isinstance(one, OnGPU) and one.dim()]
    if elsewhere:
        shapes = ", ".join(str(tuple(one.shape)) for one in elsewhere)
        raise RuntimeError(f"{function}: expected all tensors to be on the GPU; on the CPU is one of shape {shapes}")


def _tensors(tree: object) -> Iterator[Tensor]:
    return (one for one in tree_iter(tree) if isinstance(one, Tensor))


def _inner(one: Any) -> Any:
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
