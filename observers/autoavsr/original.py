"""auto_avsr by the original code, for ``tlbench checkpoints verify --against original`` and ``tests/live``.

auto_avsr is in no package. Its encoder, decoder, CTC and beam search are copies of ESPnet1's, so they are compared with
the package espnet; the visual front end is then ours for both. With a clone of mpc001/auto_avsr (Apache-2.0) the whole
network and the search are its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.observing.evidence import Evidence
from tlbench.observing.lip_reader import read_together
from tlbench.observing.observer import ClipState
from tlbench.observing.originals import clone_module, loaded, original, quiet

from .checkpoint import load_model, with_todays_names
from .decode import BEAM, CTC_WEIGHT, Hypothesis
from .dims import PUBLISHED, Dims
from .inference import AutoAVSRClipState
from .model import VisualFrontend
from .observer import AutoAVSR
from .tokens import Tokens
from .view import VIEWS

PACKAGE, REPOSITORY = "espnet", "mpc001/auto_avsr"
OURS, ESPNETS = ".pointwise_cov", ".pointwise_conv"  # auto_avsr's spelling of two layers' names, and espnet's

Modules = Callable[[str], ModuleType]  # a module of espnet by its name, from the package or from a clone
OF_PACKAGE: Modules = partial(original, PACKAGE)


def original_encoder(dims: Dims, state: Mapping[str, Tensor]) -> Any:
    """ESPnet1's Conformer ``Encoder`` with the tensors ``encoder.*`` and auto_avsr's activation.

    Raises TlbenchError if espnet is missing or the tensors differ.
    """
    module = original(PACKAGE, "espnet.nets.pytorch_backend.conformer.encoder")
    encoder = module.Encoder(
        dims.width,
        attention_dim=dims.width,
        attention_heads=dims.heads,
        linear_units=dims.hidden,
        num_blocks=dims.encoder_blocks,
        input_layer=None,
        macaron_style=True,
        pos_enc_layer_type="rel_pos",
        selfattention_layer_type="rel_selfattn",
        use_cnn_module=True,
        cnn_module_kernel=dims.kernel,
    )
    for block in encoder.encoders:  # espnet has one activation for the whole block; auto_avsr's convolutions keep it
        for step in (block.feed_forward, block.feed_forward_macaron):
            step.activation = nn.ReLU()
    return loaded(encoder, {k.replace(OURS, ESPNETS): v for k, v in state.items()}, "encoder.", PACKAGE)


def original_decoder(dims: Dims, state: Mapping[str, Tensor]) -> Any:
    """ESPnet1's Transformer ``Decoder`` with the tensors ``decoder.*``. Raises TlbenchError as above."""
    module = original(PACKAGE, "espnet.nets.pytorch_backend.transformer.decoder")
    decoder = module.Decoder(
        dims.vocabulary,
        attention_dim=dims.width,
        attention_heads=dims.heads,
        linear_units=dims.hidden,
        num_blocks=dims.decoder_blocks,
    )
    return loaded(decoder, state, "decoder.", PACKAGE)


def original_ctc(dims: Dims, state: Mapping[str, Tensor]) -> Any:
    """ESPnet1's ``CTC`` with the tensors ``ctc.*``. Raises TlbenchError as above."""
    module = original(PACKAGE, "espnet.nets.pytorch_backend.ctc")
    return loaded(module.CTC(dims.vocabulary, dims.width, 0.0), state, "ctc.", PACKAGE)


def original_search(
    decoder: Any,
    ctc: Any,
    vocabulary: int,
    beam: int = BEAM,
    ctc_weight: float = CTC_WEIGHT,
    *,
    modules: Modules = OF_PACKAGE,
) -> Callable[[Tensor], list[Hypothesis]]:
    """espnet's ``BatchBeamSearch`` as auto_avsr's ``lightning.py`` sets it up: all hypotheses of a (T, C) encoding.

    Raises TlbenchError if espnet is missing.
    """
    end = vocabulary - 1
    search = modules("espnet.nets.batch_beam_search").BatchBeamSearch(
        scorers={"decoder": decoder, "ctc": modules("espnet.nets.scorers.ctc").CTCPrefixScorer(ctc, end)},
        weights={"decoder": 1 - ctc_weight, "ctc": ctc_weight},
        beam_size=beam,
        vocab_size=vocabulary,
        sos=end,
        eos=end,
        pre_beam_score_key="decoder",
    )

    def hypotheses(encoded: Tensor) -> list[Hypothesis]:
        with quiet():
            found = search(encoded)
        return [
            Hypothesis(one.yseq, float(one.score), float(one.scores["decoder"]), float(one.scores.get("ctc", 0.0)))
            for one in found
        ]

    return hypotheses


class OriginalAutoAVSR(AutoAVSR):
    """The observer whose network and search are the original's; crops are ours, with espnet the front end too.

    Parameters
    ----------
    encode : callable
        (T, side, side) normalised crops to the (T, C) encoding.
    search : callable
        An encoding to its hypotheses, the best first.
    tokens : Tokens
    view : str
    """

    def __init__(
        self,
        encode: Callable[[Tensor], Tensor],
        search: Callable[[Tensor], list[Hypothesis]],
        tokens: Tokens,
        view: str,
    ) -> None:
        self._encode, self._search, self._tokens, self._view = encode, search, tokens, VIEWS[view]

    @classmethod
    def load_original(cls, weights: Path, view: str, code: Path | None = None) -> OriginalAutoAVSR:
        """Load a checkpoint: the published file by ``torch.load``, a package as ours.

        ``code`` is a clone of mpc001/auto_avsr, whose classes are then used.

        Raises
        ------
        TlbenchError
            If espnet or the clone is missing, or the weights do not fit.
        """
        model, tokens = load_model(weights)
        state: Mapping[str, Tensor] = model.state_dict()
        if not weights.is_dir():
            state = with_todays_names(torch.load(weights, map_location="cpu", weights_only=True), weights)
        beam = min(BEAM, len(tokens) - 1)  # as ours
        if code is not None:
            return cls(*_of_clone(code, model.dims, state, beam), tokens, view)
        with quiet():
            encoder, decoder = original_encoder(model.dims, state), original_decoder(model.dims, state)
            search = original_search(decoder, original_ctc(model.dims, state), len(tokens), beam)
        return cls(partial(encoded_by, model.frontend, model.proj_encoder, encoder), search, tokens, view)

    def start_clip(self, clip: Clip, samples: Any) -> ClipState:
        """The crops of a clip."""
        return AutoAVSRClipState(clip, self._view)

    @torch.inference_mode()
    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """The evidence ``hypothesis`` and ``tokens`` of each clip, read alone."""
        return read_together(
            states, AutoAVSRClipState, self._crops, lambda _, crops: [self._read(one) for one in crops]
        )

    def _crops(self, state: AutoAVSRClipState) -> Tensor:
        return torch.from_numpy(state.generated.all(state.clip.id))

    def _read(self, crops: Tensor) -> Evidence:
        tokens = self._search(self._encode(crops))[0].tokens[1:]
        return Evidence("autoavsr", {"hypothesis": self._tokens.text(tokens.tolist()), "tokens": tokens.numpy()})


def encoded_by(frontend: VisualFrontend | Any, project: nn.Module, encoder: Any, crops: Tensor) -> Tensor:
    """(T, side, side) crops to the (T, C) encoding, without a mask, as the original decodes."""
    encoded: Tensor = encoder(project(frontend(crops[None, :, None])), None)[0][0]
    return encoded


def _of_clone(
    code: Path, dims: Dims, state: Mapping[str, Tensor], beam: int
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], list[Hypothesis]]]:
    """Network and search of a clone. Raises TlbenchError if the network has other sizes than its code can build."""
    if replace(dims, vocabulary=PUBLISHED.vocabulary) != PUBLISHED:
        raise TlbenchError(
            f"--original-code {code}: its code builds the published sizes only, and this network has others; leave "
            f"--original-code out to compare with {PACKAGE}"
        )

    def modules(name: str) -> ModuleType:
        return clone_module(code, name, REPOSITORY)

    with quiet():
        whole = modules("espnet.nets.pytorch_backend.e2e_asr_conformer").E2E(dims.vocabulary, "video")
        network: Any = loaded(whole, state, "", REPOSITORY)
        search = original_search(network.decoder, network.ctc, dims.vocabulary, beam, modules=modules)
    return partial(encoded_by, network.frontend, network.proj_encoder, network.encoder), search
