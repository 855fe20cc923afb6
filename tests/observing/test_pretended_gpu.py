"""The pretended GPU refuses what CUDA refuses, and computes what the CPU does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.factories.pretended_gpu import NAME, OnGPU, pretended_gpu

GPU = pretended_gpu()


def test_a_tensor_says_where_it_is_and_comes_back() -> None:
    for made in (torch.arange(6.0, device=NAME), torch.arange(6.0).to(GPU), torch.tensor([1.0], device=GPU)):
        assert made.device == GPU
        assert isinstance(made * 2, OnGPU)
        assert (made * 2).device == GPU
        assert torch.equal((made * 2).cpu(), made.cpu() * 2)
        assert made.tolist() == [1] or made.tolist() == [0, 1, 2, 3, 4, 5]
    made = torch.zeros(3, device=GPU)
    made[1] += 2
    made.view(3, 1).add_(1)
    assert made.tolist() == [1, 3, 1]


@pytest.mark.parametrize(
    "operation",
    [
        lambda there, here: there + here,
        lambda there, here: here + there,
        lambda there, here: torch.cat([there, here]),
        lambda there, here: there.add_(here),
        lambda there, here: here[there.long()],
        lambda there, here: torch.where(here > 0, there, there),
        lambda there, here: nn.Linear(3, 2)(there),
        lambda there, here: there.numpy(),
        lambda there, here: there.index_put_((torch.tensor([0, 1, 2]),), here),
    ],
)
def test_an_operation_on_tensors_of_both_devices_is_refused(operation) -> None:
    with pytest.raises((RuntimeError, TypeError)):
        operation(torch.ones(3, device=GPU), torch.ones(3))


def test_numbers_of_the_cpu_and_an_index_on_it_are_taken() -> None:
    there = torch.arange(4.0, device=GPU)
    assert (there + torch.tensor(2.0)).tolist() == [2, 3, 4, 5]
    assert there[torch.tensor([2, 0])].tolist() == [2, 0]


def test_a_network_is_taken_there_and_learns_there() -> None:
    torch.manual_seed(0)
    network, pictures = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), torch.randn(2, 1, 8, 8)
    expected = network(pictures).square().mean()
    expected.backward()
    slopes = [one.grad.clone() for one in network.parameters()]
    network.zero_grad()
    network.to(GPU)
    assert {one.device for one in network.parameters()} == {GPU}
    loss = network(pictures.to(GPU)).square().mean()
    loss.backward()
    assert loss.item() == pytest.approx(expected.item())
    for one, slope in zip(network.parameters(), slopes, strict=True):
        assert one.grad.device == GPU
        assert torch.allclose(one.grad.cpu(), slope, atol=1e-6)
