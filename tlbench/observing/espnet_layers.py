"""Transformer and Conformer layers with the names of espnet, shared by the observers that descend from it.

After espnet 0.10.6 (``espnet/nets/pytorch_backend/transformer``, ``.../conformer``): state-dict names, masks and
epsilons are those of the original, and every step is computed as there.
:mod:`tlbench.observing.joined_encoder` computes the same encoder blocks for several clips at once. Widths in comments
are those of TalkLip's Conformer.

Gulati et al. 2020, "Conformer"; relative positions after Dai et al. 2019, "Transformer-XL", appendix B.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


@dataclass(frozen=True)
class BlockSizes:
    """Features, attention heads, and the width of the feed-forward layers of a block."""

    width: int
    heads: int
    hidden: int


def positions(indices: Tensor, width: int) -> Tensor:
    """Positional encodings (n, width) float32, alternating sines and cosines, of (n,) indices that may be negative."""
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * -(math.log(10000.0) / width))
    angles = indices.float()[:, None] * rates.to(indices.device)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def relative_positions(length: int, width: int) -> Tensor:
    """The encodings of the distances (query - key) from length - 1 down to 1 - length: (2 length - 1, width)."""
    return positions(torch.arange(length - 1, -length, -1), width)


class Attention(nn.Module):
    """Multi-head attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q = nn.Linear(width, width)
        self.linear_k = nn.Linear(width, width)
        self.linear_v = nn.Linear(width, width)
        self.linear_out = nn.Linear(width, width)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Queries (B, n, 256) attend to (B, m, 256) where ``mask``, (B, 1 or n, m) bool, is True."""
        q, k, v = self._heads(self.linear_q(x)), self._heads(self.linear_k(memory)), self._heads(self.linear_v(memory))
        return self._attend(q @ k.transpose(-2, -1), v, mask)

    def _attend(self, products: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        masked = ~mask[:, None]
        lowest = torch.finfo(products.dtype).min
        weights = torch.softmax((products / math.sqrt(v.shape[-1])).masked_fill(masked, lowest), dim=-1)
        found = weights.masked_fill(masked, 0.0) @ v  # (B, heads, n, 64)
        return self.linear_out(found.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _heads(self, x: Tensor) -> Tensor:
        """(B, n, 256) to (B, heads, n, 64)."""
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)


class RelativeAttention(Attention):
    """Self-attention with relative positions."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.linear_pos = nn.Linear(width, width, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(heads, width // heads))
        self.pos_bias_v = nn.Parameter(torch.zeros(heads, width // heads))

    def forward(self, x: Tensor, distances: Tensor, mask: Tensor) -> Tensor:
        """(B, T, 256) attends to itself; ``distances`` are from :func:`relative_positions`."""
        q, k, v = self._heads(self.linear_q(x)), self._heads(self.linear_k(x)), self._heads(self.linear_v(x))
        p = self._heads(self.linear_pos(distances)[None])  # (1, heads, 2 T - 1, 64)
        by_content = (q + self.pos_bias_u[:, None]) @ k.transpose(-2, -1)
        by_distance = (q + self.pos_bias_v[:, None]) @ p.transpose(-2, -1)
        return self._attend(by_content + _shifted(by_distance), v, mask)


def _shifted(by_distance: Tensor) -> Tensor:
    """(B, heads, T, 2 T - 1) by query and distance to (B, heads, T, T) by query and key."""
    length = by_distance.shape[2]
    query, key = torch.arange(length)[:, None], torch.arange(length)
    column = (length - 1 - query + key).to(by_distance.device)
    return by_distance.gather(-1, column.expand(*by_distance.shape[:2], length, length))


class FeedForward(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, width: int, hidden: int, between: nn.Module) -> None:
        super().__init__()
        self.w_1 = nn.Linear(width, hidden)
        self.w_2 = nn.Linear(hidden, width)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(self.between(self.w_1(x)))  # type: ignore[no-any-return]


class ConvolutionModule(nn.Module):
    """Gated linear unit, depthwise convolution over time, batch normalisation, SiLU, pointwise convolution.

    ``pointwise`` is what the names of the two pointwise convolutions start with: ``pointwise_conv`` in espnet,
    ``pointwise_cov`` in auto_avsr.
    """

    def __init__(self, width: int, kernel: int, pointwise: str) -> None:
        super().__init__()
        self._pointwise = pointwise
        setattr(self, f"{pointwise}1", nn.Conv1d(width, 2 * width, 1))
        self.depthwise_conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.BatchNorm1d(width)
        setattr(self, f"{pointwise}2", nn.Conv1d(width, width, 1))

    @property
    def pointwise(self) -> tuple[nn.Conv1d, nn.Conv1d]:
        """The first and the last convolution."""
        first, last = getattr(self, f"{self._pointwise}1"), getattr(self, f"{self._pointwise}2")
        return first, last

    def forward(self, x: Tensor, within: Tensor | None) -> Tensor:
        """(B, T, 256) to (B, T, 256). ``within``, (B, 1, T) bool, is False for padding, which becomes 0."""
        first, last = self.pointwise
        x = F.glu(first(x.transpose(1, 2)), dim=1)
        if within is not None:
            x = x.masked_fill(~within, 0.0)
        x = F.silu(self.norm(self.depthwise_conv(x)))
        return last(x).transpose(1, 2)  # type: ignore[no-any-return]


def layer_norm(width: int) -> nn.LayerNorm:
    """Layer normalisation with espnet's epsilon."""
    return nn.LayerNorm(width, eps=1e-12)  # espnet's transformer/layer_norm.py


class EncoderBlock(nn.Module):
    """Half a feed-forward step, attention, convolution, half a feed-forward step; each after a layer norm.

    Parameters
    ----------
    sizes : BlockSizes
    convolution : ConvolutionModule
        Of the same width.
    activation : callable
        Makes the activation of the feed-forward steps: SiLU in espnet's Conformer, ReLU in auto_avsr's.
    """

    def __init__(self, sizes: BlockSizes, convolution: ConvolutionModule, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        width = sizes.width
        self.self_attn = RelativeAttention(width, sizes.heads)
        self.feed_forward = FeedForward(width, sizes.hidden, activation())
        self.feed_forward_macaron = FeedForward(width, sizes.hidden, activation())
        self.conv_module = convolution
        self.norm_ff = layer_norm(width)
        self.norm_mha = layer_norm(width)
        self.norm_ff_macaron = layer_norm(width)
        self.norm_conv = layer_norm(width)
        self.norm_final = layer_norm(width)

    def forward(self, x: Tensor, distances: Tensor, mask: Tensor, within: Tensor | None) -> Tensor:
        x = x + 0.5 * self.feed_forward_macaron(self.norm_ff_macaron(x))
        x = x + self.self_attn(self.norm_mha(x), distances, mask)
        x = x + self.conv_module(self.norm_conv(x), within)
        x = x + 0.5 * self.feed_forward(self.norm_ff(x))
        return self.norm_final(x)  # type: ignore[no-any-return]


class DecoderBlock(nn.Module):
    """Self-attention to the prefix, attention to the encoding, feed-forward."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        width = sizes.width
        self.self_attn = Attention(width, sizes.heads)
        self.src_attn = Attention(width, sizes.heads)
        self.feed_forward = FeedForward(width, sizes.hidden, nn.ReLU())
        self.norm1 = layer_norm(width)
        self.norm2 = layer_norm(width)
        self.norm3 = layer_norm(width)

    def forward(self, x: Tensor, causal: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        prefix = self.norm1(x)
        x = x + self.self_attn(prefix, prefix, causal)
        x = x + self.src_attn(self.norm2(x), memory, mask)
        return x + self.feed_forward(self.norm3(x))  # type: ignore[no-any-return]
