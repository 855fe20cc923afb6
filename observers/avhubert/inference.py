"""AV-HuBERT at work on clips: frames are kept as crops, then read together, a few clips at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
from tlbench.observing.precision import HALF, exact_products, to_half

from .checkpoint import load
from .decode import BeamSettings, beam_search, ctc_greedy
from .dictionary import Dictionary
from .incremental_decoder import SteppingDecoder
from .model import AVHubert

# Of all self-attention keys and values of the utterances that are decoded together, if none of their beams ended.
CACHE_BYTES = 2**30


@dataclass(frozen=True)
class TokenHypothesis:
    """What was read of one clip: (n,) int64 token ids, and the mean log probability of them (of frames, for CTC)."""

    tokens: np.ndarray
    score: float


class AVHubertClipState(ClipState):
    """The crops of one clip, and of its reference where features are compared."""

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


class AVHubertInference:
    """The network, its dictionary and the view of a run."""

    def __init__(
        self,
        model: AVHubert,
        dictionary: Dictionary,
        view: View,
        device: torch.device,
        *,
        similarity: bool,
        half: bool = False,
    ) -> None:
        self._model = model.eval().requires_grad_(False).to(device)
        self._dictionary = dictionary
        self._view = view
        self._device = device
        self._similarity = similarity
        self._numbers = HALF if half else torch.float32
        self._half = half
        self._stepper = SteppingDecoder(self._model.decoder, self._numbers) if model.dims.decoder_layers else None
        self._settings = BeamSettings(early_stop=True)  # only the best is asked for, and that stays the same
        if half:
            to_half(self._model.encoder.w2v_model)
            if self._stepper is not None:
                del self._model.decoder  # the stepper has its weights

    @classmethod
    def load(cls, weights: Path, view: View, device: str, *, similarity: bool, half: bool = False) -> AVHubertInference:
        """Raises TlbenchError if the weights do not fit, or have no output layer and so can't read."""
        model, dictionary = load(weights)
        if not model.dims.vocabulary:
            raise TlbenchError(
                f"weights {weights}: this AV-HuBERT is pre-trained only and can't read; take a fine-tuned checkpoint"
            )
        return cls(model, dictionary, view, torch.device(device), similarity=similarity, half=half)

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> AVHubertClipState:
        """Begin with a clip. Raises ClipError if features are to be compared and there is no sound."""
        if self._similarity and (samples is None or not len(samples)):
            raise ClipError("no-audio", f"clip {clip.id}: no audio stream (AVS compares with it); leave avs_* out")
        return AVHubertClipState(clip, samples, self._view)

    @torch.inference_mode()
    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """Evidence or the reason for none of each clip, in order."""
        with exact_products(self._device):
            return read_together(states, AVHubertClipState, self._encode, self._compute)

    def _compute(
        self, states: Sequence[AVHubertClipState], prepared: Sequence[tuple[Tensor, dict[str, Value]]]
    ) -> list[Evidence]:
        """Evidence of clips that are encoded, from features (T, C) and similarities of each."""
        read: dict[int, TokenHypothesis] = {}
        encoded = [features for features, _ in prepared]
        for indices in self._groups(encoded):
            read |= dict(zip(indices, self._read([encoded[index] for index in indices]), strict=True))
        return [
            Evidence(
                "avhubert",
                {
                    "hypothesis": self._dictionary.text(read[index].tokens.tolist()),
                    "reference": state.clip.transcript or "",
                    "tokens": read[index].tokens,
                    "score": read[index].score,
                    **similar,
                },
            )
            for index, (state, (_, similar)) in enumerate(zip(states, prepared, strict=True))
        ]

    def _encode(self, state: AVHubertClipState) -> tuple[Tensor, dict[str, Value]]:
        """(T, C) features of the lips, and the similarities. Clips are encoded one by one: padding changes rounding."""
        clip = state.clip
        lips = self._pictures(state.generated.all(clip.id))
        longest = self._model.dims.max_target_positions - 1  # the decoder may say one token a frame, and the end mark
        if lips.shape[2] > longest:
            raise ClipError(
                "too-long",
                f"clip {clip.id}: {lips.shape[2]} frames, this network reads {longest} at most; cut it into utterances",
            )
        seen = self._model.video_features(lips)
        encoded = self._fused(seen, None)
        if not self._similarity:
            return encoded, {}
        assert state.samples is not None  # Reader.start_clip refuses a clip without
        if not state.reference.frames:
            raise ClipError("missing", f"clip {clip.id}: no reference video to compare features with; leave avs_* out")
        real = self._pictures(state.reference.all(clip.id))
        real_seen = self._model.video_features(real)
        heard, real_heard = (
            self._model.audio_features(self._speech(state.samples, video.shape[2])) for video in (lips, real)
        )
        return encoded, {
            "avs_u": _similarity(self._fused(None, heard), encoded),
            "avs_m": _similarity(self._fused(seen, heard), self._fused(real_seen, real_heard)),
            "avs_v": _similarity(encoded, self._fused(real_seen, None)),
        }

    def _fused(self, seen: Tensor | None, heard: Tensor | None) -> Tensor:
        """(T, C) float32, whatever the network computes in."""
        return self._model.fuse(seen, heard, None)[0].float()

    def _pictures(self, crops: np.ndarray) -> Tensor:
        """(1, 1, T, 88, 88), from (T, 88, 88) float32."""
        return torch.from_numpy(crops).to(self._device, self._numbers)[None, None]

    def _speech(self, samples: np.ndarray, frames: int) -> Tensor:
        """(1, 104, T)."""
        features = stacked_filterbanks(samples, frames, normalise=self._model.dims.normalise_audio)  # (T, 104)
        return torch.from_numpy(features).to(self._device, self._numbers).T[None]

    def _groups(self, encoded: Sequence[Tensor]) -> Iterator[list[int]]:
        """Clips that are decoded together: of like length, and few enough for their beams' caches to fit.

        In half precision each by itself: beside others its sums would be taken in another order, and that can change
        its words.
        """
        dims = self._model.dims
        bytes_a_step = 2 * 4 * dims.decoder_layers * dims.decoder_width * self._settings.beam
        group: list[int] = []
        for index in sorted(range(len(encoded)), key=lambda i: len(encoded[i])):
            needed = (len(group) + 1) * len(encoded[index]) * bytes_a_step
            if group and (self._half or needed > CACHE_BYTES):
                yield group
                group = []
            group.append(index)
        if group:
            yield group

    def _read(self, encoded: Sequence[Tensor]) -> list[TokenHypothesis]:
        """The best hypothesis of each (T, C) utterance."""
        if self._stepper is None:
            return [self._read_frames(features) for features in encoded]
        padded = torch.nn.utils.rnn.pad_sequence(list(encoded), batch_first=True)  # (B, T, C)
        lengths = torch.tensor([len(features) for features in encoded])
        best = [found[0] for found in beam_search(self._stepper, padded, lengths, self._settings)]
        if self._half:  # nobody was beside it
            return [TokenHypothesis(hypothesis.tokens, hypothesis.score) for hypothesis in best]
        return [
            TokenHypothesis(hypothesis.tokens, self._score(hypothesis.tokens, features))
            for hypothesis, features in zip(best, encoded, strict=True)
        ]

    def _score(self, tokens: np.ndarray, features: Tensor) -> float:
        """The hypothesis' score once more, by itself: that of the search has the rounding of whoever was beside it."""
        words = torch.from_numpy(tokens).to(features.device)
        before = words.roll(1)[None]  # begins with the end mark, which stands last
        found = self._model.logits(before, features[None], None)[0].float().log_softmax(1)  # (n, V)
        total = float(found.gather(1, words[:, None]).sum())
        return total / float(len(words) ** self._settings.lenpen)

    def _read_frames(self, features: Tensor) -> TokenHypothesis:
        """Of a checkpoint fine-tuned with CTC: (T, C) to the best symbol of every frame."""
        logits = self._model.ctc_logits(features[None])  # (1, T, V)
        sure = logits.float().log_softmax(2).amax(2).mean()
        return TokenHypothesis(ctc_greedy(logits, torch.tensor([len(features)]))[0], float(sure))


def _similarity(one: Tensor, other: Tensor) -> float:
    """Mean over frames of the cosine of (T, C) features, as far as both go."""
    frames = min(len(one), len(other))
    return float(torch.nn.functional.cosine_similarity(one[:frames], other[:frames], dim=-1).mean())
