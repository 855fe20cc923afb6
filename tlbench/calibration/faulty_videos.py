"""Videos with a fault of a given size, made from the real videos of a data set and kept by all that decides them."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection
from tlbench.errors import ClipError, shortened
from tlbench.generation.controls import Control
from tlbench.generation.encoding import CODEC
from tlbench.generation.faults import VERSION, Fault
from tlbench.generation.generator import SourceClip, StandIn
from tlbench.generation.other_clips import donors, no_stand_in, read_speech
from tlbench.generation.read_clip import ReadClip
from tlbench.generation.stand_ins import StandInMatch, envelope, match_stand_ins
from tlbench.generation.write_generated import write_made
from tlbench.media.frame_rows import repeat_last
from tlbench.media.video_reader import read_video
from tlbench.observing.cache import Cache, content_key, content_sha256
from tlbench.observing.face_boxes import BoxFinder
from tlbench.observing.kept import Kept
from tlbench.scoring.protocols import BEFORE_FOLLOWING, FOLLOWED
from tlbench.scoring.run import Progress
from tlbench.scoring.setup import Setup


@dataclass(frozen=True)
class CalibrationRun:
    """What a calibration works on and how it is run.

    Attributes
    ----------
    selection : Selection
        The clips whose real videos get faults.
    setup : Setup
        Observers and metrics.
    out : Path
        Folder of the results and of the faulty videos (``work``).
    workers : int
        Threads that write videos, and processes that observe.
    seed : int
    progress : callable or None
    kept : Kept
        What is loaded once for all faults and sizes.
    """

    selection: Selection
    setup: Setup
    out: Path
    workers: int
    seed: int
    progress: Progress | None
    kept: Kept = field(default_factory=Kept)


@dataclass(frozen=True)
class PlannedVideo:
    """One video to write: the control to apply, and a path named by a hash of all that decides the video."""

    control: Control
    path: Path


class ClipWarnings:
    """Warns of what a clip lacks, once for each fault and kind of error, since all sizes lack the same."""

    def __init__(self) -> None:
        self._warned: set[tuple[str, str, str]] = set()

    def warn(self, fault: str, clip: Clip, error: ClipError) -> None:
        """Warn of an error of a clip, unless it was warned of before."""
        key = (fault, clip.id, error.code)
        if key not in self._warned:
            self._warned.add(key)
            warnings.warn(f"{fault}, clip {clip.id}: {error}", stacklevel=2)


class SwapSources:
    """Other clips that give their sound (donors) or their face (stand-ins) to a clip."""

    def __init__(self, run: CalibrationRun, clip_warnings: ClipWarnings) -> None:
        self.stand_ins: dict[str, dict[str, StandInMatch]] = {}  # by kind and clip id
        self._run = run
        self._warnings = clip_warnings
        self._clips = {clip.id: clip for clip in run.selection.clips}
        self._donors: dict[str, str] = {}

    def find(self, faults: Sequence[Fault]) -> tuple[list[Fault], list[str]]:
        """Find a donor and a stand-in for each clip, as the faults need them.

        Returns
        -------
        possible : list of Fault
            The faults that can be made.
        impossible : list of str
            Why the others can't, one line each.
        """
        possible, impossible = [], []
        for fault in faults:
            controls = [fault.control(size) for size in fault.grown]
            kinds = sorted({control.needs_stand_in for control in controls if control.needs_stand_in})
            for kind in kinds:
                if kind not in self.stand_ins:
                    self.stand_ins[kind] = match_stand_ins(self._run.selection.clips, self._envelopes(), kind)
            without = [kind for kind in kinds if not self.stand_ins[kind]]
            needs_donor = any(control.needs_donor for control in controls)
            if needs_donor and len(self._clips) < 2:
                impossible.append(f"fault {fault.name!r} left out: there is only one clip, so no sound to swap in")
            elif without:
                impossible.append(
                    f"fault {fault.name!r} left out: no clip has another one of {without[0]} with another text "
                    "(or the data set names no speakers)"
                )
            else:
                possible.append(fault)
            if needs_donor and len(self._clips) > 1 and not self._donors:
                self._donors = donors(list(self._clips), self._run.seed)
        return possible, impossible

    def _envelopes(self) -> dict[str, np.ndarray]:
        """The loudness over time of each clip with sound, by clip id."""
        envelopes = {}
        for done, clip in enumerate(self._run.selection.clips, start=1):
            try:
                envelopes[clip.id] = envelope(read_speech(clip))
            except ClipError as error:
                self._warnings.warn("stand-ins", clip, error)
            if self._run.progress is not None:
                self._run.progress("stand-ins", None, done, len(self._clips))
        return envelopes

    def donor(self, clip: Clip) -> Clip:
        """The clip whose sound a clip gets."""
        return self._clips[self._donors[clip.id]]

    def stand_in(self, clip: Clip, control: Control) -> tuple[Clip, StandInMatch]:
        """The clip whose face a clip gets, and how they match. Raises ClipError if there is none."""
        match = self.stand_ins[control.needs_stand_in].get(clip.id)
        if match is None:
            raise no_stand_in(clip, control.needs_stand_in)
        return self._clips[match.id], match


class FaultyVideos:
    """Plans and writes the videos of a fault, size by size."""

    def __init__(self, run: CalibrationRun, sources: SwapSources, clip_warnings: ClipWarnings) -> None:
        self.finder = BoxFinder(run.setup.plan.boxes, Cache(run.setup.plan.cache / "boxes"))
        self._run = run
        self._sources = sources
        self._warnings = clip_warnings
        self._sha256: dict[str, str] = {}

    def plan(self, fault: Fault, size: float) -> dict[str, PlannedVideo]:
        """The videos of one size by clip id. Clips that can't be given the fault are left out with a warning."""
        control = fault.control(size)
        planned = {}
        for clip in self._run.selection.clips:
            try:
                key = content_key(self._recipe(clip, control))
            except ClipError as error:
                self._warnings.warn(fault.name, clip, error)
                continue
            planned[clip.id] = PlannedVideo(control, self._run.out / "work" / key[:2] / f"{key}.mp4")
        return planned

    def _recipe(self, clip: Clip, control: Control) -> dict[str, object]:
        """All that decides a faulty video. Raises ClipError if the clip lacks something that it needs."""
        recipe: dict[str, object] = {
            "control": control.name,
            "version": VERSION,
            "codec": CODEC,
            "crf": control.crf,
            "reference": self._reference_sha256(clip),
        }
        if control.needs_donor:
            recipe["donor"] = self._reference_sha256(self._sources.donor(clip))
        if control.needs_stand_in:
            other, _ = self._sources.stand_in(clip, control)
            recipe["double"] = self._reference_sha256(other)
            recipe["double_boxes"] = self._boxes_by(other)
        if control.needs_boxes:
            recipe["boxes"] = self._boxes_by(clip)
        return recipe

    def _boxes_by(self, clip: Clip) -> str:
        """What decides the boxes of a clip; detected boxes follow a face."""
        identity = self.finder.identity(clip, self._reference_sha256(clip))
        return identity + (self.followed if self.finder.searches(clip) else "")

    @property
    def followed(self) -> str:
        """A mark in keys for detectors that were in use before faces were followed."""
        return FOLLOWED if self.finder.rule.detector in BEFORE_FOLLOWING else ""

    def _reference_sha256(self, clip: Clip) -> str:
        if clip.id not in self._sha256:
            self._sha256[clip.id] = content_sha256(clip.reference, clip.id, "reference video")
        return self._sha256[clip.id]

    def write(self, fault: Fault, planned: Sequence[Mapping[str, PlannedVideo]]) -> None:
        """Write the planned videos that are not there yet, clip by clip, ``workers`` clips at a time."""
        missing: dict[str, list[PlannedVideo]] = {}
        for videos in planned:
            for clip_id, video in videos.items():
                if not video.path.is_file():
                    missing.setdefault(clip_id, []).append(video)
        clips = {clip.id: clip for clip in self._run.selection.clips}
        waiting: deque[tuple[Clip, Future[list[ClipError]]]] = deque()
        done = 0

        def finish() -> None:
            nonlocal done
            clip, future = waiting.popleft()
            for error in future.result():
                self._warnings.warn(fault.name, clip, error)
            done += 1
            if self._run.progress is not None:
                self._run.progress(fault.name, None, done, len(missing))

        with ThreadPoolExecutor(self._run.workers) as pool:
            try:
                for clip_id, videos_of_clip in missing.items():
                    clip = clips[clip_id]
                    while len(waiting) > self._run.workers:
                        finish()
                    boxes = self._find_boxes(clip, videos_of_clip)
                    waiting.append((clip, pool.submit(self._write_clip, clip, videos_of_clip, boxes)))
                while waiting:
                    finish()
            finally:
                pool.shutdown(cancel_futures=True)

    def _find_boxes(self, clip: Clip, videos: Sequence[PlannedVideo]) -> dict[str, np.ndarray]:
        """Face boxes (T, 4) of a clip and its stand-ins, by clip id.

        They are found before the threads start, because a detector serves one thread at a time.
        """
        wanted = [clip] if any(video.control.needs_boxes for video in videos) else []
        wanted += [self._sources.stand_in(clip, v.control)[0] for v in videos if v.control.needs_stand_in]
        found = {}
        for one in wanted:
            if one.id not in found:
                try:
                    found[one.id] = self.finder.of_clip(one).face.xyxy
                except ClipError:
                    continue  # reported where the boxes are used
        return found

    def _write_clip(
        self, clip: Clip, videos: Sequence[PlannedVideo], boxes: Mapping[str, np.ndarray]
    ) -> list[ClipError]:
        """Write the videos of one clip. Returns the errors of those that could not be made."""
        assert clip.reference is not None  # its hash is in the plan
        try:
            frames, samples = read_video(clip.reference), ReadClip(clip).samples(needed=False)
        except ClipError as error:
            return [error]
        failures = []
        donor: np.ndarray | None = None
        stand_ins: dict[str, StandIn] = {}
        for video in videos:
            control = video.control
            try:
                if control.needs_donor and donor is None:
                    donor = read_speech(self._sources.donor(clip))
                if control.needs_stand_in and control.needs_stand_in not in stand_ins:
                    stand_ins[control.needs_stand_in] = self._stand_in(clip, control, len(frames), boxes)
                own = list(_boxes_of(clip, boxes)) if control.needs_boxes else None
                stand_in = stand_ins.get(control.needs_stand_in)
                shown = iter(enumerate(frames))
                source = SourceClip(clip, shown, len(frames), own, samples, donor=donor, stand_in=stand_in)
                write_made(video.path, control.generate(source), control.crf)
            except ClipError as error:
                failures.append(error)
        return failures

    def _stand_in(self, clip: Clip, control: Control, count: int, boxes: Mapping[str, np.ndarray]) -> StandIn:
        """The ``count`` frames of another clip, warped in time to fit the clip, with their boxes."""
        other, match = self._sources.stand_in(clip, control)
        assert other.reference is not None  # it has speech
        return StandIn(read_video(other.reference), _boxes_of(other, boxes)).shown_at(
            repeat_last(match.place, 0, count)
        )


def _boxes_of(clip: Clip, boxes: Mapping[str, np.ndarray]) -> np.ndarray:
    if clip.id not in boxes:
        raise ClipError("no-boxes", f"clip {shortened(clip.id)}: its face boxes can't be found; give them with --boxes")
    return boxes[clip.id]
