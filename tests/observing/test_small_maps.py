"""Convolutions of small maps and the first layer of front ends compute what torch's plain layers do, to rounding."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.observing.first_layer import AROUND, FirstLayer
from tlbench.observing.pack_layers import pack_layers
from tlbench.observing.packed_linear import can_pack
from tlbench.observing.small_maps import FEWEST_CHANNELS, PackedRows, SmallMapConv2d

ROUNDING = 1e-5  # of the largest value
packs = pytest.mark.skipif(not can_pack(), reason="this torch can't pack weights")


def difference(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())


def convolution(channels: int, out: int, stride: int = 1, padding: int = 1, bias: bool = True) -> SmallMapConv2d:
    torch.manual_seed(0)
    return SmallMapConv2d(channels, out, 3, stride, padding, bias=bias).requires_grad_(False)


@packs
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("height", range(1, 8))
@pytest.mark.parametrize("width", [1, 2, 3, 4, 7])
def test_rows_of_the_kernel_add_up_to_the_convolution(
    height: int, width: int, padding: int, stride: int, bias: bool
) -> None:
    if min(height, width) + 2 * padding < 3:
        return  # nowhere to put the kernel
    layer = convolution(5, 6, stride, padding, bias)
    x = torch.randn(3, 5, height, width)
    plain = layer(x)
    for given in (x, x.to(memory_format=torch.channels_last)):
        assert difference(PackedRows(layer)(given), plain) < ROUNDING


@packs
def test_a_frame_s_map_does_not_depend_on_the_frames_beside_it() -> None:
    rows, frames = PackedRows(convolution(8, FEWEST_CHANNELS)), torch.randn(32, 8, 3, 3)
    for count in (1, 2, 5, 16):
        assert torch.equal(rows(frames[:count]), rows(frames)[:count])


@packs
def test_only_layers_that_become_faster_are_replaced() -> None:
    network = nn.ModuleDict(
        {
            "many": convolution(4, FEWEST_CHANNELS),
            "few": convolution(4, FEWEST_CHANNELS - 1),
            "in bfloat16": convolution(4, FEWEST_CHANNELS).to(torch.bfloat16),
            "of large maps": nn.Conv2d(4, FEWEST_CHANNELS, 3, 1, 1),
        }
    )
    pack_layers(network)
    assert [name for name, layer in network.items() if isinstance(layer, PackedRows)] == ["many"]


@pytest.mark.parametrize("side", [16, 17, 44, 88])
def test_the_first_layer_is_the_convolution_over_five_frames(side: int) -> None:
    torch.manual_seed(1)
    layer = nn.Conv3d(1, 12, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False)
    norm = nn.BatchNorm3d(12).eval()
    norm.running_mean, norm.running_var = torch.randn(12), torch.rand(12) + 0.5
    clips = [torch.randn(frames, side, side) for frames in (1, 6, 3)]
    with torch.inference_mode():
        plain = torch.cat([norm(layer(clip[None, None]))[0].transpose(0, 1) for clip in clips])
        first = FirstLayer(layer, norm)
        ours = first([F.pad(clip, (0, 0, 0, 0, AROUND, AROUND)) for clip in clips])
    assert difference(ours, plain) < ROUNDING
