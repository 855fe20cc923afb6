"""AV-HuBERT in training: label-smoothed cross-entropy of sentencepiece tokens, from lips, from audio, or from both.

The network is fine-tuned as in facebookresearch/av_hubert (``conf/finetune/*.yaml``: label-smoothed cross-entropy,
modality dropout), without the pre-training. Where the data set has times, a second loss classifies the label of each
frame; it gives a small network what pre-training would.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from tlbench.checkpoints.package import Package
from tlbench.errors import TlbenchError
from tlbench.media.filterbank import stacked_filterbanks
from tlbench.observing.evidence import Evidence
from tlbench.training.augment import augment, mask_spans, normalise
from tlbench.training.trainable import (
    NO_LABEL,
    TOTAL,
    LabelInventory,
    Trainable,
    TrainingSample,
    accuracy,
    add_dropout,
    cpu_tensors,
    dims_of,
    frame_label_loss,
    pad_rows,
    train_pieces,
)

from .checkpoint import OBSERVER, TOKENIZER_FILE, network_of
from .decode import BeamSettings, beam_search
from .dictionary import PAD, SPECIAL, Dictionary
from .dims import Dims
from .incremental_decoder import SteppingDecoder
from .losses import label_smoothed_loss, shifted_targets
from .model import AVHubert
from .view import LRS2_SIDE, MEAN, STD

BASE = Dims(
    encoder_layers=12,
    encoder_width=768,
    encoder_ffn=3072,
    encoder_heads=12,
    encoder_prenorm=True,
    decoder_layers=6,
    decoder_width=768,
    decoder_ffn=3072,
    decoder_heads=4,
)
LARGE = replace(
    BASE,
    encoder_layers=24,
    encoder_width=1024,
    encoder_ffn=4096,
    encoder_heads=16,
    decoder_layers=9,
    decoder_width=1024,
    decoder_ffn=4096,
    decoder_heads=8,
)
SMALL = Dims(
    encoder_layers=4,
    encoder_width=144,
    encoder_ffn=576,
    encoder_heads=4,
    positional_kernel=32,
    positional_groups=8,
    visual_width=16,
    decoder_layers=2,
    decoder_width=144,
    decoder_ffn=432,
    decoder_heads=4,
)
TINY = replace(SMALL, encoder_layers=1, encoder_width=32, encoder_ffn=64, visual_width=4, decoder_layers=1)
SIZES = {
    "tiny": replace(TINY, decoder_width=32, decoder_ffn=64),
    "small": SMALL,
    # The lip-reading expert of the reference generator: of another size than the observer that scores it.
    "expert": replace(SMALL, encoder_layers=3, encoder_width=120, encoder_ffn=480, visual_width=12, decoder_width=120),
    "base": BASE,
    "large": LARGE,
}
VOCABULARY = 1000  # most pieces, as av_hubert's spm1000; a data set of few words has fewer
BEAM = 10  # in validation; scoring uses the protocol's
LABEL_WEIGHT = 1.0  # of the frame labels' cross-entropy
DROPOUT = 0.1
FEATURE_GRADIENT = 1.0  # upstream's 0.1 protects a pre-trained front end; this one starts with random weights
# Shares of batches with video alone, audio alone and both. Upstream drops each modality in half of the batches
# (``modality_dropout: 0.5, audio_dropout: 0.5``); here video alone is what the observer reads.
VIDEO_SHARE, AUDIO_SHARE, BOTH_SHARE = 0.6, 0.15, 0.25


class TrainingNetwork(nn.Module):
    """AV-HuBERT with its losses, and a linear layer for frame labels that only training has."""

    def __init__(self, model: AVHubert, labels: int) -> None:
        super().__init__()
        self.model = model
        self.labels = nn.Linear(model.dims.encoder_width, labels) if labels else None
        add_dropout(model, (".fc2", ".out_proj"), DROPOUT)  # the output of each sub-layer

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mean losses in nats (per token, per frame), and the accuracies of tokens and frame labels."""
        padding_mask = batch["padding_mask"]
        encoded = self.model.encode(batch.get("video"), batch.get("audio"), padding_mask)
        logits = self.model.logits(batch["before"], encoded, padding_mask)
        tokens = label_smoothed_loss(logits, batch["tokens"])
        losses = {
            "tokens": tokens.smoothed / tokens.tokens,
            "token_accuracy": torch.tensor(tokens.correct / tokens.tokens),
        }
        losses[TOTAL] = losses["tokens"]
        if self.labels is not None:
            label_logits = self.labels(encoded).transpose(1, 2)  # (B, labels, T)
            losses["labels"] = frame_label_loss(label_logits, batch["labels"])
            losses["label_accuracy"] = accuracy(label_logits, batch["labels"])
            losses[TOTAL] = losses[TOTAL] + LABEL_WEIGHT * losses["labels"]
        return losses


class TrainableAVHubert(Trainable):
    """See :class:`~tlbench.training.trainable.Trainable`."""

    observer: ClassVar[str] = OBSERVER
    metric: ClassVar[str] = "wer1/sound"
    needs_audio: ClassVar[bool] = True
    sizes: ClassVar[tuple[str, ...]] = tuple(SIZES)

    def __init__(self, model: AVHubert, dictionary: Dictionary, tokenizer: bytes, labels: int) -> None:
        self._network = TrainingNetwork(model, labels)
        self._dictionary = dictionary
        self._tokenizer = tokenizer

    @classmethod
    def view_for(cls, size: str | Mapping[str, Any], frame_size: tuple[int, int] | None) -> str:
        framed = frame_size == (LRS2_SIDE, LRS2_SIDE)
        if size in ("base", "large"):
            return "lrs2-center" if framed else "face-framed"
        return "small-mouth" if framed else "small-face-framed"

    @classmethod
    def from_scratch(cls, size: str | Mapping[str, Any], inventory: LabelInventory, seed: int) -> TrainableAVHubert:
        tokenizer = train_pieces([text.lower() for text in inventory.transcripts], VOCABULARY)
        dictionary = Dictionary(symbols_of(tokenizer), tokenizer)
        dims = dims_of(OBSERVER, SIZES, size)
        torch.manual_seed(seed)
        model = AVHubert(replace(dims, vocabulary=len(dictionary)), FEATURE_GRADIENT)
        # As fairseq's ``Embedding``. The embedding is the output layer too, where torch's larger weights would give
        # confident nonsense.
        nn.init.normal_(model.decoder.embed_tokens.weight, std=dims.decoder_width**-0.5)
        return cls(model, dictionary, tokenizer, len(inventory.labels))

    @classmethod
    def from_checkpoint(cls, package: Package, path: Path, inventory: LabelInventory, seed: int) -> TrainableAVHubert:
        model, dictionary = network_of(package, path)
        tokenizer = package.files.get(TOKENIZER_FILE)
        if tokenizer is None or not model.dims.decoder_layers:
            raise TlbenchError(
                f"{path}: this AV-HuBERT has no decoder or no tokenizer, so it can't be trained; "
                "choose a checkpoint that was fine-tuned to write text"
            )
        torch.manual_seed(seed)
        return cls(model, dictionary, tokenizer, len(inventory.labels))

    @property
    def network(self) -> TrainingNetwork:
        return self._network

    def batch(self, samples: Sequence[TrainingSample], rng: np.random.Generator) -> dict[str, Tensor]:
        modality = rng.choice(3, p=(VIDEO_SHARE, AUDIO_SHARE, BOTH_SHARE))
        tokens = [torch.tensor(self._dictionary.encode(sample.clip.transcript or "")) for sample in samples]
        targets = nn.utils.rnn.pad_sequence(tokens, batch_first=True, padding_value=PAD)  # (B, L)
        frames = torch.tensor([len(sample.pictures) for sample in samples])
        batch = {
            "tokens": targets,
            "before": shifted_targets(targets),
            "padding_mask": torch.arange(int(frames.max()))[None] >= frames[:, None],  # (B, T)
            "frames": frames,
        }
        if modality != 1:
            augmented = [mask_spans(augment(sample.pictures, rng, MEAN, STD), rng) for sample in samples]
            batch["video"] = pad_rows(augmented, 0.0)[:, None]  # (B, 1, T, H, W)
        if modality != 0:
            audio_features = [mask_spans(self._audio_features(sample), rng) for sample in samples]
            batch["audio"] = pad_rows(audio_features, 0.0).transpose(1, 2)  # (B, 104, T)
        if self._network.labels is not None:
            labels = [
                np.full(len(sample.pictures), NO_LABEL) if sample.labels is None else sample.labels
                for sample in samples
            ]
            batch["labels"] = pad_rows(labels, NO_LABEL)
        return batch

    def _audio_features(self, sample: TrainingSample) -> np.ndarray:
        """(T, 104) float32."""
        assert sample.samples is not None  # needs_audio
        return stacked_filterbanks(
            sample.samples, len(sample.pictures), normalise=self._network.model.dims.normalise_audio
        )

    @torch.no_grad()
    def predict(self, samples: Iterable[TrainingSample], device: torch.device) -> list[Evidence]:
        self._network.eval()
        model = self._network.model
        decoder = SteppingDecoder(model.decoder)
        settings = BeamSettings(beam=BEAM)
        evidence = []
        for sample in samples:
            pictures = torch.from_numpy(normalise(sample.pictures, MEAN, STD)).to(device)[None, None]
            encoded = model.encode(pictures, None, None)
            best = beam_search(decoder, encoded, torch.tensor([len(sample.pictures)]), settings)[0][0]
            evidence.append(
                Evidence(
                    OBSERVER,
                    {
                        "hypothesis": self._dictionary.text(best.tokens.tolist()),
                        "reference": sample.clip.transcript or "",
                        "tokens": best.tokens,
                        "score": float(best.score),
                    },
                )
            )
        self._network.train()
        return evidence

    def package(self) -> Package:
        model = self._network.model
        config = {"dims": model.dims.to_json(), "dictionary": list(self._dictionary.symbols)}
        return Package(OBSERVER, cpu_tensors(model), config, {TOKENIZER_FILE: self._tokenizer})


def symbols_of(tokenizer: bytes) -> list[str]:
    """The symbols of a tokenizer's dictionary: fairseq's special symbols, then its pieces in order."""
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor()
    processor.LoadFromSerializedProto(tokenizer)
    ids = range(processor.GetPieceSize())
    return [*SPECIAL, *(processor.IdToPiece(i) for i in ids if not (processor.IsControl(i) or processor.IsUnknown(i)))]
