"""The contract ``Trainable``: how an observer's network is trained, and functions that several trainables use.

A trainable builds its network, turns clips into batches, computes the losses of a batch, and predicts what the observer
would say of a clip. The loop (:mod:`tlbench.training.loop`) keeps the checkpoint with the best value of the observer's
own metric on these predictions.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.checkpoints.dims import NetworkDims
from tlbench.checkpoints.package import Package
from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection
from tlbench.errors import TlbenchError, listed, quoted
from tlbench.metrics.catalogue import find_metric
from tlbench.metrics.metric import Metric
from tlbench.observing.evidence import Evidence
from tlbench.observing.registry import capability, observer_class
from tlbench.training.preprocessed import PreprocessedDataset

TOTAL = "loss"  # among the named losses of a step, the one that is minimised
NO_LABEL = -1  # of frames without a label and of padding; the losses ignore it

OneDims = TypeVar("OneDims", bound=NetworkDims)


@dataclass(frozen=True)
class TrainingSample:
    """One clip of a training or validation set.

    Attributes
    ----------
    clip : Clip
    pictures : (T, H, W) or (T, H, W, 3) uint8
        The frames of the reference video through the observer's view, before they are normalised.
    samples : (N,) int16 or None
        The audio at 16 kHz; None if the trainable does not need audio.
    labels : (T,) int64 or None
        The label of each frame, an index into the inventory's ``labels``; None where the data set has no times.
    """

    clip: Clip
    pictures: np.ndarray
    samples: np.ndarray | None
    labels: np.ndarray | None


@dataclass(frozen=True)
class LabelInventory:
    """The texts and labels of the training set, known before the first step.

    Attributes
    ----------
    transcripts : tuple of str
        Of the training clips that have one.
    words : tuple of str
        The labels of word clips, each once, sorted; of sentences with word times the words, in upper case.
    labels : tuple of str
        The names of the frames' labels: phonemes, or words where only words have times. Empty if nothing has times.
    """

    transcripts: tuple[str, ...]
    words: tuple[str, ...]
    labels: tuple[str, ...]


class Trainable(ABC):
    """An observer's network in training.

    Class attributes
    ----------------
    observer : str
        Registry name of the observer that uses the trained network. A network that no observer uses, such as Wav2Lip's
        sync expert, has a name of its own here, and overrides the class methods below that ask the observer.
    metric : str
        Key of the metric that decides which checkpoint is the best.
    needs_audio : bool
        Whether training samples need audio.
    needs_word_times : bool
        Whether training samples need the times of their words.
    sizes : tuple of str
        Names of the sizes that :meth:`from_scratch` knows.
    """

    observer: ClassVar[str]
    metric: ClassVar[str]
    needs_audio: ClassVar[bool] = False
    needs_word_times: ClassVar[bool] = False
    sizes: ClassVar[tuple[str, ...]]

    @classmethod
    def views(cls) -> Mapping[str, str]:
        """Name to id of the views that the network may be trained with."""
        return observer_class(cls.observer).views

    @classmethod
    def reads(cls) -> bool:
        """Whether the network reads words or sentences."""
        needs = observer_class(cls.observer).needs
        return needs.transcript or needs.word

    @classmethod
    def validation_metric(cls) -> Metric:
        """The metric that decides which checkpoint is the best."""
        return find_metric(cls.metric)

    @classmethod
    def read_published(cls, path: Path) -> Package:
        """Read a published checkpoint file. Raises TlbenchError if it is damaged or of another model."""
        package: Package = capability(cls.observer, "read_published")(path)
        return package

    @classmethod
    def own_clips(cls, selection: Selection, cache: Path) -> PreprocessedDataset | None:
        """The clips of a network that does not see them through an observer's view; None for all others."""
        return None

    @classmethod
    @abstractmethod
    def view_for(cls, size: str | Mapping[str, Any], frame_size: tuple[int, int] | None) -> str:
        """The view for a network of this size on frames of (width, height) pixels; None if frame sizes differ."""

    @classmethod
    @abstractmethod
    def from_scratch(cls, size: str | Mapping[str, Any], inventory: LabelInventory, seed: int) -> Trainable:
        """A network with random weights; ``size`` is one of ``sizes`` or a mapping of dimensions.

        Raises TlbenchError if there is no such size, or the training set has nothing that this network learns.
        """

    @classmethod
    @abstractmethod
    def from_checkpoint(cls, package: Package, path: Path, inventory: LabelInventory, seed: int) -> Trainable:
        """A network with the weights, size and vocabulary of a package; ``path`` names it in messages.

        Raises TlbenchError if the package does not fit.
        """

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The module that is trained. Its forward maps a batch to named scalar losses; ``loss`` is minimised."""

    @abstractmethod
    def batch(self, samples: Sequence[Any], rng: np.random.Generator) -> dict[str, Tensor]:
        """Augmented clips, items of the data set, as tensors on the CPU. ``frames``, (B,): frames of each clip."""

    @abstractmethod
    def predict(self, samples: Iterable[Any], device: torch.device) -> list[Evidence]:
        """The evidence that the observer would return for these clips with the current weights, in order.

        Clips are not augmented. The network is in training mode again afterwards.
        """

    @abstractmethod
    def package(self) -> Package:
        """The weights and configuration that the observer needs, without what only training uses."""


def dims_of(observer: str, sizes: Mapping[str, OneDims], size: str | Mapping[str, Any]) -> OneDims:
    """The dimensions of a size: one of ``sizes`` by name, or dimensions as a mapping.

    Raises TlbenchError if there is no such size, or the dimensions can't be used.
    """
    if isinstance(size, str):
        if size not in sizes:
            raise TlbenchError(f"{observer} has no size {quoted(size)}{listed(size, sizes)}")
        return sizes[size]
    kind = type(next(iter(sizes.values())))
    try:
        return kind.from_json(size)
    except (TypeError, ValueError) as error:
        raise TlbenchError(f"{observer} can't be built with these dimensions ({error})") from error


def train_pieces(texts: Sequence[str], pieces: int) -> bytes:
    """Train a sentencepiece model on texts; the same texts give the same model.

    Unigram pieces, as in the preparation of av_hubert (``gen_subword.py``) and auto_avsr (``spm``); fewer than
    ``pieces`` if the texts have fewer. Raises TlbenchError if there is no text.
    """
    from sentencepiece import SentencePieceTrainer

    texts = [text for text in texts if text.strip()]
    if not texts:
        raise TlbenchError("no training clip has a transcript, so there is nothing to learn to read")
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="unigram",
        vocab_size=pieces,
        hard_vocab_limit=False,
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def cpu_tensors(network: nn.Module) -> dict[str, Tensor]:
    """The network's state dict, detached, on the CPU."""
    return {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}


def batched(samples: Iterable[TrainingSample], size: int) -> Iterator[list[TrainingSample]]:
    """Lists of ``size`` samples, the last one shorter."""
    remaining = iter(samples)
    while chunk := list(islice(remaining, size)):
        yield chunk


def pad_rows(rows: Sequence[np.ndarray], value: float, length: int | None = None) -> Tensor:
    """Stack arrays (n, ...) of different n to (B, length, ...), padded at the end; None is the longest n."""
    longest = max(map(len, rows)) if length is None else length
    padded = np.full((len(rows), longest, *rows[0].shape[1:]), value, rows[0].dtype)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
    return torch.from_numpy(padded)


def accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    """The share of ``targets`` (B, ...) that have the highest of ``logits`` (B, classes, ...); NO_LABEL is ignored."""
    labelled = targets.ne(NO_LABEL)
    correct = logits.detach().argmax(1).eq(targets) & labelled
    return correct.sum() / labelled.sum().clamp(min=1)


def frame_label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of (B, labels, T) logits over the labelled frames of (B, T); 0 if none has a label."""
    total = F.cross_entropy(logits, labels, ignore_index=NO_LABEL, reduction="sum")
    return total / labels.ne(NO_LABEL).sum().clamp(min=1)


def add_dropout(network: nn.Module, endings: tuple[str, ...], rate: float) -> None:
    """Apply dropout, in training mode, to the output of each module whose name ends with one of ``endings``."""
    for name, module in network.named_modules():
        if name.endswith(endings):
            module.register_forward_hook(partial(_dropout, rate))


def _dropout(rate: float, module: nn.Module, inputs: object, output: Tensor) -> Tensor:
    return F.dropout(output, rate, module.training)
