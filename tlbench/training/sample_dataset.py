"""Clips of a data set as an observer's lessons: through its view, with sound and with what is said when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Span
from tlbench.datasets.selection import Selection
from tlbench.errors import ClipError
from tlbench.media.audio import read_audio
from tlbench.media.face_crop import steady
from tlbench.media.frame_rows import repeat_last
from tlbench.media.rates import FRAMES_PER_SECOND
from tlbench.media.timeline import decoding_key
from tlbench.media.video_reader import DECODING, VideoReader
from tlbench.media.views import Normalise, View, open_view
from tlbench.observing.face_boxes import BoxRule
from tlbench.training.preprocessed import KEPT_VIDEO_BYTES, PreprocessedDataset
from tlbench.training.trainable import LabelInventory, TrainingSample

FORM = 1  # of a lesson's file


@dataclass(frozen=True)
class SampleSpec:
    """How a clip becomes a lesson."""

    view: View
    boxes: BoxRule
    listens: bool

    @property
    def pictures(self) -> View:
        """The view without its last step: levels of 0 to 255 are kept, a quarter of the room."""
        steps = self.view.steps
        return replace(self.view, steps=steps[:-1] if isinstance(steps[-1], Normalise) else steps)


class SampleDataset(PreprocessedDataset):
    """The lessons of a part of a data set, in order.

    Parameters
    ----------
    selection : Selection
        Reference videos are what is learned from.
    rule : SampleSpec
    cache : Path
    """

    def __init__(self, selection: Selection, rule: SampleSpec, cache: Path) -> None:
        super().__init__(selection, rule.boxes, cache, "lessons")
        self._rule = rule
        self._spans: list[tuple[Span, ...]] = []
        self._numbers: dict[str, int] = {}

    def curriculum(self) -> LabelInventory:
        """What there is to learn."""
        labels = {span.label for spans in self._spans for span in spans}
        return LabelInventory(
            tuple(clip.transcript for clip in self.clips if clip.transcript),
            tuple(sorted({clip.word for clip in self.clips if clip.word})),
            tuple(sorted(labels)),
        )

    def label_by(self, curriculum: LabelInventory) -> None:
        """Number the frames' labels as the training part does."""
        self._numbers = {label: number for number, label in enumerate(curriculum.labels)}

    def __getitem__(self, index: int) -> TrainingSample:
        kept = self.arrays(index)
        samples = kept["samples"] if self._rule.listens else None
        labels = frame_labels(self._spans[index], self._numbers, self.lengths[index]) if self._spans[index] else None
        return TrainingSample(self.clips[index], kept["pictures"], samples, labels)

    def __iter__(self) -> Iterator[TrainingSample]:
        return (self[index] for index in range(len(self)))

    def _key(self, clip: Clip, sha256: str) -> Mapping[str, Any]:
        return {
            "lesson": FORM,
            "video": sha256,
            "view": self._rule.view.id,
            "decoding": DECODING + decoding_key(clip.reference, clip.audio),
            "sound": self._rule.listens,
            "boxes": self.finder.identity(clip, sha256) if self._guided else "",
        }

    def _take(self, clip: Clip, arrays: Mapping[str, np.ndarray]) -> int:
        self._spans.append(self.selection.spans(clip))
        return len(arrays["pictures"])

    @property
    def _guided(self) -> bool:
        return self._rule.view.frames_face or self._rule.view.crops

    def _make(self, clip: Clip, sha256: str) -> Mapping[str, np.ndarray]:
        assert clip.reference is not None  # content_sha256 refuses a clip without one
        video = VideoReader(clip.reference, KEPT_VIDEO_BYTES if self._guided else 0)
        boxes = None
        if self._guided:
            boxes = self.finder.boxes(clip, video, sha256).face.xyxy
            boxes = steady(boxes) if self._rule.view.frames_face else boxes
        stream = open_view(self._rule.pictures)
        chunks = []
        for chunk in video.frames():
            guides = None if boxes is None else repeat_last(boxes, chunk.start, chunk.start + len(chunk))
            chunks.append(stream.apply(chunk, guides))
        if not chunks:
            raise ClipError("no-frames", f"clip {clip.id}: no frame to learn from; look at the file")
        samples = read_audio(clip.audio or clip.reference) if self._rule.listens else np.zeros(0, np.int16)
        return {"pictures": np.concatenate(chunks), "samples": samples}


def frame_labels(spans: Sequence[Span], numbers: dict[str, int], frames: int) -> np.ndarray:
    """(frames,) int64: the number of what is said at the middle of each frame; -1 between spans and if it is new."""
    labels = np.full(frames, -1)
    middles = (np.arange(frames) + 0.5) / FRAMES_PER_SECOND
    for span in spans:
        inside = (span.begin_seconds <= middles) & (middles < span.end_seconds)
        labels[inside] = numbers.get(span.label, -1)
    return labels
