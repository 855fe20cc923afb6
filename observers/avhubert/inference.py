"""AV-HuBERT on clips: crops are collected, then several clips are decoded in one batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.filterbank import stacked_filterbanks
from tlbench.media.views import View
from tlbench.observing.evidence import Evidence, Value
from tlbench.observing.lip_reader import Crops, read_together
from tlbench.observing.observer import ClipChunk, ClipState
from tlbench.observing.pack_layers import pack_layers
from tlbench.observing.precision import HALF, exact_products, to_half

from .checkpoint import load
from .decode import BeamSettings, NotFiniteLogitsError, Stepper, beam_search, ctc_greedy
from .dictionary import Dictionary
from .dims import Dims
from .fast_frontend import FusedFrontend
from .incremental_decoder import SteppingDecoder
from .model import AVHubert
from .packed_decoder import PackedDecoder

# Limit for the keys and values of the utterances that are decoded together, as :func:`cache_bytes` estimates them.
CACHE_BYTES = 2**30
# Slots in use at a time, in beams, as hypotheses share their past. Measured with a beam of 50: at most 9.4 by the
# bundled avhubert-grid on 4 clips of 75 frames, 4.8 with the weights of benchmarks/avhubert.py. More are allocated if
# a search needs them.
SLOTS_A_HYPOTHESIS = 16


@dataclass(frozen=True)
class TokenHypothesis:
    """The transcription of one clip: (n,) int64 token ids, and their mean log-probability (of frames, for CTC)."""

    tokens: np.ndarray
    score: float


class AVHubertClipState(ClipState):
    """The crops of one clip, and of its reference video if features are compared."""

    def __init__(self, clip: Clip, samples: np.ndarray | None, view: View) -> None:
        self.clip = clip
        self.samples = samples
        self.generated = Crops(view)  # (n, 88, 88) float32
        self.reference = Crops(view)

    def update(self, chunk: ClipChunk) -> None:
        if chunk.generated is not None:
            self.generated.take(chunk.generated, chunk.boxes, chunk.placements)
        if chunk.reference is not None:
            self.reference.take(chunk.reference, chunk.boxes_in_reference, chunk.placements_in_reference)


@dataclass(frozen=True)
class AVHubertStart:
    """Starts clips for one view; with ``similarity`` features are compared, which needs audio."""

    view: View
    similarity: bool

    def __call__(self, clip: Clip, samples: np.ndarray | None) -> AVHubertClipState:
        """Raises ClipError if the clip has no transcript, or features are compared and there is no audio."""
        if not clip.transcript:
            raise ClipError(
                "no-transcript", f"clip {clip.id}: no transcript (WER needs one); leave wer1 out, or add it"
            )
        if self.similarity and (samples is None or not len(samples)):
            raise ClipError("no-audio", f"clip {clip.id}: no audio stream (AVS compares with it); leave avs_* out")
        return AVHubertClipState(clip, samples, self.view)


class AVHubertInference:
    """The network of a run, its dictionary and its view.

    ``similarity`` also compares encoder features; ``half`` computes in bfloat16; ``packed`` multiplies with packed
    weights.
    """

    def __init__(
        self,
        model: AVHubert,
        dictionary: Dictionary,
        view: View,
        device: torch.device,
        *,
        similarity: bool,
        half: bool = False,
        packed: bool = False,
    ) -> None:
        self._model = model.eval().requires_grad_(False)
        network = self._model.encoder.w2v_model
        self._frontend = FusedFrontend(network.feature_extractor_video).eval().requires_grad_(False).to(device)
        del network.feature_extractor_video  # the fused front end has its weights
        network.encoder.fold()
        self._model.to(device)
        self._dictionary = dictionary
        self._view = view
        self._device = device
        self._similarity = similarity
        self._dtype = HALF if half else torch.float32
        self._half = half
        self._settings = BeamSettings(early_stop=True)  # does not change the best hypothesis
        if half:
            to_half(network)
            to_half(self._frontend)
        self._stepper: Stepper[Any] | None = None
        if model.dims.decoder_layers:
            decoder = self._model.decoder
            self._stepper = PackedDecoder(decoder, self._dtype) if packed else SteppingDecoder(decoder, self._dtype)
            if half:
                del self._model.decoder  # the incremental decoder has its weights
        if packed:
            pack_layers(network if half else self._model.encoder)  # in bfloat16 the last layer stays float32
            pack_layers(self._frontend)

    @classmethod
    def load(
        cls, weights: Path, view: View, device: str, *, similarity: bool, half: bool = False, packed: bool = False
    ) -> AVHubertInference:
        """Load the network. Raises TlbenchError if the weights do not fit, or have no output layer and should read."""
        model, dictionary = load(weights)
        if not model.dims.vocabulary and not similarity:
            raise TlbenchError(
                f"weights {weights}: this AV-HuBERT is pre-trained only and can't read; take a fine-tuned checkpoint, "
                "or ask for avs_u, avs_m and avs_v only"
            )
        return cls(model, dictionary, view, torch.device(device), similarity=similarity, half=half, packed=packed)

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> AVHubertClipState:
        """The state of a new clip. Raises ClipError as :class:`AVHubertStart`."""
        return AVHubertStart(self._view, self._similarity)(clip, samples)

    @torch.inference_mode()
    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """The evidence of each clip, or the reason why there is none, in order."""
        with exact_products(self._device):
            return read_together(states, AVHubertClipState, self._encode, self._compute)

    def _compute(
        self, states: Sequence[AVHubertClipState], prepared: Sequence[tuple[Tensor, dict[str, Value]]]
    ) -> list[Evidence]:
        """The evidence of clips from their (T, C) features and similarities."""
        if not self._model.dims.vocabulary:  # only pre-trained
            return [Evidence("avhubert", similar, bool(features.isfinite().all())) for features, similar in prepared]
        best: dict[int, TokenHypothesis] = {}
        encoded = [features for features, _ in prepared]
        for indices in self._groups(encoded):
            best |= self._decode_finite({index: encoded[index] for index in indices})
        return [
            Evidence("avhubert", finite=False)
            if index not in best
            else Evidence(
                "avhubert",
                {
                    "hypothesis": self._dictionary.text(best[index].tokens.tolist()),
                    "reference": state.clip.transcript or "",
                    "tokens": best[index].tokens,
                    "score": best[index].score,
                    **similar,
                },
            )
            for index, (state, (_, similar)) in enumerate(zip(states, prepared, strict=True))
        ]

    def _decode_finite(self, encoded: Mapping[int, Tensor]) -> dict[int, TokenHypothesis]:
        """The best hypothesis of each (T, C) utterance that has one: features and logits are finite."""
        finite = {index: features for index, features in encoded.items() if bool(features.isfinite().all())}
        try:
            return dict(zip(finite, self._decode(list(finite.values())), strict=True)) if finite else {}
        except NotFiniteLogitsError:
            if len(finite) == 1:
                return {}
        alone = [self._decode_finite({index: features}) for index, features in finite.items()]
        return {index: best for found in alone for index, best in found.items()}

    def _encode(self, state: AVHubertClipState) -> tuple[Tensor, dict[str, Value]]:
        """(T, C) video features, and the similarities. Clips are encoded alone, because padding changes rounding."""
        clip = state.clip
        lips = self._pictures(state.generated.all(clip.id))
        longest = self._model.dims.max_target_positions - 1  # at most one token per frame, and the end token
        if lips.shape[2] > longest:
            raise ClipError(
                "too-long",
                f"clip {clip.id}: {lips.shape[2]} frames, this network reads at most {longest}; cut it into utterances",
            )
        video = self._frontend(lips)
        encoded = self._fused(video, None)
        if not self._similarity:
            return encoded, {}
        assert state.samples is not None  # start_clip refuses a clip without audio
        if not state.reference.frames:
            raise ClipError("missing", f"clip {clip.id}: no reference video to compare features with; leave avs_* out")
        real = self._pictures(state.reference.all(clip.id))
        real_video = self._frontend(real)
        audio, real_audio = (
            self._model.audio_features(self._speech(state.samples, pictures.shape[2])) for pictures in (lips, real)
        )
        return encoded, {
            "avs_u": _similarity(self._fused(None, audio), encoded),
            "avs_m": _similarity(self._fused(video, audio), self._fused(real_video, real_audio)),
            "avs_v": _similarity(encoded, self._fused(real_video, None)),
        }

    def _fused(self, video: Tensor | None, audio: Tensor | None) -> Tensor:
        """The (T, C) float32 output of the encoder."""
        return self._model.fuse(video, audio, None)[0].float()

    def _pictures(self, crops: np.ndarray) -> Tensor:
        """(T, 88, 88) float32 to (1, 1, T, 88, 88) on the network's device, in its precision."""
        return torch.from_numpy(crops).to(self._device, self._dtype)[None, None]

    def _speech(self, samples: np.ndarray, frames: int) -> Tensor:
        """The (1, 104, T) stacked filterbanks of (N,) int16."""
        features = stacked_filterbanks(samples, frames, normalise=self._model.dims.normalise_audio)  # (T, 104)
        return torch.from_numpy(features).to(self._device, self._dtype).T[None]

    def _groups(self, encoded: Sequence[Tensor]) -> Iterator[list[int]]:
        """The clips of each batch: of similar length, few enough for the caches of their beams, equally many in each.

        In bfloat16 each clip is decoded alone: in a batch the order of its sums differs, which can change its words.
        """
        order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
        needed = [cache_bytes(self._model.dims, len(encoded[index]), self._settings.beam) for index in order]
        most = 1 if self._half else len(order)
        for start, end in even_runs(needed, CACHE_BYTES, most):
            yield order[start:end]

    def _decode(self, encoded: Sequence[Tensor]) -> list[TokenHypothesis]:
        """The best hypothesis of each (T, C) utterance."""
        if self._stepper is None:
            return [self._decode_ctc(features) for features in encoded]
        padded = torch.nn.utils.rnn.pad_sequence(list(encoded), batch_first=True)  # (B, T, C)
        lengths = torch.tensor([len(features) for features in encoded])
        best = [found[0] for found in beam_search(self._stepper, padded, lengths, self._settings)]
        if self._half:  # it was decoded alone
            return [TokenHypothesis(hypothesis.tokens, hypothesis.score) for hypothesis in best]
        return [
            TokenHypothesis(hypothesis.tokens, self._score(hypothesis.tokens, features))
            for hypothesis, features in zip(best, encoded, strict=True)
        ]

    def _score(self, tokens: np.ndarray, features: Tensor) -> float:
        """The score of a hypothesis, computed alone: the rounding of the search's score depends on the batch."""
        target = torch.from_numpy(tokens).to(features.device)
        before = target.roll(1)[None]  # the end token, which is last, becomes the first
        found = self._model.logits(before, features[None], None)[0].float().log_softmax(1)  # (n, V)
        total = float(found.gather(1, target[:, None]).sum())
        return total / float(len(target) ** self._settings.lenpen)

    def _decode_ctc(self, features: Tensor) -> TokenHypothesis:
        """Greedy CTC decoding of (T, C) features."""
        logits = self._model.ctc_logits(features[None])  # (1, T, V)
        score = logits.float().log_softmax(2).amax(2).mean()
        return TokenHypothesis(ctc_greedy(logits, torch.tensor([len(features)]))[0], float(score))


def _similarity(one: Tensor, other: Tensor) -> float:
    """The mean cosine of two (T, C) features over the frames that both have."""
    frames = min(len(one), len(other))
    return float(torch.nn.functional.cosine_similarity(one[:frames], other[:frames], dim=-1).mean())


def cache_bytes(dims: Dims, frames: int, beam: int) -> int:
    """What the search of one utterance keeps: keys and values of its hypotheses' tokens, and of its frames."""
    slots = min(frames, SLOTS_A_HYPOTHESIS) * beam + frames
    return 2 * 4 * dims.decoder_layers * dims.decoder_width * (slots + dims.decoder_heads * frames)


def even_runs(needed: Sequence[int], limit: int, most: int) -> list[tuple[int, int]]:
    """The fewest runs of nearly equal length, (start, end) each, that need at most ``limit`` and have at most ``most``.

    One that needs more than the limit alone is a run of its own.
    """
    total = len(needed)
    runs: list[tuple[int, int]] = []
    for count in range(1, total + 1):
        cuts = [total * number // count for number in range(count + 1)]
        runs = list(pairwise(cuts))
        if all(end - start == 1 or (end - start <= most and sum(needed[start:end]) <= limit) for start, end in runs):
            break
    return runs
