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
from tlbench.media.video import Frames
from tlbench.media.views import View, ViewStream, open_view
from tlbench.observing.evidence import Evidence, Value
from tlbench.observing.observer import Watcher

from .beam import BeamSettings, beam_search
from .checkpoint import load
from .ctc import ctc_greedy
from .dictionary import Dictionary
from .model import AVHubert
from .stepping import SteppingDecoder

# Of all self-attention keys and values of the utterances that are decoded together, if none of their beams ended.
CACHE_BYTES = 2**30


@dataclass(frozen=True)
class Reading:
    """What was read of one clip: (n,) int64 token ids, and the mean log probability of them (of frames, for CTC)."""

    tokens: np.ndarray
    score: float


class ClipWatcher(Watcher):
    """The crops of one clip, and of its reference where features are compared."""

    def __init__(self, clip: Clip, samples: np.ndarray | None, view: View) -> None:
        self.clip = clip
        self.samples = samples
        self.generated: list[np.ndarray] = []  # runs of (n, 88, 88) float32
        self.reference: list[np.ndarray] = []
        self._view = view
        self._streams: dict[str, ViewStream] = {}

    def see(
        self,
        generated: Frames | None,
        reference: Frames | None,
        boxes: np.ndarray | None,
        placements: np.ndarray | None = None,
    ) -> None:
        for name, frames, kept in (
            ("generated", generated, self.generated),
            ("reference", reference, self.reference),
        ):
            if frames is None:
                continue
            stream = self._streams.setdefault(name, open_view(self._view))
            kept.append(stream.see(frames, _first(boxes, len(frames)), _first(placements, len(frames))))


def _first(rows: np.ndarray | None, count: int) -> np.ndarray | None:
    """Of two videos in one run, one may be shorter."""
    return None if rows is None else rows[:count]


class Reader:
    """The network, its dictionary and the view of a run."""

    def __init__(
        self, model: AVHubert, dictionary: Dictionary, view: View, device: torch.device, *, similarity: bool
    ) -> None:
        self._model = model.eval().requires_grad_(False).to(device)
        self._dictionary = dictionary
        self._view = view
        self._device = device
        self._similarity = similarity
        self._stepper = SteppingDecoder(self._model.decoder) if self._model.dims.decoder_layers else None
        self._settings = BeamSettings(early_stop=True)  # only the best is asked for, and that stays the same

    @classmethod
    def load(cls, weights: Path, view: View, device: str, *, similarity: bool) -> Reader:
        """Raises TlbenchError if the weights do not fit, or have no output layer and so can't read."""
        model, dictionary = load(weights)
        if not model.dims.vocabulary:
            raise TlbenchError(
                f"weights {weights}: this AV-HuBERT is pre-trained only and can't read; take a fine-tuned checkpoint"
            )
        return cls(model, dictionary, view, torch.device(device), similarity=similarity)

    def watch(self, clip: Clip, samples: np.ndarray | None) -> ClipWatcher:
        """Begin with a clip. Raises ClipError if features are to be compared and there is no sound."""
        if self._similarity and (samples is None or not len(samples)):
            raise ClipError("no-audio", f"clip {clip.id}: no audio stream (AVS compares with it); leave avs_* out")
        return ClipWatcher(clip, samples, self._view)

    @torch.inference_mode()
    def conclude(self, watchers: Sequence[Watcher]) -> list[Evidence | ClipError]:
        """Evidence or the reason for none of each clip, in order."""
        said: dict[int, Evidence | ClipError] = {}
        encoded: dict[int, Tensor] = {}  # (T, C)
        similar: dict[int, dict[str, Value]] = {}
        for index, watcher in enumerate(watchers):
            assert isinstance(watcher, ClipWatcher)
            try:
                encoded[index], similar[index] = self._encode(watcher)
            except ClipError as error:
                said[index] = error
        for indices in self._groups(encoded):
            read = self._read([encoded[index] for index in indices])
            for index, reading in zip(indices, read, strict=True):
                watcher = watchers[index]
                assert isinstance(watcher, ClipWatcher)
                said[index] = Evidence(
                    "avhubert",
                    {
                        "hypothesis": self._dictionary.text(reading.tokens.tolist()),
                        "reference": watcher.clip.transcript or "",
                        "tokens": reading.tokens,
                        "score": reading.score,
                        **similar[index],
                    },
                )
        return [said[index] for index in range(len(watchers))]

    def _encode(self, watcher: ClipWatcher) -> tuple[Tensor, dict[str, Value]]:
        """(T, C) features of the lips, and the similarities. Clips are encoded one by one: padding changes rounding."""
        clip = watcher.clip
        if not watcher.generated:
            raise ClipError("no-frames", f"clip {clip.id}: no frame to read; look at the file")
        lips = self._pictures(watcher.generated)
        longest = self._model.dims.max_target_positions - 1  # the decoder may say one token a frame, and the end mark
        if lips.shape[2] > longest:
            raise ClipError(
                "too-long",
                f"clip {clip.id}: {lips.shape[2]} frames, this network reads {longest} at most; cut it into utterances",
            )
        seen = self._model.see(lips)
        encoded = self._model.fuse(seen, None, None)[0]
        if not self._similarity:
            return encoded, {}
        assert watcher.samples is not None  # Reader.watch refuses a clip without
        if not watcher.reference:
            raise ClipError("missing", f"clip {clip.id}: no reference video to compare features with; leave avs_* out")
        real = self._pictures(watcher.reference)
        real_seen = self._model.see(real)
        heard, real_heard = (self._model.hear(self._speech(watcher.samples, video.shape[2])) for video in (lips, real))
        return encoded, {
            "avs_u": _similarity(self._model.fuse(None, heard, None)[0], encoded),
            "avs_m": _similarity(
                self._model.fuse(seen, heard, None)[0], self._model.fuse(real_seen, real_heard, None)[0]
            ),
            "avs_v": _similarity(encoded, self._model.fuse(real_seen, None, None)[0]),
        }

    def _pictures(self, runs: Sequence[np.ndarray]) -> Tensor:
        """(1, 1, T, 88, 88) float32."""
        return torch.from_numpy(np.concatenate(runs)).to(self._device)[None, None]

    def _speech(self, samples: np.ndarray, frames: int) -> Tensor:
        """(1, 104, T) float32."""
        features = stacked_filterbanks(samples, frames, normalise=self._model.dims.normalise_audio)  # (T, 104)
        return torch.from_numpy(features).to(self._device).T[None]

    def _groups(self, encoded: dict[int, Tensor]) -> Iterator[list[int]]:
        """Clips that are decoded together: of like length, and few enough for their beams' caches to fit."""
        dims = self._model.dims
        bytes_a_step = 2 * 4 * dims.decoder_layers * dims.decoder_width * self._settings.beam
        group: list[int] = []
        for index in sorted(encoded, key=lambda i: len(encoded[i])):
            needed = (len(group) + 1) * len(encoded[index]) * bytes_a_step
            if group and needed > CACHE_BYTES:
                yield group
                group = []
            group.append(index)
        if group:
            yield group

    def _read(self, encoded: Sequence[Tensor]) -> list[Reading]:
        """The best hypothesis of each (T, C) utterance."""
        if self._stepper is None:
            return [self._read_frames(features) for features in encoded]
        padded = torch.nn.utils.rnn.pad_sequence(list(encoded), batch_first=True)  # (B, T, C)
        lengths = torch.tensor([len(features) for features in encoded])
        best = [found[0] for found in beam_search(self._stepper, padded, lengths, self._settings)]
        return [
            Reading(hypothesis.tokens, self._score(hypothesis.tokens, features))
            for hypothesis, features in zip(best, encoded, strict=True)
        ]

    def _score(self, tokens: np.ndarray, features: Tensor) -> float:
        """The hypothesis' score once more, by itself: that of the search has the rounding of whoever was beside it."""
        words = torch.from_numpy(tokens).to(features.device)
        before = words.roll(1)[None]  # begins with the end mark, which stands last
        found = self._model.logits(before, features[None], None)[0].float().log_softmax(1)  # (n, V)
        total = float(found.gather(1, words[:, None]).sum())
        return total / float(len(words) ** self._settings.lenpen)

    def _read_frames(self, features: Tensor) -> Reading:
        """Of a checkpoint fine-tuned with CTC: (T, C) to the best symbol of every frame."""
        logits = self._model.ctc_logits(features[None])  # (1, T, V)
        sure = logits.float().log_softmax(2).amax(2).mean()
        return Reading(ctc_greedy(logits, torch.tensor([len(features)]))[0], float(sure))


def _similarity(one: Tensor, other: Tensor) -> float:
    """Mean over frames of the cosine of (T, C) features, as far as both go."""
    frames = min(len(one), len(other))
    return float(torch.nn.functional.cosine_similarity(one[:frames], other[:frames], dim=-1).mean())
