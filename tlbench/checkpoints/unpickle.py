"""A pickle reader that only makes plain data: it reads what torch.save wrote without running code.

A pickle is a program that can import any Python name and call it. This reader imports nothing. It compares each name in
the file with a list: a listed name becomes a plain record of this module (:class:`Name`, :class:`Thing`,
:class:`TensorSlice`), and any other name ends the reading.

Why not torch's ``weights_only`` reader: it needs fairseq's and omegaconf's classes, which are not installed; how
classes are allowed differs between the supported releases of torch; and allowed classes are global to the process. Why
not a subclass of :class:`pickle.Unpickler`: its BUILD and NEWOBJ instructions write to and call whatever ``find_class``
returns.
"""

from __future__ import annotations

import math
import os
import pickletools
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Any, cast

LONGEST_NAME = 80  # characters of a name that messages show
# Limits of what a pickle may make. A state dict of 1,000 tensors with Adam's state takes 125,000 instructions; the
# largest number in torch's files is the 77-bit magic number of its older format.
MOST_INSTRUCTIONS = 10_000_000
MOST_VALUES = 20_000_000  # in all containers together, copies counted: 8 bytes each
MOST_DEPTH = 100
LONGEST_LINE = 65_536  # bytes: of the instructions that end with a line feed
NUMBER_BITS = 128
MOST_ARGUMENTS = 16
MOST_DIMENSIONS = 64  # torch's own limit of a tensor


class NotPlainDataError(Exception):
    """The file mentions a name that is not listed. ``name`` is printable and short."""

    def __init__(self, name: str) -> None:
        self.name = printable(name)
        super().__init__(self.name)


def printable(name: str) -> str:
    """A name from a file, shortened and without control characters, for a message."""
    return "".join(c if c.isprintable() else "?" for c in name[:LONGEST_NAME])


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
_STORAGES = {
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
    _check_keys([key for key, _ in pairs])
    return dict(pairs)


def _check_keys(keys: Sequence[Any]) -> None:
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
    if len(shape) != len(stride) or not all(type(n) is int and n >= 0 for n in (offset, *shape, *stride)):
        raise BrokenPickleError("a tensor whose shape is not made of counts")
    numel = math.prod(shape)
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


_MAKERS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "collections.defaultdict": _default_dict,
    "_codecs.encode": _latin1_bytes,
    "torch.Size": _shape,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_ATOMS = {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"}
_TEXTS = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_OLD_TEXTS = {"BINSTRING", "SHORT_BINSTRING"}  # Python 2's str
_BYTES = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS = {"BINPUT", "LONG_BINPUT"}
_GETS = {"BINGET", "LONG_BINGET"}
_IGNORED = {"PROTO", "FRAME"}


class _Mark:
    """Marks the start of the items of a list, dict or tuple on the stack."""


class Unpickler:
    """Reads consecutive pickles from a stream; they share storages.

    Parameters
    ----------
    inert : collection of str
        Classes, ``module.name``, whose objects become :class:`Thing` records.
    mentioned : collection of str
        Further names that the file may mention; they are never called.

    Attributes
    ----------
    known : frozenset of str
        Every name that the file may mention.
    storages : dict of str to Storage
        Every storage that the pickles have mentioned so far.
    """

    def __init__(self, inert: Collection[str] = (), mentioned: Collection[str] = ()) -> None:
        self.storages: dict[str, Storage] = {}
        self._values = 0  # made so far, in all containers
        self._inert = frozenset(inert)
        self.known = self._inert | frozenset(mentioned) | _MAKERS.keys() | _STORAGES.keys()

    def read(self, stream: IO[bytes]) -> Any:
        """Read the next pickle: dicts, lists, tuples, strings, numbers and this module's records.

        Raises
        ------
        NotPlainDataError
            If it mentions a name that is not listed.
        BrokenPickleError
            If it is not a valid pickle.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # pickletools', for odd escapes
                value = self._run(_Bounded(stream))
            _check_size(value)
            return value
        except (ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError) as error:
            raise BrokenPickleError(str(error)) from error

    def _run(self, stream: _Bounded) -> Any:
        stack: list[Any] = []
        memo: dict[int, Any] = {}
        argument: Any
        for count, (opcode, argument, _position) in enumerate(pickletools.genops(cast("IO[bytes]", stream))):
            code = opcode.name
            if count > MOST_INSTRUCTIONS or self._values > MOST_VALUES:
                raise BrokenPickleError("more instructions or values than any checkpoint has")
            if code in _PUTS:
                memo[argument] = stack[-1]
            elif code == "MEMOIZE":
                memo[len(memo)] = stack[-1]
            elif code in _GETS:
                stack.append(memo[argument])
            elif code in _TEXTS or code in _BYTES or code in _ATOMS:
                if isinstance(argument, int) and argument.bit_length() > NUMBER_BITS:
                    raise BrokenPickleError(f"a number of {argument.bit_length()} bits")
                stack.append(argument)
            elif code in _OLD_TEXTS:
                stack.append(argument.encode("latin1").decode("utf-8"))
            elif code in _CONSTANTS:
                stack.append(_CONSTANTS[code])
            elif code in _TUPLES:
                stack.append(tuple(_pop(stack, _TUPLES[code])))
            elif code == "MARK":
                stack.append(_Mark())
            elif code == "TUPLE":
                items = _pop_to_mark(stack)
                self._values += len(items)
                stack.append(tuple(items))
            elif code == "EMPTY_LIST":
                stack.append([])
            elif code == "EMPTY_DICT":
                stack.append({})
            elif code in ("APPEND", "APPENDS"):
                items = _pop(stack, 1) if code == "APPEND" else _pop_to_mark(stack)
                self._values += len(items)
                _top(stack, list).extend(items)
            elif code in ("SETITEM", "SETITEMS"):
                items = _pop(stack, 2) if code == "SETITEM" else _pop_to_mark(stack)
                self._values += len(items)
                _check_keys(items[::2])
                _top(stack, dict).update(zip(items[::2], items[1::2], strict=True))
            elif code == "GLOBAL":
                module, _, name = argument.partition(" ")
                stack.append(self._name(module, name))
            elif code == "STACK_GLOBAL":
                module, name = _pop(stack, 2)
                stack.append(self._name(module, name))
            elif code == "BINPERSID":
                stack.append(self._storage(stack.pop()))
            elif code in ("REDUCE", "NEWOBJ"):
                called, arguments = _pop(stack, 2)
                stack.append(self._make(called, arguments))
            elif code == "BUILD":
                state = stack.pop()
                _build(stack[-1], state)
            elif code == "STOP":
                (value,) = stack
                return value
            elif code not in _IGNORED:
                raise NotPlainDataError(f"pickle instruction {code}")
        raise BrokenPickleError("no end")  # not reached: genops raises first

    def _name(self, module: Any, name: Any) -> Name:
        if not isinstance(module, str) or not isinstance(name, str):
            raise BrokenPickleError("a name that is no text")
        text = f"{module}.{name}"
        if text not in self.known:
            raise NotPlainDataError(text)
        return Name(text)

    def _make(self, called: Any, arguments: Any) -> Any:
        if not isinstance(called, Name) or not isinstance(arguments, tuple):
            raise BrokenPickleError("a call of something that is not a name")
        if called.text in _MAKERS:
            if len(arguments) > MOST_ARGUMENTS:
                raise BrokenPickleError(f"a call of {called.text} with {len(arguments)} arguments")
            # What a maker copies counts: texts to bytes, dicts and shapes to new ones.
            self._values += sum(len(one) for one in arguments if isinstance(one, (str, dict, list, tuple)))
            if self._values > MOST_VALUES:
                raise BrokenPickleError("more values than any checkpoint has")
            return _MAKERS[called.text](*arguments)
        if called.text in self._inert:
            return Thing(called.text, arguments)
        raise NotPlainDataError(f"a call of {called.text}")

    def _storage(self, identity: Any) -> Storage:
        """torch/serialization.py ``persistent_id``: ("storage", type, key, device, elements[, None])."""
        if not isinstance(identity, tuple) or not 5 <= len(identity) <= 6:
            raise BrokenPickleError("a storage that is described by no tuple")
        kind, dtype, key, _device, numel, *view = identity
        if kind != "storage" or not isinstance(dtype, Name) or dtype.text not in _STORAGES or view not in ([], [None]):
            raise BrokenPickleError("a storage of an unknown kind")
        if not isinstance(key, str) or type(numel) is not int or numel < 0:
            raise BrokenPickleError("a storage without a name or length")
        storage = Storage(key, _STORAGES[dtype.text], numel)
        if self.storages.setdefault(key, storage) != storage:
            raise BrokenPickleError("a storage with two descriptions")
        return storage


def _pop(stack: list[Any], count: int) -> list[Any]:
    items = stack[len(stack) - count :]
    if len(stack) < count or any(isinstance(item, _Mark) for item in items):
        raise BrokenPickleError("too few values")
    del stack[len(stack) - count :]
    return items


def _pop_to_mark(stack: list[Any]) -> list[Any]:
    items = []
    while not isinstance(item := stack.pop(), _Mark):
        items.append(item)
    return items[::-1]


def _top(stack: list[Any], kind: type) -> Any:
    if type(stack[-1]) is not kind:
        raise BrokenPickleError(f"items for something that is not a {kind.__name__}")
    return stack[-1]


def _build(target: Any, state: Any) -> None:
    """Set an object's state. The state of a dict is ignored: in state dicts it holds version numbers of modules."""
    if isinstance(target, Thing) and target.state is None:
        target.state = state
    elif not isinstance(target, dict):
        raise BrokenPickleError("a state for something that is not an object")


class _Bounded:
    """A stream that gives no more than it has: a length that a pickle declares is compared with what is left."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        here = stream.tell()
        self._end = stream.seek(0, os.SEEK_END)
        stream.seek(here)

    def read(self, size: int) -> bytes:
        return self._stream.read(min(size, self._end - self._stream.tell()))

    def readline(self) -> bytes:
        line = self._stream.readline(LONGEST_LINE)
        if len(line) == LONGEST_LINE:
            raise BrokenPickleError(f"a line of more than {LONGEST_LINE} bytes")
        return line

    def tell(self) -> int:
        return self._stream.tell()


def _check_size(value: Any) -> None:
    """Compare depth and size with the limits, as a walk through all containers finds them.

    A container that is there several times counts each time, because a walk visits it each time: thirty tuples, each of
    which holds the last one twice, are a billion values. Objects may refer to those that hold them, as omegaconf's
    parents do in fairseq's files; dicts, lists and tuples may not.

    Raises BrokenPickleError beyond the limits, and for a dict, list or tuple that holds itself.
    """
    sizes: dict[int, int] = {}  # by id: how many values are in a container that has been walked through
    path: dict[int, Any] = {}  # the containers that are being walked through, from the outermost on
    stack: list[tuple[Any, bool]] = [(value, False)]
    while stack:
        node, done = stack.pop()
        if done:
            size = 1 + sum(sizes.get(id(child), 1) for child in _children(node))
            if size > MOST_VALUES:
                raise BrokenPickleError("containers that hold each other many times over")
            sizes[id(node)] = size
            del path[id(node)]
        elif id(node) in path:
            circle = list(path.values())[list(path).index(id(node)) :]
            if not any(isinstance(container, Thing) for container in circle):
                raise BrokenPickleError("a container that holds itself")
        elif id(node) not in sizes:
            children = [child for child in _children(node) if isinstance(child, (dict, list, tuple, Thing))]
            path[id(node)] = node
            if len(path) > MOST_DEPTH:
                raise BrokenPickleError(f"containers in containers, more than {MOST_DEPTH} deep")
            stack.append((node, True))
            stack += [(child, False) for child in children]


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    if isinstance(node, Thing):
        return (*node.args, node.state)
    return node if isinstance(node, (list, tuple)) else ()
