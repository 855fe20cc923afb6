"""AV-HuBERT by the original packages, for ``tlbench checkpoints verify --against original`` and ``tests/live``.

The encoder is espnet's copy of av_hubert's (``espnet2/asr/encoder/avhubert_encoder.py``, on fairseq's transformer
layers), decoder and beam search are fairseq's, from which av_hubert's are copied. av_hubert itself is in no package;
with the folder of its repository all three are its own, :mod:`.original_code`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tlbench.checkpoints.package import open_package
from tlbench.errors import ClipError, TlbenchError
from tlbench.observing.evidence import Evidence
from tlbench.observing.lip_reader import read_together
from tlbench.observing.observer import ClipState
from tlbench.observing.originals import original, quiet

from .checkpoint import network_of, read_published
from .decode import BeamSettings, Hypothesis
from .decoder import PAD
from .dictionary import Dictionary
from .dims import VISUAL_WIDTH, Dims
from .inference import AVHubertClipState
from .observer import AVHubert
from .view import VIEWS

ENCODER_PREFIX = "encoder.w2v_model."
DECODER_PREFIX = "decoder."
FAIRSEQ, ESPNET = "ve-fairseq", "espnet"


def original_encoder(dims: Dims, state: Mapping[str, Tensor]) -> Any:
    """espnet's ``AVHubertModel`` with the tensors ``encoder.w2v_model.*`` of a state dict.

    Raises TlbenchError if espnet or fairseq is missing, or the network has sizes that their class can't have.
    """
    original(FAIRSEQ, "fairseq.models.wav2vec.wav2vec2")
    module = original(ESPNET, "espnet2.asr.encoder.avhubert_encoder")
    if dims.visual_width != VISUAL_WIDTH:
        raise TlbenchError(
            f"espnet's AV-HuBERT has a visual width of {VISUAL_WIDTH}, these weights {dims.visual_width}"
        )
    config = module.AVHubertConfig()
    set_sizes(config, dims)
    with quiet():
        model = module.AVHubertModel.build_model(config)
    load_tensors(model, state, ENCODER_PREFIX, unused={"mask_emb", "label_embs_concat"}, absent={"mask_emb"})
    return model.eval().requires_grad_(False)


def set_sizes(config: Any, dims: Dims) -> None:
    """The sizes of the encoder, under the names of av_hubert's configuration, in place."""
    config.encoder_layers, config.encoder_embed_dim = dims.encoder_layers, dims.encoder_width
    config.encoder_ffn_embed_dim, config.encoder_attention_heads = dims.encoder_ffn, dims.encoder_heads
    config.layer_norm_first, config.modality_fuse = dims.encoder_prenorm, dims.modality_fuse
    config.conv_pos, config.conv_pos_groups = dims.positional_kernel, dims.positional_groups
    config.audio_feat_dim = dims.audio_features


class OriginalSequenceModel(nn.Module):
    """What fairseq's generator asks of a network: an encoder whose output is known, and fairseq's decoder."""

    def __init__(self, decoder: Any, encoded: Tensor, padding_mask: Tensor | None) -> None:
        super().__init__()
        self.encoder = _Encoded(encoded, padding_mask)
        self.decoder = decoder

    def max_decoder_positions(self) -> int:
        """As fairseq names it."""
        return int(self.decoder.max_target_positions)

    def get_normalized_probs(self, found: Any, log_probs: bool, sample: None) -> Tensor:
        """As fairseq names it: (B, L, V)."""
        logs: Tensor = self.decoder.get_normalized_probs(found, log_probs, sample)
        return logs


class _Encoded(nn.Module):
    def __init__(self, encoded: Tensor, padding_mask: Tensor | None) -> None:
        super().__init__()
        self.found = {
            "encoder_out": [encoded.transpose(0, 1)],
            "encoder_padding_mask": [] if padding_mask is None else [padding_mask],
        }

    def forward_torchscript(self, net_input: Mapping[str, Tensor]) -> dict[str, list[Tensor]]:
        return self.found

    def reorder_encoder_out(self, found: Mapping[str, list[Tensor]], order: Tensor) -> dict[str, list[Tensor]]:
        return {
            "encoder_out": [part.index_select(1, order) for part in found["encoder_out"]],
            "encoder_padding_mask": [part.index_select(0, order) for part in found["encoder_padding_mask"]],
        }


def original_decoder(dims: Dims, state: Mapping[str, Tensor]) -> Any:
    """fairseq's ``TransformerDecoder`` with the tensors ``decoder.*`` of a state dict. Raises TlbenchError as above."""
    module = original(FAIRSEQ, "fairseq.models.transformer.transformer_decoder")
    config = original(FAIRSEQ, "fairseq.models.transformer.transformer_config").TransformerConfig()
    config.encoder.embed_dim, config.decoder.embed_dim = dims.encoder_width, dims.decoder_width
    config.decoder.input_dim = config.decoder.output_dim = dims.decoder_width
    config.decoder.ffn_embed_dim, config.decoder.layers = dims.decoder_ffn, dims.decoder_layers
    config.decoder.attention_heads, config.decoder.normalize_before = dims.decoder_heads, dims.decoder_prenorm
    config.decoder.learned_pos = dims.learned_positions
    config.share_decoder_input_output_embed = dims.shared_output
    config.no_scale_embedding = not dims.embedding_scale
    config.max_target_positions = dims.max_target_positions
    symbols = original_dictionary(numbered(dims))
    decoder = module.TransformerDecoderBase(config, symbols, nn.Embedding(dims.vocabulary, dims.decoder_width, PAD))
    named = {name.replace("embed_out", "output_projection.weight"): tensor for name, tensor in state.items()}
    absent = {"version", "embed_positions._float_tensor", *(["output_projection.weight"] if dims.shared_output else ())}
    load_tensors(decoder, named, DECODER_PREFIX, unused={"embed_positions._float_tensor"}, absent=absent)
    return decoder.eval().requires_grad_(False)


def original_dictionary(symbols: Sequence[str]) -> Any:
    """fairseq's ``Dictionary``: its own four special symbols, then ``symbols[4:]``."""
    dictionary = original(FAIRSEQ, "fairseq.data.dictionary").Dictionary()
    for symbol in symbols[len(dictionary) :]:
        dictionary.add_symbol(symbol)
    return dictionary


def original_generator(model: nn.Module, symbols: Sequence[str], settings: BeamSettings) -> Any:
    """fairseq's ``SequenceGenerator`` with :class:`.decode.BeamSettings` under its own names."""
    return original(FAIRSEQ, "fairseq.sequence_generator").SequenceGenerator(
        [model],
        original_dictionary(symbols),
        beam_size=settings.beam,
        max_len_a=settings.max_len_a,
        max_len_b=settings.max_len_b,
        min_len=settings.min_len,
        normalize_scores=settings.normalise,
        len_penalty=settings.lenpen,
        unk_penalty=settings.unkpen,
        temperature=settings.temperature,
        no_repeat_ngram_size=settings.no_repeat_ngram,
    )


def generate(
    generator: Any, lengths: Sequence[int], prefixes: Sequence[Sequence[int]] | None = None
) -> list[list[Hypothesis]]:
    """All hypotheses of fairseq's search, the best first, for utterances of these numbers of frames."""
    net_input = {
        "src_tokens": torch.full((len(lengths), max(lengths)), PAD + 1),
        "src_lengths": torch.tensor(lengths),
    }
    tokens = None if prefixes is None else torch.tensor(prefixes)
    found = generator.generate([], {"net_input": net_input}, prefix_tokens=tokens)
    return [
        [Hypothesis(one["tokens"].numpy(), float(one["score"]), one["positional_scores"].numpy()) for one in rows]
        for rows in found
    ]


class OriginalAVHubert(AVHubert):
    """The observer whose network and search are the original packages'; crops are ours."""

    def __init__(self, encoder: Any, search: Callable[[Tensor], Hypothesis], dictionary: Dictionary, view: str) -> None:
        self._encoder, self._search, self._dictionary, self._view = encoder, search, dictionary, VIEWS[view]

    @classmethod
    def load_original(cls, weights: Path, view: str, code: Path | None = None) -> OriginalAVHubert:
        """Load a fine-tuned checkpoint with a decoder. Its tensors are read as ours are, see docs/live.md.

        ``code`` is the folder of av_hubert's repository, whose classes are then used.

        Raises
        ------
        TlbenchError
            If a package is missing, or the checkpoint is of another kind.
        """
        package = open_package(weights, read_published)
        model, dictionary = network_of(package, weights)
        if not model.dims.decoder_layers:
            raise TlbenchError(
                f"weights {weights}: no decoder, so there is no beam search to compare; take a fine-tuned one"
            )
        state = {name: tensor.float() for name, tensor in package.tensors.items()}
        if code is not None:
            from .original_code import code_encoder, code_search

            return cls(code_encoder(code, model.dims, state), code_search(code, model.dims, state), dictionary, view)
        encoder, decoder = original_encoder(model.dims, state), original_decoder(model.dims, state)

        def search(encoded: Tensor) -> Hypothesis:
            generator = original_generator(
                OriginalSequenceModel(decoder, encoded, None), numbered(model.dims), BeamSettings()
            )
            return generate(generator, [encoded.shape[1]])[0][0]

        return cls(encoder, search, dictionary, view)

    def start_clip(self, clip: Any, samples: Any) -> ClipState:
        """The crops of a clip."""
        return AVHubertClipState(clip, samples, self._view)

    @torch.inference_mode()
    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """The evidence ``tokens``, ``score`` and ``hypothesis`` of each clip, read alone."""
        return read_together(states, AVHubertClipState, self._prepare, self._read)

    def _prepare(self, state: AVHubertClipState) -> Tensor:
        """The (1, T, C) output of the encoder."""
        video = torch.from_numpy(state.generated.all(state.clip.id))[None, None]
        encoded: Tensor = self._encoder.extract_finetune({"video": video, "audio": None}, padding_mask=None)[0]
        return encoded

    def _read(self, states: Sequence[AVHubertClipState], encoded: Sequence[Tensor]) -> list[Evidence]:
        return [self._evidence(self._search(one)) for one in encoded]

    def _evidence(self, best: Hypothesis) -> Evidence:
        text = self._dictionary.text(best.tokens.tolist())
        return Evidence("avhubert", {"hypothesis": text, "tokens": best.tokens, "score": best.score})


def numbered(dims: Dims) -> list[str]:
    """Symbols for fairseq's dictionary, of which the search needs only the number."""
    return [str(number) for number in range(dims.vocabulary)]


def load_tensors(
    module: nn.Module, state: Mapping[str, Tensor], prefix: str, unused: set[str], absent: set[str]
) -> None:
    """Load the tensors with this prefix. Raises TlbenchError if others than ``absent`` and ``unused`` do not match."""
    own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    found = module.load_state_dict(own, strict=False)
    strange = {*found.unexpected_keys} - unused | {*found.missing_keys} - absent
    if strange:
        raise TlbenchError(f"the original's {type(module).__name__} and these weights differ in {sorted(strange)[0]!r}")
