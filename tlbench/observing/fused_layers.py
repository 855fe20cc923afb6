"""Batch normalisation fused into the convolution or linear layer before it, for inference.

torch has ``torch.nn.utils.fusion.fuse_conv_bn_eval``, which computes in the layer's own precision. Here the factors are
computed in float64 and rounded once, which keeps the fused networks closer to the originals; the observers' numbers
depend on this to the last bit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


def scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Batch normalisation as ``scale * x + shift``: two (channels,) float64 tensors."""
    assert isinstance(norm, BatchNorm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale, norm.bias.double() - norm.running_mean.double() * scale


def fuse(weight: Tensor, bias: Tensor | None, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight (out, ...) and bias (out,) of a layer together with the batch normalisation after it, float64."""
    assert isinstance(norm, BatchNorm)
    assert norm.running_mean is not None
    scale, shift = scale_and_shift(norm)
    fused = weight.double() * scale.view(-1, *[1] * (weight.dim() - 1))
    if bias is None:
        return fused, shift
    return fused, (bias.double() - norm.running_mean.double()) * scale + norm.bias.double()


def conv2d(
    weight: Tensor, bias: Tensor | None, stride: int, padding: int, kind: type[nn.Conv2d] = nn.Conv2d
) -> nn.Conv2d:
    """A convolution in float32 with this (out, in, k, k) weight and this bias, in channels-last memory."""
    out, channels, size, _ = weight.shape
    layer = kind(channels, out, size, stride, padding, bias=bias is not None)
    layer.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    return layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A linear layer in float32 with this (out, in) weight and this bias."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer
