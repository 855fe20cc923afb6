"""MVM in training: the word is classified twice, with what the lips recall from the memories and with the audio itself.

The losses are those of Kim, Yeo and Ro (AAAI 2022) and of their ``train.py`` and ``src/models/memory.py``
(ms-dot-k/Multi-head-Visual-Audio-Memory):

- cross-entropy of the word, for each of the two classifications;
- "rebuilding": 1 - the cosine between a frame's audio features and the values that they address in a memory, summed
  over a clip's frames;
- "crowding" (the "contrastive" loss): half the sum of the absolute cosines between the values of two slots;
- in both, the memory before the classifier has the weight 1/3, and each of the three memories inside it 2/9.

The original detaches the audio features from all of these, so its audio front end keeps its random weights. Here the
audio front end learns to classify the word too, through a linear layer that only training has. Where the data set has
times, a further loss classifies the label of each frame from the visual features; a small network needs it.
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
from tlbench.errors import ClipError, TlbenchError, quoted
from tlbench.observing.evidence import Evidence
from tlbench.observing.first_layer import AROUND, FRAMES_SEEN
from tlbench.training.augment import augment, mask_spans, normalise
from tlbench.training.trainable import (
    NO_LABEL,
    TOTAL,
    LabelInventory,
    Trainable,
    TrainingSample,
    accuracy,
    batched,
    cpu_tensors,
    dims_of,
    frame_label_loss,
    pad_rows,
)

from .checkpoint import OBSERVER, network_of
from .dims import PUBLISHED, Dims
from .fast_model import FastMVM
from .inference import MVMInference, pad_crops
from .mel import mel_spectrogram
from .model import FRAMES, RADIUS, Memory, MVMModel, VisualFrontend
from .view import LRS2_SIDE, LRW_SIDE, MEAN, SMALL_SIDE, STD, VIEWS
from .words import label_of

SMALL = Dims(side=SMALL_SIDE, visual_width=12, hearing_width=16, features=96, slots=48, heads=4, branch=32)
TINY = Dims(side=SMALL_SIDE, visual_width=8, hearing_width=4, features=16, slots=8, heads=2, branch=8)
SIZES = {"tiny": TINY, "small": SMALL, "published": PUBLISHED}  # the number of words is the data set's
SMALL_DROPOUT = 0.1  # the published rates, such as 0.5 after each memory, suit a network 50 times as large
LABEL_WEIGHT = 1.0  # of the frame labels' cross-entropy
AUDIO_WEIGHT = 1.0  # of the audio front end's cross-entropy
MEMORY_WEIGHTS = (1 / 3, 2 / 9, 2 / 9, 2 / 9)
MAX_MASKED_BANDS, MAX_MASKED_STEPS = 10, 20  # of the spectrogram (vid_aud_lrw.py: FrequencyMasking, TimeMasking)
PREDICT_CLIPS = 16  # in a batch of predict


class TrainingNetwork(nn.Module):
    """MVM with its losses, and the two linear layers that only training has."""

    def __init__(self, model: MVMModel, labels: int) -> None:
        super().__init__()
        self.model = model
        self.labels = nn.Linear(model.dims.features, labels) if labels else None
        self.heard = nn.Linear(model.dims.features, model.dims.words)  # this name is in existing training states
        if model.dims.branch < PUBLISHED.branch:
            for module in model.modules():
                if isinstance(module, nn.Dropout):
                    module.p = SMALL_DROPOUT

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses per clip, and the accuracies of the words (from lips, from audio) and of the frame labels."""
        model, word = self.model, batch["word"]
        video_features = frontend_features(model.v_front, batch["pictures"])  # (B, 29, features)
        if "windows" in batch:  # of longer clips, the frames of each word
            video_features = video_features.flatten(0, 1)[batch["windows"]]
        audio_features = model.a_front(batch["spectrum"])
        memories = [model.mem, *(getattr(model.tcn.tcn.mb_ms_tcn, f"mem{number}") for number in (1, 2, 3))]
        addressed = [address(memory, audio_features.detach()) for memory in memories]
        logits = classify(model, video_features, None)
        logits_with_audio = classify(model, video_features, [one.values for one in addressed])
        audio_logits = self.heard(audio_features.mean(1))
        weighted = list(zip(MEMORY_WEIGHTS, addressed, strict=True))
        losses = {
            "word": F.cross_entropy(logits, word),
            "word_accuracy": accuracy(logits, word),
            "word_by_sound": F.cross_entropy(logits_with_audio, word),
            "rebuilding": torch.stack([weight * one.rebuilding for weight, one in weighted]).sum(),
            "crowding": torch.stack([weight * one.crowding for weight, one in weighted]).sum(),
            "heard": F.cross_entropy(audio_logits, word),
            "heard_accuracy": accuracy(audio_logits, word),
        }
        losses[TOTAL] = losses["word"] + losses["word_by_sound"] + losses["rebuilding"] + losses["crowding"]
        losses[TOTAL] = losses[TOTAL] + AUDIO_WEIGHT * losses["heard"]
        if self.labels is not None:
            label_logits = self.labels(video_features).transpose(1, 2)  # (B, labels, 29)
            losses["labels"] = frame_label_loss(label_logits, batch["labels"])
            losses["label_accuracy"] = accuracy(label_logits, batch["labels"])
            losses[TOTAL] = losses[TOTAL] + LABEL_WEIGHT * losses["labels"]
        return losses


@dataclass(frozen=True)
class Addressed:
    """The values that audio features address in a memory, and the memory's two losses.

    Attributes
    ----------
    values : (B, T, features)
    rebuilding : Tensor
        1 - the cosine between values and audio features, summed over frames, the mean over clips.
    crowding : Tensor
        Half the sum of the absolute cosines between the values of two slots.
    """

    values: Tensor
    rebuilding: Tensor
    crowding: Tensor


def address(memory: Memory, audio_features: Tensor) -> Addressed:
    """Address a memory with (B, T, features) audio features."""
    slots = F.normalize(memory.value, dim=1)
    cosines = F.normalize(memory.v_embd(audio_features), dim=-1) @ slots.T  # (B, T, slots)
    values = torch.softmax(RADIUS * cosines, dim=-1) @ memory.value
    rebuilding = (1 - F.cosine_similarity(values, audio_features, dim=-1)).abs().sum(1).mean()
    crowding = 0.5 * (torch.eye(len(slots), device=slots.device) - slots @ slots.T).abs().sum()
    return Addressed(values, rebuilding, crowding)


def classify(model: MVMModel, video_features: Tensor, values: Sequence[Tensor] | None) -> Tensor:
    """(B, words) logits of (B, T, features) visual features.

    ``values`` are those of each of the four memories, used in place of what the lips recall; None recalls.
    """
    classifier = model.tcn.tcn
    layers = classifier.mb_ms_tcn
    stages = (
        (model.mem, layers.layer1),
        (layers.mem1, layers.layer2),
        (layers.mem2, layers.layer3),
        (layers.mem3, layers.layer4),
    )
    x = video_features
    for number, (memory, layer) in enumerate(stages):
        x = memory(x) if values is None else _with_values(memory, x, values[number])
        x = layer(x.transpose(1, 2)).transpose(1, 2)
    return classifier.tcn_output(x.mean(1))  # type: ignore[no-any-return]


def _with_values(memory: Memory, x: Tensor, values: Tensor) -> Tensor:
    """The output of :class:`.model.Memory` with these values in place of recalled ones."""
    projected = values if memory.v_up is None else memory.v_up(values)
    return memory.dropout(memory.norm1(x + memory.norm3(projected)))  # type: ignore[no-any-return]


def frontend_features(front: VisualFrontend, pictures: Tensor) -> Tensor:
    """The features of :class:`.model.VisualFrontend` and their gradients, in less time on a CPU.

    The backward pass of a convolution over time is slow. Here the first layer's 5 frames are channels of a 2-D
    convolution, in channels-last memory.

    Parameters
    ----------
    front : VisualFrontend
    pictures : (B, T, side, side) float32
        Normalised crops.

    Returns
    -------
    (B, T, features)
    """
    convolution, norm, prelu, _ = front.frontend
    assert isinstance(convolution, nn.Conv3d)
    assert isinstance(norm, nn.BatchNorm3d)
    assert norm.momentum is not None
    windows = F.pad(pictures, (0, 0, 0, 0, AROUND, AROUND)).unfold(1, FRAMES_SEEN, 1)  # (B, T, side, side, 5)
    x = windows.flatten(0, 1).movedim(-1, 1)
    x = F.conv2d(x, convolution.weight[:, 0], None, convolution.stride[1:], convolution.padding[1:])
    x = F.batch_norm(
        x, norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.training, norm.momentum, norm.eps
    )
    x = F.max_pool2d(prelu(x), 3, 2, 1)
    return front.resnet(x).unflatten(0, pictures.shape[:2])  # type: ignore[no-any-return]


class TrainableMVM(Trainable):
    """See :class:`~tlbench.training.trainable.Trainable`."""

    observer: ClassVar[str] = OBSERVER
    metric: ClassVar[str] = "acc/sound"
    needs_audio: ClassVar[bool] = True
    sizes: ClassVar[tuple[str, ...]] = tuple(SIZES)

    def __init__(self, model: MVMModel, words: Sequence[str], labels: int) -> None:
        self._network = TrainingNetwork(model, labels)
        self.words = tuple(words)

    @classmethod
    def view_for(cls, size: str | Mapping[str, Any], frame_size: tuple[int, int] | None) -> str:
        if dims_of(cls.observer, SIZES, size).side == SMALL_SIDE:
            return "small-mouth" if frame_size == (LRS2_SIDE, LRS2_SIDE) else "small-face-framed"
        return "lrw" if frame_size == (LRW_SIDE, LRW_SIDE) else "face-framed"

    @classmethod
    def from_scratch(cls, size: str | Mapping[str, Any], inventory: LabelInventory, seed: int) -> TrainableMVM:
        dims = dims_of(cls.observer, SIZES, size)
        _check_words(inventory.words)
        torch.manual_seed(seed)
        model = MVMModel(replace(dims, words=len(inventory.words)))
        return cls(model, inventory.words, len(inventory.labels))

    @classmethod
    def from_checkpoint(cls, package: Package, path: Path, inventory: LabelInventory, seed: int) -> TrainableMVM:
        model, words = network_of(package, path, cls.observer)
        _check_words(inventory.words)
        unknown = sorted(set(inventory.words) - set(words))
        if unknown:
            raise TlbenchError(
                f"{path}: its {len(words)} words lack {len(unknown)} words of the data set, such as "
                f"{quoted(unknown[0])}; train without --init-from, or leave those clips out"
            )
        torch.manual_seed(seed)
        return cls(model, words, len(inventory.labels))

    @property
    def network(self) -> TrainingNetwork:
        return self._network

    def batch(self, samples: Sequence[TrainingSample], rng: np.random.Generator) -> dict[str, Tensor]:
        """Clips of 29 frames; shorter ones are padded with zeros at the end, as in inference.

        Raises
        ------
        TlbenchError
            If a clip has more frames, no word, or a word that the network does not classify.
        """
        pictures, spectrograms, words, labels = [], [], [], []
        for sample in samples:
            assert sample.samples is not None  # needs_audio
            words.append(self._word_index(sample))
            _check_length(sample)
            pictures.append(pad_crops(mask_spans(augment(sample.pictures, rng, MEAN, STD), rng)))
            spectrograms.append(mask_spectrogram(mel_spectrogram(sample.samples, FRAMES), rng))
            labels.append(np.zeros(0, np.int64) if sample.labels is None else sample.labels)
        batch = {
            "pictures": torch.from_numpy(np.stack(pictures)),  # (B, 29, side, side)
            "spectrum": torch.from_numpy(np.stack(spectrograms))[:, None],  # (B, 1, 80, 116)
            "word": torch.tensor(words),
            "frames": torch.tensor([len(sample.pictures) for sample in samples]),
        }
        if self._network.labels is not None:
            batch["labels"] = pad_rows(labels, NO_LABEL, FRAMES)  # (B, 29)
        return batch

    def _word_index(self, sample: TrainingSample) -> int:
        if not sample.clip.word:
            raise TlbenchError(f"clip {sample.clip.id}: no word label; leave it out")
        try:
            return label_of(sample.clip.word, sample.clip.id, self.words)
        except ClipError as error:
            raise TlbenchError(str(error)) from error

    @torch.no_grad()
    def predict(self, samples: Iterable[TrainingSample], device: torch.device) -> list[Evidence]:
        # Inference freezes and fuses its network, so it gets a copy.
        model = copy.deepcopy(self._network.model).eval()
        view = VIEWS[self.view_for(model.dims.to_json(), None)]
        inference = MVMInference(FastMVM(model), view, device, words=self.words)
        evidence: list[Evidence] = []
        for chunk in batched(samples, PREDICT_CLIPS):
            for sample in chunk:
                self._word_index(sample)
                _check_length(sample)
            states = [inference.start(sample.clip, None) for sample in chunk]
            evidence += inference.read(states, [pad_crops(normalise(one.pictures, MEAN, STD)) for one in chunk])
        return evidence

    def package(self) -> Package:
        model = self._network.model
        return Package(self.observer, cpu_tensors(model), {"dims": model.dims.to_json(), "words": list(self.words)})


def _check_words(words: Sequence[str]) -> None:
    if len(words) < 2:
        raise TlbenchError(
            f"the training clips have {len(words)} different words, MVM needs 2 or more; use a data set of word clips"
        )


def _check_length(sample: TrainingSample) -> None:
    if len(sample.pictures) > FRAMES:
        raise TlbenchError(
            f"clip {sample.clip.id}: {len(sample.pictures)} frames, MVM reads at most {FRAMES}; cut out the {FRAMES} "
            "around the word"
        )


def mask_spectrogram(spectrogram: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Set a random range of bands and a random range of steps of (80, n) to 0, the mean."""
    bands, steps = (
        _random_range(size, longest, rng)
        for size, longest in zip(spectrogram.shape, (MAX_MASKED_BANDS, MAX_MASKED_STEPS), strict=True)
    )
    spectrogram[bands] = 0.0
    spectrogram[:, steps] = 0.0
    return spectrogram


def _random_range(size: int, longest: int, rng: np.random.Generator) -> slice:
    length = int(rng.integers(longest + 1))
    start = int(rng.integers(size - length + 1))
    return slice(start, start + length)
