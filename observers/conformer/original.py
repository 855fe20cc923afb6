"""The Conformer by espnet, for ``tlbench checkpoints verify --against original`` and ``tests/live``.

Conformer encoder and Transformer decoder are ESPnet1's, which the published network was built with. Its visual front
end is in no package: ours is used for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.observing.evidence import Evidence
from tlbench.observing.lip_reader import read_together
from tlbench.observing.observer import ClipState
from tlbench.observing.originals import loaded, original, quiet

from .checkpoint import FORMAT
from .dims import Dims
from .fast_model import normalise
from .inference import ConformerClipState
from .model import ConformerModel, pad_features
from .observer import Conformer
from .tokenizer import EOS, VOCABULARY, required_frames
from .view import VIEWS

PACKAGE = "espnet"


def original_encoder(dims: Dims, state: Mapping[str, Tensor]) -> Any:
    """ESPnet1's Conformer ``Encoder`` with the tensors ``encoder.*``.

    Raises TlbenchError if espnet is missing or the tensors differ.
    """
    module = original(PACKAGE, "espnet.nets.pytorch_backend.conformer.encoder")
    encoder = module.Encoder(
        dims.features,
        attention_dim=dims.width,
        attention_heads=dims.heads,
        linear_units=dims.hidden,
        num_blocks=dims.encoder_blocks,
        input_layer="linear",
        macaron_style=True,
        pos_enc_layer_type="rel_pos",
        selfattention_layer_type="rel_selfattn",
        use_cnn_module=True,
        cnn_module_kernel=dims.kernel,
    )
    return loaded(encoder, state, "encoder.", PACKAGE)


def original_decoder(dims: Dims, state: Mapping[str, Tensor]) -> Any:
    """ESPnet1's Transformer ``Decoder`` with the tensors ``decoder.*``. Raises TlbenchError as above."""
    module = original(PACKAGE, "espnet.nets.pytorch_backend.transformer.decoder")
    decoder = module.Decoder(
        VOCABULARY,
        attention_dim=dims.width,
        attention_heads=dims.heads,
        linear_units=dims.hidden,
        num_blocks=dims.decoder_blocks,
    )
    return loaded(decoder, state, "decoder.", PACKAGE)


def causal(length: int) -> Tensor:
    """The (1, n, n) bool mask that ESPnet1's decoder needs: True where a character is visible."""
    return torch.ones(1, length, length, dtype=torch.bool).tril()


class OriginalConformer(Conformer):
    """The observer whose encoder and decoder are espnet's; crops and visual front end are ours."""

    def __init__(self, frontend: nn.Module, encoder: Any, decoder: Any, view: str) -> None:
        self._frontend, self._encoder, self._decoder, self._view = frontend, encoder, decoder, VIEWS[view]

    @classmethod
    def load_original(cls, weights: Path, view: str, code: Path | None = None) -> OriginalConformer:
        """Load a checkpoint: the published file by ``torch.load``, a package as ours.

        Raises
        ------
        TlbenchError
            If espnet is missing, or the weights do not fit.
        """
        if code is not None:
            raise TlbenchError(
                f"--original-code {code}: for avhubert and autoavsr only; the Conformer is compared with {PACKAGE}"
            )
        model: ConformerModel = FORMAT.load(weights)
        state = model.state_dict() if weights.is_dir() else torch.load(weights, map_location="cpu", weights_only=True)
        with quiet():
            encoder, decoder = original_encoder(model.dims, state), original_decoder(model.dims, state)
        return cls(model.visual_frontend, encoder, decoder, view)

    def start_clip(self, clip: Clip, samples: Any) -> ClipState:
        """The crops of a clip. Raises ClipError if its transcript can't be spelled."""
        return ConformerClipState(clip, self._view)

    @torch.inference_mode()
    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """The evidence ``forced_ids`` of each clip, read alone."""
        return read_together(states, ConformerClipState, self._read, lambda _, found: list(found))

    def _read(self, state: ConformerClipState) -> Evidence:
        crops = normalise(state.crops.float())
        features = self._frontend(crops[None], [len(crops)])
        length = max(len(crops), required_frames(state.reference_ids.tolist()))
        padded = pad_features(features, [length])
        memory, mask = self._encoder(padded, torch.ones(1, 1, length, dtype=torch.bool))
        prefix = torch.tensor([[EOS, *state.reference_ids[:-1].tolist()]])
        logits = self._decoder(prefix, causal(prefix.shape[1]), memory, mask)[0]
        return Evidence("conformer", {"forced_ids": logits[0].argmax(dim=-1).numpy()})
