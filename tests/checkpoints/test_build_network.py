"""A network is built only if its dimensions are those of the tensors: whatever a package says, there is one line."""

from __future__ import annotations

import contextlib
import time
import tracemalloc
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tlbench.checkpoints.build_network import build_network, stored_bytes
from tlbench.checkpoints.catalogue import known_cards
from tlbench.checkpoints.dims import LARGEST_SIZE, NetworkDims
from tlbench.checkpoints.package import read_package
from tlbench.errors import TlbenchError
from tlbench.observers.avhubert.checkpoint import network_of as avhubert_of
from tlbench.observers.conformer.checkpoint import FORMAT as CONFORMER
from tlbench.observers.mvm.checkpoint import network_of as mvm_of
from tlbench.observers.syncnet.checkpoint import FORMAT as SYNCNET
from tlbench.talklip.checkpoint import generator_of


@dataclass(frozen=True)
class ToyDims(NetworkDims):
    layers: int = 2
    width: int = 4
    rate: float = 0.5
    tied: bool = False
    kind: Literal["a", "b"] = "a"
    channels: tuple[int, ...] = (1, 2)


class Toy(nn.Module):
    """Layers, and a table that is in no file."""

    table: Tensor

    def __init__(self, dims: ToyDims, rows: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(dims.width, dims.width) for _ in range(dims.layers))
        self.register_buffer("table", torch.ones(rows, dims.width), persistent=False)


WRONG: list[tuple[str, Any]] = [
    *(("layers", wrong) for wrong in (-1, LARGEST_SIZE + 1, 10**30, 1.0, "2", None, True, [2], {}, float("nan"))),
    *(("rate", wrong) for wrong in (float("nan"), float("inf"), 10**400, "0.5", None, True, [])),
    *(("tied", wrong) for wrong in (1, "true", None, [])),
    *(("kind", wrong) for wrong in ("c", "", 1, None, [])),
    *(("channels", wrong) for wrong in (3, "12", [1.0], [-1], [1] * 1000, [[1]], [True], None)),
]


@pytest.mark.parametrize(("name", "wrong"), WRONG, ids=lambda value: f"{value!r:.20}")
def test_a_dimension_of_another_kind_is_named(name: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=rf"size {name} is .*, not "):
        ToyDims.from_json({name: wrong})


@given(st.dictionaries(st.sampled_from([f.name for f in fields(ToyDims)]), st.from_type(object) | st.integers()))
def test_whatever_dimensions_are_said_they_can_be_used_or_are_refused(data: dict[str, Any]) -> None:
    with contextlib.suppress(TypeError, ValueError):
        dims = ToyDims.from_json(data)
        assert ToyDims.from_json(dims.to_json()) == dims


def test_what_is_no_object_or_has_another_name_is_refused() -> None:
    for wrong in ([], "x", None, 3, {"x" * 10**6: 1}):
        with pytest.raises(TypeError) as caught:
            ToyDims.from_json(wrong)  # type: ignore[arg-type]
        assert len(str(caught.value)) < 150


def test_a_network_gets_its_numbers_and_its_tables() -> None:
    whole = Toy(ToyDims())
    built = build_network(lambda: Toy(ToyDims()), whole.state_dict(), "toy")
    assert all(torch.equal(one, whole.state_dict()[name]) for name, one in built.state_dict().items())
    assert torch.equal(built.table, whole.table)


def test_numbers_stay_in_the_precision_of_the_network() -> None:
    stored = {name: tensor.half() for name, tensor in Toy(ToyDims()).state_dict().items()}
    built = build_network(lambda: Toy(ToyDims()), stored, "toy")
    assert {tensor.dtype for tensor in built.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layers": LARGEST_SIZE}, "more layers than its 4 tensors"),
        ({"layers": 3}, r"2 missing \(layers.2.weight"),
        ({"layers": 0}, "4 unknown"),
        ({"width": LARGEST_SIZE}, r"of another shape \(layers.0.weight \(4, 4\) instead of"),
    ],
)
def test_other_dimensions_are_refused_at_once_and_without_memory(change: dict[str, int], said: str) -> None:
    stored = Toy(ToyDims()).state_dict()
    dims = replace(ToyDims(), **change)
    started = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(TlbenchError, match=said):
            build_network(lambda: Toy(dims), stored, "toy")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 20
    assert peak < 100 * 2**20


def test_a_table_that_needs_more_than_the_file_may_is_refused() -> None:
    with pytest.raises(TlbenchError, match=r"need 17,\d\d\d MB of memory"):
        build_network(lambda: Toy(ToyDims(), rows=2**28), Toy(ToyDims()).state_dict(), "toy")


def test_tensors_that_are_one_and_the_same_do_not_make_a_large_network() -> None:
    dims = ToyDims(layers=600, width=400)  # 384 MB
    weight, bias = torch.zeros(400, 400), torch.zeros(400)
    stored = {f"layers.{n}.{what}": one for n in range(600) for what, one in (("weight", weight), ("bias", bias))}
    assert stored_bytes(stored.values()) == 400 * 401 * 4
    with pytest.raises(TlbenchError, match=r"need 385 MB of memory, a file of these tensors may need 259 MB"):
        build_network(lambda: Toy(dims), stored, "toy")


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.complex64])
def test_numbers_of_another_kind_are_refused(dtype: torch.dtype) -> None:
    stored = Toy(ToyDims()).state_dict()
    stored["layers.0.bias"] = torch.zeros(4, dtype=dtype)
    with pytest.raises(TlbenchError, match=r"1 of another type \(layers.0.bias torch"):
        build_network(lambda: Toy(ToyDims()), stored, "toy")


@pytest.mark.parametrize("raised", [ValueError("x\ny"), RuntimeError(), ZeroDivisionError("x"), AssertionError()])
def test_what_a_constructor_raises_is_one_line(raised: Exception) -> None:
    def make() -> Toy:
        raise raised

    with pytest.raises(TlbenchError, match="no network can be built with its sizes") as caught:
        build_network(make, {}, "toy")
    assert "\n" not in str(caught.value)


NETWORKS = {
    "avhubert": avhubert_of,
    "conformer": CONFORMER.network_of,
    "mvm": mvm_of,
    "syncnet": SYNCNET.network_of,
    "talklip": generator_of,
}
PACKAGES = {(card.observer or "talklip"): card.package for card in known_cards() if card.package is not None}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_dimension_of_every_network_is_held_against_the_tensors(name: str) -> None:
    path = PACKAGES[name]
    package = read_package(path)
    key = "generator" if name == "talklip" else "dims"
    dims = package.config[key]
    free = {"max_target_positions", "side", "norm", "ahead_frames"}  # in no tensor's shape; bounded all the same
    for size in dims:
        for wrong in (10**12, -1, "96", float("nan"), {}, *(() if size in free else (0, 2**20))):
            if wrong == dims[size]:
                continue
            changed = replace(package, config={**package.config, key: {**dims, size: wrong}})
            with pytest.raises(TlbenchError) as caught:
                NETWORKS[name](changed, Path("given"))
            assert "given" in str(caught.value)
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 700
