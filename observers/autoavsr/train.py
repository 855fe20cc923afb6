"""auto_avsr in training: hybrid CTC/attention loss on sentencepiece tokens.

The two losses and their weights are the original's (mpc001/auto_avsr ``espnet/nets/pytorch_backend``:
``e2e_asr_conformer.py``, ``mtlalpha`` 0.1, ``lsm_weight`` 0.1, dropout 0.1), averaged over tokens instead of sentences,
so that their weights relative to the frame labels do not depend on the sentences' length. Where the data set has times,
a third loss classifies the label of each frame; it gives a small network what pre-training on words gives the original.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.checkpoints.package import Package
from tlbench.errors import TlbenchError
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
    add_dropout,
    batched,
    cpu_tensors,
    dims_of,
    frame_label_loss,
    pad_rows,
    train_pieces,
)

from .checkpoint import OBSERVER, PIECES_FILE, network_of
from .dims import PUBLISHED, Dims
from .inference import AutoAVSRInference
from .model import BLANK, POSITIONS, AutoAVSRModel, VisualFrontend
from .tokens import UNKNOWN_MARK, Tokens
from .view import LRS2_SIDE, MEAN, SMALL_SIDE, STD, VIEWS

SMALL = Dims(side=SMALL_SIDE, visual_width=16, width=104, heads=4, hidden=256, encoder_blocks=4, decoder_blocks=2)
TINY = Dims(
    side=SMALL_SIDE, visual_width=8, width=32, heads=4, hidden=64, kernel=15, encoder_blocks=1, decoder_blocks=1
)
SIZES = {"tiny": TINY, "small": SMALL, "published": PUBLISHED}
MOST_PIECES = 500  # of a small network; a data set of few words has fewer
CTC_WEIGHT = 0.1  # mtlalpha; the attention loss has the rest
SMOOTHING = 0.1  # lsm_weight
DROPOUT = 0.1  # dropout_rate
# The outputs that the original applies dropout to: of each sub-layer, and between a feed-forward step's two layers.
DROPPED = ("feed_forward", "feed_forward_macaron", "self_attn", "src_attn", "conv_module", "between")
LABEL_WEIGHT = 1.0  # of the frame labels' cross-entropy
PREDICT_CLIPS = 8  # in a batch of predict


class TrainingNetwork(nn.Module):
    """auto_avsr with its losses, and a linear layer for frame labels that only training has."""

    def __init__(self, model: AutoAVSRModel, labels: int) -> None:
        super().__init__()
        self.model = model
        self.labels = nn.Linear(model.dims.width, labels) if labels else None
        add_dropout(model, DROPPED, DROPOUT)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mean losses in nats (per token, per frame), and the accuracies of tokens and frame labels."""
        model = self.model
        frames = batch["frames"]
        features = nn.utils.rnn.pad_sequence(
            frontend_features(model.frontend, batch["pictures"], frames.tolist()), batch_first=True
        )
        mask = (torch.arange(features.shape[1], device=features.device) < frames[:, None])[:, None]  # (B, 1, T)
        encoded = model.encoder(model.proj_encoder(features), mask, apart=True)
        logits = model.decoder(batch["before"], encoded, mask).transpose(1, 2)  # (B, V, n)
        losses = {
            "attention": F.cross_entropy(logits, batch["after"], ignore_index=NO_LABEL, label_smoothing=SMOOTHING),
            "token_accuracy": accuracy(logits, batch["after"]),
            "ctc": self._ctc_loss(encoded, batch),
        }
        losses[TOTAL] = CTC_WEIGHT * losses["ctc"] + (1 - CTC_WEIGHT) * losses["attention"]
        if self.labels is not None:
            label_logits = self.labels(encoded).transpose(1, 2)  # (B, labels, T)
            losses["labels"] = frame_label_loss(label_logits, batch["labels"])
            losses["label_accuracy"] = accuracy(label_logits, batch["labels"])
            losses[TOTAL] = losses[TOTAL] + LABEL_WEIGHT * losses["labels"]
        return losses

    def _ctc_loss(self, encoded: Tensor, batch: dict[str, Tensor]) -> Tensor:
        logs = self.model.ctc(encoded).float().log_softmax(dim=-1).transpose(0, 1)  # (T, B, V)
        text_lengths = batch["after"].ne(NO_LABEL).sum(1) - 1  # without the end mark, which only attention predicts
        targets = batch["after"].clamp(min=BLANK)
        # A clip with more tokens than frames adds nothing, as in the original.
        return F.ctc_loss(logs, targets, batch["frames"], text_lengths, BLANK, zero_infinity=True)


class TrainableAutoAVSR(Trainable):
    """See :class:`~tlbench.training.trainable.Trainable`."""

    observer: ClassVar[str] = OBSERVER
    metric: ClassVar[str] = "wer3/sound"
    sizes: ClassVar[tuple[str, ...]] = tuple(SIZES)

    def __init__(self, model: AutoAVSRModel, tokens: Tokens, labels: int) -> None:
        self._network = TrainingNetwork(model, labels)
        self._tokens = tokens

    @classmethod
    def view_for(cls, size: str | Mapping[str, Any], frame_size: tuple[int, int] | None) -> str:
        if dims_of(OBSERVER, SIZES, size).side == SMALL_SIDE:
            return "small-mouth" if frame_size == (LRS2_SIDE, LRS2_SIDE) else "small-face-framed"
        return "patches"  # what the original's script has cut; a view that aligns mouths can't be trained with

    @classmethod
    def from_scratch(cls, size: str | Mapping[str, Any], inventory: LabelInventory, seed: int) -> TrainableAutoAVSR:
        pieces = train_pieces([text.upper() for text in inventory.transcripts], MOST_PIECES)
        tokens = Tokens(units_of(pieces), pieces)
        dims = replace(dims_of(OBSERVER, SIZES, size), vocabulary=len(tokens))
        torch.manual_seed(seed)
        model = AutoAVSRModel(dims)
        # torch's initial embeddings, times sqrt(width), would be much larger than the positional encodings.
        for parameter in model.decoder.embed.parameters():
            nn.init.normal_(parameter, std=dims.width**-0.5)
        return cls(model, tokens, len(inventory.labels))

    @classmethod
    def from_checkpoint(cls, package: Package, path: Path, inventory: LabelInventory, seed: int) -> TrainableAutoAVSR:
        model, tokens = network_of(package, path)
        if not any(text.strip() for text in inventory.transcripts):
            raise TlbenchError("no training clip has a transcript, so there is nothing to learn to read")
        torch.manual_seed(seed)
        return cls(model, tokens, len(inventory.labels))

    @property
    def network(self) -> TrainingNetwork:
        return self._network

    def batch(self, samples: Sequence[TrainingSample], rng: np.random.Generator) -> dict[str, Tensor]:
        """Padded clips. Raises TlbenchError if a clip is longer than the positional encodings."""
        for sample in samples:
            if len(sample.pictures) >= POSITIONS:
                raise TlbenchError(
                    f"clip {sample.clip.id}: {len(sample.pictures)} frames, auto_avsr reads at most {POSITIONS - 1}; "
                    "cut it into utterances, or leave it out"
                )
        texts = [np.array(self._tokens.encode((sample.clip.transcript or "").upper()), int) for sample in samples]
        end = self._tokens.end
        augmented = [mask_spans(augment(sample.pictures, rng, MEAN, STD), rng) for sample in samples]
        batch = {
            "pictures": pad_rows(augmented, 0.0),  # (B, T, side, side)
            "frames": torch.tensor([len(sample.pictures) for sample in samples]),
            "before": pad_rows([np.concatenate([[end], ids]) for ids in texts], end),  # (B, n), the decoder's input
            "after": pad_rows([np.concatenate([ids, [end]]) for ids in texts], NO_LABEL),  # (B, n), its target
        }
        if self._network.labels is not None:
            labels = [
                np.full(len(sample.pictures), NO_LABEL) if sample.labels is None else sample.labels
                for sample in samples
            ]
            batch["labels"] = pad_rows(labels, NO_LABEL)  # (B, T)
        return batch

    @torch.no_grad()
    def predict(self, samples: Iterable[TrainingSample], device: torch.device) -> list[Evidence]:
        # Inference freezes and fuses its network, so it gets a copy.
        view = VIEWS[self.view_for(self._network.model.dims.to_json(), None)]
        inference = AutoAVSRInference(copy.deepcopy(self._network.model), self._tokens, view, device, ("beam",))
        evidence: list[Evidence] = []
        for chunk in batched(samples, PREDICT_CLIPS):
            crops = [normalise(sample.pictures, MEAN, STD) for sample in chunk]
            evidence += inference.read_crops([sample.clip for sample in chunk], crops)
        return evidence

    def package(self) -> Package:
        model = self._network.model
        config = {"dims": model.dims.to_json(), "units": list(self._tokens.units)}
        return Package(OBSERVER, cpu_tensors(model), config, {PIECES_FILE: self._tokens.pieces})


def units_of(pieces: bytes) -> list[str]:
    """The units of a sentencepiece model: ``<unk>``, then its pieces in order."""
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor()
    processor.LoadFromSerializedProto(pieces)
    ids = range(processor.GetPieceSize())
    written = [processor.IdToPiece(i) for i in ids if not (processor.IsControl(i) or processor.IsUnknown(i))]
    return [UNKNOWN_MARK, *written]


def frontend_features(frontend: VisualFrontend, pictures: Tensor, frames: list[int]) -> list[Tensor]:
    """The features of :class:`.model.VisualFrontend` and their gradients, in half the time on a CPU.

    The backward pass of a convolution over time is slow. Here the first layer's 5 frames are channels of a 2-D
    convolution. Padding is not computed, and not part of the batch normalisation's mean.

    Parameters
    ----------
    frontend : VisualFrontend
    pictures : (B, T, side, side) float32
        Normalised crops; zeros after a clip's last frame.
    frames : list of B int
        Frames of each clip.

    Returns
    -------
    list of B (frames, features)
    """
    convolution, norm, silu, _ = frontend.frontend3D
    assert isinstance(convolution, nn.Conv3d)
    windows = F.pad(pictures, (0, 0, 0, 0, AROUND, AROUND)).unfold(1, FRAMES_SEEN, 1)  # (B, T, side, side, 5)
    x = torch.cat([clip[:count] for clip, count in zip(windows, frames, strict=True)]).movedim(-1, 1)
    x = F.conv2d(x, convolution.weight[:, 0], None, convolution.stride[1:], convolution.padding[1:])
    x = silu(norm(x[:, :, None])[:, :, 0])  # the norm is of five dimensions
    return list(frontend.trunk(F.max_pool2d(x, 3, 2, 1)).split(frames))
