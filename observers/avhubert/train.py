"""AV-HuBERT in training: tokens by cross-entropy, from lips, from speech, or from both.

The network is fine-tuned as upstream's is (facebookresearch/av_hubert ``conf/finetune/*.yaml``: label-smoothed
cross-entropy of sentencepiece tokens, modality dropout). What upstream gets from weeks of pre-training a small network
gets here from the data set itself where that has times: each frame is also charged with what is being said in it.
"""

from __future__ import annotations

import io
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
from tlbench.media.filterbank import stacked_filterbanks
from tlbench.observing.evidence import Evidence, Value
from tlbench.training.augment import hide_spans, jitter
from tlbench.training.trainable import TOTAL, LabelInventory, Trainable, TrainingSample

from .beam import BeamSettings, beam_search
from .checkpoint import TOKENIZER_FILE, network_of
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
    # The reference generator's training expert: not of the size of the observer that judges it.
    "expert": replace(SMALL, encoder_layers=3, encoder_width=120, encoder_ffn=480, visual_width=12, decoder_width=120),
    "base": BASE,
    "large": LARGE,
}
VOCABULARY = 1000  # pieces at most, as av_hubert's spm1000; a data set of few words has fewer
BEAM = 10  # while training; scoring has the protocol's
LABEL_WEIGHT = 1.0  # of the frames' cross-entropy beside the tokens'
DROPOUT = 0.1
FEATURE_GRADIENT = 1.0  # upstream's 0.1 holds back a front end that is pre-trained; this one has it all to learn
# Of all batches: lips alone, speech alone, both. Upstream drops either modality half of the time
# (``modality_dropout: 0.5, audio_dropout: 0.5``), while it pre-trains; here the lips are what is judged.
LIPS, SPEECH, BOTH = 0.6, 0.15, 0.25


class LearningNetwork(nn.Module):
    """AV-HuBERT and the layer that names each frame's label, which only training has."""

    def __init__(self, model: AVHubert, labels: int) -> None:
        super().__init__()
        self.model = model
        self.labels = nn.Linear(model.dims.encoder_width, labels) if labels else None
        for name, module in model.named_modules():
            if name.endswith((".fc2", ".out_proj")):  # what each layer adds
                module.register_forward_hook(_drop)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses a token and a frame, in nats; the share of tokens and frames that are right."""
        hidden = batch["hidden"]
        encoded = self.model.encode(batch.get("video"), batch.get("audio"), hidden)
        logits = self.model.logits(batch["before"], encoded, hidden)
        tokens = label_smoothed_loss(logits, batch["tokens"])
        losses = {
            "tokens": tokens.smoothed / tokens.tokens,
            "token_accuracy": torch.tensor(tokens.correct / tokens.tokens),
        }
        losses[TOTAL] = losses["tokens"]
        if self.labels is not None:
            named = self.labels(encoded).transpose(1, 2)  # (B, labels, T)
            known = batch["labels"].ge(0)
            count = known.sum().clamp(min=1)  # a batch may hold none
            losses["labels"] = F.cross_entropy(named, batch["labels"], ignore_index=-1, reduction="sum") / count
            losses["label_accuracy"] = (named.argmax(1).eq(batch["labels"]) & known).sum() / count
            losses[TOTAL] = losses[TOTAL] + LABEL_WEIGHT * losses["labels"]
        return losses


def _drop(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
    return F.dropout(output, DROPOUT, module.training)


class TrainableAVHubert(Trainable):
    """See :class:`~tlbench.training.trainable.Trainable`."""

    observer: ClassVar[str] = "avhubert"
    metric: ClassVar[str] = "wer1/sound"
    listens: ClassVar[bool] = True
    sizes: ClassVar[tuple[str, ...]] = tuple(SIZES)

    def __init__(self, model: AVHubert, dictionary: Dictionary, tokenizer: bytes, labels: int) -> None:
        self._network = LearningNetwork(model, labels)
        self._dictionary = dictionary
        self._tokenizer = tokenizer

    @classmethod
    def view_for(cls, size: str | Mapping[str, Any], frame_size: tuple[int, int] | None) -> str:
        framed = frame_size == (LRS2_SIDE, LRS2_SIDE)
        if size in ("base", "large"):
            return "lrs2-center" if framed else "face-framed"
        return "small-mouth" if framed else "small-face-framed"

    @classmethod
    def begin(cls, size: str | Mapping[str, Any], curriculum: LabelInventory, seed: int) -> TrainableAVHubert:
        tokenizer = train_tokenizer(curriculum.transcripts, VOCABULARY)
        dictionary = Dictionary(symbols_of(tokenizer), tokenizer)
        try:
            dims = SIZES[size] if isinstance(size, str) else Dims.from_json(dict(size))
        except KeyError as error:
            raise TlbenchError(f"avhubert has no size {size!r}; there are {', '.join(SIZES)}") from error
        except TypeError as error:
            raise TlbenchError(f"avhubert: these are no dimensions of it ({error})") from error
        torch.manual_seed(seed)
        model = AVHubert(replace(dims, vocabulary=len(dictionary)), FEATURE_GRADIENT)
        # As fairseq's ``Embedding`` begins: it is the output layer too, where larger numbers say nonsense loudly.
        nn.init.normal_(model.decoder.embed_tokens.weight, std=dims.decoder_width**-0.5)
        return cls(model, dictionary, tokenizer, len(curriculum.labels))

    @classmethod
    def restore(cls, package: Package, path: Path, curriculum: LabelInventory, seed: int) -> TrainableAVHubert:
        model, dictionary = network_of(package, path)
        tokenizer = package.files.get(TOKENIZER_FILE)
        if tokenizer is None or not model.dims.decoder_layers:
            raise TlbenchError(f"{path}: this AV-HuBERT has no decoder or no tokenizer, so it can't be trained further")
        torch.manual_seed(seed)
        return cls(model, dictionary, tokenizer, len(curriculum.labels))

    @property
    def network(self) -> LearningNetwork:
        return self._network

    def batch(self, lessons: Sequence[TrainingSample], rng: np.random.Generator) -> dict[str, Tensor]:
        modality = rng.choice(3, p=(LIPS, SPEECH, BOTH))
        longest = max(len(lesson.pictures) for lesson in lessons)
        tokens = [torch.tensor(self._dictionary.encode(lesson.clip.transcript or "")) for lesson in lessons]
        targets = nn.utils.rnn.pad_sequence(tokens, batch_first=True, padding_value=PAD)  # (B, L)
        lengths = torch.tensor([len(lesson.pictures) for lesson in lessons])
        batch = {
            "tokens": targets,
            "before": shifted_targets(targets),
            "hidden": torch.arange(longest)[None] >= lengths[:, None],  # (B, T)
            "frames": lengths,
        }
        if modality != 1:
            varied = [hide_spans(jitter(lesson.pictures, rng, MEAN, STD), rng) for lesson in lessons]
            batch["video"] = torch.from_numpy(_padded(varied, longest, 0.0))[:, None]  # (B, 1, T, H, W)
        if modality != 0:
            heard = [hide_spans(self._hear(lesson), rng) for lesson in lessons]
            batch["audio"] = torch.from_numpy(_padded(heard, longest, 0.0)).transpose(1, 2)  # (B, 104, T)
        if self._network.labels is not None:
            named = [
                np.full(len(lesson.pictures), -1) if lesson.labels is None else lesson.labels for lesson in lessons
            ]
            batch["labels"] = torch.from_numpy(_padded(named, longest, -1))
        return batch

    def _hear(self, lesson: TrainingSample) -> np.ndarray:
        """(T, 104) float32."""
        assert lesson.samples is not None  # listens
        return stacked_filterbanks(
            lesson.samples, len(lesson.pictures), normalise=self._network.model.dims.normalise_audio
        )

    @torch.no_grad()
    def judge(self, lessons: Iterable[TrainingSample], device: torch.device) -> list[Evidence]:
        self._network.eval()
        model = self._network.model
        stepper = SteppingDecoder(model.decoder)
        said = []
        for lesson in lessons:
            pictures = torch.from_numpy(normalised(lesson.pictures)).to(device)[None, None]
            encoded = model.encode(pictures, None, None)
            best = beam_search(stepper, encoded, torch.tensor([len(lesson.pictures)]), BeamSettings(beam=BEAM))[0][0]
            values: dict[str, Value] = {
                "hypothesis": self._dictionary.text(best.tokens.tolist()),
                "reference": lesson.clip.transcript or "",
                "tokens": best.tokens,
                "score": float(best.score),
            }
            said.append(Evidence("avhubert", values))
        self._network.train()
        return said

    def package(self) -> Package:
        model = self._network.model
        config = {"dims": model.dims.to_json(), "dictionary": list(self._dictionary.symbols)}
        tensors = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
        return Package("avhubert", tensors, config, {TOKENIZER_FILE: self._tokenizer})


def normalised(pictures: np.ndarray) -> np.ndarray:
    """(T, H, W) uint8 to float32, as the view does."""
    levels = ((np.arange(256) / 255.0 - MEAN) / STD).astype(np.float32)
    seen: np.ndarray = levels[pictures]
    return seen


def _padded(rows: Sequence[np.ndarray], longest: int, value: float) -> np.ndarray:
    """(B, longest, ...) of arrays (t, ...)."""
    whole = np.full((len(rows), longest, *rows[0].shape[1:]), value, rows[0].dtype)
    for index, row in enumerate(rows):
        whole[index, : len(row)] = row
    return whole


def train_tokenizer(transcripts: Sequence[str], pieces: int) -> bytes:
    """A sentencepiece model of these texts in lower case, the same for the same texts.

    Unigram pieces, as av_hubert's preparation makes them (``gen_subword.py``); fewer than asked for if the texts do
    not hold so many. Raises TlbenchError if there is no text.
    """
    from sentencepiece import SentencePieceTrainer

    texts = [text.lower() for text in transcripts if text.strip()]
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


def symbols_of(tokenizer: bytes) -> list[str]:
    """The dictionary of a tokenizer: fairseq's special symbols, then its pieces in their order."""
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor()
    processor.LoadFromSerializedProto(tokenizer)
    ids = range(processor.GetPieceSize())
    return [*SPECIAL, *(processor.IdToPiece(i) for i in ids if not (processor.IsControl(i) or processor.IsUnknown(i)))]
