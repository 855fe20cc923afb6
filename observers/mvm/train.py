"""MVM in training: the word, read once with what the lips recall from the memories and once with what is heard.

Charged as Kim, Yeo and Ro (AAAI 2022) and their ``train.py`` and ``src/models/memory.py``
(ms-dot-k/Multi-head-Visual-Audio-Memory) charge it:

- the cross-entropy of the word, once for each of both readings;
- rebuilding: 1 - the cosine between what is heard in a frame and what its own address finds in a memory's values,
  summed over a clip's frames;
- crowding (the "contrastive" loss): half the sum of the absolute cosines between two slots' values;
- of both, the memory before the classifier counts a third; of those in the classifier, of which each is used in both
  readings, every one a third of two thirds.

The original lets no gradient through to its ears from any of these, so what they hear stays as chance has begun it.
Here they learn the word themselves, by a layer that only training has; and where the data set has times, the eyes are
charged with what is being said in each frame, which spares a small network weeks.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.checkpoints.package import Package
from tlbench.errors import ClipError, TlbenchError
from tlbench.observing.evidence import Evidence
from tlbench.training.augment import hide_spans, jitter
from tlbench.training.trainable import TOTAL, LabelInventory, Trainable, TrainingSample

from .checkpoint import OBSERVER, network_of
from .dims import PUBLISHED, Dims
from .fast_model import FRAMES_SEEN, FastMVM
from .inference import MVMInference, filled_up
from .mel import spectrum
from .model import FRAMES, RADIUS, Memory, MVMModel, VisualFrontend
from .view import LRS2_SIDE, LRW_SIDE, MEAN, SMALL_SIDE, STD, VIEWS
from .words import label_of

SMALL = Dims(side=SMALL_SIDE, visual_width=12, hearing_width=16, features=96, slots=48, heads=4, branch=32)
TINY = Dims(side=SMALL_SIDE, visual_width=8, hearing_width=4, features=16, slots=8, heads=2, branch=8)
SIZES = {"tiny": TINY, "small": SMALL, "published": PUBLISHED}  # words are the data set's
SMALL_DROPOUT = 0.1  # the published rates, 0.5 behind each of four memories, are made for a network 50 times as large
LABEL_WEIGHT = 1.0  # of the frames' cross-entropy beside the words'
HEARD_WEIGHT = 1.0  # of the ears' own cross-entropy
HIDDEN_BANDS, HIDDEN_STEPS = 10, 20  # at most, of the spectrum (vid_aud_lrw.py: FrequencyMasking, TimeMasking)
JUDGED_TOGETHER = 16  # clips
NOTHING = -1  # a frame without a label


class LearningNetwork(nn.Module):
    """MVM and the layers that only training has."""

    def __init__(self, model: MVMModel, labels: int) -> None:
        super().__init__()
        self.model = model
        self.labels = nn.Linear(model.dims.features, labels) if labels else None
        self.heard = nn.Linear(model.dims.features, model.dims.words)
        if model.dims.branch < PUBLISHED.branch:
            for module in model.modules():
                if isinstance(module, nn.Dropout):
                    module.p = SMALL_DROPOUT

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses a clip; the shares of clips whose word is read, and heard, and of frames whose label is right."""
        model, word = self.model, batch["word"]
        seen = picture_rows(model.v_front, batch["pictures"])  # (B, 29, features)
        heard = model.a_front(batch["spectrum"])
        memories = [model.mem, *(getattr(model.tcn.tcn.mb_ms_tcn, f"mem{number}") for number in (1, 2, 3))]
        found = [look_up(memory, heard.detach()) for memory in memories]
        by_sight = classified(model, seen, None)
        by_sound = classified(model, seen, [one.values for one in found])
        ears = self.heard(heard.mean(1))
        shares = [1 / 3, *[2 / 9] * 3]
        losses = {
            "word": F.cross_entropy(by_sight, word),
            "word_accuracy": _right(by_sight, word),
            "word_by_sound": F.cross_entropy(by_sound, word),
            "rebuilding": torch.stack([share * one.rebuilding for share, one in zip(shares, found, strict=True)]).sum(),
            "crowding": torch.stack([share * one.crowding for share, one in zip(shares, found, strict=True)]).sum(),
            "heard": F.cross_entropy(ears, word),
            "heard_accuracy": _right(ears, word),
        }
        losses[TOTAL] = losses["word"] + losses["word_by_sound"] + losses["rebuilding"] + losses["crowding"]
        losses[TOTAL] = losses[TOTAL] + HEARD_WEIGHT * losses["heard"]
        if self.labels is not None:
            named = self.labels(seen).transpose(1, 2)  # (B, labels, 29)
            charged = F.cross_entropy(named, batch["labels"], ignore_index=NOTHING, reduction="sum")
            losses["labels"] = charged / batch["labels"].ne(NOTHING).sum().clamp(min=1)  # there may be none
            losses["label_accuracy"] = _right(named, batch["labels"])
            losses[TOTAL] = losses[TOTAL] + LABEL_WEIGHT * losses["labels"]
        return losses


def _right(logits: Tensor, wanted: Tensor) -> Tensor:
    """The share of (B, ...) ``wanted`` that are the likeliest by (B, classes, ...) ``logits``."""
    there = wanted.ne(NOTHING)
    right = logits.detach().argmax(1).eq(wanted) & there
    return right.sum() / there.sum().clamp(min=1)


@dataclass(frozen=True)
class LookedUp:
    """What a memory finds for speech itself.

    Attributes
    ----------
    values : (B, T, features)
    rebuilding : Tensor
        How far they are from what was heard: 1 - cosine, summed over frames, the mean over clips.
    crowding : Tensor
        How much the memory's slots are alike.
    """

    values: Tensor
    rebuilding: Tensor
    crowding: Tensor


def look_up(memory: Memory, heard: Tensor) -> LookedUp:
    """The values that (B, T, features) speech addresses."""
    slots = F.normalize(memory.value, dim=1)
    likeness = F.normalize(memory.v_embd(heard), dim=-1) @ slots.T  # (B, T, slots)
    values = torch.softmax(RADIUS * likeness, dim=-1) @ memory.value
    rebuilding = (1 - F.cosine_similarity(values, heard, dim=-1)).abs().sum(1).mean()
    crowding = 0.5 * (torch.eye(len(slots), device=slots.device) - slots @ slots.T).abs().sum()
    return LookedUp(values, rebuilding, crowding)


def classified(model: MVMModel, seen: Tensor, values: Sequence[Tensor] | None) -> Tensor:
    """(B, words) logits; with ``values``, each memory gives these instead of what the lips recall."""
    classifier = model.tcn.tcn
    layers = classifier.mb_ms_tcn
    stages = (
        (model.mem, layers.layer1),
        (layers.mem1, layers.layer2),
        (layers.mem2, layers.layer3),
        (layers.mem3, layers.layer4),
    )
    x = seen  # (B, T, features)
    for number, (memory, layer) in enumerate(stages):
        x = memory(x) if values is None else _with_values(memory, x, values[number])
        x = layer(x.transpose(1, 2)).transpose(1, 2)
    return classifier.tcn_output(x.mean(1))  # type: ignore[no-any-return]


def _with_values(memory: Memory, x: Tensor, values: Tensor) -> Tensor:
    """:class:`.model.Memory`'s output, had it recalled these."""
    raised = values if memory.v_up is None else memory.v_up(values)
    return memory.dropout(memory.norm1(x + memory.norm3(raised)))  # type: ignore[no-any-return]


def picture_rows(front: VisualFrontend, pictures: Tensor) -> Tensor:
    """The numbers of :class:`.model.VisualFrontend`, gradients in less time on a CPU.

    A convolution over time costs most on its way back: here the 5 frames it sees at once are channels of a picture.
    And in memory channels come last.

    Parameters
    ----------
    pictures : (B, T, side, side) float32
        Normalised.

    Returns
    -------
    (B, T, features)
    """
    first, norm, bend, _ = front.frontend
    assert isinstance(first, nn.Conv3d)
    assert isinstance(norm, nn.BatchNorm3d)
    assert norm.momentum is not None
    around = FRAMES_SEEN // 2
    windows = F.pad(pictures, (0, 0, 0, 0, around, around)).unfold(1, FRAMES_SEEN, 1)  # (B, T, side, side, 5)
    x = windows.flatten(0, 1).movedim(-1, 1)
    x = F.conv2d(x, first.weight[:, 0], None, first.stride[1:], first.padding[1:])
    x = F.batch_norm(
        x, norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.training, norm.momentum, norm.eps
    )
    x = F.max_pool2d(bend(x), 3, 2, 1)
    return front.resnet(x).unflatten(0, pictures.shape[:2])  # type: ignore[no-any-return]


class TrainableMVM(Trainable):
    """See :class:`~tlbench.training.trainable.Trainable`."""

    observer: ClassVar[str] = OBSERVER
    metric: ClassVar[str] = "acc/sound"
    listens: ClassVar[bool] = True
    sizes: ClassVar[tuple[str, ...]] = tuple(SIZES)

    def __init__(self, model: MVMModel, words: Sequence[str], labels: int) -> None:
        self._network = LearningNetwork(model, labels)
        self._words = tuple(words)

    @classmethod
    def view_for(cls, size: str | Mapping[str, Any], frame_size: tuple[int, int] | None) -> str:
        if dims_of(size).side == SMALL_SIDE:
            return "small-mouth" if frame_size == (LRS2_SIDE, LRS2_SIDE) else "small-face-framed"
        return "lrw" if frame_size == (LRW_SIDE, LRW_SIDE) else "face-framed"

    @classmethod
    def begin(cls, size: str | Mapping[str, Any], curriculum: LabelInventory, seed: int) -> TrainableMVM:
        dims = dims_of(size)
        _check_words(curriculum.words)
        torch.manual_seed(seed)
        model = MVMModel(replace(dims, words=len(curriculum.words)))
        return cls(model, curriculum.words, len(curriculum.labels))

    @classmethod
    def restore(cls, package: Package, path: Path, curriculum: LabelInventory, seed: int) -> TrainableMVM:
        model, words = network_of(package, path)
        _check_words(curriculum.words)
        unknown = sorted(set(curriculum.words) - set(words))
        if unknown:
            raise TlbenchError(
                f"{path}: its {len(words)} words lack {len(unknown)} of the data set's, {unknown[0]!r} among them; "
                "begin without it (--start), or leave those clips out"
            )
        torch.manual_seed(seed)
        return cls(model, words, len(curriculum.labels))

    @property
    def network(self) -> LearningNetwork:
        return self._network

    def batch(self, lessons: Sequence[TrainingSample], rng: np.random.Generator) -> dict[str, Tensor]:
        """Clips of 29 frames; shorter ones are filled up with zeros, as when they are read.

        Raises
        ------
        TlbenchError
            If a clip is longer, has no word, or has one that is not among those to be learned.
        """
        pictures, heard, words, labels = [], [], [], []
        for lesson in lessons:
            assert lesson.samples is not None  # listens
            words.append(self._label(lesson))
            _check_length(lesson)
            pictures.append(filled_up(hide_spans(jitter(lesson.pictures, rng, MEAN, STD), rng)))
            heard.append(_partly_hidden(spectrum(lesson.samples, FRAMES), rng))
            labels.append(_labels(lesson))
        batch = {
            "pictures": torch.from_numpy(np.stack(pictures)),  # (B, 29, side, side)
            "spectrum": torch.from_numpy(np.stack(heard))[:, None],  # (B, 1, 80, 116)
            "word": torch.tensor(words),
            "frames": torch.tensor([len(lesson.pictures) for lesson in lessons]),
        }
        if self._network.labels is not None:
            batch["labels"] = torch.from_numpy(np.stack(labels))  # (B, 29)
        return batch

    def _label(self, lesson: TrainingSample) -> int:
        if not lesson.clip.word:
            raise TlbenchError(f"clip {lesson.clip.id}: no word label, so there is no word to learn; leave it out")
        try:
            return label_of(lesson.clip.word, lesson.clip.id, self._words)
        except ClipError as error:
            raise TlbenchError(str(error)) from error

    @torch.no_grad()
    def judge(self, lessons: Iterable[TrainingSample], device: torch.device) -> list[Evidence]:
        # Reading freezes and folds its network, so it gets a copy.
        model = copy.deepcopy(self._network.model).eval()
        view = VIEWS[self.view_for(model.dims.to_json(), None)]
        reader = MVMInference(FastMVM(model), view, device, words=self._words)
        said: list[Evidence] = []
        waiting: list[TrainingSample] = []
        for lesson in lessons:
            self._label(lesson)
            _check_length(lesson)
            waiting.append(lesson)
            if len(waiting) == JUDGED_TOGETHER:
                said += _said_of(reader, waiting)
                waiting = []
        return said + _said_of(reader, waiting) if waiting else said

    def package(self) -> Package:
        model = self._network.model
        tensors = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
        return Package(OBSERVER, tensors, {"dims": model.dims.to_json(), "words": list(self._words)})


def _said_of(reader: MVMInference, lessons: Sequence[TrainingSample]) -> list[Evidence]:
    states = [reader.start_clip(lesson.clip, lesson.clip.word or "") for lesson in lessons]
    return reader.read(states, [filled_up(as_seen(lesson.pictures)) for lesson in lessons])


def dims_of(size: str | Mapping[str, Any]) -> Dims:
    """One of :data:`SIZES`, or the sizes given. Raises TlbenchError if there is no such size, or it can't be."""
    try:
        return SIZES[size] if isinstance(size, str) else Dims.from_json(size)
    except KeyError as error:
        raise TlbenchError(f"mvm has no size {size!r}; there are {', '.join(SIZES)}") from error
    except (TypeError, ValueError) as error:
        raise TlbenchError(f"mvm: these are no sizes of it ({error})") from error


def as_seen(pictures: np.ndarray) -> np.ndarray:
    """A lesson's pictures as the view shows them, float32."""
    levels = ((np.arange(256) / 255.0 - MEAN) / STD).astype(np.float32)
    seen: np.ndarray = levels[pictures]
    return seen


def _check_words(words: Sequence[str]) -> None:
    if len(words) < 2:
        raise TlbenchError(
            f"the training clips have {len(words)} different words, so there is none to be told from another; "
            "take a data set of word clips"
        )


def _check_length(lesson: TrainingSample) -> None:
    if len(lesson.pictures) > FRAMES:
        raise TlbenchError(
            f"clip {lesson.clip.id}: {len(lesson.pictures)} frames, MVM reads {FRAMES} at most; cut out the {FRAMES} "
            "around the word"
        )


def _labels(lesson: TrainingSample) -> np.ndarray:
    """(29,) int64"""
    labels = np.full(FRAMES, NOTHING)
    if lesson.labels is not None:
        labels[: len(lesson.labels)] = lesson.labels
    return labels


def _partly_hidden(heard: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(80, n) with some bands and some steps set to their mean, which is 0."""
    bands, steps = (
        _span(size, most, rng) for size, most in zip(heard.shape, (HIDDEN_BANDS, HIDDEN_STEPS), strict=True)
    )
    heard[bands] = 0.0
    heard[:, steps] = 0.0
    return heard


def _span(size: int, most: int, rng: np.random.Generator) -> slice:
    length = int(rng.integers(most + 1))
    begin = int(rng.integers(size - length + 1))
    return slice(begin, begin + length)
