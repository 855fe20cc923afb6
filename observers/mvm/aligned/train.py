"""Training MVM on the words of sentences; see :mod:`tlbench.observers.mvm.train` for the losses.

The visual front end sees whole sentences, and the windows around the words are cut out of its features, in half the
time of a front end that sees each window. So the two outer frames on each side of a window have seen their neighbours,
which are zeros in inference.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from tlbench.errors import ClipError, TlbenchError
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.observing.evidence import Evidence
from tlbench.observing.word_window import cut_window, timed_words, window_start
from tlbench.training.augment import augment, mask_spans, normalise
from tlbench.training.trainable import NO_LABEL, TrainingSample, batched

from ..fast_model import FastMVM
from ..inference import MVMInference
from ..mel import mel_spectrogram
from ..model import FRAMES
from ..train import TrainableMVM, mask_spectrogram
from ..view import MEAN, STD, VIEWS
from ..words import label_of
from .inference import METRIC, OBSERVER, SentenceInference

JITTER = 1  # frames by which a window may be early or late in training
PREDICT_CLIPS = 4  # in a batch of predict
SAMPLES_PER_FRAME = SAMPLE_RATE // FRAMES_PER_SECOND


class TrainableAlignedMVM(TrainableMVM):
    """A :class:`TrainableMVM` that learns from the windows around the words of sentences."""

    observer: ClassVar[str] = OBSERVER
    metric: ClassVar[str] = f"{METRIC}/sound"
    needs_word_times: ClassVar[bool] = True

    def batch(self, samples: Sequence[TrainingSample], rng: np.random.Generator) -> dict[str, Tensor]:
        """Sentences, and for each word the places of its window's 29 frames in them.

        ``pictures`` are (B, T, side, side), with zeros where a window is longer than its sentence; ``windows`` are
        (N, 29), counted through all sentences of the batch. Raises TlbenchError for a sentence without word times, or
        with a word that the network does not classify.
        """
        classes = [self._classes(sample) for sample in samples]
        starts = [_jittered_starts(sample, rng) for sample in samples]
        before = max(0, -min(min(own) for own in starts))
        ends = [max(len(one.pictures), max(own) + FRAMES) for one, own in zip(samples, starts, strict=True)]
        length = before + max(ends)
        crops, spectrograms, windows, labels = [], [], [], []
        for place, (sample, own) in enumerate(zip(samples, starts, strict=True)):
            assert sample.samples is not None  # needs_audio
            seen = mask_spans(augment(sample.pictures, rng, MEAN, STD), rng)
            crops.append(cut_window(seen, -before, length))
            for start in own:
                windows.append(place * length + before + start + np.arange(FRAMES))
                sound = cut_window(sample.samples, start * SAMPLES_PER_FRAME, FRAMES * SAMPLES_PER_FRAME)
                spectrograms.append(mask_spectrogram(mel_spectrogram(sound, FRAMES), rng))
                if sample.labels is not None:  # NO_LABEL is -1
                    labels.append(cut_window(sample.labels - NO_LABEL, start, FRAMES) + NO_LABEL)
        batch = {
            "pictures": torch.from_numpy(np.stack(crops)),
            "windows": torch.from_numpy(np.stack(windows)),
            "spectrum": torch.from_numpy(np.stack(spectrograms))[:, None],  # (N, 1, 80, 116)
            "word": torch.tensor([word for own in classes for word in own]),  # (N,)
            "frames": torch.tensor([len(sample.pictures) for sample in samples]),
        }
        if self.network.labels is not None:
            batch["labels"] = torch.from_numpy(np.stack(labels))  # (N, 29)
        return batch

    def _classes(self, sample: TrainingSample) -> list[int]:
        try:
            spans = timed_words(sample.clip)
            return [label_of(span.label.upper(), sample.clip.id, self.words, METRIC) for span in spans]
        except ClipError as error:
            raise TlbenchError(str(error)) from error

    @torch.no_grad()
    def predict(self, samples: Iterable[TrainingSample], device: torch.device) -> list[Evidence]:
        # Inference freezes and fuses its network, so it gets a copy.
        model = copy.deepcopy(self.network.model).eval()
        view = VIEWS[self.view_for(model.dims.to_json(), None)]
        inference = SentenceInference(MVMInference(FastMVM(model), view, device, words=self.words), view, self.words)
        evidence: list[Evidence] = []
        for chunk in batched(samples, PREDICT_CLIPS):
            for sample in chunk:
                self._classes(sample)
            states = [inference.start_clip(sample.clip) for sample in chunk]
            crops = [normalise(sample.pictures, MEAN, STD) for sample in chunk]
            pairs = zip(states, crops, strict=True)
            evidence += inference.read(states, [state.windows_of(seen) for state, seen in pairs])
        return evidence


def _jittered_starts(sample: TrainingSample, rng: np.random.Generator) -> list[int]:
    """The first frame of each word's window, up to :data:`JITTER` frames early or late."""
    words = sample.clip.word_times
    shifts = rng.integers(-JITTER, JITTER + 1, len(words)).tolist()
    return [window_start(word, FRAMES) + shift for word, shift in zip(words, shifts, strict=True)]
