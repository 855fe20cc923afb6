"""Clips of a data set as lessons: decoded, framed and cropped once, then read from disk as often as they are learned.

A lesson's file lies in the cache under the content that decides it (bytes of the video, view, decoding, boxes), so a
second training, or the rest of an interrupted preparation, costs a look-up.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Selection, Span
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.audio import read_audio
from tlbench.media.framing import steady
from tlbench.media.video import DECODING, Footage
from tlbench.media.views import Normalise, View, open_view
from tlbench.observing.boxing import BoxFinder, BoxRule
from tlbench.observing.cache import Cache, content_key, content_sha256
from tlbench.observing.learning import Curriculum, Lesson

FRAMES_PER_SECOND = 25
FORM = 1  # of a lesson's file
FOOTAGE_BYTES = 96 * 2**20  # a clip this small is decoded once even if boxes have to be found first

Count = Callable[[int, int], None]  # clips done, clips in all


@dataclass(frozen=True)
class LessonRule:
    """How a clip becomes a lesson."""

    view: View
    boxes: BoxRule
    listens: bool

    @property
    def pictures(self) -> View:
        """The view without its last step: levels of 0 to 255 are kept, a quarter of the room."""
        steps = self.view.steps
        return replace(self.view, steps=steps[:-1] if isinstance(steps[-1], Normalise) else steps)


class LessonBook:
    """The lessons of a part of a data set, in order.

    Parameters
    ----------
    selection : Selection
        Reference videos are what is learned from.
    rule : LessonRule
    cache : Path
    """

    def __init__(self, selection: Selection, rule: LessonRule, cache: Path) -> None:
        self.clips: list[Clip] = []
        self.failures: dict[str, ClipError] = {}
        self._selection = selection
        self._rule = rule
        self._folder = cache / "lessons"
        self._finder = BoxFinder(rule.boxes, Cache(cache / "boxes"))
        self._files: list[Path] = []
        self.lengths: list[int] = []  # frames
        self._spans: list[tuple[Span, ...]] = []
        self._numbers: dict[str, int] = {}

    def prepare(self, progress: Count) -> None:
        """Make what is not there yet. A clip that can't be decoded is in ``failures`` and is not learned from.

        Raises
        ------
        TlbenchError
            If the disk is full, or no clip is left.
        """
        clips = self._selection.clips
        for done, clip in enumerate(clips):
            try:
                path = self._prepared(clip)
                frames = _read(path)["pictures"].shape[0]
            except ClipError as error:
                self.failures[clip.id] = error
                continue
            self.clips.append(clip)
            self._files.append(path)
            self.lengths.append(int(frames))
            self._spans.append(self._selection.spans(clip))
            progress(done + 1, len(clips))
        if not self.clips:
            first = next(iter(self.failures.values()))
            raise TlbenchError(f"no clip of split {self._selection.split!r} can be learned from; the first: {first}")

    def curriculum(self) -> Curriculum:
        """What there is to learn."""
        labels = {span.label for spans in self._spans for span in spans}
        return Curriculum(
            tuple(clip.transcript for clip in self.clips if clip.transcript),
            tuple(sorted({clip.word for clip in self.clips if clip.word})),
            tuple(sorted(labels)),
        )

    def label_by(self, curriculum: Curriculum) -> None:
        """Number the frames' labels as the training part does."""
        self._numbers = {label: number for number, label in enumerate(curriculum.labels)}

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Lesson:
        kept = _read(self._files[index])
        samples = kept["samples"] if self._rule.listens else None
        labels = frame_labels(self._spans[index], self._numbers, self.lengths[index]) if self._spans[index] else None
        return Lesson(self.clips[index], kept["pictures"], samples, labels)

    def __iter__(self) -> Iterator[Lesson]:
        return (self[index] for index in range(len(self)))

    def _prepared(self, clip: Clip) -> Path:
        sha256 = content_sha256(clip.reference, clip.id, "reference video")
        key = {
            "lesson": FORM,
            "video": sha256,
            "view": self._rule.view.id,
            "decoding": DECODING,
            "sound": self._rule.listens,
            "boxes": self._finder.identity(clip, sha256) if self._guided else "",
        }
        name = content_key(key)
        path = self._folder / name[:2] / f"{name}.npz"
        if not path.is_file():
            self._make(clip, sha256, path)
        return path

    @property
    def _guided(self) -> bool:
        return self._rule.view.frames_face or self._rule.view.crops

    def _make(self, clip: Clip, sha256: str, path: Path) -> None:
        assert clip.reference is not None  # content_sha256 refuses a clip without one
        video = Footage(clip.reference, FOOTAGE_BYTES if self._guided else 0)
        boxes = None
        if self._guided:
            boxes = self._finder.boxes(clip, video, sha256).xyxy
            boxes = steady(boxes) if self._rule.view.frames_face else boxes
        stream = open_view(self._rule.pictures)
        runs = []
        for run in video.frames():
            guides = None if boxes is None else boxes[np.minimum(run.start + np.arange(len(run)), len(boxes) - 1)]
            runs.append(stream.see(run, guides))
        if not runs:
            raise ClipError("no-frames", f"clip {clip.id}: no frame to learn from; look at the file")
        samples = read_audio(clip.audio or clip.reference) if self._rule.listens else np.zeros(0, np.int16)
        _write(path, np.concatenate(runs), samples)


def frame_labels(spans: Sequence[Span], numbers: dict[str, int], frames: int) -> np.ndarray:
    """(frames,) int64: the number of what is said at the middle of each frame; -1 between spans and if it is new."""
    labels = np.full(frames, -1)
    middles = (np.arange(frames) + 0.5) / FRAMES_PER_SECOND
    for span in spans:
        inside = (span.begin_seconds <= middles) & (middles < span.end_seconds)
        labels[inside] = numbers.get(span.label, -1)
    return labels


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as kept:
            return {"pictures": kept["pictures"], "samples": kept["samples"]}
    except (OSError, ValueError, KeyError, BadZipFile, EOFError) as error:
        raise TlbenchError(f"lesson {path}: is damaged ({error}); remove it and run the same command again") from error


def _write(path: Path, pictures: np.ndarray, samples: np.ndarray) -> None:
    unfinished = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(unfinished, "xb") as file:
            np.savez(file, pictures=pictures, samples=samples)
        os.replace(unfinished, path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise TlbenchError(f"{path.parent}: lessons can't be written ({error.strerror}); free some space") from error
