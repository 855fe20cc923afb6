"""AV-HuBERT's decoder one token at a time, see :mod:`tlbench.observing.incremental_decoder`.

This is for torch's own matrix product and for GPUs; :mod:`.packed_decoder` is for packed weights.
"""

from __future__ import annotations

import torch

from tlbench.observing import incremental_decoder
from tlbench.observing.incremental_decoder import DecoderBlockParts, DecoderParts

from .decoder import PAD, Decoder, DecoderLayer


class SteppingDecoder(incremental_decoder.SteppingDecoder):
    """A :class:`.decoder.Decoder` prepared for the beam search.

    Parameters
    ----------
    decoder : Decoder
    dtype : torch.dtype or None
        The precision; None is the decoder's own.
    """

    def __init__(self, decoder: Decoder, dtype: torch.dtype | None = None) -> None:
        super().__init__(_parts(decoder), dtype)
        self.dims = decoder.dims


def _parts(decoder: Decoder) -> DecoderParts:
    return DecoderParts(
        embedding=decoder.embed_tokens.weight,
        scale=decoder.embed_scale,
        positions=decoder.embed_positions.rows()[PAD + 1 :],  # the first token's is row 2 (fairseq make_positions)
        heads=decoder.dims.decoder_heads,
        prenorm=decoder.dims.decoder_prenorm,
        blocks=[_block(layer) for layer in decoder.layers if isinstance(layer, DecoderLayer)],
        norm=decoder.layer_norm,
        output=decoder.output_weight,
    )


def _block(layer: DecoderLayer) -> DecoderBlockParts:
    words, video = layer.self_attn, layer.encoder_attn
    return DecoderBlockParts(
        words=(words.q_proj, words.k_proj, words.v_proj, words.out_proj),
        video=(video.q_proj, video.k_proj, video.v_proj, video.out_proj),
        widen=layer.fc1,
        narrow=layer.fc2,
        norms=(layer.self_attn_layer_norm, layer.encoder_attn_layer_norm, layer.final_layer_norm),
    )
