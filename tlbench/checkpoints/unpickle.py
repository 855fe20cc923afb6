"""A pickle reader that only makes plain data: it reads what torch.save wrote without running code.

A pickle is a program that can import any Python name and call it. This reader imports nothing. It compares each name in
the file with a list: a listed name becomes a plain record of :mod:`.pickle_records` (a name, a
thing, a slice of a tensor), and any other name ends the reading.

Why not torch's ``weights_only`` reader: it needs fairseq's and omegaconf's classes, which are not installed; how
classes are allowed differs between the supported releases of torch; and allowed classes are global to the process. Why
not a subclass of :class:`pickle.Unpickler`: its BUILD and NEWOBJ instructions write to and call whatever ``find_class``
returns.
"""

from __future__ import annotations

import pickletools
import sys
import warnings
from collections.abc import Collection
from typing import IO, Any, cast

from .pickle_limits import BoundedStream, Budget, check_size
from .pickle_records import (
    MAKERS,
    MOST_ELEMENTS,
    STORAGES,
    BrokenPickleError,
    Name,
    NotPlainDataError,
    Storage,
    Thing,
    check_keys,
)

NUMBER_BITS = 128  # the largest number in torch's files is the 77-bit magic number of its older format
MOST_ARGUMENTS = 16
# Bytes in memory that an instruction's value is counted with; for values of a size of their own, with what is in it.
_SLOT, _MEMO, _CONTAINER, _ENTRY, _RECORD = 16, 100, 200, 100, 400

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_ATOMS = {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"}
_TEXTS = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_OLD_TEXTS = {"BINSTRING", "SHORT_BINSTRING"}  # Python 2's str
_BYTES = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_VALUES = _CONSTANTS.keys() | _ATOMS | _TEXTS | _OLD_TEXTS | _BYTES
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_CONTAINERS = {*_TUPLES, "TUPLE", "EMPTY_LIST", "EMPTY_DICT", "APPEND", "APPENDS", "SETITEM", "SETITEMS"}
_PUTS = {"BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GETS = {"BINGET", "LONG_BINGET"}
_IGNORED = {"PROTO", "FRAME"}


class _Mark:
    """Marks the start of the items of a list, dict or tuple on the stack."""


_MARK = _Mark()


class Unpickler:
    """Reads consecutive pickles from a stream; they share storages.

    Parameters
    ----------
    inert : collection of str
        Classes, ``module.name``, whose objects become :class:`Thing` records. A name that ends with a dot stands for
        all that start with it.
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
        self._budget = Budget()
        self._inert = frozenset(inert)
        self._inert_starts = tuple(name for name in self._inert if name.endswith("."))
        self.known = self._inert | frozenset(mentioned) | MAKERS.keys() | STORAGES.keys()

    def read(self, stream: IO[bytes]) -> Any:
        """Read the next pickle: dicts, lists, tuples, strings, numbers and this module's records.

        Raises
        ------
        NotPlainDataError
            If it mentions a name that is not listed.
        BrokenPickleError
            If it is not a valid pickle, or beyond the limits of :mod:`.pickle_limits`.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # pickletools', for odd escapes
                value = self._run(BoundedStream(stream))
            check_size(value)
            return value
        except (ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError) as error:
            raise BrokenPickleError(str(error)) from error

    def _run(self, stream: BoundedStream) -> Any:
        stack: list[Any] = []
        memo: dict[int, Any] = {}
        first = stream.tell()
        for opcode, argument, _position in pickletools.genops(cast("IO[bytes]", stream)):
            code = opcode.name
            self._budget.step(stream.tell() - first)
            if code in _PUTS:
                self._budget.make(_MEMO)
                memo[len(memo) if code == "MEMOIZE" else cast("int", argument)] = stack[-1]
            elif code in _GETS:
                stack.append(memo[cast("int", argument)])
            elif code in _VALUES:
                stack.append(self._value(code, argument))
            elif code == "MARK":
                stack.append(_MARK)
            elif code in _CONTAINERS:
                self._contain(code, stack)
            elif code == "GLOBAL":
                module, _, name = cast("str", argument).partition(" ")
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

    def _value(self, code: str, argument: Any) -> Any:
        """A constant, number, text or bytes."""
        if code in _CONSTANTS:
            argument = _CONSTANTS[code]
        elif code in _OLD_TEXTS:
            argument = argument.encode("latin1").decode("utf-8")
        if isinstance(argument, int) and argument.bit_length() > NUMBER_BITS:
            raise BrokenPickleError(f"a number of {argument.bit_length()} bits")
        self._budget.make(_SLOT + sys.getsizeof(argument))
        return argument

    def _contain(self, code: str, stack: list[Any]) -> None:
        """Make a tuple, list or dict of what is on the stack, or put it into the one that is there."""
        if code == "EMPTY_LIST":
            stack.append([])
        elif code == "EMPTY_DICT":
            stack.append({})
        else:
            if code in _TUPLES:
                items = _pop(stack, _TUPLES[code])
            elif code in ("APPEND", "SETITEM"):
                items = _pop(stack, 1 if code == "APPEND" else 2)
            else:
                items = _pop_to_mark(stack)
            if code in ("APPEND", "APPENDS"):
                _top(stack, list).extend(items)
            elif code in ("SETITEM", "SETITEMS"):
                check_keys(items[::2])
                _top(stack, dict).update(zip(items[::2], items[1::2], strict=True))
                self._budget.make(_ENTRY * len(items) // 2)
            else:
                stack.append(tuple(items))
            self._budget.make(_SLOT * len(items))
        self._budget.make(_CONTAINER)

    def _name(self, module: Any, name: Any) -> Name:
        if not isinstance(module, str) or not isinstance(name, str):
            raise BrokenPickleError("a name that is no text")
        text = f"{module}.{name}"
        if text not in self.known and not text.startswith(self._inert_starts):
            raise NotPlainDataError(text)
        self._budget.make(_RECORD)
        return Name(text)

    def _make(self, called: Any, arguments: Any) -> Any:
        if not isinstance(called, Name) or not isinstance(arguments, tuple):
            raise BrokenPickleError("a call of something that is not a name")
        self._budget.make(_RECORD)
        if called.text in MAKERS:
            if len(arguments) > MOST_ARGUMENTS:
                raise BrokenPickleError(f"a call of {called.text} with {len(arguments)} arguments")
            # What a maker copies counts: texts to bytes, dicts and shapes to new ones.
            for one in arguments:
                if isinstance(one, (str, dict, list, tuple)):
                    self._budget.make(len(one) if isinstance(one, str) else (_ENTRY + _SLOT) * len(one))
            return MAKERS[called.text](*arguments)
        if called.text in self._inert or called.text.startswith(self._inert_starts):
            return Thing(called.text, arguments)
        raise NotPlainDataError(f"a call of {called.text}")

    def _storage(self, identity: Any) -> Storage:
        """torch/serialization.py ``persistent_id``: ("storage", type, key, device, elements[, None])."""
        if not isinstance(identity, tuple) or not 5 <= len(identity) <= 6:
            raise BrokenPickleError("a storage that is described by no tuple")
        kind, dtype, key, _device, numel, *view = identity
        if kind != "storage" or not isinstance(dtype, Name) or dtype.text not in STORAGES or view not in ([], [None]):
            raise BrokenPickleError("a storage of an unknown kind")
        if not isinstance(key, str) or type(numel) is not int or not 0 <= numel <= MOST_ELEMENTS:
            raise BrokenPickleError("a storage without a name or length")
        storage = Storage(key, STORAGES[dtype.text], numel)
        if self.storages.setdefault(key, storage) != storage:
            raise BrokenPickleError("a storage with two descriptions")
        self._budget.make(_RECORD)
        return self.storages[key]


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
