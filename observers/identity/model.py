"""dlib's face network as a plain module: a ResNet of 29 layers, from an aligned face to 128 numbers.

The structure is that of davisking/dlib ``examples/dnn_face_recognition_ex.cpp``. Unlike other ResNets it pads nothing
where a stride halves a picture, the way around such a block is a mean of 2x2 pixels, and where both ways differ in
channels or pixels the smaller one is filled up with zeros. Every scale and shift is computed into the convolution
before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.observing.small_maps import SmallMapConv2d

from .likeness import DIMENSIONS

MEANS, SCALE = (122.782, 117.001, 104.298), 256.0  # of red, green, blue; `input_rgb_image_sized` of dlib/dnn/input.h
_SMALL_MAPS = 256  # channels, of the blocks that make 4x4 pixels and fewer
_BLOCKS = ((32, 3), (64, 4), (128, 3), (256, 3), (256, 1))  # channels and number; the first of each but 32 halves


class Residual(nn.Module):
    """Two convolutions and the way around them."""

    def __init__(self, channels: int, out: int, *, halves: bool) -> None:
        super().__init__()
        kind = SmallMapConv2d if out == _SMALL_MAPS else nn.Conv2d
        self.first = kind(channels, out, 3, 2 if halves else 1, 0 if halves else 1)
        self.second = kind(out, out, 3, 1, 1)
        self._halves = halves

    def forward(self, x: Tensor) -> Tensor:
        found = self.second(self.first(x).relu_())
        around = F.avg_pool2d(x, 2, 2) if self._halves else x
        shape = [max(sizes) for sizes in zip(found.shape[1:], around.shape[1:], strict=True)]
        return _filled(found, shape).add_(_filled(around, shape)).relu_()


class FaceNetwork(nn.Module):
    """Aligned faces to embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 7, 2)
        blocks: list[Residual] = []
        channels = 32
        for out, count in _BLOCKS:
            for number in range(count):
                blocks.append(Residual(channels, out, halves=number == 0 and len(blocks) > 0))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Linear(channels, DIMENSIONS, bias=False)

    def forward(self, chips: Tensor) -> Tensor:
        """(n, 3, 150, 150) of :func:`as_network_input` to (n, 128)."""
        x = F.max_pool2d(self.first(chips).relu_(), 3, 2)
        found: Tensor = self.last(self.blocks(x).mean((2, 3)))
        return found


def network_of(layers: Sequence[np.ndarray]) -> FaceNetwork:
    """The network with these parameters, ready for inference.

    Parameters
    ----------
    layers : sequence of (n,) float32
        Of each convolution (weights, then biases) and the scale and shift behind it, in turn; of the last layer
        (256 x 128) alone.

    Raises
    ------
    ValueError
        If they are not this network's.
    """
    network = FaceNetwork()
    convolutions = list(_convolutions(network))
    if len(layers) != 2 * len(convolutions) + 1:
        raise ValueError(f"{len(layers)} layers, the network has {2 * len(convolutions) + 1}")
    state = network.state_dict()
    for name, own, after in zip(convolutions, layers[::2], layers[1::2], strict=False):
        weight = state[f"{name}.weight"]
        scale, shift = torch.from_numpy(after.astype(np.float64)).chunk(2)
        values = torch.from_numpy(own.astype(np.float64))
        if len(values) != weight.numel() + len(weight) or len(scale) != len(weight):
            raise ValueError(f"{len(own)} and {len(after)} numbers for {name}, whose weights are {tuple(weight.shape)}")
        state[f"{name}.weight"] = (values[: weight.numel()].view_as(weight) * scale[:, None, None, None]).float()
        state[f"{name}.bias"] = (values[weight.numel() :] * scale + shift).float()
    last = state["last.weight"]
    state["last.weight"] = torch.from_numpy(layers[-1].copy()).view(last.T.shape).T.contiguous()
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def as_network_input(chips: Tensor) -> Tensor:
    """(n, 150, 150, 3) uint8 RGB to (n, 3, 150, 150) float32."""
    means = torch.tensor(MEANS, device=chips.device)
    return ((chips.float() - means) / SCALE).movedim(-1, 1)


def _convolutions(network: FaceNetwork) -> Iterator[str]:
    """Names of the convolutions in the order of the network."""
    return (name for name, module in network.named_modules() if isinstance(module, nn.Conv2d))


def _filled(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Filled up with zeros to (channels, height, width)."""
    missing = [wanted - own for wanted, own in zip(shape, x.shape[1:], strict=True)]
    return F.pad(x, (0, missing[2], 0, missing[1], 0, missing[0])) if any(missing) else x
