"""Where the face and the mouth are in the frames of a clip, for the observers that need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from tlbench.errors import ClipError
from tlbench.media.container import MediaError
from tlbench.media.face_crop import steady
from tlbench.media.faces import Boxes
from tlbench.media.frame_rows import repeat_last
from tlbench.media.scaling import Size, scale_boxes, scale_placements
from tlbench.media.video_reader import VideoReader
from tlbench.observing.cache import Cache
from tlbench.observing.clip_job import ClipJob, broken_reference, needs_guides
from tlbench.observing.face_boxes import BoxFinder, GuideSource
from tlbench.observing.mouth_alignment import MouthFinder, takes_landmarks
from tlbench.observing.observer import Needs
from tlbench.observing.plan import Plan


@dataclass(frozen=True)
class Guides:
    """Boxes and mouth placements of one video, one row a frame.

    Attributes
    ----------
    boxes : Boxes or None
    steadied : (T, 4) float64 or None
        The boxes smoothed over time, see :func:`tlbench.media.face_crop.steady`.
    placements : mapping of str to (T, 2, 3) or (T, 2, 4) float64
        By their way of alignment (:mod:`tlbench.media.alignments`).
    """

    boxes: Boxes | None = None
    steadied: np.ndarray | None = None
    placements: Mapping[str, np.ndarray] = field(default_factory=dict)

    def scaled(self, size: Size | None, wanted: Size | None) -> Guides:
        """Scaled from frames of ``size`` to frames of ``wanted``; unchanged if either is not known."""
        if size is None or wanted is None or size == wanted:
            return self
        return Guides(
            None if self.boxes is None else self.boxes.scaled(size, wanted),
            None if self.steadied is None else scale_boxes(self.steadied, size, wanted),
            {way: scale_placements(rows, size, wanted) for way, rows in self.placements.items()},
        )

    def for_frames(self, needs: Needs, start: int, end: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Boxes and placements of frames ``start`` to ``end``, None for what the observer does not need."""
        boxes = None
        if needs.framing:
            boxes = None if self.steadied is None else repeat_last(self.steadied, start, end)
        elif needs.boxes and self.boxes is not None:
            boxes = self.boxes.xyxy[start:end]
        if needs.placements not in self.placements:
            return boxes, None
        return boxes, repeat_last(self.placements[needs.placements], start, end)


class GuideFinder:
    """Finds the guides of clips by the plan's rule, and keeps what it detects in the cache.

    Parameters
    ----------
    plan : Plan
    needs : mapping of str to Needs
        Of each observer of the plan.
    """

    def __init__(self, plan: Plan, needs: Mapping[str, Needs]) -> None:
        self.plan = plan
        self.boxes = BoxFinder(plan.boxes, Cache(plan.cache / "boxes"))
        self._mouths = MouthFinder(Cache(plan.cache / "landmarks"))
        self._needs = needs

    def key(self, job: ClipJob, needs: Needs) -> dict[str, Any]:
        """The part of an observer's cache key that says where it looks. Raises ClipError if a file can't be read."""
        key: dict[str, Any] = {}
        if needs.boxes:
            key["boxes"] = self._identity(self.boxes.identity, needs, job)
        if needs.placements:
            identity = partial(self._mouths.identity, alignment=needs.placements)
            key["placements"] = self._identity(identity, needs, job)
        if needs_guides(needs) and self._rescales(job):  # older entries were made without scaling
            key["scaled"] = [job.checks.guide_size, job.checks.size]
        return key

    def key_in_reference(self, job: ClipJob, needs: Needs) -> dict[str, Any]:
        """The part of a cache key that says where an observer looks in the real video. Raises ClipError as above."""
        key: dict[str, Any] = {}
        if needs.boxes:
            key["boxes"] = self.boxes.identity(job.clip, job.reference_sha256)
        if needs.placements:
            key["placements"] = self._mouths.identity(job.clip, job.reference_sha256, alignment=needs.placements)
        return key

    def find(self, job: ClipJob, generated: VideoReader, reference: VideoReader | None) -> tuple[Guides, Guides]:
        """The guides for the generated and for the real video, each in its own pixels."""
        waiting = list(job.keys)
        if self.plan.boxes.source == "generated":
            own = self._find_in(job, generated, "generated", waiting)
            comparing = [name for name in job.keys if self._needs[name].reference]
            return own, self._find_in(job, reference, "reference", comparing)
        real = self._find_in(job, reference, "reference", waiting)
        return self._for_generated(job, real), real

    def find_for_checks(self, job: ClipJob) -> Guides:
        """The guides of a clip with evidence from the cache, for its checks."""
        guided = [name for name in job.evidence if self._needs[name].boxes]
        role = self.plan.boxes.source
        if role == "generated":
            own = self._find_in(job, job.generated, role, guided)
            comparing = [name for name in job.evidence if self._needs[name].boxes and self._needs[name].reference]
            self._find_in(job, job.reference, "reference", comparing)
            return own
        return self._for_generated(job, self._find_in(job, job.reference, role, guided))

    def _for_generated(self, job: ClipJob, guides: Guides) -> Guides:
        """The real video's guides, scaled to the generated video."""
        if not self._rescales(job):
            return guides
        return guides.scaled(job.checks.guide_size, job.checks.size)

    def _find_in(self, job: ClipJob, video: VideoReader | None, role: GuideSource, names: Sequence[str]) -> Guides:
        """The guides that these observers need in one video. Observers fail if their guides can't be found."""
        clip = job.clip
        sha256 = job.generated_sha256 if role == "generated" else job.reference_sha256
        boxes: Boxes | None = None
        steadied: np.ndarray | None = None
        found: dict[str, np.ndarray] = {}
        if any(self._needs[name].boxes for name in names):
            try:
                boxes = self._find_boxes(job, video, sha256, role)
                if any(self._needs[name].framing for name in names):
                    steadied = steady(boxes.face.xyxy)
            except ClipError as error:
                for name in [n for n in names if self._needs[n].boxes]:
                    job.fail(name, error)
        for way in dict.fromkeys(self._needs[name].placements for name in names if self._needs[name].placements):
            try:
                found[way] = self._mouths.placements(clip, video, sha256, way, role)
            except ClipError as error:
                given = clip.landmarks is not None and takes_landmarks(way)
                error = _search_error(error, role, given=given)
                for name in [n for n in names if self._needs[n].placements == way]:
                    job.fail(name, error)
        return Guides(boxes, steadied, found)

    def _find_boxes(self, job: ClipJob, video: VideoReader | None, sha256: str | None, role: GuideSource) -> Boxes:
        """The boxes of one of a clip's videos, which are checked as well. Raises ClipError if they can't be found."""
        clip = job.clip
        try:
            boxes = self.boxes.boxes(clip, video, sha256, role)
        except ClipError as error:
            raise _search_error(error, role, given=clip.boxes is not None) from error
        job.checks.add_faces(boxes, role)
        job.note_findings()
        return boxes

    def _rescales(self, job: ClipJob) -> bool:
        """Whether guides of the real video are used for a generated video of another size."""
        size, guide_size = job.checks.size, job.checks.guide_size
        return self.plan.boxes.source == "reference" and guide_size is not None and size != guide_size

    def _identity(self, identity: Callable[..., str], needs: Needs, job: ClipJob) -> str:
        """What decides an observer's boxes or placements, from the identity that their finder gives for each video."""
        clip = job.clip
        if self.plan.boxes.source == "reference":
            return identity(clip, job.reference_sha256)
        own = identity(clip, job.generated_sha256, "generated")
        return f"{own}+{identity(clip, job.reference_sha256)}" if needs.reference else own


def _search_error(error: ClipError, role: GuideSource, *, given: bool) -> ClipError:
    """The error of a search for faces; ``reference-broken`` if it is the real video that can't be decoded."""
    return broken_reference(error) if role == "reference" and not given and isinstance(error, MediaError) else error
