"""AV-HuBERT by the code of facebookresearch/av_hubert itself, from a folder that the user names.

Its licence forbids commercial use, so nothing of it is here; it runs on ve-fairseq 0.12.3.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from tlbench.errors import TlbenchError
from tlbench.observing.originals import original, quiet

from .decode import BeamSettings, Hypothesis
from .decoder import PAD
from .dims import Dims
from .original import DECODER_PREFIX, ENCODER_PREFIX, FAIRSEQ, load_tensors, numbered, original_dictionary, set_sizes

FRAMES_A_SECOND = 25  # the label rate of its configurations


def _module(code: Path, name: str) -> ModuleType:
    """A module of the folder's package ``avhubert``. Raises TlbenchError if it is not there or can't be imported."""
    if not (code / "avhubert" / f"{name}.py").is_file():
        raise TlbenchError(f"--original-code {code}: no avhubert/{name}.py; pass a clone of facebookresearch/av_hubert")
    original(FAIRSEQ, "fairseq.sequence_generator")
    folder = str(code.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        with quiet():
            return import_module(f"avhubert.{name}")
    except ImportError as error:
        raise TlbenchError(f"--original-code {code}: avhubert/{name}.py can't be imported ({error})") from error


def code_encoder(code: Path, dims: Dims, state: Mapping[str, Tensor]) -> Any:
    """av_hubert's ``AVHubertModel`` with the tensors ``encoder.w2v_model.*``. Raises TlbenchError if they differ."""
    module = _module(code, "hubert")
    config = module.AVHubertConfig()
    set_sizes(config, dims)
    config.label_rate, config.input_modality = FRAMES_A_SECOND, "video"
    # What newer releases of fairseq ask of a configuration, with the value that the older one had no choice of.
    config.layer_type, config.required_seq_len_multiple, config.checkpoint_activations = "transformer", 1, False
    config.pos_conv_depth, config.conv_pos_batch_norm = 1, False
    task = _module(code, "hubert_pretraining").AVHubertPretrainingConfig()
    with quiet():
        model = module.AVHubertModel(config, task, [original_dictionary(numbered(dims))])
        model.remove_pretraining_modules()
    unused = {"mask_emb", "label_embs_concat"}
    load_tensors(model, {k: v for k, v in state.items() if "label_embs" not in k}, ENCODER_PREFIX, unused, unused)
    return model.eval().requires_grad_(False)


class _Model(nn.Module):
    """What av_hubert's generator asks of a network: an encoder whose output is known, and its decoder."""

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.decoder = decoder
        self.encoder = _Known()

    def max_decoder_positions(self) -> int:
        return int(self.decoder.max_target_positions)

    def get_normalized_probs(self, found: Any, log_probs: bool, sample: None) -> Tensor:
        logs: Tensor = self.decoder.get_normalized_probs(found, log_probs, sample)
        return logs


class _Known(nn.Module):
    encoded: Tensor  # (T, 1, C)

    def forward_torchscript(self, net_input: Mapping[str, Any]) -> dict[str, Tensor | None]:
        return {"encoder_out": self.encoded, "padding_mask": None}

    def reorder_encoder_out(self, found: Mapping[str, Tensor], order: Tensor) -> dict[str, Tensor | None]:
        return {"encoder_out": found["encoder_out"].index_select(1, order), "padding_mask": None}


def code_search(code: Path, dims: Dims, state: Mapping[str, Tensor]) -> Callable[[Tensor], Hypothesis]:
    """av_hubert's decoder and ``SequenceGenerator``: the best hypothesis of an encoded (1, T, C) utterance."""
    config = original("omegaconf", "omegaconf").OmegaConf.create(
        {
            "decoder_dropout": 0.0,
            "decoder_attention_dropout": 0.0,
            "decoder_activation_dropout": 0.0,
            "decoder_layerdrop": 0.0,
            "share_decoder_input_output_embed": dims.shared_output,
            "encoder_embed_dim": dims.encoder_width,
            "decoder_embed_dim": dims.decoder_width,
            "decoder_ffn_embed_dim": dims.decoder_ffn,
            "decoder_layers": dims.decoder_layers,
            "decoder_attention_heads": dims.decoder_heads,
            "decoder_normalize_before": dims.decoder_prenorm,
            "decoder_learned_pos": dims.learned_positions,
            "no_token_positional_embeddings": False,
            "no_scale_embedding": not dims.embedding_scale,
            "max_target_positions": dims.max_target_positions,
        }
    )
    symbols = original_dictionary(numbered(dims))
    embedding = nn.Embedding(dims.vocabulary, dims.decoder_width, PAD)
    with quiet():
        decoder = _module(code, "decoder").TransformerDecoder(config, symbols, embedding)
    buffers = {"version", "embed_positions._float_tensor"}
    load_tensors(decoder, state, DECODER_PREFIX, unused=buffers, absent=buffers)
    model = _Model(decoder.requires_grad_(False)).eval()
    chosen = BeamSettings()
    generator = _module(code, "sequence_generator").SequenceGenerator(
        [model], symbols, beam_size=chosen.beam, max_len_a=chosen.max_len_a, max_len_b=chosen.max_len_b
    )

    def search(encoded: Tensor) -> Hypothesis:
        model.encoder.encoded = encoded.transpose(0, 1)
        source = {"audio": None, "video": torch.zeros(1, 1, encoded.shape[1], 1, 1)}
        nothing_hidden = torch.zeros(1, encoded.shape[1], dtype=torch.bool)
        best = generator.generate([], {"net_input": {"source": source, "padding_mask": nothing_hidden}})[0][0]
        return Hypothesis(best["tokens"].numpy(), float(best["score"]), best["positional_scores"].numpy())

    return search
