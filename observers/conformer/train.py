"""The Conformer in training: hybrid CTC/attention loss on characters.

The two losses are those of the published network (Sxjdwang/TalkLip ``evaluation/conformer_arg.txt``: ``mtlalpha=0.3``,
``lsm_weight=0.1``, ``dropout_rate=0.1``; espnet/espnet ``espnet/nets/pytorch_backend/e2e_asr_conformer.py``; Watanabe
et al. 2017, "Hybrid CTC/attention architecture for end-to-end speech recognition"), averaged over characters instead of
sentences, so that their weights relative to the frame labels do not depend on the sentences' length. Where the data set
has times, a third loss classifies the label of each frame; without it, CTC needs very long before it learns anything.

The published evaluation pads the features of a clip that has fewer frames than CTC needs for its text: rows of zeros
before and after, which count as frames. Training does the same, and also pads a random quarter of the other clips.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.checkpoints.package import Package
from tlbench.errors import ClipError, TlbenchError
from tlbench.observing.evidence import Evidence
from tlbench.observing.first_layer import AROUND, FRAMES_SEEN
from tlbench.training.augment import augment, mask_spans
from tlbench.training.trainable import (
    NO_LABEL,
    TOTAL,
    LabelInventory,
    Trainable,
    TrainingSample,
    accuracy,
    add_dropout,
    batched,
    cpu_tensors,
    dims_of,
    frame_label_loss,
    pad_rows,
)

from .checkpoint import FORMAT, OBSERVER
from .dims import PUBLISHED, Dims
from .inference import ConformerInference
from .model import POSITIONS, ConformerModel, VisualFrontend, pad_features
from .tokenizer import BLANK, EOS, ids_of, required_frames
from .view import LRS2_SIDE, MEAN, SMALL_SIDE, STD, VIEWS

SMALL = Dims(side=SMALL_SIDE, visual_width=16, width=112, hidden=288, encoder_blocks=4, decoder_blocks=2)
TINY = Dims(side=SMALL_SIDE, visual_width=8, width=32, hidden=64, encoder_blocks=1, decoder_blocks=1)
SIZES = {"tiny": TINY, "small": SMALL, "published": PUBLISHED}
CTC_WEIGHT = 0.3  # mtlalpha; the attention loss has the rest
SMOOTHING = 0.1  # lsm_weight
DROPOUT = 0.1  # dropout_rate
# The outputs that espnet applies dropout to: of each sub-layer, and between a feed-forward step's two linear layers.
DROPPED = ("feed_forward", "feed_forward_macaron", "self_attn", "src_attn", "conv_module", "between")
LABEL_WEIGHT = 1.0  # of the frame labels' cross-entropy
PADDED_SHARE = 0.25  # of the clips that need no padding
MAX_PADDING_FRAMES = 12
PREDICT_CLIPS = 8  # in a batch of predict


class TrainingNetwork(nn.Module):
    """The Conformer with its losses, and a linear layer for frame labels that only training has."""

    def __init__(self, model: ConformerModel, labels: int) -> None:
        super().__init__()
        self.model = model
        self.labels = nn.Linear(model.dims.width, labels) if labels else None
        add_dropout(model, DROPPED, DROPOUT)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mean losses in nats (per character, per frame), and the accuracies of characters and frame labels."""
        model = self.model
        frames, lengths = batch["frames"].tolist(), batch["lengths"].tolist()
        features = frontend_features(model.visual_frontend, batch["pictures"], frames)
        padded = pad_features(features, lengths)
        mask = torch.arange(padded.shape[1], device=padded.device) < batch["lengths"][:, None]  # (B, L)
        encoded = model.encoder(padded, mask[:, None], apart=True)
        logits = model.decoder(batch["before"], encoded, mask[:, None]).transpose(1, 2)  # (B, 40, n)
        losses = {
            "attention": F.cross_entropy(logits, batch["after"], ignore_index=NO_LABEL, label_smoothing=SMOOTHING),
            "character_accuracy": accuracy(logits, batch["after"]),
            "ctc": self._ctc_loss(encoded, batch),
        }
        losses[TOTAL] = CTC_WEIGHT * losses["ctc"] + (1 - CTC_WEIGHT) * losses["attention"]
        if self.labels is not None:
            label_logits = self.labels(encoded).transpose(1, 2)  # (B, labels, L)
            losses["labels"] = frame_label_loss(label_logits, batch["labels"])
            losses["label_accuracy"] = accuracy(label_logits, batch["labels"])
            losses[TOTAL] = losses[TOTAL] + LABEL_WEIGHT * losses["labels"]
        return losses

    def _ctc_loss(self, encoded: Tensor, batch: dict[str, Tensor]) -> Tensor:
        logs = self.model.ctc(encoded).float().log_softmax(dim=-1).transpose(0, 1)  # (L, B, 40)
        text_lengths = batch["after"].ne(NO_LABEL).sum(1) - 1  # without the end mark, which only attention predicts
        return F.ctc_loss(logs, batch["after"].clamp(min=BLANK), batch["lengths"], text_lengths, BLANK)


class TrainableConformer(Trainable):
    """See :class:`~tlbench.training.trainable.Trainable`."""

    observer: ClassVar[str] = OBSERVER
    metric: ClassVar[str] = "wer2/sound"
    sizes: ClassVar[tuple[str, ...]] = tuple(SIZES)

    def __init__(self, model: ConformerModel, labels: int) -> None:
        self._network = TrainingNetwork(model, labels)

    @classmethod
    def view_for(cls, size: str | Mapping[str, Any], frame_size: tuple[int, int] | None) -> str:
        framed = frame_size == (LRS2_SIDE, LRS2_SIDE)
        if dims_of(OBSERVER, SIZES, size).side == SMALL_SIDE:
            return "small-mouth" if framed else "small-face-framed"
        return "lrs2-112" if framed else "face-framed"

    @classmethod
    def from_scratch(cls, size: str | Mapping[str, Any], inventory: LabelInventory, seed: int) -> TrainableConformer:
        dims = dims_of(OBSERVER, SIZES, size)
        _check_transcripts(inventory.transcripts)
        torch.manual_seed(seed)
        model = ConformerModel(dims)
        # torch's initial embeddings, times sqrt(width), would be much larger than the positional encodings.
        for parameter in model.decoder.embed.parameters():
            nn.init.normal_(parameter, std=dims.width**-0.5)
        return cls(model, len(inventory.labels))

    @classmethod
    def from_checkpoint(cls, package: Package, path: Path, inventory: LabelInventory, seed: int) -> TrainableConformer:
        model = FORMAT.network_of(package, path)
        _check_transcripts(inventory.transcripts)
        torch.manual_seed(seed)
        return cls(model, len(inventory.labels))

    @property
    def network(self) -> TrainingNetwork:
        return self._network

    def batch(self, samples: Sequence[TrainingSample], rng: np.random.Generator) -> dict[str, Tensor]:
        """Padded clips.

        Raises
        ------
        TlbenchError
            If a clip's transcript can't be spelled, or the clip is longer than the positional encodings.
        """
        texts = [_character_ids(sample) for sample in samples]
        frames = [len(sample.pictures) for sample in samples]
        lengths = [
            max(
                count + int(rng.integers(MAX_PADDING_FRAMES + 1)) * int(rng.random() < PADDED_SHARE),
                required_frames(ids),
            )
            for count, ids in zip(frames, texts, strict=True)
        ]
        for sample, length in zip(samples, lengths, strict=True):
            if length > POSITIONS:
                raise TlbenchError(
                    f"clip {sample.clip.id}: needs {length} frames, the Conformer reads at most {POSITIONS}; "
                    "cut it into utterances, or leave it out"
                )
        augmented = [mask_spans(augment(sample.pictures, rng, MEAN, STD), rng) for sample in samples]
        batch = {
            "pictures": pad_rows(augmented, 0.0),  # (B, T, side, side); zeros after the last frame, as in inference
            "frames": torch.tensor(frames),
            "lengths": torch.tensor(lengths),
            "before": pad_rows([np.concatenate([[EOS], ids]) for ids in texts], EOS),  # (B, n), the decoder's input
            "after": pad_rows([np.concatenate([ids, [EOS]]) for ids in texts], NO_LABEL),  # (B, n), its target
        }
        if self._network.labels is not None:
            labels = [_padded_labels(sample, length) for sample, length in zip(samples, lengths, strict=True)]
            batch["labels"] = pad_rows(labels, NO_LABEL)  # (B, L)
        return batch

    @torch.no_grad()
    def predict(self, samples: Iterable[TrainingSample], device: torch.device) -> list[Evidence]:
        # Inference freezes and fuses its network, so it gets a copy.
        view = VIEWS[self.view_for(self._network.model.dims.to_json(), None)]
        inference = ConformerInference(copy.deepcopy(self._network.model), view, device, free=False)
        evidence: list[Evidence] = []
        for chunk in batched(samples, PREDICT_CLIPS):
            states = [inference.start_clip(sample.clip) for sample in chunk]
            evidence += inference.read(states, [torch.from_numpy(sample.pictures) for sample in chunk])
        return evidence

    def package(self) -> Package:
        model = self._network.model
        return Package(OBSERVER, cpu_tensors(model), {"dims": model.dims.to_json()})


def _check_transcripts(transcripts: Sequence[str]) -> None:
    """Fail before training starts. Raises TlbenchError if no clip has a transcript."""
    if not any(text.strip() for text in transcripts):
        raise TlbenchError("no training clip has a transcript, so there is nothing to learn to read")


def _character_ids(sample: TrainingSample) -> np.ndarray:
    try:
        return ids_of(sample.clip.transcript or "", sample.clip.id)
    except ClipError as error:
        raise TlbenchError(str(error)) from error


def _padded_labels(sample: TrainingSample, length: int) -> np.ndarray:
    """(length,) int64: the frame labels, padded as :func:`.model.pad_features` pads the features."""
    frames = len(sample.pictures)
    labels = np.full(length, NO_LABEL)
    if sample.labels is not None:
        left = (length - frames) // 2
        labels[left : left + frames] = sample.labels
    return labels


def frontend_features(frontend: VisualFrontend, pictures: Tensor, frames: list[int]) -> list[Tensor]:
    """The features of :class:`.model.VisualFrontend` and their gradients, in half the time on a CPU.

    The backward pass of a convolution over time is slow. Here the first layer's 5 frames are channels of a 2-D
    convolution, in channels-last memory.

    Parameters
    ----------
    frontend : VisualFrontend
    pictures : (B, T, side, side) float32
        Normalised crops.
    frames : list of B int
        Frames of each clip.

    Returns
    -------
    list of B (frames, features)
    """
    convolution, norm, relu, pool = frontend.frontend3D
    assert isinstance(convolution, nn.Conv3d)
    windows = F.pad(pictures, (0, 0, 0, 0, AROUND, AROUND)).unfold(1, FRAMES_SEEN, 1)  # (B, T, side, side, 5)
    x = torch.cat([clip[:count] for clip, count in zip(windows, frames, strict=True)]).movedim(-1, 1)
    x = F.conv2d(x, convolution.weight[:, 0], None, convolution.stride[1:], convolution.padding[1:])
    return list(frontend.resnet(pool(relu(norm(x)))).split(frames))
