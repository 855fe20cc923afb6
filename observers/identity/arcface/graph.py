"""From the graph of an ONNX file that PyTorch wrote of an ArcFace ResNet to the tensors of our network.

Tensors of such files have numbers for names, so they are told by the operation that uses them and by their order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tlbench.checkpoints.onnx_file import OnnxGraph, OnnxNode
from tlbench.errors import quoted, shortened

from .dims import Dims

_NO_NUMBERS = ("Add", "Flatten", "Dropout", "Identity", "Constant", "Reshape", "Shape")  # operations without tensors


@dataclass
class _Layer:
    """One operation that has numbers."""

    kind: str
    tensors: list[Tensor]
    strides: bool = False


@dataclass
class _Block:
    """The layers of one block."""

    before: list[Tensor]
    convolutions: list[_Layer] = field(default_factory=list)
    prelus: list[Tensor] = field(default_factory=list)

    @property
    def around(self) -> list[_Layer]:
        """The convolution of the way around, if there is one."""
        return [one for one in self.convolutions if one.tensors[0].shape[-1] == 1]

    @property
    def main(self) -> list[_Layer]:
        """The others."""
        return [one for one in self.convolutions if one.tensors[0].shape[-1] != 1]


def network_tensors(graph: OnnxGraph) -> tuple[Dims, dict[str, Tensor]]:
    """The dimensions of the network and its state dict.

    Raises
    ------
    ValueError
        If the graph is not that of such a ResNet.
    """
    layers = _layers(graph)
    kinds = [layer.kind for layer in layers]
    if kinds[:2] != ["Conv", "PRelu"] or kinds[-2:] != ["BatchNormalization", "Gemm"]:
        raise ValueError(f"its layers begin with {', '.join(kinds[:2])} and end with {', '.join(kinds[-2:])}")
    first, prelu, *middle, last, linear = layers
    blocks = _blocks(middle)
    state = {**_named("first", first.tensors), "prelu.weight": prelu.tensors[0]}
    counts: list[int] = []
    channels: list[int] = []
    for number, block in enumerate(blocks):
        if len(block.main) != 2 or len(block.prelus) != 1 or len(block.around) > 1 or (not number and not block.around):
            raise ValueError(f"block {number + 1} is no block of an ArcFace ResNet")
        if [one.strides for one in block.main] != [False, bool(block.around)]:
            raise ValueError(f"block {number + 1} strides elsewhere than an ArcFace ResNet's")
        if block.around:
            counts.append(0)
            channels.append(len(block.main[0].tensors[0]))
            state |= _named(f"blocks.{number}.around", block.around[0].tensors)
        counts[-1] += 1
        state |= {f"blocks.{number}.before.scale": block.before[0], f"blocks.{number}.before.shift": block.before[1]}
        state |= _named(f"blocks.{number}.first", block.main[0].tensors)
        state |= _named(f"blocks.{number}.second", block.main[1].tensors)
        state[f"blocks.{number}.prelu.weight"] = block.prelus[0]
    state |= {"last.scale": last.tensors[0], "last.shift": last.tensors[1], **_named("linear", linear.tensors)}
    return Dims(tuple(counts), tuple(channels), len(linear.tensors[0])), state


def _blocks(layers: list[_Layer]) -> list[_Block]:
    blocks: list[_Block] = []
    for layer in layers:
        if layer.kind == "BatchNormalization":
            blocks.append(_Block(layer.tensors))
        elif not blocks or layer.kind not in ("Conv", "PRelu"):
            raise ValueError(f"a {layer.kind} where a block begins or in it")
        elif layer.kind == "Conv":
            blocks[-1].convolutions.append(layer)
        else:
            blocks[-1].prelus.append(layer.tensors[0])
    return blocks


def _layers(graph: OnnxGraph) -> list[_Layer]:
    """The layers in order, each batch normalisation that follows a convolution or the last layer computed into it."""
    layers: list[_Layer] = []
    giving: dict[str, _Layer] = {}  # the layer that gives an output
    for node in graph.nodes:
        if node.kind in _NO_NUMBERS:
            continue
        own = [graph.tensors[name] for name in node.inputs[1:] if name in graph.tensors]
        axes = [tensor.dim() for tensor in own]
        if node.kind == "Conv" and axes in ([4], [4, 1]):
            bias = own[1] if len(own) == 2 else torch.zeros(len(own[0]))
            layer = _Layer("Conv", [own[0], bias], _strides(node))
        elif node.kind == "PRelu" and len(own) == 1:
            layer = _Layer("PRelu", [own[0].flatten()])
        elif node.kind == "Gemm" and axes == [2, 1] and node.numbers.get("transB") == 1:
            layer = _Layer("Gemm", own)
        elif node.kind == "BatchNormalization" and axes == [1] * 4 and len({len(one) for one in own}) == 1:
            scale, shift = _scale_and_shift(own, node)
            before = giving.get(node.inputs[0])
            if before is not None:
                before.tensors = _computed_into(before.tensors, scale, shift)
                continue
            layer = _Layer("BatchNormalization", [scale.float(), shift.float()])
        else:
            raise ValueError(f"an operation {quoted(node.kind)} that no ArcFace ResNet has")
        layers.append(layer)
        if layer.kind in ("Conv", "Gemm"):
            giving |= dict.fromkeys(node.outputs, layer)
    return layers


def _strides(node: OnnxNode) -> bool:
    strides = node.numbers.get("strides", (1, 1))
    if strides not in ((1, 1), (2, 2)) or node.numbers.get("group", 1) != 1:
        raise ValueError(
            f"a convolution of strides {shortened(str(strides))} or in groups, which no ArcFace ResNet has"
        )
    return strides == (2, 2)


def _scale_and_shift(tensors: list[Tensor], node: OnnxNode) -> tuple[Tensor, Tensor]:
    """Batch normalisation as ``scale * x + shift``, in float64."""
    weight, bias, mean, variance = (tensor.double() for tensor in tensors)
    epsilon = node.numbers.get("epsilon", 1e-5)
    if not isinstance(epsilon, float):
        raise ValueError("a batch normalisation whose epsilon is no number")
    scale = weight / torch.sqrt(variance + epsilon)
    return scale, bias - mean * scale


def _computed_into(layer: list[Tensor], scale: Tensor, shift: Tensor) -> list[Tensor]:
    weight, bias = layer
    if len(weight) != len(scale) or len(bias) != len(scale):
        raise ValueError(f"a batch normalisation of {len(scale)} channels behind a layer of {len(weight)}")
    wide = scale.view(-1, *[1] * (weight.dim() - 1))
    return [(weight.double() * wide).float(), (bias.double() * scale + shift).float()]


def _named(name: str, tensors: list[Tensor]) -> dict[str, Tensor]:
    return {f"{name}.weight": tensors[0], f"{name}.bias": tensors[1]}
