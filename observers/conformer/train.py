"""The Conformer in training: characters by attention and by CTC at once.

The two losses are those of the published network (Sxjdwang/TalkLip ``evaluation/conformer_arg.txt``: ``mtlalpha=0.3``,
``lsm_weight=0.1``, ``dropout_rate=0.1``; espnet/espnet ``espnet/nets/pytorch_backend/e2e_asr_conformer.py``; Watanabe
et al. 2017, "Hybrid CTC/attention architecture for end-to-end speech recognition"), here per character instead of per
sentence, so that the share of the frames' loss does not hang on how long the sentences are. A data set with times
spares a network the weeks in which CTC alone learns nothing: each frame is also charged with what is being said in it.

What the published evaluation does to features is done in training too: those of a clip with fewer frames than its text
needs for CTC stand between rows of zeros that count as frames. Clips that need none get some by chance.
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
from tlbench.training.augment import hide_spans, jitter
from tlbench.training.trainable import TOTAL, LabelInventory, Trainable, TrainingSample

from .checkpoint import OBSERVER, network_of
from .dims import PUBLISHED, Dims
from .fast_frontend import AROUND, FRAMES_SEEN
from .inference import ConformerInference
from .model import POSITIONS, ConformerModel, VisualFrontend, pad_features
from .tokenizer import BLANK, EOS, ids_of, required_frames
from .view import LRS2_SIDE, MEAN, SMALL_SIDE, STD, VIEWS

SMALL = Dims(side=SMALL_SIDE, visual_width=16, width=112, hidden=288, encoder_blocks=4, decoder_blocks=2)
TINY = Dims(side=SMALL_SIDE, visual_width=8, width=32, hidden=64, encoder_blocks=1, decoder_blocks=1)
SIZES = {"tiny": TINY, "small": SMALL, "published": PUBLISHED}
CTC_WEIGHT = 0.3  # mtlalpha; attention has the rest
SMOOTHING = 0.1  # lsm_weight
DROPOUT = 0.1  # dropout_rate
LABEL_WEIGHT = 1.0  # of the frames' cross-entropy beside the characters'
PADDED = 0.25  # share of clips that get frames without a picture although they need none
PADDING_FRAMES = 12  # at most
JUDGED_TOGETHER = 8  # clips
NOTHING = -1  # beyond the end of a text, and frames without a label


class LearningNetwork(nn.Module):
    """The Conformer and the layer that names each frame's label, which only training has."""

    def __init__(self, model: ConformerModel, labels: int) -> None:
        super().__init__()
        self.model = model
        self.labels = nn.Linear(model.dims.width, labels) if labels else None
        for name, module in model.named_modules():
            # What each layer adds, and what is between the two halves of feed-forward steps, as in espnet.
            if name.endswith(
                ("feed_forward", "feed_forward_macaron", "self_attn", "src_attn", "conv_module", "between")
            ):
                module.register_forward_hook(_drop)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses a character and a frame, in nats; the share of characters and frames that are right."""
        model = self.model
        frames, lengths = batch["frames"].tolist(), batch["lengths"].tolist()
        features = picture_rows(model.visual_frontend, batch["pictures"], frames)
        padded = pad_features(features, lengths)
        mask = torch.arange(padded.shape[1], device=padded.device) < batch["lengths"][:, None]  # (B, L)
        seen = model.encoder(padded, mask[:, None], apart=True)
        logits = model.decoder(batch["before"], seen, mask[:, None]).transpose(1, 2)  # (B, 40, n)
        losses = {
            "attention": F.cross_entropy(logits, batch["after"], ignore_index=NOTHING, label_smoothing=SMOOTHING),
            "character_accuracy": _right(logits, batch["after"]),
            "ctc": self._ctc_loss(seen, batch),
        }
        losses[TOTAL] = CTC_WEIGHT * losses["ctc"] + (1 - CTC_WEIGHT) * losses["attention"]
        if self.labels is not None:
            named = self.labels(seen).transpose(1, 2)  # (B, labels, L)
            charged = F.cross_entropy(named, batch["labels"], ignore_index=NOTHING, reduction="sum")
            losses["labels"] = charged / batch["labels"].ne(NOTHING).sum().clamp(min=1)  # there may be none
            losses["label_accuracy"] = _right(named, batch["labels"])
            losses[TOTAL] = losses[TOTAL] + LABEL_WEIGHT * losses["labels"]
        return losses

    def _ctc_loss(self, seen: Tensor, batch: dict[str, Tensor]) -> Tensor:
        logs = self.model.ctc(seen).float().log_softmax(dim=-1).transpose(0, 1)  # (L, B, 40)
        texts = batch["after"].ne(NOTHING).sum(1) - 1  # the end mark is attention's
        return F.ctc_loss(logs, batch["after"].clamp(min=BLANK), batch["lengths"], texts, BLANK)


def _right(logits: Tensor, wanted: Tensor) -> Tensor:
    """The share of (B, n) ``wanted`` that are the likeliest by (B, classes, n) ``logits``."""
    there = wanted.ne(NOTHING)
    right = logits.detach().argmax(1).eq(wanted) & there
    return right.sum() / there.sum().clamp(min=1)


def _drop(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
    return F.dropout(output, DROPOUT, module.training)


class TrainableConformer(Trainable):
    """See :class:`~tlbench.training.trainable.Trainable`."""

    observer: ClassVar[str] = OBSERVER
    metric: ClassVar[str] = "wer2/sound"
    sizes: ClassVar[tuple[str, ...]] = tuple(SIZES)

    def __init__(self, model: ConformerModel, labels: int) -> None:
        self._network = LearningNetwork(model, labels)

    @classmethod
    def view_for(cls, size: str | Mapping[str, Any], frame_size: tuple[int, int] | None) -> str:
        framed = frame_size == (LRS2_SIDE, LRS2_SIDE)
        if dims_of(size).side == SMALL_SIDE:
            return "small-mouth" if framed else "small-face-framed"
        return "lrs2-112" if framed else "face-framed"

    @classmethod
    def begin(cls, size: str | Mapping[str, Any], curriculum: LabelInventory, seed: int) -> TrainableConformer:
        dims = dims_of(size)
        _check_texts(curriculum.transcripts)
        torch.manual_seed(seed)
        model = ConformerModel(dims)
        for parameter in model.decoder.embed.parameters():  # torch's own numbers times sqrt(width) drown the positions
            nn.init.normal_(parameter, std=dims.width**-0.5)
        return cls(model, len(curriculum.labels))

    @classmethod
    def restore(cls, package: Package, path: Path, curriculum: LabelInventory, seed: int) -> TrainableConformer:
        model = network_of(package, path)
        _check_texts(curriculum.transcripts)
        torch.manual_seed(seed)
        return cls(model, len(curriculum.labels))

    @property
    def network(self) -> LearningNetwork:
        return self._network

    def batch(self, lessons: Sequence[TrainingSample], rng: np.random.Generator) -> dict[str, Tensor]:
        """Padded clips.

        Raises
        ------
        TlbenchError
            If a clip's text can't be spelt, or it has more frames or characters than there are positions.
        """
        texts = [_ids(lesson) for lesson in lessons]
        frames = [len(lesson.pictures) for lesson in lessons]
        lengths = [
            max(count + int(rng.integers(PADDING_FRAMES + 1)) * int(rng.random() < PADDED), required_frames(ids))
            for count, ids in zip(frames, texts, strict=True)
        ]
        for lesson, length in zip(lessons, lengths, strict=True):
            if length > POSITIONS:
                raise TlbenchError(
                    f"clip {lesson.clip.id}: takes {length} frames, the Conformer reads {POSITIONS} at most; "
                    "cut it into utterances, or leave it out"
                )
        varied = [hide_spans(jitter(lesson.pictures, rng, MEAN, STD), rng) for lesson in lessons]
        batch = {
            "pictures": _rows_of(varied, 0.0),  # (B, T, side, side); zeros beyond a clip's end, as when it is read
            "frames": torch.tensor(frames),
            "lengths": torch.tensor(lengths),
            "before": _rows_of([np.concatenate([[EOS], ids]) for ids in texts], EOS),  # (B, n)
            "after": _rows_of([np.concatenate([ids, [EOS]]) for ids in texts], NOTHING),
        }
        if self._network.labels is not None:
            named = [_labels(lesson, length) for lesson, length in zip(lessons, lengths, strict=True)]
            batch["labels"] = _rows_of(named, NOTHING)  # (B, L)
        return batch

    @torch.no_grad()
    def judge(self, lessons: Iterable[TrainingSample], device: torch.device) -> list[Evidence]:
        # Reading freezes and folds its network, so it gets a copy.
        view = VIEWS[self.view_for(self._network.model.dims.to_json(), None)]
        reader = ConformerInference(copy.deepcopy(self._network.model), view, device, free=False)
        said: list[Evidence] = []
        waiting: list[TrainingSample] = []
        for lesson in lessons:
            waiting.append(lesson)
            if len(waiting) == JUDGED_TOGETHER:
                said += _said_of(reader, waiting)
                waiting = []
        return said + _said_of(reader, waiting) if waiting else said

    def package(self) -> Package:
        model = self._network.model
        tensors = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
        return Package(OBSERVER, tensors, {"dims": model.dims.to_json()})


def _said_of(reader: ConformerInference, lessons: Sequence[TrainingSample]) -> list[Evidence]:
    states = [reader.start_clip(lesson.clip) for lesson in lessons]
    return reader.read(states, [torch.from_numpy(lesson.pictures) for lesson in lessons])


def dims_of(size: str | Mapping[str, Any]) -> Dims:
    """One of :data:`SIZES`, or the sizes given. Raises TlbenchError if there is no such size, or it can't be."""
    try:
        return SIZES[size] if isinstance(size, str) else Dims.from_json(size)
    except KeyError as error:
        raise TlbenchError(f"conformer has no size {size!r}; there are {', '.join(SIZES)}") from error
    except (TypeError, ValueError) as error:
        raise TlbenchError(f"conformer: these are no sizes of it ({error})") from error


def _check_texts(transcripts: Sequence[str]) -> None:
    """Before hours of training rather than within them. Raises TlbenchError."""
    if not any(text.strip() for text in transcripts):
        raise TlbenchError("no training clip has a transcript, so there is nothing to learn to read")


def _ids(lesson: TrainingSample) -> np.ndarray:
    try:
        return ids_of(lesson.clip.transcript or "", lesson.clip.id)
    except ClipError as error:
        raise TlbenchError(str(error)) from error


def _labels(lesson: TrainingSample, length: int) -> np.ndarray:
    """(length,) int64: the frames' labels where :func:`.model.pad_features` puts the frames."""
    frames = len(lesson.pictures)
    labels = np.full(length, NOTHING)
    if lesson.labels is not None:
        left = (length - frames) // 2
        labels[left : left + frames] = lesson.labels
    return labels


def _rows_of(rows: Sequence[np.ndarray], value: float) -> Tensor:
    """(B, longest, ...) of arrays (n, ...)."""
    whole = np.full((len(rows), max(map(len, rows)), *rows[0].shape[1:]), value, rows[0].dtype)
    for index, row in enumerate(rows):
        whole[index, : len(row)] = row
    return torch.from_numpy(whole)


def picture_rows(frontend: VisualFrontend, pictures: Tensor, frames: list[int]) -> list[Tensor]:
    """The numbers of :class:`.model.VisualFrontend`; on a CPU in half the time, gradients included.

    A convolution over time costs most on its way back: here the 5 frames it sees at once are channels of a picture.
    And in memory channels come last.

    Parameters
    ----------
    pictures : (B, T, side, side) float32
        Normalised.
    frames : list of B int

    Returns
    -------
    list of (frames, features)
    """
    first, norm, bend, pool = frontend.frontend3D
    assert isinstance(first, nn.Conv3d)
    windows = F.pad(pictures, (0, 0, 0, 0, AROUND, AROUND)).unfold(1, FRAMES_SEEN, 1)  # (B, T, side, side, 5)
    seen = torch.cat([clip[:count] for clip, count in zip(windows, frames, strict=True)]).movedim(-1, 1)
    x = F.conv2d(seen, first.weight[:, 0], None, first.stride[1:], first.padding[1:])
    return list(frontend.resnet(pool(bend(norm(x)))).split(frames))
