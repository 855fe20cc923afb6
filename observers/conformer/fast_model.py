"""The Conformer for inference: the numbers of :mod:`.model` to rounding, in less time, for several clips at once.

Visual front end: batch normalisation is fused into the convolutions (except the one between the two blocks of a layer,
whose input is also used as it is), memory is channels-last, and frames are computed a few at a time, so that
intermediate values stay in the processor's cache. First layer: :mod:`tlbench.observing.first_layer`.

Encoder and decoder: the frames of all clips are concatenated, so that matrix products are large and nothing is padded
or masked (:mod:`tlbench.observing.joined_encoder`); the decoder's attention is computed clip by clip. (The original
pads a batch, and its convolutions see the padding after a clip's end: ``paper`` means its batches of one clip.) The
layers share their weights with the :mod:`.model` they are made from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.observing.espnet_layers import Attention, DecoderBlock, positions
from tlbench.observing.first_layer import AROUND, FirstLayer
from tlbench.observing.fused_layers import conv2d, fuse, scale_and_shift
from tlbench.observing.joined_encoder import JoinedBlocks, heads_of, rows_of
from tlbench.observing.precision import exact_products
from tlbench.observing.small_maps import SmallMapConv2d

from .model import Decoder, Encoder, ResNetLayer, VisualFrontend
from .view import MEAN, STD

FRAMES_A_PASS = 32  # best of 4, 8, 16, 32, 64 on a CPU
MAX_PARALLEL_PASSES = 4  # each needs about 100 MB; with more cores a pass gets several

Piece: TypeAlias = tuple[Tensor, int, int]  # a clip's crops, first frame, frame after the last


def normalise(crops: Tensor) -> Tensor:
    """uint8 to float32, in the order of operations of ``evaluation/teacher_force_wer.py`` (Sxjdwang/TalkLip)."""
    return (crops / 255.0 - MEAN) / STD


class _FusedLayer(nn.Module):
    """A :class:`.model.ResNetLayer`."""

    between_scale: Tensor
    between_shift: Tensor
    last_scale: Tensor

    def __init__(self, layer: ResNetLayer, small_maps: bool) -> None:
        super().__init__()
        kind = SmallMapConv2d if small_maps else nn.Conv2d
        self.first = conv2d(*fuse(layer.conv1a.weight, None, layer.bn1a), layer.stride, 1, kind)
        self.second = conv2d(layer.conv2a.weight, None, 1, 1, kind)
        self.shortcut = conv2d(layer.downsample.weight, None, layer.stride, 0) if layer.stride > 1 else None
        self.third = conv2d(*fuse(layer.conv1b.weight, None, layer.bn1b), 1, 1, kind)
        self.fourth = conv2d(*fuse(layer.conv2b.weight, None, layer.outbnb), 1, 1, kind)
        between_scale, between_shift = scale_and_shift(layer.outbna)
        last_scale, _ = scale_and_shift(layer.outbnb)
        self.register_buffer("between_scale", between_scale.float()[:, None, None])
        self.register_buffer("between_shift", between_shift.float()[:, None, None])
        self.register_buffer("last_scale", last_scale.float()[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        stream = self.second(self.first(x).relu_())
        stream += x if self.shortcut is None else self.shortcut(x)
        x = torch.addcmul(self.between_shift, stream, self.between_scale).relu_()
        x = self.fourth(self.third(x).relu_())
        return x.addcmul_(stream, self.last_scale).relu_()


class FusedFrontend(nn.Module):
    """A :class:`.model.VisualFrontend` with fused layers; it has its own weights."""

    def __init__(self, frontend: VisualFrontend) -> None:
        super().__init__()
        first, norm = frontend.frontend3D[0], frontend.frontend3D[1]
        self.first = FirstLayer(first, norm)
        resnet = frontend.resnet
        layers = (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4)
        self.layers = nn.Sequential(*(_FusedLayer(layer, layer is resnet.layer4) for layer in layers))

    def forward(self, clips: Sequence[Tensor]) -> list[Tensor]:
        """Each clip's (T, 112, 112) uint8 crops, on any device, to its (T, 512) features on the network's device."""
        device = self.first.device
        with exact_products(device), _workers(device) as workers:
            features = torch.cat(list(workers.map(self._features, _passes(clips))))
        return list(torch.split(features, [len(crops) for crops in clips]))

    @torch.inference_mode()  # it holds for the calling thread only, so it is set here
    def _features(self, pieces: Sequence[Piece]) -> Tensor:
        """(n, 512) of all frames of the pieces."""
        x = self.first([_with_neighbours(*piece, self.first.device) for piece in pieces])  # (n, 64, 56, 56)
        x = F.max_pool2d(x, 3, 2, 1).relu_()
        return self.layers(x).mean(dim=(2, 3))  # type: ignore[no-any-return]


def _workers(device: torch.device) -> ThreadPoolExecutor:
    """The threads that compute the passes: on a CPU several passes at a time, each on cores of its own.

    All cores on one pass would wait for each other after each product, very long if other processes use the machine.
    """
    threads = torch.get_num_threads()
    count = min(threads, MAX_PARALLEL_PASSES) if device.type == "cpu" else 1
    # set_num_threads applies to the calling thread: the main thread's number does not change.
    return ThreadPoolExecutor(count, "conformer", torch.set_num_threads, (threads // count,))


def _passes(clips: Sequence[Tensor]) -> Iterator[list[Piece]]:
    """The frames of all clips in passes of :data:`FRAMES_A_PASS`."""
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


def _with_neighbours(crops: Tensor, start: int, stop: int, device: torch.device) -> Tensor:
    """(stop - start + 4, 112, 112): the frames and their neighbours, zeros (after normalising) outside the clip."""
    first, last = max(0, start - AROUND), min(len(crops), stop + AROUND)
    around = normalise(crops[first:last].to(device))
    before, after = first - (start - AROUND), stop + AROUND - last
    return F.pad(around, (0, 0, 0, 0, before, after))


class JoinedEncoder(nn.Module):
    """An :class:`.model.Encoder`."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.of = encoder
        self.blocks = JoinedBlocks(encoder.encoders, encoder.dims.width, encoder.dims.kernel)

    @torch.inference_mode()
    def forward(self, clips: Sequence[Tensor]) -> list[Tensor]:
        """Each clip's (L, 512) features, with its padding frames, to (L, 256)."""
        lengths = [len(features) for features in clips]
        x = self.of.embed(torch.cat(list(clips))) * math.sqrt(self.of.dims.width)
        return list(self.of.after_norm(self.blocks(x, lengths)).split(lengths))


@dataclass(frozen=True)
class ClipMemory:
    """A clip's keys and values for each decoder block's attention to the encoding, (1, heads, L, 64)."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    @property
    def frames(self) -> int:
        return self.keys[0].shape[2]


class PrefixCache:
    """Each block's keys and values of the n characters of every prefix, (prefixes, heads, n, 64)."""

    def __init__(self, blocks: int) -> None:
        self.keys: list[Tensor | None] = [None] * blocks
        self.values: list[Tensor | None] = [None] * blocks

    def add(self, block: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append one character's (prefixes, heads, 1, 64); returns all keys and values of this block."""
        before_k, before_v = self.keys[block], self.values[block]
        if before_k is not None and before_v is not None:
            key, value = torch.cat([before_k, key], 2), torch.cat([before_v, value], 2)
        self.keys[block], self.values[block] = key, value
        return key, value

    def follow(self, parents: Tensor) -> None:
        """Replace prefix i by prefix ``parents[i]``."""
        self.keys = [None if rows is None else rows[parents] for rows in self.keys]
        self.values = [None if rows is None else rows[parents] for rows in self.values]


class JoinedDecoder(nn.Module):
    """A :class:`.model.Decoder`."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.of = decoder
        self.blocks = [block for block in decoder.decoders if isinstance(block, DecoderBlock)]

    @torch.inference_mode()
    def memory(self, clips: Sequence[Tensor]) -> list[ClipMemory]:
        """The keys and values of each clip's (L, 256) encoding."""
        heads = self.of.dims.heads
        lengths = [len(encoded) for encoded in clips]
        rows = torch.cat(list(clips))
        keys = [block.src_attn.linear_k(rows).split(lengths) for block in self.blocks]
        values = [block.src_attn.linear_v(rows).split(lengths) for block in self.blocks]
        return [
            ClipMemory(
                tuple(heads_of(rows, heads) for rows in own_keys), tuple(heads_of(rows, heads) for rows in own_values)
            )
            for own_keys, own_values in zip(zip(*keys, strict=True), zip(*values, strict=True), strict=True)
        ]

    @torch.inference_mode()
    def teacher_forced(self, prefixes: Sequence[Tensor], memory: Sequence[ClipMemory]) -> list[Tensor]:
        """(n, 40) logits of the next character at each position of a clip's (n,) int64 prefix, which starts with 39."""
        lengths = [len(prefix) for prefix in prefixes]
        rows = torch.cat(list(prefixes))
        indices = torch.cat([torch.arange(length, device=rows.device) for length in lengths])
        x = self._embed(rows, indices)
        for number, block in enumerate(self.blocks):
            x = x + self._self_attention(block.self_attn, block.norm1(x), lengths)
            x = x + self._cross_attention(block.src_attn, number, block.norm2(x), memory, lengths)
            x = x + block.feed_forward(block.norm3(x))
        return list(torch.split(self._scores(x), lengths))

    @torch.inference_mode()
    def step(
        self, characters: Tensor, position: int, cache: PrefixCache, memory: Sequence[ClipMemory], counts: list[int]
    ) -> Tensor:
        """The logits of the character after every prefix of every clip.

        Parameters
        ----------
        characters : (R,) int64
            The last character of each prefix.
        position : int
            Its index.
        cache : PrefixCache
            Of the characters before; the last characters are added.
        memory : sequence of ClipMemory
            Of each clip.
        counts : list of int
            Number of prefixes of each clip, R in all; the prefixes of a clip are consecutive.

        Returns
        -------
        (R, 40) float32
        """
        x = self._embed(characters, torch.tensor([position], device=characters.device))
        for number, block in enumerate(self.blocks):
            attention, y = block.self_attn, block.norm1(x)
            # (R, heads, 1, 64): each prefix is one item of a batch
            q, k, v = (
                linear(y).view(len(y), attention.heads, 1, -1)
                for linear in (attention.linear_q, attention.linear_k, attention.linear_v)
            )
            found = F.scaled_dot_product_attention(q, *cache.add(number, k, v))
            x = x + attention.linear_out(found.flatten(1))
            x = x + self._cross_attention(block.src_attn, number, block.norm2(x), memory, counts)
            x = x + block.feed_forward(block.norm3(x))
        return self._scores(x)

    def _embed(self, characters: Tensor, indices: Tensor) -> Tensor:
        """(n, 256) embeddings of (n,) characters at (n,) positions, or all at one position."""
        width = self.of.dims.width
        x = self.of.embed(characters) * math.sqrt(width)
        return x + positions(indices, width).to(x.dtype)  # type: ignore[no-any-return]

    def _scores(self, x: Tensor) -> Tensor:
        """(n, 40) logits; the output layer computes in float32."""
        last = self.of.output_layer
        return last(self.of.after_norm(x).to(last.weight.dtype))  # type: ignore[no-any-return]

    def _self_attention(self, attention: Attention, x: Tensor, lengths: list[int]) -> Tensor:
        parts = (linear(x).split(lengths) for linear in (attention.linear_q, attention.linear_k, attention.linear_v))
        found = []
        for own in zip(*parts, strict=True):
            q, k, v = (heads_of(rows, attention.heads) for rows in own)
            found.append(rows_of(F.scaled_dot_product_attention(q, k, v, is_causal=True)))
        return attention.linear_out(torch.cat(found))  # type: ignore[no-any-return]

    def _cross_attention(
        self, attention: Attention, block: int, x: Tensor, memory: Sequence[ClipMemory], lengths: list[int]
    ) -> Tensor:
        found = [
            rows_of(F.scaled_dot_product_attention(heads_of(q, attention.heads), clip.keys[block], clip.values[block]))
            for q, clip in zip(attention.linear_q(x).split(lengths), memory, strict=True)
        ]
        return attention.linear_out(torch.cat(found))  # type: ignore[no-any-return]
