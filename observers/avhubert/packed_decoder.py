"""The decoder one token at a time on a CPU, with packed weights (:mod:`tlbench.observing.packed_linear`).

It computes what :class:`.incremental_decoder.SteppingDecoder` computes, with as few multiplications as possible:

* The rows of all hypotheses of all utterances go through each linear layer together.
* An utterance's frames do not change during a search. So the products before and after its attention to the video are
  multiplied out once: scores are ``(x Wq^T + bq) K^T = x (K Wq)^T + K bq``, and what is read is
  ``(P V) Wo^T = P (V Wo^T)``. A hypothesis then costs ``2 H T C`` multiplications for ``T`` frames and ``H`` heads
  instead of ``2 C^2 + 2 T C``; where that is more, keys and values are kept as they are.
* Each token of a hypothesis has a *slot*; hypotheses with a common prefix share its slots, and a mask states which
  hypothesis attends to which slot. New tokens take the slots that no hypothesis needs any more, so that nothing is
  copied and little is multiplied in vain. Every utterance has its own slots and its own frames, without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.observing.pack_layers import pack_layers
from tlbench.observing.packed_linear import PackedLinear

from .decoder import PAD, Attention, Decoder, DecoderLayer

COMPACT_BELOW = (
    0.7  # slots are moved together when fewer than this share is in use: moving copies, others cost products
)


def folds(frames: int, width: int, heads: int) -> bool:
    """Whether attention to so many frames is cheaper as two products, see the module's text."""
    return heads * frames <= width + frames


def _packed(layer: nn.Module, dtype: torch.dtype) -> PackedLinear:
    if isinstance(layer, PackedLinear):
        return layer
    assert isinstance(layer, nn.Linear)
    return PackedLinear.of(layer, dtype)


@dataclass(frozen=True)
class _Norm:
    weight: Tensor
    bias: Tensor
    epsilon: float

    @classmethod
    def of(cls, norm: nn.LayerNorm, dtype: torch.dtype) -> _Norm:
        return cls(norm.weight.detach().to(dtype), norm.bias.detach().to(dtype), norm.eps)

    def __call__(self, rows: Tensor) -> Tensor:
        return F.layer_norm(rows, self.weight.shape, self.weight, self.bias, self.epsilon)


class _Projections:
    """The four linear layers of an attention."""

    def __init__(self, attention: Attention, dtype: torch.dtype) -> None:
        self.q = _packed(attention.q_proj, dtype)
        self.k = _packed(attention.k_proj, dtype)
        self.v = _packed(attention.v_proj, dtype)
        self.out = _packed(attention.out_proj, dtype)


@dataclass(frozen=True)
class _Unpacked:
    """The weights that :class:`_FoldedVideo` multiplies with keys and values: (H, D, C), (C,), (H, C, D), (C,)."""

    q: Tensor
    q_bias: Tensor
    out: Tensor
    out_bias: Tensor

    @classmethod
    def of(cls, attention: Attention) -> _Unpacked:
        heads = attention.heads
        q, out = attention.q_proj, attention.out_proj
        return cls(
            q.weight.detach().view(heads, len(q.bias) // heads, -1).clone(),
            q.bias.detach().clone(),
            out.weight.detach().view(len(out.bias), heads, -1).transpose(0, 1).clone(),
            out.bias.detach().clone(),
        )


class _FoldedVideo:
    """Attention to one utterance's video in one layer, as two products and a softmax."""

    def __init__(self, keys: Tensor, values: Tensor, weights: _Unpacked) -> None:
        """``keys`` and ``values`` are (H, T, D)."""
        self._heads, self._frames, size = keys.shape
        keys = keys * size**-0.5
        score_bias = keys @ weights.q_bias.view(self._heads, size, 1)  # (H, T, 1)
        self._score = PackedLinear((keys @ weights.q).flatten(0, 1), score_bias.flatten())
        read = weights.out @ values.transpose(1, 2)  # (H, C, T)
        self._read = PackedLinear(read.transpose(0, 1).flatten(1), weights.out_bias)

    def __call__(self, rows: Tensor, added: Tensor) -> Tensor:
        """What the (W, C) rows read, plus ``added`` (W, C)."""
        likeness = self._score(rows).view(-1, self._heads, self._frames).softmax(2)
        return self._read.plus(likeness.view(len(rows), -1), added)


class _KeptVideo:
    """The same with the queries' and the output's own products, for a long video or in half precision."""

    def __init__(self, keys: Tensor, values: Tensor, layers: _Projections) -> None:
        self._keys, self._values = keys[None], values[None]
        self._layers = layers

    def __call__(self, rows: Tensor, added: Tensor) -> Tensor:
        queries = _heads(self._layers.q(rows), self._keys.shape[1])[None]
        found = F.scaled_dot_product_attention(queries, self._keys, self._values)
        return self._layers.out.plus(_rows(found[0]), added)


def _heads(rows: Tensor, count: int) -> Tensor:
    """(n, C) to (H, n, D), a view."""
    return rows.view(len(rows), count, -1).transpose(0, 1)


def _rows(heads: Tensor) -> Tensor:
    """(H, n, D) to (n, C)."""
    return heads.transpose(0, 1).flatten(1)


class _Layer:
    def __init__(self, layer: DecoderLayer, dtype: torch.dtype) -> None:
        self.unpacked: _Unpacked | None = None
        if dtype == torch.float32:
            self.unpacked = _Unpacked.of(layer.encoder_attn)
            pack_layers(layer)
        self.words = _Projections(layer.self_attn, dtype)
        self.words_norm = _Norm.of(layer.self_attn_layer_norm, dtype)
        self.video = _Projections(layer.encoder_attn, dtype)
        self.video_norm = _Norm.of(layer.encoder_attn_layer_norm, dtype)
        self.widen, self.narrow = _packed(layer.fc1, dtype), _packed(layer.fc2, dtype)
        self.final_norm = _Norm.of(layer.final_layer_norm, dtype)


class _Slots:
    """One utterance's keys and values of its hypotheses' tokens.

    Attributes
    ----------
    held : (L, 2, H, room, D)
        Keys and values of each layer. The first ``visible.shape[1]`` slots have been written.
    visible : (W, P) bool
        Which hypothesis attends to which slot.
    """

    def __init__(self, layers: int, heads: int, size: int, dtype: torch.dtype) -> None:
        self.held = torch.empty(layers, 2, heads, 0, size, dtype=dtype)
        self.visible = torch.zeros(1, 0, dtype=torch.bool)
        self._taken = torch.zeros(0, dtype=torch.int64)
        self._mask = torch.zeros(1, 1, dtype=dtype)

    def take(self) -> None:
        """Give every hypothesis a slot for its next token, one that nobody needs if there are enough."""
        width, written = self.visible.shape
        used = self.visible.any(0)
        needed = int(used.sum()) + width
        if needed < COMPACT_BELOW * written:
            order = used.nonzero().flatten()
            self.held, self.visible = self.held.index_select(3, order), self.visible[:, order]
            used, written = used[order], len(order)
        free = (~used).nonzero().flatten()[:width]
        fresh = width - len(free)
        room = self.held.shape[3]
        if written + fresh > room:
            more = self.held.new_empty(*self.held.shape[:3], max(written + fresh - room, 2 * width), self.held.shape[4])
            self.held = torch.cat([self.held, more], dim=3)
        self._taken = torch.cat([free, torch.arange(written, written + fresh)])
        self.visible = F.pad(self.visible, (0, fresh))
        self.visible[torch.arange(width), self._taken] = True
        self._mask = torch.zeros(self.visible.shape, dtype=self.held.dtype).masked_fill_(~self.visible, -torch.inf)

    def attend(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Write the (W, C) keys and values of the new tokens; (W, C) of what the queries read from all they see."""
        heads = self.held.shape[2]
        written = self._mask.shape[1]
        for held, new in zip(self.held[layer], (keys, values), strict=True):
            held.index_copy_(1, self._taken, _heads(new, heads))
        own_keys, own_values = self.held[layer, :, :, :written]
        found = F.scaled_dot_product_attention(
            _heads(queries, heads)[None], own_keys[None], own_values[None], attn_mask=self._mask
        )
        return _rows(found[0])


@dataclass
class _Utterance:
    slots: _Slots
    video: list[_FoldedVideo | _KeptVideo]  # of each layer


class PackedPast:
    """What is kept of the hypotheses' tokens and of the videos between steps."""

    def __init__(self, utterances: list[_Utterance]) -> None:
        self.utterances = utterances
        self.length = 0  # number of tokens of every hypothesis

    def follow(self, utterances: Tensor, parents: Tensor) -> None:
        """Keep some utterances, continue some hypotheses: :meth:`tlbench.observing.incremental_decoder.Past.follow`."""
        self.utterances = [self.utterances[row] for row in utterances.tolist()]
        for utterance, chosen in zip(self.utterances, parents, strict=True):
            utterance.slots.visible = utterance.slots.visible[chosen]


class PackedDecoder:
    """A decoder prepared for the beam search with packed weights.

    Parameters
    ----------
    decoder : Decoder
        In float32. With ``dtype`` float32 its linear layers become packed ones and are shared, so that weights are held
        once; it can't be saved or trained any more. Otherwise it stays as it is.
    dtype : torch.dtype
        The precision. The last layer keeps float32, as in :class:`.incremental_decoder.SteppingDecoder`.

    Raises
    ------
    TlbenchError
        If this torch can't pack weights.
    """

    def __init__(self, decoder: Decoder, dtype: torch.dtype = torch.float32) -> None:
        self.dims = decoder.dims
        self._dtype = dtype
        self._layers = [_Layer(layer, dtype) for layer in decoder.layers if isinstance(layer, DecoderLayer)]
        self._scale = decoder.embed_scale
        self._embedding = decoder.embed_tokens.weight.detach().to(dtype)
        self._positions = decoder.embed_positions.rows().detach().to(dtype)
        self._norm = None if decoder.layer_norm is None else _Norm.of(decoder.layer_norm, dtype)
        self._output = PackedLinear(decoder.output_weight.detach(), None)

    def begin(self, encoded: Tensor, lengths: Tensor) -> PackedPast:
        """As :meth:`.incremental_decoder.SteppingDecoder.begin`, from (U, T, C') and (U,)."""
        heads = self.dims.decoder_heads
        frames = lengths.tolist()
        rows = torch.cat([one[:count] for one, count in zip(encoded.to(self._dtype), frames, strict=True)])
        video: list[list[_FoldedVideo | _KeptVideo]] = [[] for _ in frames]
        for layer in self._layers:
            keys, values = (torch.split(made(rows), frames) for made in (layer.video.k, layer.video.v))
            for own, key, value in zip(video, keys, values, strict=True):
                own.append(self._video(layer, _heads(key, heads), _heads(value, heads)))
        size = self.dims.decoder_width // heads
        return PackedPast([_Utterance(_Slots(len(self._layers), heads, size, self._dtype), own) for own in video])

    def _video(self, layer: _Layer, keys: Tensor, values: Tensor) -> _FoldedVideo | _KeptVideo:
        if layer.unpacked is not None and folds(keys.shape[1], self.dims.decoder_width, self.dims.decoder_heads):
            return _FoldedVideo(keys, values, layer.unpacked)
        return _KeptVideo(keys.contiguous(), values.contiguous(), layer.video)

    def step(self, tokens: Tensor, past: PackedPast) -> Tensor:
        """As :meth:`.incremental_decoder.SteppingDecoder.step`: (U, W) tokens to (U, W, V) logits of the next."""
        utterances, width = tokens.shape
        for utterance in past.utterances:
            utterance.slots.take()
        position = self._positions[past.length + PAD + 1]  # the first token's is 2 (fairseq make_positions)
        past.length += 1
        x = self._scale * self._embedding[tokens.flatten()] + position  # (U W, C)
        for number, layer in enumerate(self._layers):
            y = self._before(layer.words_norm, x)
            new = [_parts(made(y), width) for made in (layer.words.q, layer.words.k, layer.words.v)]
            found = [
                utterance.slots.attend(number, *own) for utterance, *own in zip(past.utterances, *new, strict=True)
            ]
            x = self._after(layer.words_norm, layer.words.out.plus(_joined(found), x))
            y = self._before(layer.video_norm, x)
            seen = [
                utterance.video[number](*own)
                for utterance, *own in zip(past.utterances, _parts(y, width), _parts(x, width), strict=True)
            ]
            x = self._after(layer.video_norm, _joined(seen))
            y = self._before(layer.final_norm, x)
            x = self._after(layer.final_norm, layer.narrow.plus(layer.widen.relu(y), x))
        if self._norm is not None:
            x = self._norm(x)
        logits: Tensor = self._output(x.float())
        return logits.view(utterances, width, -1)

    def _before(self, norm: _Norm, x: Tensor) -> Tensor:
        return norm(x) if self.dims.decoder_prenorm else x

    def _after(self, norm: _Norm, x: Tensor) -> Tensor:
        return x if self.dims.decoder_prenorm else norm(x)


def _parts(rows: Tensor, width: int) -> Sequence[Tensor]:
    """The rows of each utterance."""
    return rows.split(width)  # type: ignore[no-untyped-call,no-any-return]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
