"""What a pickle may hold, as plain records, and the few functions that it may name.

Nothing here imports or calls what a file names: each name on the list has a function of this module instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

LONGEST_NAME = 80  # characters of a name that messages show
MOST_DIMENSIONS = 64  # torch's own limit of a tensor
# Elements of a storage, and the largest size, stride or offset: 8 bytes each, it stays below what an address can be.
MOST_ELEMENTS = 2**56


class NotPlainDataError(Exception):
    """The file mentions a name that is not listed. ``name`` is printable and short."""

    def __init__(self, name: str) -> None:
        self.name = printable(name)
        super().__init__(self.name)


def printable(name: str, longest: int = LONGEST_NAME) -> str:
    """A name from a file, shortened and without control characters, for a message."""
    return "".join(c if c.isprintable() else "?" for c in name[:longest])


class BrokenPickleError(Exception):
    """The bytes are not a pickle that torch.save wrote, or end too early."""


@dataclass(frozen=True)
class Name:
    """A class or function that the file mentions, as text: ``module.name``."""

    text: str


@dataclass
class Thing:
    """A record of an object of a listed class: its class's name, its arguments and its state."""

    name: str
    args: tuple[Any, ...] = ()
    state: Any = None


@dataclass(frozen=True)
class Storage:
    """A block of numbers in the file. ``dtype`` is torch's name of the type, such as ``float32``."""

    key: str
    dtype: str
    numel: int


@dataclass(frozen=True)
class TensorSlice:
    """A tensor as the file describes it, checked to be inside its storage. Offset and stride count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


# torch/storage.py: typed storages and the types of their numbers.
STORAGES = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
}


def _ordered_dict(*items: Any) -> dict[Any, Any]:
    return _dict(*items[:1])


def _default_dict(*arguments: Any) -> dict[Any, Any]:
    return _dict(*arguments[1:2])


def _dict(items: Any = ()) -> dict[Any, Any]:
    pairs = list(items.items()) if isinstance(items, dict) else [tuple(pair) for pair in items]
    if any(len(pair) != 2 for pair in pairs):
        raise BrokenPickleError("an item of a dict that is no pair")
    check_keys([key for key, _ in pairs])
    return dict(pairs)


def check_keys(keys: Sequence[Any]) -> None:
    """Only plain keys: the hash of a tuple that holds itself n times over takes 2^n steps."""
    if not all(isinstance(key, (str, bytes, int, float, Name)) or key is None for key in keys):
        raise BrokenPickleError("a dict whose keys are no texts or numbers")


def _latin1_bytes(text: Any, encoding: Any) -> bytes:
    """Bytes in pickles of protocol 2. Other codecs are refused."""
    if not isinstance(text, str) or not isinstance(encoding, str):
        raise NotPlainDataError("_codecs.encode of what is no text")
    if encoding not in ("latin1", "latin-1"):
        raise NotPlainDataError(f"_codecs.encode to {encoding}")
    return text.encode("latin1")


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_flags_and_hooks: Any) -> TensorSlice:
    """torch/_utils.py ``_rebuild_tensor`` and ``_rebuild_tensor_v2``, with the bounds checked."""
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(stride, tuple):
        raise BrokenPickleError("a tensor without a storage, shape or stride")
    if len(shape) > MOST_DIMENSIONS:
        raise BrokenPickleError(f"a tensor of {len(shape)} dimensions")
    if len(shape) != len(stride) or not all(
        type(n) is int and 0 <= n <= MOST_ELEMENTS for n in (offset, *shape, *stride)
    ):
        raise BrokenPickleError("a tensor whose shape is not made of counts")
    numel = math.prod(shape)
    if math.prod(max(size, 1) for size in shape) > MOST_ELEMENTS:  # empty, but torch multiplies the other sizes
        raise BrokenPickleError("a tensor of an enormous shape")
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if numel and (last >= storage.numel or numel > storage.numel):
        raise BrokenPickleError("a tensor that reaches beyond its storage")
    return TensorSlice(storage, offset, shape, stride)


def _parameter(data: Any, *_flags_and_hooks: Any) -> TensorSlice:
    if not isinstance(data, TensorSlice):
        raise BrokenPickleError("a parameter that is not a tensor")
    return data


def _shape(sizes: Any = ()) -> tuple[Any, ...]:
    if not isinstance(sizes, (tuple, list)) or len(sizes) > MOST_DIMENSIONS:
        raise BrokenPickleError("a shape that is none")
    return tuple(sizes)


MAKERS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "collections.defaultdict": _default_dict,
    "_codecs.encode": _latin1_bytes,
    "torch.Size": _shape,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}
