"""MVM on sentences: crops are collected, then the network classifies the frames around each word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.views import View
from tlbench.observing.evidence import Evidence, Value
from tlbench.observing.lip_reader import Crops, read_together
from tlbench.observing.observer import ClipChunk, ClipState
from tlbench.observing.word_window import cut_window, timed_words, window_start

from ..decode import predict, predict_both
from ..inference import MVMInference
from ..model import FRAMES
from ..words import label_of

OBSERVER, METRIC = "mvm-aligned", "acc_aligned"


class SentenceState(ClipState):
    """The crops of one sentence, and the windows of its words.

    Attributes
    ----------
    words : list of str
        In upper case, as the network's.
    labels : list of int
        Their classes.
    """

    def __init__(self, clip: Clip, view: View, known: Sequence[str]) -> None:
        spans = timed_words(clip)
        self.words = [span.label.upper() for span in spans]
        self.labels = [label_of(word, clip.id, known, METRIC) for word in self.words]
        self._id = clip.id
        self._starts = [window_start(span, FRAMES) for span in spans]
        self._crops = Crops(view)  # (n, side, side) float32

    def update(self, chunk: ClipChunk) -> None:
        if chunk.generated is not None:
            self._crops.take(chunk.generated, chunk.boxes)

    @property
    def windows(self) -> list[np.ndarray]:
        """The normalised crops around each word: (29, side, side) float32, zeros before and after the video.

        Raises ClipError ``no-frames`` if the video has no frame.
        """
        return self.windows_of(self._crops.all(self._id))

    def windows_of(self, crops: np.ndarray) -> list[np.ndarray]:
        """The same from the (n, side, side) crops of all frames."""
        return [cut_window(crops, start, FRAMES) for start in self._starts]


class SentenceInference:
    """The network of a run, the words that it classifies, and its view."""

    def __init__(self, inference: MVMInference, view: View, words: Sequence[str]) -> None:
        self._inference = inference
        self._view = view
        self._words = words

    def start_clip(self, clip: Clip) -> SentenceState:
        """The state of a new clip. Raises ClipError without word times, or for a word that is not known."""
        return SentenceState(clip, self._view, self._words)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """The evidence of each clip, or the reason why there is none, in order."""
        return read_together(states, SentenceState, lambda state: state.windows, self.read)

    def read(self, states: Sequence[SentenceState], windows: Sequence[Sequence[np.ndarray]]) -> list[Evidence]:
        """The evidence of clips with these normalised windows, which are read together."""
        found = iter(self._inference.logits([window for own in windows for window in own]))
        return [self._evidence(state, [next(found) for _ in own]) for state, own in zip(states, windows, strict=True)]

    def _evidence(self, state: SentenceState, logits: Sequence[np.ndarray]) -> Evidence:
        both = [
            predict_both(plain, flipped, label) for (plain, flipped), label in zip(logits, state.labels, strict=True)
        ]
        alone = [predict(plain, label) for (plain, _), label in zip(logits, state.labels, strict=True)]
        values: dict[str, Value] = {
            "words": state.words,
            "predicted": [self._words[one.top[0]] for one in both],
            "predicted_plain": [self._words[one.top[0]] for one in alone],
            "ranks": np.array([one.rank for one in both], np.int64),
            "ranks_plain": np.array([one.rank for one in alone], np.int64),
        }
        return Evidence(OBSERVER, values, bool(np.isfinite(np.stack(logits).sum(1)).all()))
