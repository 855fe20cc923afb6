"""The encoder blocks of :mod:`tlbench.observing.espnet_layers` for inference: several clips at once, without padding.

The frames of all clips are concatenated, so that matrix products are large and nothing is padded or masked. Attention
is computed clip by clip; zeros between two clips keep convolutions apart. Batch normalisation is fused into the
depthwise convolution. The blocks share their other weights with those they are made from. Results are those of each
clip alone, to rounding. Widths in comments are those of TalkLip's Conformer.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.observing.espnet_layers import ConvolutionModule, EncoderBlock, RelativeAttention, relative_positions
from tlbench.observing.fused_layers import fuse, linear


def heads_of(rows: Tensor, count: int) -> Tensor:
    """(n, 256) to (1, heads, n, 64), a view."""
    return rows.view(len(rows), count, -1).transpose(0, 1)[None]


def rows_of(heads: Tensor) -> Tensor:
    """(1, heads, n, 64) to (n, 256)."""
    return heads[0].transpose(0, 1).flatten(1)


class _JoinedRelativeAttention(nn.Module):
    def __init__(self, attention: RelativeAttention) -> None:
        super().__init__()
        self.of = attention

    def forward(self, x: Tensor, distances: Tensor, lengths: list[int]) -> Tensor:
        """(n, 256) rows of all clips; ``distances`` are the encoded relative positions of the longest clip."""
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
            own = heads_of(p[middle - length + 1 : middle + length], heads)
            # Row i of (T, 2 T - 1) starts at column T - 1 - i: a strided view, without a copy.
            products = torch.matmul(heads_of(other, heads), own.transpose(-2, -1)).contiguous()
            wide = 2 * length - 1
            bias = products.as_strided((1, heads, length, length), (0, length * wide, wide - 1, 1), length - 1)
            own_q, own_k, own_v = (heads_of(rows, heads) for rows in (one, key, value))
            found.append(rows_of(F.scaled_dot_product_attention(own_q, own_k, own_v, bias)))
        return self.of.linear_out(torch.cat(found))  # type: ignore[no-any-return]


class _JoinedConvolution(nn.Module):
    """A :class:`~tlbench.observing.espnet_layers.ConvolutionModule`; its normalisation is fused into the kernel."""

    kernel: Tensor
    bias: Tensor

    def __init__(self, module: ConvolutionModule) -> None:
        super().__init__()
        self.first, self.last = map(_pointwise, module.pointwise)
        kernel, bias = fuse(module.depthwise_conv.weight, module.depthwise_conv.bias, module.norm)
        self.register_buffer("kernel", kernel.float())
        self.register_buffer("bias", bias.float())

    def forward(self, x: Tensor, places: Tensor, spread: int) -> Tensor:
        """(n, 256) rows; ``places`` (n,) are their indices among ``spread`` frames with zeros between clips."""
        gated = F.glu(self.first(x))
        width, _, size = self.kernel.shape
        apart = gated.new_zeros(width, spread)
        apart[:, places + size // 2] = gated.T
        mixed = F.conv1d(apart[None], self.kernel, self.bias, groups=width)[0, :, places]
        return self.last(F.silu(mixed.T))  # type: ignore[no-any-return]


def _pointwise(convolution: nn.Conv1d) -> nn.Linear:
    """A convolution over one frame as a linear layer."""
    assert convolution.bias is not None
    return linear(convolution.weight[..., 0], convolution.bias)


class _JoinedEncoderBlock(nn.Module):
    def __init__(self, block: EncoderBlock) -> None:
        super().__init__()
        self.of = block
        self.attention = _JoinedRelativeAttention(block.self_attn)
        self.convolution = _JoinedConvolution(block.conv_module)

    def forward(self, x: Tensor, distances: Tensor, lengths: list[int], places: Tensor, spread: int) -> Tensor:
        of = self.of
        x = x + 0.5 * of.feed_forward_macaron(of.norm_ff_macaron(x))
        x = x + self.attention(of.norm_mha(x), distances, lengths)
        x = x + self.convolution(of.norm_conv(x), places, spread)
        x = x + 0.5 * of.feed_forward(of.norm_ff(x))
        return of.norm_final(x)  # type: ignore[no-any-return]


class JoinedBlocks(nn.Module):
    """The blocks of an encoder, in order.

    Parameters
    ----------
    blocks : iterable of EncoderBlock
    width : int
        Features of a frame.
    kernel : int
        Kernel of the convolutions in frames.
    """

    def __init__(self, blocks: Iterable[nn.Module], width: int, kernel: int) -> None:
        super().__init__()
        self.width = width
        self.reach = kernel // 2  # frames that the convolution sees to each side
        self.blocks = nn.ModuleList(_JoinedEncoderBlock(block) for block in blocks if isinstance(block, EncoderBlock))

    def forward(self, x: Tensor, lengths: list[int]) -> Tensor:
        """(n, 256) scaled rows of clips of these lengths, one after the other, to (n, 256)."""
        distances = relative_positions(max(lengths), self.width).to(x)
        gaps = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths)) * self.reach
        places = (torch.arange(len(x)) + gaps).to(x.device)
        spread = len(x) + (len(lengths) + 1) * self.reach
        for block in self.blocks:
            x = block(x, distances, lengths, places, spread)
        return x
