"""The training samples of a data set: frames through an observer's view, audio, and frame labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Span
from tlbench.datasets.selection import Selection
from tlbench.datasets.word_times import with_word_times
from tlbench.errors import ClipError
from tlbench.media.audio import read_whole_audio
from tlbench.media.face_crop import steady
from tlbench.media.frame_rows import repeat_last
from tlbench.media.rates import FRAMES_PER_SECOND
from tlbench.media.timeline import decoding_key
from tlbench.media.video_reader import DECODING, KEPT_VIDEO_BYTES, VideoReader
from tlbench.media.views import Normalise, View, open_view
from tlbench.observing.face_boxes import BoxRule
from tlbench.observing.word_window import timed_words
from tlbench.training.preprocessed import PreprocessedDataset
from tlbench.training.trainable import NO_LABEL, LabelInventory, TrainingSample

FORMAT = 1  # version of a preprocessed clip's file, part of its cache key


@dataclass(frozen=True)
class SampleSpec:
    """How a clip becomes a training sample.

    Attributes
    ----------
    view : View
        The observer's view.
    boxes : BoxRule
        Where face boxes come from.
    needs_audio : bool
    needs_word_times : bool
        Whether clips have their word times (``Clip.word_times``). Those without can't be used.
    """

    view: View
    boxes: BoxRule
    needs_audio: bool
    needs_word_times: bool = False

    @property
    def uint8_view(self) -> View:
        """The view without ``Normalise`` at its end: crops stay uint8, which take a quarter of float32's space."""
        steps = self.view.steps
        return replace(self.view, steps=steps[:-1] if steps and isinstance(steps[-1], Normalise) else steps)


class SampleDataset(PreprocessedDataset):
    """The training samples of one split of a data set, in order.

    Call :meth:`prepare`, which makes the arrays, and then :meth:`use_labels_of`; without numbers every frame label is
    unknown.

    Parameters
    ----------
    selection : Selection
        The clips; their reference videos are used.
    spec : SampleSpec
    cache : Path
        The cache folder.
    """

    def __init__(self, selection: Selection, spec: SampleSpec, cache: Path) -> None:
        clips = with_word_times(selection) if spec.needs_word_times else selection
        super().__init__(clips, spec.boxes, cache, "lessons")  # the folder's name in caches that exist
        self._spec = spec
        self._spans: list[tuple[Span, ...]] = []
        self._label_numbers: dict[str, int] = {}

    def label_inventory(self) -> LabelInventory:
        """The texts, words and frame labels of the prepared clips."""
        labels = {span.label for spans in self._spans for span in spans}
        timed = {span.label.upper() for clip in self.clips for span in clip.word_times}
        return LabelInventory(
            tuple(clip.transcript for clip in self.clips if clip.transcript),
            tuple(sorted(timed | {clip.word for clip in self.clips if clip.word})),
            tuple(sorted(labels)),
        )

    def use_labels_of(self, inventory: LabelInventory) -> None:
        """Number the frame labels by their place in the training set's inventory."""
        self._label_numbers = {label: number for number, label in enumerate(inventory.labels)}

    def __getitem__(self, index: int) -> TrainingSample:
        arrays = self.arrays(index)
        samples = arrays["samples"] if self._spec.needs_audio else None
        spans = self._spans[index]
        labels = frame_labels(spans, self._label_numbers, self.lengths[index]) if spans else None
        return TrainingSample(self.clips[index], arrays["pictures"], samples, labels)

    def _key(self, clip: Clip, sha256: str) -> Mapping[str, Any]:
        return {
            "lesson": FORMAT,  # the key's name in caches that exist
            "video": sha256,
            "view": self._spec.view.id,
            "decoding": DECODING + decoding_key(clip.reference, clip.audio),
            "sound": self._spec.needs_audio,
            "boxes": self.finder.identity(clip, sha256) if self._needs_boxes else "",
        }

    def _take(self, clip: Clip, arrays: Mapping[str, np.ndarray]) -> int:
        if self._spec.needs_word_times:
            timed_words(clip)
        self._spans.append(self.selection.spans(clip))
        return len(arrays["pictures"])

    @property
    def _needs_boxes(self) -> bool:
        """Whether the view looks at the face."""
        return self._spec.view.frames_face or self._spec.view.crops

    def _make(self, clip: Clip, sha256: str) -> Mapping[str, np.ndarray]:
        """``pictures``, (T, ...) uint8 crops, and ``samples``, (N,) int16 at 16 kHz, empty if no sound is needed."""
        assert clip.reference is not None  # content_sha256 refuses a clip without a reference video
        video = VideoReader(clip.reference, KEPT_VIDEO_BYTES if self._needs_boxes else 0)
        boxes = None
        if self._needs_boxes:
            boxes = self.finder.boxes(clip, video, sha256).face.xyxy
            boxes = steady(boxes) if self._spec.view.frames_face else boxes
        view = open_view(self._spec.uint8_view)
        crops = []
        for chunk in video.frames():
            rows = None if boxes is None else repeat_last(boxes, chunk.start, chunk.start + len(chunk))
            crops.append(view.apply(chunk, rows))
        if not crops:
            raise ClipError("no-frames", f"clip {clip.id}: the video has no frame to train on; check the file")
        samples = read_whole_audio(clip.audio or clip.reference) if self._spec.needs_audio else np.zeros(0, np.int16)
        return {"pictures": np.concatenate(crops), "samples": samples}


def frame_labels(spans: Sequence[Span], numbers: Mapping[str, int], frames: int) -> np.ndarray:
    """The label of each frame: that of the span at the frame's middle.

    Parameters
    ----------
    spans : sequence of Span
        Begin, end (seconds) and label.
    numbers : mapping of str to int
        The number of each known label.
    frames : int

    Returns
    -------
    (frames,) int64
        -1 between spans, and where the label is not in ``numbers``.
    """
    labels = np.full(frames, NO_LABEL)
    middles = (np.arange(frames) + 0.5) / FRAMES_PER_SECOND
    for span in spans:
        inside = (span.begin_seconds <= middles) & (middles < span.end_seconds)
        labels[inside] = numbers.get(span.label, NO_LABEL)
    return labels
