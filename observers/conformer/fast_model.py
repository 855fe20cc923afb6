"""Encoder and decoder for inference: several clips at once, each to rounding as by itself.

Clips stand one behind the other in one row of frames, so that every matrix product is a large one and nothing is
padded and masked. Only what looks along time knows where a clip ends: attention is computed clip by clip, and between
two clips stand as many zeros as the convolution reaches. (The original pads a batch, and there a clip's end sees the
padding: ``paper`` means its batches of one.)

The layers' weights are those of the :mod:`.model` they are built from, not copies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from .model import (
    Attention,
    ConvolutionModule,
    Decoder,
    DecoderBlock,
    Encoder,
    EncoderBlock,
    RelativeAttention,
    positions,
    relative_positions,
)


def _heads(rows: Tensor, count: int) -> Tensor:
    """(n, 256) to (1, heads, n, 64), a view."""
    return rows.view(len(rows), count, -1).transpose(0, 1)[None]


def _rows(heads: Tensor) -> Tensor:
    """The inverse."""
    return heads[0].transpose(0, 1).flatten(1)


class _PackedRelativeAttention(nn.Module):
    def __init__(self, attention: RelativeAttention) -> None:
        super().__init__()
        self.of = attention

    def forward(self, x: Tensor, distances: Tensor, lengths: list[int]) -> Tensor:
        """(n, 256) rows; ``distances`` of the longest clip."""
        heads = self.of.heads
        q, k, v = self.of.linear_q(x), self.of.linear_k(x), self.of.linear_v(x)
        by_content = (q + self.of.pos_bias_u.flatten()).split(lengths)
        scale = self.of.pos_bias_v.shape[1] ** -0.5  # a power of two as published: exact
        by_distance = ((q + self.of.pos_bias_v.flatten()) * scale).split(lengths)
        p = self.of.linear_pos(distances)
        middle = len(p) // 2  # distance 0
        found = []
        for one, other, key, value in zip(by_content, by_distance, k.split(lengths), v.split(lengths), strict=True):
            length = len(one)
            own = _heads(p[middle - length + 1 : middle + length], heads)
            # Row i of (T, 2 T - 1) is read from column T - 1 - i on: a view with shorter rows, no copy.
            products = torch.matmul(_heads(other, heads), own.transpose(-2, -1)).contiguous()
            wide = 2 * length - 1
            bias = products.as_strided((1, heads, length, length), (0, length * wide, wide - 1, 1), length - 1)
            own_q, own_k, own_v = (_heads(rows, heads) for rows in (one, key, value))
            found.append(_rows(F.scaled_dot_product_attention(own_q, own_k, own_v, bias)))
        return self.of.linear_out(torch.cat(found))  # type: ignore[no-any-return]


class _PackedConvolution(nn.Module):
    """Batch normalisation is part of the kernels."""

    kernel: Tensor
    bias: Tensor

    def __init__(self, module: ConvolutionModule) -> None:
        super().__init__()
        self.of = module
        norm, convolution = module.norm, module.depthwise_conv
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert convolution.bias is not None
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        bias = (convolution.bias.double() - norm.running_mean.double()) * scale + norm.bias.double()
        self.register_buffer("kernel", (convolution.weight.double() * scale[:, None, None]).float())
        self.register_buffer("bias", bias.float())

    def forward(self, x: Tensor, places: Tensor, spread: int) -> Tensor:
        """(n, 256) rows; ``places`` (n,) says where each stands in a row of ``spread`` with zeros between clips."""
        first, last = self.of.pointwise_conv1, self.of.pointwise_conv2
        gated = F.glu(F.linear(x, first.weight[..., 0], first.bias))
        width, _, size = self.kernel.shape
        apart = gated.new_zeros(width, spread)
        apart[:, places + size // 2] = gated.T
        mixed = F.conv1d(apart[None], self.kernel, self.bias, groups=width)[0, :, places]
        return F.linear(F.silu(mixed.T), last.weight[..., 0], last.bias)


class _PackedEncoderBlock(nn.Module):
    def __init__(self, block: EncoderBlock) -> None:
        super().__init__()
        self.of = block
        self.attention = _PackedRelativeAttention(block.self_attn)
        self.convolution = _PackedConvolution(block.conv_module)

    def forward(self, x: Tensor, distances: Tensor, lengths: list[int], places: Tensor, spread: int) -> Tensor:
        of = self.of
        x = x + 0.5 * of.feed_forward_macaron(of.norm_ff_macaron(x))
        x = x + self.attention(of.norm_mha(x), distances, lengths)
        x = x + self.convolution(of.norm_conv(x), places, spread)
        x = x + 0.5 * of.feed_forward(of.norm_ff(x))
        return of.norm_final(x)  # type: ignore[no-any-return]


class PackedEncoder(nn.Module):
    """An :class:`.model.Encoder`."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.of = encoder
        blocks = [block for block in encoder.encoders if isinstance(block, EncoderBlock)]
        self.blocks = nn.ModuleList(map(_PackedEncoderBlock, blocks))

    @torch.inference_mode()
    def forward(self, clips: Sequence[Tensor]) -> list[Tensor]:
        """Each clip's (L, 512) features, its own padding included, to (L, 256)."""
        dims = self.of.dims
        reach = dims.kernel // 2  # of the convolution, to each side, in frames
        lengths = [len(features) for features in clips]
        x = self.of.embed(torch.cat(list(clips))) * math.sqrt(dims.width)
        distances = relative_positions(max(lengths), dims.width).to(x)
        gaps = torch.arange(len(clips)).repeat_interleave(torch.tensor(lengths)) * reach
        places = (torch.arange(len(x)) + gaps).to(x.device)
        spread = len(x) + (len(clips) + 1) * reach
        for block in self.blocks:
            x = block(x, distances, lengths, places, spread)
        return list(self.of.after_norm(x).split(lengths))


@dataclass(frozen=True)
class Seen:
    """What the decoder looks at in a clip: keys and values, (1, heads, L, 64), of each of its blocks."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    @property
    def frames(self) -> int:
        return self.keys[0].shape[2]


class Said:
    """Keys and values, (rows, heads, n, 64), of each block for the n characters that each row of prefixes has said."""

    def __init__(self, blocks: int) -> None:
        self.keys: list[Tensor | None] = [None] * blocks
        self.values: list[Tensor | None] = [None] * blocks

    def add(self, block: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """One more character's (rows, heads, 1, 64); returns all of this block."""
        before_k, before_v = self.keys[block], self.values[block]
        if before_k is not None and before_v is not None:
            key, value = torch.cat([before_k, key], 2), torch.cat([before_v, value], 2)
        self.keys[block], self.values[block] = key, value
        return key, value

    def follow(self, parents: Tensor) -> None:
        """From now on row i goes on from what was row ``parents[i]``."""
        self.keys = [None if kept is None else kept[parents] for kept in self.keys]
        self.values = [None if kept is None else kept[parents] for kept in self.values]


class PackedDecoder(nn.Module):
    """A :class:`.model.Decoder`."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.of = decoder
        self.blocks = [block for block in decoder.decoders if isinstance(block, DecoderBlock)]

    @torch.inference_mode()
    def look(self, clips: Sequence[Tensor]) -> list[Seen]:
        """What there is to see in each clip's (L, 256) encoding."""
        heads = self.of.dims.heads
        lengths = [len(encoded) for encoded in clips]
        rows = torch.cat(list(clips))
        keys = [block.src_attn.linear_k(rows).split(lengths) for block in self.blocks]
        values = [block.src_attn.linear_v(rows).split(lengths) for block in self.blocks]
        return [
            Seen(tuple(_heads(rows, heads) for rows in own_keys), tuple(_heads(rows, heads) for rows in own_values))
            for own_keys, own_values in zip(zip(*keys, strict=True), zip(*values, strict=True), strict=True)
        ]

    @torch.inference_mode()
    def force(self, prefixes: Sequence[Tensor], seen: Sequence[Seen]) -> list[Tensor]:
        """(n, 40) logits of what follows each beginning of each clip's (n,) int64 prefix, which begins with 39."""
        lengths = [len(prefix) for prefix in prefixes]
        rows = torch.cat(list(prefixes))
        indices = torch.cat([torch.arange(length, device=rows.device) for length in lengths])
        x = self._begin(rows, indices)
        for number, block in enumerate(self.blocks):
            x = x + self._look_back(block.self_attn, block.norm1(x), lengths)
            x = x + self._look(block.src_attn, number, block.norm2(x), seen, lengths)
            x = x + block.feed_forward(block.norm3(x))
        return list(torch.split(self._scores(x), lengths))

    @torch.inference_mode()
    def step(self, characters: Tensor, position: int, said: Said, seen: Sequence[Seen], rows: list[int]) -> Tensor:
        """One more character for every prefix of every clip.

        Parameters
        ----------
        characters : (R,) int64
            The last of each prefix.
        position : int
            How many came before it.
        said : Said
            Of those before; it is added to.
        seen : sequence of Seen
        rows : list of int
            How many consecutive prefixes belong to each clip; R in all.

        Returns
        -------
        (R, 40) float32
            Logits of what follows.
        """
        x = self._begin(characters, torch.tensor([position], device=characters.device))
        for number, block in enumerate(self.blocks):
            attention, y = block.self_attn, block.norm1(x)
            # (R, heads, 1, 64): here each prefix is a batch of its own
            q, k, v = (
                linear(y).view(len(y), attention.heads, 1, -1)
                for linear in (attention.linear_q, attention.linear_k, attention.linear_v)
            )
            found = F.scaled_dot_product_attention(q, *said.add(number, k, v))
            x = x + attention.linear_out(found.flatten(1))
            x = x + self._look(block.src_attn, number, block.norm2(x), seen, rows)
            x = x + block.feed_forward(block.norm3(x))
        return self._scores(x)

    def _begin(self, characters: Tensor, indices: Tensor) -> Tensor:
        """(n, 256) of (n,) characters at their places, (n,) or the same one for all."""
        width = self.of.dims.width
        x = self.of.embed(characters) * math.sqrt(width)
        return x + positions(indices, width).to(x.dtype)  # type: ignore[no-any-return]

    def _scores(self, x: Tensor) -> Tensor:
        """(n, 40) logits, float32 whatever the other layers compute in."""
        last = self.of.output_layer
        return last(self.of.after_norm(x).to(last.weight.dtype))  # type: ignore[no-any-return]

    def _look_back(self, attention: Attention, x: Tensor, lengths: list[int]) -> Tensor:
        parts = (linear(x).split(lengths) for linear in (attention.linear_q, attention.linear_k, attention.linear_v))
        found = []
        for own in zip(*parts, strict=True):
            q, k, v = (_heads(rows, attention.heads) for rows in own)
            found.append(_rows(F.scaled_dot_product_attention(q, k, v, is_causal=True)))
        return attention.linear_out(torch.cat(found))  # type: ignore[no-any-return]

    def _look(self, attention: Attention, block: int, x: Tensor, seen: Sequence[Seen], lengths: list[int]) -> Tensor:
        found = [
            _rows(F.scaled_dot_product_attention(_heads(q, attention.heads), clip.keys[block], clip.values[block]))
            for q, clip in zip(attention.linear_q(x).split(lengths), seen, strict=True)
        ]
        return attention.linear_out(torch.cat(found))  # type: ignore[no-any-return]
