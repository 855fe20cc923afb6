"""auto_avsr on clips: crops are collected, then several clips are decoded in one batch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.views import View
from tlbench.observing.evidence import Evidence, Value
from tlbench.observing.incremental_decoder import SteppingDecoder
from tlbench.observing.lip_reader import Crops, read_together
from tlbench.observing.observer import ClipChunk, ClipState
from tlbench.observing.pack_layers import pack_layers
from tlbench.observing.precision import HALF, exact_products, to_half

from .decode import BEAM, NotFiniteScoresError, beam_search, ctc_greedy
from .fast_model import ClipEncoder, decoder_parts
from .model import POSITIONS, AutoAVSRModel
from .tokens import Tokens

# Limit for the self-attention keys and values of the clips that are decoded together, if no beam ends early.
CACHE_BYTES = 2**30


class AutoAVSRClipState(ClipState):
    """The crops of one clip, and of its reference video if encodings are compared."""

    def __init__(self, clip: Clip, view: View) -> None:
        self.clip = clip
        self.generated = Crops(view)  # (n, 88, 88) float32
        self.reference = Crops(view)

    def update(self, chunk: ClipChunk) -> None:
        if chunk.generated is not None:
            self.generated.take(chunk.generated, chunk.boxes, chunk.placements)
        if chunk.reference is not None:
            self.reference.take(chunk.reference, chunk.boxes_in_reference, chunk.placements_in_reference)


@dataclass(frozen=True)
class AutoAVSRStart:
    """Starts clips for one view; ``reads``: whether text is read, which needs a transcript."""

    view: View
    reads: bool

    def __call__(self, clip: Clip, samples: np.ndarray | None) -> AutoAVSRClipState:
        """Raises ClipError if the clip is read and has no transcript."""
        if self.reads and not clip.transcript:
            raise ClipError(
                "no-transcript", f"clip {clip.id}: no transcript (WER needs one); leave wer3 out, or add it"
            )
        return AutoAVSRClipState(clip, self.view)


class AutoAVSRInference:
    """The network of a run, its tokens and its view.

    Parameters
    ----------
    model : AutoAVSRModel
        Its layers are frozen and fused.
    tokens : Tokens
    view : View
    device : torch.device
    modes : collection of str
        What is computed, see :class:`.observer.AutoAVSR`.
    half : bool
        Compute in bfloat16.
    packed : bool
        Multiply with packed weights.
    """

    def __init__(
        self,
        model: AutoAVSRModel,
        tokens: Tokens,
        view: View,
        device: torch.device,
        modes: Collection[str],
        *,
        half: bool = False,
        packed: bool = False,
    ) -> None:
        model = model.eval().requires_grad_(False).to(device)
        self._encoder = ClipEncoder(model).eval().requires_grad_(False).to(device)
        self._ctc = model.ctc
        self._tokens = tokens
        self._view = view
        self._device = device
        self._modes = frozenset(modes)
        self._dtype = HALF if half else torch.float32
        self._dims = model.dims
        # As one clip is decoded: a vocabulary of few tokens has no more hypotheses, and the blank is none.
        self._beam = min(BEAM, len(tokens) - 1)
        # In bfloat16 a clip is decoded alone: in a batch the order of its sums differs, which can change tokens.
        self._one_by_one = half
        self._model = model
        self._stepper: SteppingDecoder | None = None
        if half:
            to_half(self._encoder)
        if packed:
            pack_layers(self._encoder)
        if "beam" in self._modes:
            self._stepper = SteppingDecoder(decoder_parts(model.decoder), self._dtype, packed=packed)

    def start_clip(self, clip: Clip) -> AutoAVSRClipState:
        """The state of a new clip, which may have no transcript."""
        return AutoAVSRClipState(clip, self._view)

    @torch.inference_mode()
    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """The evidence of each clip, or the reason why there is none, in order."""
        with exact_products(self._device):
            return read_together(states, AutoAVSRClipState, self._encode, self._read)

    @torch.inference_mode()
    def read_crops(self, clips: Sequence[Clip], crops: Sequence[np.ndarray]) -> list[Evidence]:
        """The evidence of clips with these (T, side, side) normalised crops, without comparing encodings."""
        with exact_products(self._device):
            states = [self.start_clip(clip) for clip in clips]
            return self._read(states, [(self._encoded(own), {}) for own in crops])

    def _encode(self, state: AutoAVSRClipState) -> tuple[Tensor, dict[str, Value]]:
        """(T, C) float32 encoding, and the similarity."""
        clip = state.clip
        crops = state.generated.all(clip.id)
        if len(crops) >= POSITIONS:
            raise ClipError(
                "too-long",
                f"clip {clip.id}: {len(crops)} frames, auto_avsr reads at most {POSITIONS - 1}; cut it into utterances",
            )
        encoded = self._encoded(crops)
        if "similarity" not in self._modes:
            return encoded, {}
        if not state.reference.frames:
            raise ClipError(
                "missing", f"clip {clip.id}: no reference video to compare encodings with; leave lip_score out"
            )
        return encoded, {"lip_score": _similarity(encoded, self._encoded(state.reference.all(clip.id)))}

    def _encoded(self, crops: np.ndarray) -> Tensor:
        return self._encoder(torch.from_numpy(crops).to(self._device, self._dtype)).float()  # type: ignore[no-any-return]

    def _read(
        self, states: Sequence[AutoAVSRClipState], prepared: Sequence[tuple[Tensor, dict[str, Value]]]
    ) -> list[Evidence]:
        """The evidence of clips from their encodings and similarities."""
        encoded = [features for features, _ in prepared]
        logits = [self._ctc(features) for features in encoded] if self._modes & {"beam", "ctc"} else []
        best = self._decode_all(encoded, logits) if self._stepper is not None else {}
        evidence = []
        for index, (state, (features, similar)) in enumerate(zip(states, prepared, strict=True)):
            values: dict[str, Value] = {**similar}
            finite = bool(features.isfinite().all())
            if logits:
                transcript = state.clip.transcript or ""
                values |= {"reference": transcript, "reference_spelled": self._spelled(transcript)}
            if "ctc" in self._modes:
                values["ctc_hypothesis"] = self._tokens.text(ctc_greedy(logits[index]).tolist())
            if self._stepper is not None:
                finite = finite and index in best
                if finite:
                    values |= best[index]
            evidence.append(Evidence("autoavsr", values, True) if finite else Evidence("autoavsr", finite=False))
        return evidence

    def _spelled(self, transcript: str) -> str:
        """The transcript in the network's tokens, which are of upper-case letters."""
        return self._tokens.text(self._tokens.encode(transcript.upper()))

    def _decode_all(self, encoded: Sequence[Tensor], logits: Sequence[Tensor]) -> dict[int, dict[str, Value]]:
        best: dict[int, dict[str, Value]] = {}
        for indices in self._groups(encoded):
            best |= self._decode_finite({index: (encoded[index], logits[index]) for index in indices})
        return best

    def _decode_finite(self, clips: Mapping[int, tuple[Tensor, Tensor]]) -> dict[int, dict[str, Value]]:
        """What is read of each clip whose encoding and scores are finite."""
        finite = {index: both for index, both in clips.items() if all(bool(one.isfinite().all()) for one in both)}
        try:
            return dict(zip(finite, self._decode(list(finite.values())), strict=True)) if finite else {}
        except NotFiniteScoresError:
            if len(finite) == 1:
                return {}
        alone = [self._decode_finite({index: both}) for index, both in finite.items()]
        return {index: read for found in alone for index, read in found.items()}

    def _decode(self, clips: Sequence[tuple[Tensor, Tensor]]) -> list[dict[str, Value]]:
        assert self._stepper is not None
        encoded = [features for features, _ in clips]
        logs = [own.log_softmax(dim=1) for _, own in clips]
        found = beam_search(self._stepper, encoded, logs, self._beam)
        return [
            {
                "hypothesis": self._tokens.text(hypotheses[0].tokens[1:].tolist()),
                "tokens": hypotheses[0].tokens[1:].numpy(),
            }
            for hypotheses in found
        ]

    def _groups(self, encoded: Sequence[Tensor]) -> Iterator[list[int]]:
        """The clips of each batch: of similar length, and few enough for the caches of their beams."""
        bytes_per_step = 2 * 4 * self._dims.decoder_blocks * self._dims.width * self._beam
        group: list[int] = []
        for index in sorted(range(len(encoded)), key=lambda i: len(encoded[i])):
            needed = (len(group) + 1) * len(encoded[index]) * bytes_per_step
            if group and (self._one_by_one or needed > CACHE_BYTES):
                yield group
                group = []
            group.append(index)
        if group:
            yield group


def _similarity(one: Tensor, other: Tensor) -> float:
    """The mean cosine of two (T, C) encodings over the frames that both have."""
    frames = min(len(one), len(other))
    return float(torch.nn.functional.cosine_similarity(one[:frames], other[:frames], dim=1).mean())
