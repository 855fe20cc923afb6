"""The contract of a learner: how an observer's network is trained. The loop around it is :mod:`tlbench.training`.

A learner knows its network, what a batch of clips is to it, what a step is charged with, and how it is judged: by the
evidence that the observer would give, so that the checkpoint kept is the best by the metric it is made for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.observing.evidence import Evidence

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from tlbench.checkpoints.package import Package

TOTAL = "loss"  # among the losses of a step, the one that is minimised


@dataclass(frozen=True)
class TrainingSample:
    """One clip as it is learned from.

    Attributes
    ----------
    clip : Clip
    pictures : (T, H, W) or (T, H, W, 3) uint8
        The reference video through the learner's view, before it is normalised.
    samples : (N,) int16 or None
        Its sound at 16 kHz; None if the learner does not listen.
    labels : (T,) int64 or None
        What is being said during each frame, as a number into the curriculum's ``labels``; None where the data set has
        no times.
    """

    clip: Clip
    pictures: np.ndarray
    samples: np.ndarray | None
    labels: np.ndarray | None


@dataclass(frozen=True)
class LabelInventory:
    """What is known of the training part before the first step.

    Attributes
    ----------
    transcripts : tuple of str
        Of the training clips that have one.
    words : tuple of str
        Labels of word clips, each once, sorted.
    labels : tuple of str
        Names of the frames' labels (phonemes, or words where only those have times); empty if nothing has times.
    """

    transcripts: tuple[str, ...]
    words: tuple[str, ...]
    labels: tuple[str, ...]


class Trainable(ABC):
    """An observer in training.

    Class attributes
    ----------------
    observer : str
        Registry name of the observer that reads what is learned.
    metric : str
        Key of the metric that decides which checkpoint is the best.
    listens : bool
        Whether lessons need sound.
    sizes : tuple of str
        Names of the configurations :meth:`begin` knows.
    """

    observer: ClassVar[str]
    metric: ClassVar[str]
    listens: ClassVar[bool] = False
    sizes: ClassVar[tuple[str, ...]]

    @classmethod
    @abstractmethod
    def view_for(cls, size: str | Mapping[str, Any], frame_size: tuple[int, int] | None) -> str:
        """The observer's view that suits a size and the data set's frames (width, height; None if they differ)."""

    @classmethod
    @abstractmethod
    def begin(cls, size: str | Mapping[str, Any], curriculum: LabelInventory, seed: int) -> Trainable:
        """An untrained network: one of ``sizes`` or a mapping of its dimensions. Raises TlbenchError if it can't be."""

    @classmethod
    @abstractmethod
    def restore(cls, package: Package, path: Path, curriculum: LabelInventory, seed: int) -> Trainable:
        """A network that was trained before, with its vocabulary. Raises TlbenchError if the package does not fit."""

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """What is trained. Its forward takes a batch and returns named losses, scalars, ``loss`` among them."""

    @abstractmethod
    def batch(self, lessons: Sequence[TrainingSample], rng: np.random.Generator) -> dict[str, Tensor]:
        """Clips as tensors on the CPU, varied by chance as training asks for; ``frames``, (B,), counts their frames."""

    @abstractmethod
    def judge(self, lessons: Iterable[TrainingSample], device: torch.device) -> list[Evidence]:
        """What the observer would say of these clips, unvaried, with the network as it is. Leaves it in training."""

    @abstractmethod
    def package(self) -> Package:
        """What the observer needs to read with this network; nothing that only training needs."""
