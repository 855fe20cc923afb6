"""ONNX files are read and not run: their nodes and tensors, and what is damaged or hostile."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tlbench.checkpoints.onnx_file import OnnxGraph, read_onnx
from tlbench.errors import TlbenchError

FORMULA = Path(__file__).parents[1] / "golden" / "arcface" / "formula.onnx"  # written by PyTorch's exporter
WHOLE = FORMULA.read_bytes()


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(*sizes: int, data: bytes = b"", kind: int = 1, location: int = 0) -> bytes:
    dims = b"".join(field(1, size) for size in sizes)
    return dims + field(2, kind) + field(8, b"w") + field(9, data) + (field(14, location) if location else b"")


def model(*tensors: bytes, node: bytes = field(4, b"Conv")) -> bytes:
    return field(7, field(1, node) + b"".join(field(5, own) for own in tensors))


SMALL = model(
    tensor(2, 2, data=bytes(16)),
    tensor(3, data=bytes(12)),
    node=field(1, b"x")
    + field(2, b"y")
    + field(4, b"Conv")
    + field(5, field(1, b"strides") + field(8, 2) + field(8, 2)),
)


def read(path: Path, data: bytes) -> OnnxGraph:
    path.write_bytes(data)
    return read_onnx(path)


def test_the_nodes_and_tensors_of_a_file_that_pytorch_wrote() -> None:
    graph = read_onnx(FORMULA)
    kinds = [node.kind for node in graph.nodes]
    assert kinds[:3] == ["Conv", "PRelu", "BatchNormalization"]
    assert kinds.count("Conv") == 1 + 5 * 2 + 4
    first = graph.nodes[0]
    assert first.numbers["strides"] == (1, 1)
    assert graph.tensors[first.inputs[1]].shape == (8, 3, 3, 3)
    (normalised,) = [node for node in graph.nodes if node.inputs[0] == graph.nodes[1].outputs[0]][:1]
    assert normalised.numbers["epsilon"] == pytest.approx(1e-5, rel=1e-6)
    assert graph.nodes[-1].kind == "BatchNormalization"
    assert all(own.dtype == torch.float32 for own in graph.tensors.values())


def test_numbers_are_read_in_either_field_and_other_types_are_left_out(tmp_path: Path) -> None:
    numbers = torch.tensor([[1.5, -2.0]]).numpy().tobytes()
    graph = read(tmp_path / "a.onnx", model(tensor(1, 2, data=numbers), tensor(1, data=bytes(8), kind=7)))
    assert graph.tensors["w"].tolist() == [[1.5, -2.0]]
    packed = field(1, varint(1) + varint(2)) + field(2, 1) + field(8, b"v") + field(4, numbers)
    assert read(tmp_path / "b.onnx", model(packed)).tensors["v"].tolist() == [[1.5, -2.0]]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "0 graphs"),
        (b"PK\x03\x04 a zip file", "wire type|cut off|graphs"),
        (b"<!DOCTYPE html><html></html>", "wire type|cut off|graphs"),
        (WHOLE + WHOLE, "2 graphs"),
        (model(tensor(3, data=bytes(8))), "with 8 bytes"),
        (model(tensor(2**40, data=bytes(8))), "a tensor of sizes"),
        (model(tensor(*[1] * 9, data=bytes(4))), "a tensor of sizes"),
        (model(tensor(1, data=bytes(4), location=1)), "in other files"),
        (field(7, field(5, tensor(1, data=bytes(4)))), "without nodes"),
        (field(7, field(1, 3)), "a number where"),
        (model(node=field(4, b"\xff")), "utf-8"),
        (field(7, field(1, b"") * 20_001), "more than 20,000"),
        (b"\x80" * 11, "64 bits"),
    ],
)
def test_what_is_no_such_file_is_one_line(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(TlbenchError, match=rf"x\.onnx: no ONNX file, or damaged \(.*({why})"):
        read(tmp_path / "x.onnx", data)


def test_a_file_that_is_cut_off_anywhere_is_told(tmp_path: Path) -> None:
    for place in range(1, len(WHOLE), len(WHOLE) // 40):
        with pytest.raises(TlbenchError, match="download it again"):
            read(tmp_path / "x.onnx", WHOLE[:place])
    with pytest.raises(TlbenchError, match=r"none\.onnx: can't be read"):
        read_onnx(tmp_path / "none.onnx")


@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=20))
def test_a_damaged_file_is_read_or_told_and_takes_little_memory(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    damaged = bytearray(SMALL)
    for place, byte in changes:
        damaged[place] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    tracemalloc.start()
    try:
        with suppress(TlbenchError):
            graph = read(path, bytes(damaged))
            assert sum(own.numel() for own in graph.tensors.values()) * 4 <= len(SMALL)
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 10**6
