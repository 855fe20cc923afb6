"""Read the nodes and tensors of an ONNX file, without running it.

An ONNX graph is a program: its nodes may loop, and make tensors of any size. So it is not given to a runtime. The
names of its operations and its tensors are read (onnx/onnx ``onnx/onnx.proto``, whose field numbers these are, in
Protocol Buffers' wire format), and whoever knows the network puts the tensors into one of its own.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.files import ONNX, open_outside

MOST_NODES = 20_000  # and as many tensors; ResNet-100 has 360 nodes
MOST_SIZES = 8  # of a tensor
_GRAPH = 7  # of a model
_NODE, _INITIALIZER = 1, 5  # of a graph
_INPUT, _OUTPUT, _OP_TYPE, _ATTRIBUTE = 1, 2, 4, 5  # of a node
_ATTRIBUTE_NAME, _FLOAT, _INTEGER, _INTEGERS = 1, 2, 3, 8  # of an attribute
_DIMS, _DATA_TYPE, _FLOAT_DATA, _TENSOR_NAME, _RAW_DATA, _LOCATION = 1, 2, 4, 8, 9, 14  # of a tensor
_FLOAT32 = 1
_VARINT, _BYTES_8, _BYTES, _BYTES_4 = 0, 1, 2, 5  # wire types

Number: TypeAlias = "float | int | tuple[int, ...]"


@dataclass(frozen=True)
class OnnxNode:
    """One operation: its type, the names of what it takes and gives, and its numbers."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: Mapping[str, Number]


@dataclass(frozen=True)
class OnnxGraph:
    """The operations of a file in their order, and its float32 tensors by name."""

    nodes: Sequence[OnnxNode]
    tensors: Mapping[str, Tensor]


def read_onnx(path: Path) -> OnnxGraph:
    """Read a file.

    Tensors of other types than float32 are left out: they are shapes and indices.

    Raises
    ------
    TlbenchError
        If the file can't be read, is no ONNX file, is incomplete, or has its tensors in other files.
    """
    try:
        with open_outside(path, ONNX) as file:
            data = memoryview(file.read())
    except OSError as error:
        raise TlbenchError(f"weights {path}: can't be read ({error.strerror})") from error
    try:
        graphs = [part for number, part in _fields(data) if number == _GRAPH and isinstance(part, memoryview)]
        if len(graphs) != 1:
            raise ValueError(f"{len(graphs)} graphs")
        return _graph(graphs[0])
    except (ValueError, struct.error) as error:
        raise TlbenchError(f"weights {path}: no ONNX file, or damaged ({error}); download it again") from error


def _graph(data: memoryview) -> OnnxGraph:
    nodes: list[OnnxNode] = []
    tensors: dict[str, Tensor] = {}
    for number, part in _fields(data):
        if number == _NODE:
            nodes.append(_node(_part(part)))
        elif number == _INITIALIZER:
            named = _tensor(_part(part))
            if named is not None:
                tensors[named[0]] = named[1]
        if max(len(nodes), len(tensors)) > MOST_NODES:
            raise ValueError(f"more than {MOST_NODES:,} nodes or tensors")
    if not nodes:
        raise ValueError("a graph without nodes")
    return OnnxGraph(nodes, tensors)


def _node(data: memoryview) -> OnnxNode:
    kind = ""
    inputs, outputs, numbers = [], [], {}
    for number, part in _fields(data):
        if number == _INPUT:
            inputs.append(_text(part))
        elif number == _OUTPUT:
            outputs.append(_text(part))
        elif number == _OP_TYPE:
            kind = _text(part)
        elif number == _ATTRIBUTE:
            name, value = _attribute(_part(part))
            if value is not None:
                numbers[name] = value
    return OnnxNode(kind, tuple(inputs), tuple(outputs), numbers)


def _attribute(data: memoryview) -> tuple[str, Number | None]:
    """Its name and number; None for one that is no number."""
    name, value = "", None
    several: list[int] = []
    for number, part in _fields(data):
        if number == _ATTRIBUTE_NAME:
            name = _text(part)
        elif number == _FLOAT:
            (value,) = struct.unpack("<f", _part(part))
        elif number == _INTEGER and isinstance(part, int):
            value = part
        elif number == _INTEGERS:
            several += _integers(part)
    return name, tuple(several) if several else value


def _tensor(data: memoryview) -> tuple[str, Tensor] | None:
    """Its name and its numbers; None for one that is not of float32."""
    name = ""
    sizes: list[int] = []
    kind = 0
    raw: list[memoryview] = []
    for number, part in _fields(data):
        if number == _TENSOR_NAME:
            name = _text(part)
        elif number == _DIMS:
            sizes += _integers(part)
        elif number == _DATA_TYPE and isinstance(part, int):
            kind = part
        elif number in (_RAW_DATA, _FLOAT_DATA):
            raw.append(_part(part))
        elif number == _LOCATION and part:
            raise ValueError("its tensors are in other files")
    if kind != _FLOAT32:
        return None
    if len(sizes) > MOST_SIZES or any(size > len(data) for size in sizes):
        raise ValueError(f"a tensor of sizes {sizes[:MOST_SIZES]}")
    count = math.prod(sizes)
    if sum(map(len, raw)) != 4 * count:
        raise ValueError(f"a tensor of sizes {sizes} with {sum(map(len, raw)):,} bytes")
    numbers = np.frombuffer(b"".join(raw), "<f4").astype(np.float32)
    return name, torch.from_numpy(numbers).reshape(sizes)


# Wire format


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message. Raises ValueError if it is cut off."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, place = _varint(data, place)
            yield number, value
            continue
        if wire == _BYTES:
            size, place = _varint(data, place)
        elif wire in (_BYTES_8, _BYTES_4):
            size = 8 if wire == _BYTES_8 else 4
        else:
            raise ValueError(f"a field of wire type {wire}")
        if place + size > len(data):
            raise ValueError("a field is cut off")
        yield number, data[place : place + size]
        place += size


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """An integer of at most 64 bits, and the place behind it."""
    value = 0
    for shift in range(0, 64, 7):
        if place >= len(data):
            raise ValueError("a number is cut off")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number of more than 64 bits")


def _integers(part: int | memoryview) -> list[int]:
    """One integer, or several that are packed."""
    if isinstance(part, int):
        return [part]
    found, place = [], 0
    while place < len(part):
        value, place = _varint(part, place)
        found.append(value)
        if len(found) > MOST_NODES:
            raise ValueError(f"a list of more than {MOST_NODES:,} numbers")
    return found


def _part(part: int | memoryview) -> memoryview:
    if isinstance(part, int):
        raise ValueError("a number where a message belongs")
    return part


def _text(part: int | memoryview) -> str:
    return bytes(_part(part)).decode()
