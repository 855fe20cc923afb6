"""A transformer decoder one token at a time, for many hypotheses of several utterances at once.

It computes the same as the decoder that :class:`DecoderParts` describes, with cached keys and values:

* Keys and values of the video are computed once per utterance, not once per hypothesis. The hypotheses of an utterance
  take the place of the sequence: one product of all their queries with the utterance's keys.
* Keys and values of the tokens are not copied when hypotheses are reordered. Each new token of a hypothesis has a
  *slot*, hypotheses with a common prefix share its slots, and a mask states which hypothesis attends to which slot.
  Reordering changes the rows of the mask. Unused slots are removed every few steps. As the hypotheses of a beam share
  most tokens, there are far fewer slots than hypotheses times tokens.
* Features are columns (``weight @ features``), which is faster for the few columns of a beam; with torch's product the
  projections to queries, keys and values are one matrix. Several utterances at once are faster still: with AVX2, 200
  columns run at 1.4 times the speed of 50. With packed weights (:mod:`tlbench.observing.packed_linear`) the columns are
  rows in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.observing.packed_linear import PackedLinear

SWEEP_STEPS = 4  # steps between removals of unused slots: a removal copies little, an unused slot costs arithmetic


@dataclass(frozen=True)
class _Linear:
    """``y = weight x + bias`` for columns."""

    weight: Tensor  # (out, in)
    bias: Tensor  # (out, 1)

    @classmethod
    def of(cls, dtype: torch.dtype, *layers: nn.Linear) -> _Linear:
        """One layer that computes several layers with the same input."""
        if len(layers) == 1:
            return cls(layers[0].weight.detach().to(dtype), layers[0].bias.detach().to(dtype)[:, None])
        return cls(
            torch.cat([layer.weight.detach() for layer in layers]).to(dtype),
            torch.cat([layer.bias.detach() for layer in layers]).to(dtype)[:, None],
        )

    def __call__(self, columns: Tensor) -> Tensor:
        return torch.addmm(self.bias, self.weight, columns)


@dataclass(frozen=True)
class _PackedLinear:
    """The same with packed weights. Several layers stay apart, so that they can be those of the whole decoder."""

    layers: tuple[PackedLinear, ...]

    def __call__(self, columns: Tensor) -> Tensor:
        rows = columns.t()
        made = [layer(rows) for layer in self.layers]
        return (made[0] if len(made) == 1 else torch.cat(made, dim=1)).t()


def _linear(dtype: torch.dtype, packed: bool, *layers: nn.Module) -> _Linear | _PackedLinear:
    """One layer that computes several layers with the same input; layers that are packed already are shared."""
    if not packed:
        return _Linear.of(dtype, *(layer for layer in layers if isinstance(layer, nn.Linear)))
    return _PackedLinear(
        tuple(
            PackedLinear.of(layer, dtype) if isinstance(layer, nn.Linear) else layer
            for layer in layers
            if isinstance(layer, (nn.Linear, PackedLinear))
        )
    )


@dataclass(frozen=True)
class _Norm:
    weight: Tensor
    bias: Tensor
    epsilon: float

    @classmethod
    def of(cls, dtype: torch.dtype, norm: nn.LayerNorm) -> _Norm:
        return cls(norm.weight.detach().to(dtype), norm.bias.detach().to(dtype), norm.eps)

    def __call__(self, columns: Tensor) -> Tensor:
        return F.layer_norm(columns.t(), self.weight.shape, self.weight, self.bias, self.epsilon).t()


@dataclass(frozen=True)
class DecoderBlockParts:
    """The layers of a decoder block: attention to the tokens, attention to the frames, and feed-forward.

    Attributes
    ----------
    words, video : four linear layers
        To queries, keys and values, and of the output; in both attentions.
    widen, narrow : nn.Module
        The two linear layers of the feed-forward step, with ReLU between them.
    norms : three nn.LayerNorm
        Of the three steps, in order.
    """

    words: tuple[nn.Module, nn.Module, nn.Module, nn.Module]
    video: tuple[nn.Module, nn.Module, nn.Module, nn.Module]
    widen: nn.Module
    narrow: nn.Module
    norms: tuple[nn.LayerNorm, nn.LayerNorm, nn.LayerNorm]


@dataclass(frozen=True)
class DecoderParts:
    """A decoder: V symbols, C features.

    Attributes
    ----------
    embedding : (V, C)
    scale : float
        Factor of the embeddings.
    positions : (n, C)
        Positional encodings, the first token's first; n is the greatest number of tokens.
    heads : int
        Of both attentions.
    prenorm : bool
        Whether layer normalisation comes before a step or after its sum.
    blocks : sequence of DecoderBlockParts
    norm : nn.LayerNorm or None
        Before the output layer.
    output : (V, C)
        The output layer's weight.
    output_bias : (V,) or None
    """

    embedding: Tensor
    scale: float
    positions: Tensor
    heads: int
    prenorm: bool
    blocks: Sequence[DecoderBlockParts]
    norm: nn.LayerNorm | None
    output: Tensor
    output_bias: Tensor | None = None

    @property
    def vocabulary(self) -> int:
        return len(self.output)


class _Layer:
    def __init__(self, parts: DecoderBlockParts, dtype: torch.dtype, packed: bool) -> None:
        *words_in, words_out = parts.words
        video_in, *video_source, video_out = parts.video
        self.words_in = _linear(dtype, packed, *words_in)
        self.words_out = _linear(dtype, packed, words_out)
        self.video_in = _linear(dtype, packed, video_in)
        self.video_out = _linear(dtype, packed, video_out)
        self.video_source = _linear(dtype, packed, *video_source)
        self.widen = _linear(dtype, packed, parts.widen)
        self.narrow = _linear(dtype, packed, parts.narrow)
        self.words_norm, self.video_norm, self.final_norm = (_Norm.of(dtype, norm) for norm in parts.norms)


class Past:
    """The cached keys and values of U utterances with W hypotheses each: H heads of D features, P slots in use.

    Attributes
    ----------
    video : list of pairs of (U, H, T, D)
        Each layer's keys and values of the frames.
    padding : (U, 1, 1, T)
        -inf for padding, else 0.
    words : list of pairs of (U, H, room, D)
        Each layer's keys and values of the slots; the first P are in use.
    visible : (U, W, P) bool
        Which hypothesis attends to which slot.
    length : int
        Number of tokens of every hypothesis.
    """

    def __init__(self, video: list[tuple[Tensor, Tensor]], padding: Tensor) -> None:
        self.video = video
        self.padding = padding
        self.words = [(keys[:, :, :0], values[:, :, :0]) for keys, values in video]
        self.visible = torch.zeros(len(padding), 1, 0, dtype=torch.bool, device=padding.device)
        self.length = 0

    def follow(self, utterances: Tensor, parents: Tensor) -> None:
        """Keep some utterances, and replace their hypotheses by continuations of earlier ones.

        Parameters
        ----------
        utterances : (U',) int64
            Rows of the utterances to keep.
        parents : (U', W') int64
            For each new hypothesis, the one that it continues.
        """
        if len(utterances) < len(self.visible):
            self.padding = self.padding[utterances]
            self.video = [(keys[utterances], values[utterances]) for keys, values in self.video]
            self.words = [(keys[utterances], values[utterances]) for keys, values in self.words]
        self.visible = self.visible[utterances[:, None], parents]

    def _make_room(self) -> None:
        """Remove unused slots and allocate room for the next steps."""
        used = self.visible.any(1)  # (U, P)
        most = int(used.sum(1).max())
        order = used.byte().argsort(dim=1, descending=True, stable=True)[:, :most]  # used slots first
        self.visible = self.visible.gather(2, order[:, None].expand(-1, self.visible.shape[1], -1))
        room = SWEEP_STEPS * self.visible.shape[1]
        pick = order[:, None, :, None]
        self.words = [(_swept(keys, pick, room), _swept(values, pick, room)) for keys, values in self.words]

    def take_slots(self) -> tuple[int, Tensor]:
        """Add a slot for every hypothesis. Returns the first slot's number, and the (U, 1, W, P) mask of 0 and -inf."""
        utterances, width, used = self.visible.shape
        if used + width > self.words[0][0].shape[2]:
            self._make_room()
            used = self.visible.shape[2]
        own = torch.eye(width, dtype=torch.bool, device=self.visible.device).expand(utterances, -1, -1)
        self.visible = torch.cat([self.visible, own], dim=2)
        mask = torch.zeros_like(self.visible, dtype=self.padding.dtype).masked_fill_(~self.visible, -torch.inf)
        return used, mask[:, None]


def _swept(slots: Tensor, pick: Tensor, room: int) -> Tensor:
    """The slots (U, H, P, D) that ``pick`` (U, 1, n, 1) selects, followed by ``room`` for more."""
    utterances, heads, _, size = slots.shape
    count = pick.shape[2]
    swept = slots.new_empty(utterances, heads, count + room, size)
    torch.gather(slots, 2, pick.expand(-1, heads, -1, size), out=swept[:, :, :count])
    return swept


class SteppingDecoder:
    """A decoder prepared for a beam search.

    Parameters
    ----------
    parts : DecoderParts
        Its weights are shared; only the joined projections are copies.
    dtype : torch.dtype or None
        The precision; None is the embedding's own. Lower precision copies all weights but those of the last layer,
        which keeps its precision so that logits of different symbols do not become equal.
    packed : bool
        Multiply with packed weights. Layers that are packed already are shared.
    """

    def __init__(self, parts: DecoderParts, dtype: torch.dtype | None = None, *, packed: bool = False) -> None:
        self.dtype = parts.embedding.dtype if dtype is None else dtype
        self.vocabulary = parts.vocabulary
        self.positions = len(parts.positions)
        self._heads = parts.heads
        self._prenorm = parts.prenorm
        self._scale = parts.scale
        self._embedding = parts.embedding.detach().to(self.dtype)
        output = parts.output.detach()
        bias = None if parts.output_bias is None else parts.output_bias.detach()
        self._output_dtype = output.dtype
        self._output: _Linear | _PackedLinear | partial[Tensor]
        if packed:
            self._output = _PackedLinear((PackedLinear(output, bias),))
        elif bias is None:
            self._output = partial(torch.matmul, output)
        else:
            self._output = _Linear(output, bias[:, None])
        self._positions = parts.positions.detach().to(self.dtype)
        self._layers = [_Layer(block, self.dtype, packed) for block in parts.blocks]
        self._norm = None if parts.norm is None else _Norm.of(self.dtype, parts.norm)

    def begin(self, encoded: Tensor, lengths: Tensor) -> Past:
        """The cache before the first token, with one hypothesis per utterance.

        Parameters
        ----------
        encoded : (U, T, C') float
        lengths : (U,) int
            Number of frames of each utterance; the rest is padding.
        """
        utterances, frames, _ = encoded.shape
        columns = encoded.to(self.dtype).flatten(0, 1).t()  # (C', U T)
        video = []
        for layer in self._layers:
            made = layer.video_source(columns).view(2, self._heads, -1, utterances, frames)
            keys, values = made.permute(0, 3, 1, 4, 2).contiguous()  # (U, H, T, D) each
            video.append((keys, values))
        padding = torch.arange(frames, device=encoded.device) >= lengths.to(encoded.device)[:, None]
        mask = torch.zeros_like(padding, dtype=self.dtype).masked_fill_(padding, -torch.inf)
        return Past(video, mask[:, None, None])

    def step(self, tokens: Tensor, past: Past) -> Tensor:
        """Process the last token of each hypothesis; returns the logits of the next.

        Parameters
        ----------
        tokens : (U, W) int64
        past : Past
            Changed: this token is added.

        Returns
        -------
        (U, W, V) float
            Before the softmax.
        """
        utterances, width = tokens.shape
        first, mask = past.take_slots()
        last = first + width
        position = self._positions[past.length]
        past.length += 1
        x = (self._scale * self._embedding[tokens.flatten()] + position).t()  # (C, U W)

        def heads(columns: Tensor) -> Tensor:  # (C, U W) -> (U, H, W, D)
            return columns.view(self._heads, -1, utterances, width).permute(2, 0, 3, 1)

        def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:  # -> (C, U W)
            # Contiguous queries: otherwise torch takes a slow path.
            found = F.scaled_dot_product_attention(queries.contiguous(), keys, values, attn_mask=mask)
            return found.permute(1, 3, 0, 2).reshape(-1, utterances * width)

        for layer, (keys, values), (video_keys, video_values) in zip(self._layers, past.words, past.video, strict=True):
            queries, own_keys, own_values = (
                heads(part) for part in layer.words_in(self._before(layer.words_norm, x)).chunk(3)
            )
            keys[:, :, first:last] = own_keys
            values[:, :, first:last] = own_values
            found = attend(queries, keys[:, :, :last], values[:, :, :last], mask)
            x = self._add(layer.words_norm, x, layer.words_out(found))
            queries = heads(layer.video_in(self._before(layer.video_norm, x)))
            x = self._add(layer.video_norm, x, layer.video_out(attend(queries, video_keys, video_values, past.padding)))
            wide = layer.widen(self._before(layer.final_norm, x)).relu_()
            x = self._add(layer.final_norm, x, layer.narrow(wide))
        if self._norm is not None:
            x = self._norm(x)
        return self._output(x.to(self._output_dtype)).t().reshape(utterances, width, -1)

    def _before(self, norm: _Norm, x: Tensor) -> Tensor:
        return norm(x) if self._prenorm else x

    def _add(self, norm: _Norm, x: Tensor, made: Tensor) -> Tensor:
        return x + made if self._prenorm else norm(x + made)
