"""Packed weights give torch's results to rounding, row by row, and take the place of the layers' own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tlbench.observing.pack_layers import pack_layers
from tlbench.observing.packed_linear import PackedLinear, can_pack

pytestmark = pytest.mark.skipif(not can_pack(), reason="this torch has no oneDNN")


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    sizes=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    bias=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_it_equals_torchs_layer(shape: list[int], sizes: tuple[int, int], bias: bool, seed: int) -> None:
    torch.manual_seed(seed)
    layer = nn.Linear(*sizes, bias=bias).requires_grad_(False)
    x = torch.randn(*shape, sizes[0])
    made = PackedLinear.of(layer)(x)
    assert made.shape == layer(x).shape
    np.testing.assert_allclose(made, layer(x), rtol=1e-5, atol=1e-5)


def test_rows_that_are_columns_in_memory_are_read_as_rows() -> None:
    layer = nn.Linear(33, 17).requires_grad_(False)
    columns = torch.randn(33, 9)
    np.testing.assert_allclose(PackedLinear.of(layer)(columns.t()), layer(columns.t()), rtol=1e-5, atol=1e-5)


def test_a_layer_can_be_packed_in_half_precision() -> None:
    layer = nn.Linear(64, 32).requires_grad_(False)
    x = torch.randn(5, 64)
    made = PackedLinear.of(layer, torch.bfloat16)(x.bfloat16())
    assert made.dtype == torch.bfloat16
    np.testing.assert_allclose(made.float(), layer(x), rtol=0.05, atol=0.05)


def test_only_the_layers_that_should_stay_whole_keep_their_weights() -> None:
    network = nn.Sequential(nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 8), nn.ReLU()), nn.Linear(8, 4))
    network.requires_grad_(False)
    x = torch.randn(3, 8)
    before = network(x)
    pack_layers(network, whole=[network[2]])
    assert {name for name, _ in network.named_parameters()} == {"2.weight", "2.bias"}
    np.testing.assert_allclose(network(x), before, rtol=1e-5, atol=1e-5)
