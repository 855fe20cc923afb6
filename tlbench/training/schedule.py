"""How long and how fast to train: frozen settings, the learning rate of each step, and the clips of each batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

BUCKET = 16  # batches' worth of clips that are sorted by length together, so that little is padded


@dataclass(frozen=True)
class Schedule:
    """The settings of a training; all of them stand in its folder.

    Attributes
    ----------
    steps : int
        Updates of the weights.
    batch_frames : int
        Video frames in a batch at most, on each device, padding included.
    learning_rate : float
        The highest; it rises linearly over ``warmup`` steps and falls as half a cosine to a hundredth.
    warmup : int
    weight_decay : float
        AdamW's.
    clip_norm : float
        Gradients longer than this are shortened to it.
    accumulate : int
        Batches whose gradients are added before a step.
    validate_every : int
        Steps between two judgements; a state is saved with each.
    judged_clips : int
        Of the validation part, the first so many are judged; 0 for all.
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
    judged_clips: int = 0
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = min((step - self.warmup) / max(self.steps - self.warmup, 1), 1.0)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def epoch_batches(lengths: Sequence[int], batch_frames: int, seed: int, epoch: int) -> list[list[int]]:
    """Every clip once, in batches of like length and in an order that the seed and the epoch decide.

    A clip longer than ``batch_frames`` is a batch of its own.
    """
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(lengths))
    mean = sum(lengths) / len(lengths)
    bucket = max(int(BUCKET * batch_frames / mean), 1)
    batches = []
    for begin in range(0, len(order), bucket):
        batch: list[int] = []
        for index in sorted(order[begin : begin + bucket].tolist(), key=lambda i: lengths[i]):
            if batch and lengths[index] * (len(batch) + 1) > batch_frames:  # the longest comes last
                batches.append(batch)
                batch = []
            batch.append(index)
        batches.append(batch)
    return [batches[number] for number in rng.permutation(len(batches))]


class BatchPlan:
    """Which clips are in which batch, for as long as one likes: batch ``n`` is the same whenever it is asked for."""

    def __init__(self, lengths: Sequence[int], batch_frames: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_frames = batch_frames
        self._seed = seed
        self._ends: list[int] = []  # of epochs, in batches
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
        """The epoch a batch belongs to, counted from 0."""
        self[number]
        return int(np.searchsorted(self._ends, number, side="right"))
