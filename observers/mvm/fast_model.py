"""MVM for inference: the logits of :class:`.model.MVMModel` to rounding, in less time.

Batch normalisation is fused into the convolutions, except the one before each block, because the convolution after it
pads with zeros. Memory is channels-last. The contribution of each memory slot to the output is computed once. First
layer: :mod:`tlbench.observing.first_layer`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.observing.first_layer import AROUND, FirstLayer
from tlbench.observing.fused_layers import conv2d, fuse, linear, scale_and_shift
from tlbench.observing.precision import exact_products
from tlbench.observing.small_maps import SmallMapConv2d

from .model import (
    RADIUS,
    Branch,
    Memory,
    MVMModel,
    ResidualBlock,
    TemporalLayer,
    VisualFrontend,
)


class _Block(nn.Module):
    """A :class:`.model.ResidualBlock`."""

    scale: Tensor
    shift: Tensor
    slope: Tensor

    def __init__(self, block: ResidualBlock, small_maps: bool) -> None:
        super().__init__()
        before, first, norm, prelu, second, after = block.res_layer
        assert isinstance(first, nn.Conv2d)
        assert isinstance(prelu, nn.PReLU)
        assert isinstance(second, nn.Conv2d)
        scale, shift = scale_and_shift(before)
        self.register_buffer("scale", scale.float()[:, None, None])
        self.register_buffer("shift", shift.float()[:, None, None])
        self.register_buffer("slope", prelu.weight.clone())
        stride = second.stride[0]
        kind = SmallMapConv2d if small_maps else nn.Conv2d
        self.first = conv2d(*fuse(first.weight, None, norm), 1, 1, nn.Conv2d if stride > 1 else kind)
        self.second = conv2d(*fuse(second.weight, None, after), stride, 1, kind)
        self.shortcut: nn.Conv2d | None = None
        if block.shortcut_layer is not None:
            convolution, norm = block.shortcut_layer
            assert isinstance(convolution, nn.Conv2d)
            self.shortcut = conv2d(*fuse(convolution.weight, None, norm), stride, 0)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(torch.addcmul(self.shift, x, self.scale))
        y = self.second(F.prelu(y, self.slope))
        return y.add_(x if self.shortcut is None else self.shortcut(x))  # type: ignore[no-any-return]


class FusedFrontend(nn.Module):
    """A :class:`.model.VisualFrontend`."""

    slope: Tensor

    def __init__(self, front: VisualFrontend) -> None:
        super().__init__()
        first, norm, prelu, _ = front.frontend
        assert isinstance(prelu, nn.PReLU)
        self.first = FirstLayer(first, norm)
        self.register_buffer("slope", prelu.weight.clone())
        resnet = front.resnet
        pairs = (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4)
        self.blocks = nn.Sequential(
            *(_Block(block, pair is resnet.layer4) for pair in pairs for block in pair)  # type: ignore[arg-type]
        )
        norm, _, _, last, self.norm = resnet.out_layer
        assert isinstance(last, nn.Linear)
        scale, shift = scale_and_shift(norm)
        weight = last.weight.double().view(len(last.weight), len(scale), -1)  # (512, channels, 16)
        bias = last.bias.double() + (weight * shift[:, None]).sum(dim=(1, 2))
        weight = (weight * scale[:, None]).transpose(1, 2)  # channels last, like its input
        self.last = linear(weight.flatten(1), bias)

    def forward(self, crops: Tensor) -> Tensor:
        """(B, T, 112, 112) to (B, T, 512)."""
        # The first layer's output is 23 MB per clip. For several clips at once it would be newly allocated memory each
        # time, which takes half as long as the arithmetic.
        x = self.blocks(torch.cat([self._first_layer(clip) for clip in crops]))  # (n, 512, 4, 4)
        x = self.norm(self.last(x.movedim(1, -1).flatten(1)))
        return x.unflatten(0, crops.shape[:2])  # type: ignore[no-any-return]

    def _first_layer(self, clip: Tensor) -> Tensor:
        """(T, 112, 112) to (T, 64, 28, 28)."""
        x = F.prelu(self.first([F.pad(clip, (0, 0, 0, 0, AROUND, AROUND))]), self.slope)  # (T, 64, 56, 56)
        return F.max_pool2d(x, 3, 2, 1)


class _Recall(nn.Module):
    """A :class:`.model.Memory`. The contribution of each slot of each head to the output is computed once."""

    key: Tensor

    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self.query, self.heads = memory.q_embd, memory.heads
        key = F.normalize(memory.key.double().view(memory.heads, memory.slots, -1), dim=-1)
        self.register_buffer("key", (RADIUS * key).transpose(1, 2).float().contiguous())  # (heads, 64, slots)
        weight = memory.linear.weight.double().view(-1, memory.heads, memory.value.shape[1])  # (width, heads, 512)
        self.recall = linear((weight @ memory.value.double().T).flatten(1), memory.linear.bias)
        self.norm1, self.norm2 = memory.norm1, memory.norm2

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) features plus what the memory recalls for each frame."""
        query = F.normalize(self.query(x).unflatten(-1, (self.heads, -1)), dim=-1).flatten(0, 1)  # (B T, heads, 64)
        weights = torch.softmax((query.transpose(0, 1) @ self.key).transpose(0, 1), dim=-1)  # (B T, heads, slots)
        recalled = self.norm2(self.recall(weights.flatten(1)))
        return self.norm1(x + recalled.view(x.shape))  # type: ignore[no-any-return]


class _Branch(nn.Module):
    """A :class:`.model.Branch`."""

    def __init__(self, branch: Branch) -> None:
        super().__init__()
        scale, shift = scale_and_shift(branch.batchnorm)
        kernel, bias = branch.conv.weight, branch.conv.bias
        assert bias is not None
        out, channels, size = kernel.shape
        dilation = branch.conv.dilation[0]
        self.conv = nn.Conv1d(channels, out, size, padding=(size - 1) * dilation // 2, dilation=dilation)
        fused = {"weight": kernel.double() * scale[:, None, None], "bias": bias.double() * scale + shift}
        self.conv.load_state_dict(fused)
        self.prelu = branch.non_lin

    def forward(self, x: Tensor) -> Tensor:
        return self.prelu(self.conv(x))  # type: ignore[no-any-return]


class _Layer(nn.Module):
    """A :class:`.model.TemporalLayer`."""

    def __init__(self, layer: TemporalLayer) -> None:
        super().__init__()
        self.first = nn.ModuleList(map(_Branch, (layer.cbcr0_0, layer.cbcr0_1, layer.cbcr0_2)))
        self.second = nn.ModuleList(map(_Branch, (layer.cbcr1_0, layer.cbcr1_1, layer.cbcr1_2)))
        self.shortcut, self.prelu = layer.downsample, layer.relu_final

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([branch(x) for branch in self.first], dim=1)
        y = torch.cat([branch(y) for branch in self.second], dim=1)
        return self.prelu(y.add_(self.shortcut(x)))  # type: ignore[no-any-return]


class FastMVM(nn.Module):
    """A :class:`.model.MVMModel` without its audio front end, with fused layers."""

    def __init__(self, model: MVMModel) -> None:
        super().__init__()
        self.dims = model.dims
        self.frontend = FusedFrontend(model.v_front)
        self.memory = _Recall(model.mem)
        tcn = model.tcn.tcn.mb_ms_tcn
        self.layers = nn.ModuleList(map(_Layer, (tcn.layer1, tcn.layer2, tcn.layer3, tcn.layer4)))
        self.memories = nn.ModuleList(map(_Recall, (tcn.mem1, tcn.mem2, tcn.mem3)))
        self.output = model.tcn.tcn.tcn_output
        self.eval().requires_grad_(False)

    @torch.inference_mode()
    def forward(self, crops: Tensor) -> Tensor:
        """(B, 29, 112, 112) normalised crops, in the network's precision, to (B, 500) float32 logits."""
        with exact_products(crops.device):
            x = self.memory(self.frontend(crops)).transpose(1, 2)  # (B, 512, 29)
            for layer, memory in zip(self.layers, self.memories, strict=False):
                x = memory(layer(x).transpose(1, 2)).transpose(1, 2)
            x = self.layers[-1](x).mean(dim=2)
            return self.output(x.to(self.output.weight.dtype))  # type: ignore[no-any-return]
