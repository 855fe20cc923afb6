"""The visual front end for inference: the numbers of :class:`.model.VisualFrontend` to rounding, in less time.

What makes the difference: batch normalisation is part of the convolutions' weights (but for the one between the two
blocks of a layer, whose input is also passed on as it is), the first layer slides over 5 frames as if they were
channels, channels come last in memory, and frames go through a few at a time so that what lies between two layers
stays near the processor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.observing.precision import exact_products

from .model import ResNetLayer, VisualFrontend
from .view import MEAN, STD

FRAMES_SEEN = 5  # by the first layer, at each instant
AROUND = FRAMES_SEEN // 2
FRAMES_A_PASS = 32  # best of 4, 8, 16, 32, 64 on a CPU
PASSES_SIDE_BY_SIDE = 4  # at most: each holds some 100 MB; on more cores a pass gets several

Piece: TypeAlias = tuple[Tensor, int, int]  # a clip's crops, and from where to where


def normalised(crops: Tensor) -> Tensor:
    """uint8 to float32, in the order of operations of ``evaluation/teacher_force_wer.py`` (Sxjdwang/TalkLip)."""
    return (crops / 255.0 - MEAN) / STD


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Batch normalisation as a factor and a summand for each channel, float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale, norm.bias.double() - norm.running_mean.double() * scale


def _convolution(kernel: Tensor, stride: int, padding: int, norm: nn.BatchNorm2d | None = None) -> nn.Conv2d:
    """(out, in, k, k) weights, with the normalisation behind them, channels last."""
    out, channels, size, _ = kernel.shape
    layer = nn.Conv2d(channels, out, size, stride, padding, bias=norm is not None)
    state = {"weight": kernel.double()}
    if norm is not None:
        scale, state["bias"] = _scale_and_shift(norm)
        state["weight"] = state["weight"] * scale[:, None, None, None]
    layer.load_state_dict(state)
    return layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


class _Layer(nn.Module):
    """A :class:`.model.ResNetLayer`."""

    between_scale: Tensor
    between_shift: Tensor
    last_scale: Tensor

    def __init__(self, layer: ResNetLayer) -> None:
        super().__init__()
        self.first = _convolution(layer.conv1a.weight, layer.stride, 1, layer.bn1a)
        self.second = _convolution(layer.conv2a.weight, 1, 1)
        self.shortcut = _convolution(layer.downsample.weight, layer.stride, 0) if layer.stride > 1 else None
        self.third = _convolution(layer.conv1b.weight, 1, 1, layer.bn1b)
        self.fourth = _convolution(layer.conv2b.weight, 1, 1, layer.outbnb)
        between_scale, between_shift = _scale_and_shift(layer.outbna)
        last_scale, _ = _scale_and_shift(layer.outbnb)
        self.register_buffer("between_scale", between_scale.float()[:, None, None])
        self.register_buffer("between_shift", between_shift.float()[:, None, None])
        self.register_buffer("last_scale", last_scale.float()[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        stream = self.second(self.first(x).relu_())
        stream += x if self.shortcut is None else self.shortcut(x)
        x = torch.addcmul(self.between_shift, stream, self.between_scale).relu_()
        x = self.fourth(self.third(x).relu_())
        return x.addcmul_(stream, self.last_scale).relu_()


class FoldedFrontend(nn.Module):
    """A :class:`.model.VisualFrontend`, folded once; holds weights of its own."""

    def __init__(self, frontend: VisualFrontend) -> None:
        super().__init__()
        first, norm = frontend.frontend3D[0], frontend.frontend3D[1]
        assert isinstance(first, nn.Conv3d)
        assert isinstance(norm, nn.BatchNorm2d)
        self.first = _convolution(first.weight[:, 0], 2, 3, norm)
        resnet = frontend.resnet
        self.layers = nn.Sequential(*map(_Layer, (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4)))

    def forward(self, clips: Sequence[Tensor]) -> list[Tensor]:
        """Each clip's (T, 112, 112) uint8 crops, on any device, to its (T, 512) features on the network's."""
        device = self.first.weight.device
        with exact_products(device), _workers(device) as workers:
            features = torch.cat(list(workers.map(self._see, _passes(clips))))
        return list(torch.split(features, [len(crops) for crops in clips]))

    @torch.inference_mode()  # holds for the thread that calls, so it is said here
    def _see(self, pieces: Sequence[Piece]) -> Tensor:
        """(n, 512) of all frames of the pieces."""
        windows = torch.cat([_windows(*piece, self.first.weight.device) for piece in pieces])  # (n, 112, 112, 5)
        x = self.first(windows.movedim(-1, 1).to(self.first.weight.dtype))  # (n, 64, 56, 56)
        x = F.max_pool2d(x, 3, 2, 1).relu_()
        return self.layers(x).mean(dim=(2, 3))  # type: ignore[no-any-return]


def _workers(device: torch.device) -> ThreadPoolExecutor:
    """Who computes the passes: on a CPU several at a time, each on a core of its own.

    All cores on one pass would have to meet after each of its products; where anything else runs on the machine, they
    then wait for each other most of the time.
    """
    threads = torch.get_num_threads()
    count = min(threads, PASSES_SIDE_BY_SIDE) if device.type == "cpu" else 1
    # PyTorch counts threads for each thread that calls it, so the caller's own number stays as it is.
    return ThreadPoolExecutor(count, "conformer", torch.set_num_threads, (threads // count,))


def _passes(clips: Sequence[Tensor]) -> Iterator[list[Piece]]:
    """All clips' frames in one row, as many at a time as make a pass."""
    waiting: list[Piece] = []
    room = FRAMES_A_PASS
    for crops in clips:
        start = 0
        while start < len(crops):
            stop = min(start + room, len(crops))
            waiting.append((crops, start, stop))
            room -= stop - start
            start = stop
            if not room:
                yield waiting
                waiting, room = [], FRAMES_A_PASS
    if waiting:
        yield waiting


def _windows(crops: Tensor, start: int, stop: int, device: torch.device) -> Tensor:
    """(stop - start, 112, 112, 5): the 5 frames around each, zeros (after normalising) beyond both ends of the clip."""
    first, last = max(0, start - AROUND), min(len(crops), stop + AROUND)
    around = normalised(crops[first:last].to(device))
    before, after = first - (start - AROUND), stop + AROUND - last
    return F.pad(around, (0, 0, 0, 0, before, after)).unfold(0, FRAMES_SEEN, 1)
