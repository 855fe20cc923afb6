"""AV-HuBERT's transformer decoder: the tokens so far and an encoded video to logits of the next token.

This form computes whole sequences, differentiably, for teacher forcing and training. :mod:`.incremental_decoder`
computes the same one token at a time, for the beam search. Names, order and shapes of the state dict are the original's
(facebookresearch/av_hubert ``avhubert/decoder.py`` and fairseq's ``TransformerDecoderLayer``). There is no dropout.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from .dims import Dims

BOS, PAD, EOS, UNK = 0, 1, 2, 3  # the first entries of every fairseq dictionary (fairseq data/dictionary.py)


class LearnedPositions(nn.Embedding):
    """Learned positional embeddings (fairseq ``learned_positional_embedding.py``); row ``PAD`` is for padding."""

    def __init__(self, positions: int, width: int) -> None:
        super().__init__(positions + PAD + 1, width, padding_idx=PAD)

    def rows(self) -> Tensor:
        """All rows, (positions + 2, C); row 2 is the first token's."""
        return self.weight


class SinusoidalPositions(nn.Module):
    """Sines in the first half of the features, cosines in the second (fairseq ``sinusoidal_positional_embedding.py``).

    Frequencies fall geometrically from 1 to 1/10000 in ``width / 2`` steps. ``_float_tensor`` is unused; it is in the
    original's state dict.
    """

    table: Tensor

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        half = width // 2
        frequencies = torch.exp(torch.arange(half, dtype=torch.float32) * -(math.log(10000) / (half - 1)))
        angles = torch.arange(positions + PAD + 1, dtype=torch.float32)[:, None] * frequencies
        table = F.pad(torch.cat([angles.sin(), angles.cos()], dim=1), (0, width % 2))
        table[PAD] = 0
        self.register_buffer("_float_tensor", torch.zeros(1))
        self.register_buffer("table", table, persistent=False)

    def rows(self) -> Tensor:
        """All rows, (positions + 2, C); row 2 is the first token's."""
        return self.table

    def forward(self, positions: Tensor) -> Tensor:  # (B, L) int64 -> (B, L, C)
        return self.table[positions]


class Attention(nn.Module):
    """Scaled dot-product attention of several heads (fairseq ``multihead_attention.py``)."""

    def __init__(self, width: int, source_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(source_width, width)
        self.v_proj = nn.Linear(source_width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, source: Tensor, masked: Tensor | None) -> Tensor:
        """``x`` (B, L, C) attends to ``source`` (B, S, C') except where ``masked`` (broadcasts to B, H, L, S)."""
        queries, keys, values = (
            projected.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, H, L or S, C / H)
            for projected in (self.q_proj(x), self.k_proj(source), self.v_proj(source))
        )
        visible = None if masked is None else ~masked
        heads = F.scaled_dot_product_attention(queries, keys, values, attn_mask=visible)
        joined: Tensor = self.out_proj(heads.transpose(1, 2).flatten(2))
        return joined


class DecoderLayer(nn.Module):
    """Self-attention, attention to the video, two linear layers with ReLU; each with a residual connection."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        width = dims.decoder_width
        self.prenorm = dims.decoder_prenorm
        self.self_attn = Attention(width, width, dims.decoder_heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.encoder_attn = Attention(width, dims.encoder_width, dims.decoder_heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, dims.decoder_ffn)
        self.fc2 = nn.Linear(dims.decoder_ffn, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, encoded: Tensor, future: Tensor, padding: Tensor | None) -> Tensor:
        x = self._add(x, self.self_attn_layer_norm, lambda y: self.self_attn(y, y, future))
        x = self._add(x, self.encoder_attn_layer_norm, lambda y: self.encoder_attn(y, encoded, padding))
        return self._add(x, self.final_layer_norm, lambda y: self.fc2(F.relu(self.fc1(y))))

    def _add(self, x: Tensor, norm: nn.LayerNorm, work: Callable[[Tensor], Tensor]) -> Tensor:
        added: Tensor = x + work(norm(x)) if self.prenorm else norm(x + work(x))
        return added


class Decoder(nn.Module):
    """The decoder of a checkpoint that was fine-tuned to write text (``AVHubertSeq2Seq.decoder``).

    Parameters
    ----------
    dims : Dims
        ``decoder_layers`` must be above 0.
    """

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.dims = dims
        width = dims.decoder_width
        positions = LearnedPositions if dims.learned_positions else SinusoidalPositions
        self.embed_tokens = nn.Embedding(dims.vocabulary, width, padding_idx=PAD)
        self.embed_positions = positions(dims.max_target_positions, width)
        self.embed_scale = math.sqrt(width) if dims.embedding_scale else 1.0
        self.layers = nn.ModuleList(DecoderLayer(dims) for _ in range(dims.decoder_layers))
        if not dims.shared_output:
            self.embed_out = nn.Parameter(torch.randn(dims.vocabulary, width) * width**-0.5)
        self.layer_norm = nn.LayerNorm(width) if dims.decoder_prenorm else None

    @property
    def output_weight(self) -> Tensor:
        """(V, C): the token embedding, or ``embed_out``."""
        return self.embed_tokens.weight if self.dims.shared_output else self.embed_out

    def forward(self, tokens: Tensor, encoded: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """The logits of the next token at each position.

        Parameters
        ----------
        tokens : (B, L) int64
            Each row starts with ``EOS`` and may end with ``PAD``. Self-attention is causal, so padding at the end does
            not change the positions before it.
        encoded : (B, T, C') float
            The encoder's output.
        padding_mask : (B, T) bool or None
            True for padding.

        Returns
        -------
        (B, L, V) float
            Before the softmax.
        """
        present = tokens.ne(PAD)
        positions = present.cumsum(1) * present + PAD  # 2, 3, ...; padding stays at PAD (fairseq make_positions)
        x = self.embed_scale * self.embed_tokens(tokens) + self.embed_positions(positions)
        length = tokens.shape[1]
        future = torch.ones(length, length, dtype=torch.bool, device=tokens.device).triu(1)
        padding = None if padding_mask is None else padding_mask[:, None, None]
        for layer in self.layers:
            x = layer(x, encoded, future, padding)
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        return F.linear(x, self.output_weight)
