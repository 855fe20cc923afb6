"""How long and how fast to train: the settings, the learning rate of each step, and the clips of each batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

BUCKET = 16  # batches of clips that are sorted by length together, so that batches need little padding
FINAL_RATE = 0.01  # of the highest learning rate


@dataclass(frozen=True)
class Schedule:
    """The settings of a training run; ``settings.json`` in its folder states them all.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    batch_frames : int
        Most video frames in a batch, on each device, padding included.
    learning_rate : float
        The highest; it rises linearly over ``warmup`` steps and falls along half a cosine to a hundredth.
    warmup : int
        Steps.
    weight_decay : float
        AdamW's, of matrices.
    clip_norm : float
        Gradients with a larger norm are scaled to this norm.
    accumulate : int
        Batches whose gradients are added up for one optimiser step.
    validate_every : int
        Steps between two validations. The training state is saved after each.
    val_clips : int
        Validate on the first N clips of the validation set; 0 for all.
    seed : int
    """

    steps: int = 20000
    batch_frames: int = 1000
    learning_rate: float = 1e-3
    warmup: int = 500
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    accumulate: int = 1
    validate_every: int = 500
    val_clips: int = 0
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """The JSON object that ``settings.json`` holds; there ``val_clips`` is called ``judged_clips``."""
        return {"judged_clips" if name == "val_clips" else name: value for name, value in asdict(self).items()}

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = min((step - self.warmup) / max(self.steps - self.warmup, 1), 1.0)
        return self.learning_rate * (FINAL_RATE + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def epoch_batches(lengths: Sequence[int], batch_frames: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of one epoch: every clip once, clips of similar length together, in a random order.

    Parameters
    ----------
    lengths : sequence of int
        Frames of each clip.
    batch_frames : int
        Most frames in a batch, padding included. A longer clip is a batch of its own.
    seed, epoch : int
        Decide the order.

    Returns
    -------
    list of lists of int
        Indices of clips.
    """
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(lengths))
    mean = sum(lengths) / len(lengths)
    bucket = max(int(BUCKET * batch_frames / mean), 1)
    batches = []
    for start in range(0, len(order), bucket):
        batch: list[int] = []
        for index in sorted(order[start : start + bucket].tolist(), key=lambda i: lengths[i]):
            if batch and lengths[index] * (len(batch) + 1) > batch_frames:  # the longest comes last
                batches.append(batch)
                batch = []
            batch.append(index)
        batches.append(batch)
    return [batches[number] for number in rng.permutation(len(batches))]


class BatchPlan:
    """The clips of every batch of a training run, however long. Batch ``n`` depends on ``n`` and the seed alone."""

    def __init__(self, lengths: Sequence[int], batch_frames: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_frames = batch_frames
        self._seed = seed
        self._ends: list[int] = []  # number of batches up to the end of each epoch
        self._epoch: tuple[int, list[list[int]]] = (-1, [])

    def __getitem__(self, number: int) -> list[int]:
        while not self._ends or number >= self._ends[-1]:
            self._load(len(self._ends))
            self._ends.append((self._ends[-1] if self._ends else 0) + len(self._epoch[1]))
        epoch = int(np.searchsorted(self._ends, number, side="right"))
        if self._epoch[0] != epoch:
            self._load(epoch)
        return self._epoch[1][number - (self._ends[epoch - 1] if epoch else 0)]

    def _load(self, epoch: int) -> None:
        self._epoch = (epoch, epoch_batches(self._lengths, self._batch_frames, self._seed, epoch))

    def epoch_of(self, number: int) -> int:
        """The epoch that a batch belongs to, counted from 0."""
        self[number]
        return int(np.searchsorted(self._ends, number, side="right"))
