"""A strided convolution of single pixels can be trained with few channels, in any memory format."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch

from tlbench.observers.autoavsr.model import AutoAVSRModel
from tlbench.observers.avhubert.model import AVHubert
from tlbench.observers.avhubert.train import TINY
from tlbench.observers.conformer.model import ConformerModel
from tlbench.observers.mvm.model import MVMModel
from tlbench.observing.pointwise import StridedPointwise


@pytest.mark.parametrize("channels", [1, 2, 4, 8, 12, 16])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_gradients_are_those_of_the_plain_convolution(channels: int, memory_format: torch.memory_format) -> None:
    """PyTorch's own backward pass in channels-last memory wrote beyond its buffer here, which ended the process."""
    torch.manual_seed(0)
    layer = StridedPointwise(channels, 2 * channels, 2)
    x = torch.randn(3, channels, 11, 12).contiguous(memory_format=memory_format).requires_grad_()
    layer(x).square().sum().backward()

    plain = torch.nn.Conv2d(channels, 2 * channels, 1, 2, bias=False).double()
    plain.weight.data.copy_(layer.weight.data)
    exact = x.detach().contiguous().double().requires_grad_()
    plain(exact).square().sum().backward()

    for ours, theirs in ((layer.weight.grad, plain.weight.grad), (x.grad, exact.grad)):
        assert ours is not None
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5, check_dtype=False)


def test_without_gradients_it_is_the_plain_convolution_bit_for_bit() -> None:
    torch.manual_seed(0)
    layer = StridedPointwise(64, 128, 2)
    x = torch.randn(2, 64, 22, 22)
    plain = torch.nn.functional.conv2d(x, layer.weight, stride=2)
    with torch.no_grad():
        assert torch.equal(layer(x), plain)
    assert torch.equal(layer.requires_grad_(False)(x), plain)


@pytest.mark.parametrize(
    "network", [AutoAVSRModel, partial(AVHubert, replace(TINY, vocabulary=16)), ConformerModel, MVMModel]
)
def test_no_reader_that_can_be_trained_has_the_plain_one(network: Callable[[], torch.nn.Module]) -> None:
    with torch.device("meta"):
        layers = [module for module in network().modules() if isinstance(module, torch.nn.Conv2d)]
    strided = [layer for layer in layers if layer.kernel_size == (1, 1) and max(layer.stride) > 1]
    assert strided
    assert all(isinstance(layer, StridedPointwise) for layer in strided)
