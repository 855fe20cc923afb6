"""Plan to evidence: each clip is decoded once, shown to every observer that has not seen it, and kept.

An :class:`ObserverRunner` is what one process needs; :mod:`tlbench.observing.engines` decides how many there
are. A clip that fails becomes an :class:`Observation` with the reason, never a gap. Whatever was concluded is in the
cache before the next clip begins, so a run that is killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.audio import read_audio, read_heard
from tlbench.media.container import MediaError
from tlbench.media.face_crop import steady
from tlbench.media.faces import Boxes, FaceDetector
from tlbench.media.frame_rows import repeat_last
from tlbench.media.scaling import Size, scale_boxes, scale_placements
from tlbench.media.video import DECODING, FrameChunk, VideoReader
from tlbench.observing.cache import Cache, content_sha256
from tlbench.observing.clip_checks import ClipChecks, concerned, wanted_parts
from tlbench.observing.evidence import Evidence
from tlbench.observing.face_boxes import BoxFinder, BoxRule, GuideSource, embedded_detector
from tlbench.observing.face_checks import FaceLooks, check_framing
from tlbench.observing.mouth_alignment import MouthFinder
from tlbench.observing.observation import Observation
from tlbench.observing.observer import ClipChunk, ClipState, Needs, Observer
from tlbench.observing.registry import observer_class
from tlbench.observing.view_checks import check_face_place, check_view_frames, looks_at_whole_frames
from tlbench.preflight.clip import Expected
from tlbench.preflight.findings import Finding
from tlbench.preflight.sound import Ear

KEPT_VIDEO_BYTES = 96 * 2**20  # a clip this small is decoded once even if boxes have to be found first


@dataclass(frozen=True)
class ObserverPlan:
    """One observer of a run: which views and modes, which weights, in which numbers."""

    name: str
    views: tuple[str, ...]
    weights: Path | None = None
    weights_sha256: str | None = None
    modes: tuple[str, ...] = ()
    half: bool = False

    @property
    def identity(self) -> str:
        return observer_class(self.name).identity(self.views, self.weights_sha256, self.modes, half=self.half)

    @property
    def needs(self) -> Needs:
        return observer_class(self.name).needs_for(self.views, self.modes)


@dataclass(frozen=True)
class Plan:
    """What is to be observed, with what. Can be sent to another process."""

    observers: tuple[ObserverPlan, ...]
    boxes: BoxRule
    cache: Path
    device: str = "cpu"
    threads: int | None = None  # of the matrix library, a process; None leaves its default
    expected: Expected = field(default_factory=Expected)  # of every clip, for the checks
    excused: frozenset[str] = frozenset()  # codes of errors that are meant, as those of a control: the clip is scored


@dataclass(frozen=True)
class _Guides:
    """Where to look in each frame: one row a frame of the video they were found in."""

    boxes: Boxes | None = None
    steadied: np.ndarray | None = None  # (T, 4)
    placements: np.ndarray | None = None  # (T, 2, 3)

    def scaled(self, size: Size | None, wanted: Size | None) -> _Guides:
        """For frames of ``wanted`` instead of those of ``size``; as they are if either is not known."""
        if size is None or wanted is None or size == wanted:
            return self
        return _Guides(
            None if self.boxes is None else self.boxes.scaled(size, wanted),
            None if self.steadied is None else scale_boxes(self.steadied, size, wanted),
            None if self.placements is None else scale_placements(self.placements, size, wanted),
        )

    def for_frames(self, needs: Needs, start: int, end: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Boxes and placements of a run of frames, as an observer needs them."""
        boxes = None
        if needs.framing:
            boxes = None if self.steadied is None else repeat_last(self.steadied, start, end)
        elif needs.boxes and self.boxes is not None:
            boxes = self.boxes.xyxy[start:end]
        if self.placements is None or not needs.placements:
            return boxes, None
        return boxes, repeat_last(self.placements, start, end)


@dataclass
class _ClipJob:
    """One clip on its way through the runner."""

    clip: Clip
    checks: ClipChecks
    generated: VideoReader | None = None
    reference: VideoReader | None = None
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)  # cache keys of what is still to be observed
    states: dict[str, ClipState] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    failures: dict[str, ClipError] = field(default_factory=dict)
    generated_sha256: str | None = None
    reference_sha256: str | None = None
    findings: list[Finding] = field(default_factory=list)  # of the checks, with whom they concern
    view_findings: list[Finding] = field(default_factory=list)  # of what this run's observers look through
    frames: int | None = None
    cached: int = 0

    def fail(self, name: str, error: ClipError) -> None:
        self.failures.setdefault(name, error)
        self.evidence.pop(name, None)
        self.keys.pop(name, None)
        self.states.pop(name, None)

    def observation(self, names: Sequence[str]) -> Observation:
        """What was found, in the order of ``names``: the same whether it comes from the cache or was seen just now."""
        return Observation(
            self.clip,
            {name: self.evidence[name] for name in names if name in self.evidence},
            {name: self.failures[name] for name in names if name in self.failures},
            self.generated_sha256,
            self.reference_sha256,
            (*self.findings, *self.view_findings),
            self.frames,
            self.checks.frames_expected,
            self.checks.pictures_sha256,
            self.cached,
        )


class ObserverRunner:
    """The observers of a plan in one process. An observer is loaded when a clip first needs it, and once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.cache = Cache(plan.cache / "evidence")
        self._kept_checks = Cache(plan.cache / "checks")
        self._boxes = BoxFinder(plan.boxes, Cache(plan.cache / "boxes"))
        self._mouths = MouthFinder(Cache(plan.cache / "landmarks"))
        self._needs = {o.name: o.needs for o in plan.observers}
        self._parts = wanted_parts(
            self._needs.values(),
            laid=plan.boxes.source == "reference",
            whole_frame=any(looks_at_whole_frames(observer_class(o.name), o.views) for o in plan.observers),
        )
        self._detector: FaceDetector | None = None
        self._loaded: dict[str, Observer] = {}

    @property
    def clips_per_batch(self) -> int:
        return max(observer_class(o.name).clips_per_batch for o in self.plan.observers)

    def observe(self, clips: Sequence[Clip]) -> list[Observation]:
        """Observe a batch of clips; one Observation each, in order."""
        jobs = [self._open(clip) for clip in clips]
        for job in jobs:
            if job.keys:
                self._watch(job)
            if job.evidence and not job.checks.whole:  # kept by a run that checked less
                self._check_alone(job)
        for observer_plan in self.plan.observers:
            waiting = [s for s in jobs if observer_plan.name in s.states]
            if waiting:
                self._compute(observer_plan, waiting)
        for job in jobs:
            self._check_place(job)
        names = [observer_plan.name for observer_plan in self.plan.observers]
        return [job.observation(names) for job in jobs]

    def _open(self, clip: Clip) -> _ClipJob:
        """Hash the files, check their headers, take what the cache has, and note what is left to observe."""
        job = _ClipJob(clip, ClipChecks(clip, self.plan.expected, self._parts))
        try:
            job.generated_sha256 = content_sha256(clip.generated, clip.id, "generated video")
        except ClipError as error:
            self._fail_all(job, error)
            return job
        reference_error = None
        if clip.reference is not None or any(needs.reference or _guided(needs) for needs in self._needs.values()):
            try:
                job.reference_sha256 = content_sha256(clip.reference, clip.id, "reference video")
            except ClipError as error:
                reference_error = error
        self._check_headers(job)
        for plan in self.plan.observers:
            if plan.name in job.failures:
                continue
            try:
                if reference_error is not None and self._reads_reference(plan.name, clip):
                    raise reference_error
                key = self._key(plan, job)
            except ClipError as error:
                job.fail(plan.name, error)
                continue
            stored = self.cache.read(key)
            if stored is None or self._outdated(job, key, stored):
                job.keys[plan.name] = key
            else:
                job.evidence[plan.name] = Evidence.from_json(stored["evidence"])
                job.frames = stored["frames"]
                job.cached += 1
        return job

    def _check_headers(self, job: _ClipJob) -> None:
        """What an earlier run has found of the same files, or what their headers say."""
        clip, checks = job.clip, job.checks
        assert clip.generated is not None  # _open has hashed it
        job.generated = VideoReader(clip.generated, 0)
        job.reference = None if clip.reference is None else VideoReader(clip.reference, 0)
        try:
            kept = self._kept_checks.read(self._checks_key(job))
            if kept is not None:
                checks.take(kept)
            else:
                same_bytes = job.generated_sha256 == job.reference_sha256
                checks.read_headers(job.generated, job.reference, same_bytes=same_bytes)
                checks.note_origins(job.generated, job.reference)
        except ClipError as error:
            self._fail_all(job, error)
        self._note(job)
        for plan in self.plan.observers:
            if plan.name not in job.failures:
                found = check_view_frames(
                    clip.id, observer_class(plan.name), plan.views, checks.size, checks.reference_size, plan.needs
                )
                self._take(job, found)

    def _check_place(self, job: _ClipJob) -> None:
        """Whether frames that are scaled whole are of a face, for those who score the clip."""
        if job.checks.face_place is None:
            return
        shown = [(observer_class(o.name), o.views) for o in self.plan.observers if o.name in job.evidence]
        told = {found.code for found in job.findings}
        self._take(job, check_face_place(job.clip.id, shown, job.checks.face_place, told))

    def _take(self, job: _ClipJob, found: Finding | None) -> None:
        """Note a finding that says whom it concerns; after an error they are let go."""
        if found is not None:
            job.view_findings.append(found)
            for name in found.observers:
                job.fail(name, ClipError(found.code, f"{found.message}; {found.fix}"))

    def _checks_key(self, job: _ClipJob) -> dict[str, Any]:
        clip = job.clip
        boxes = None if clip.boxes is None else _sha256_or_missing(clip.boxes, clip.id, "box file")
        reference = job.reference_sha256 or ("missing" if clip.reference is not None else None)
        decided = {"generated": job.generated_sha256, "reference": reference, "boxes": boxes}
        if "faces" in self._parts:
            decided["found"] = self.plan.boxes.identity
        if "sound" in self._parts and clip.audio is not None:
            decided["audio"] = _sha256_or_missing(clip.audio, clip.id, "audio")
        return job.checks.key(decided)

    def _outdated(self, job: _ClipJob, key: dict[str, Any], stored: dict[str, Any]) -> bool:
        """Whether kept evidence was made when nobody followed a face, of a clip where that matters."""
        each = self.plan.boxes.source == "generated"  # nobody's evidence is older than this
        if each or "boxes" not in key or "faces" in stored or not self._boxes.searches(job.clip):
            return False
        try:
            plain = self._boxes.of_clip(job.clip).plain
        except ClipError:  # it is looked for again, and the reason told
            return True
        if plain:
            self.cache.write(key, stored | {"faces": True})
        return not plain

    def _note(self, job: _ClipJob) -> None:
        """Take over what the checks have found since, and let the observers go whom an error concerns."""
        readers = [name for name in self._needs if self._reads_reference(name, job.clip)]
        for found in job.checks.findings[len(job.findings) :]:
            with_whom = concerned(found, self._needs, readers)
            job.findings.append(with_whom)
            if found.level == "error" and found.code not in self.plan.excused:
                for name in with_whom.observers:
                    job.fail(name, ClipError(found.code, f"{found.message}; {found.fix}"))

    def _fail_all(self, job: _ClipJob, error: ClipError) -> None:
        for plan in self.plan.observers:
            job.fail(plan.name, error)

    def _keep_checks(self, job: _ClipJob) -> None:
        if job.checks.whole:
            self._kept_checks.write(self._checks_key(job), job.checks.to_json())

    def _check_alone(self, job: _ClipJob) -> None:
        """Decode a clip for its checks alone: all of its evidence was kept by a run that did not make them."""
        assert job.generated is not None  # it has evidence, so its files were opened
        looks = self._face_looks(job, self._guides_for_checks(job))
        self._hear(job, job.generated, ())
        try:
            for seen in job.generated.frames():
                job.checks.see_motion(seen, None)
                if looks is not None:
                    looks.take(seen)
            job.checks.see_pictures(job.generated)
        except ClipError as error:
            self._fail_all(job, error)
            return
        if "reference" in job.checks.wanted and job.reference is not None:
            try:
                for real in job.reference.frames():
                    job.checks.see_motion(None, real)
                job.checks.see_reference(job.reference)
            except ClipError as error:
                self._fail_referring(job, error)
        self._see_framing(job, looks)
        self._note(job)
        self._keep_checks(job)

    def _guides_for_checks(self, job: _ClipJob) -> _Guides:
        """Where faces are, for the checks alone."""
        guided = [name for name in job.evidence if self._needs[name].boxes]
        whose = self.plan.boxes.source
        if whose == "generated":
            own = self._guides_in(job, job.generated, whose, guided)
            comparing = [name for name in job.evidence if self._needs[name].boxes and self._needs[name].reference]
            self._guides_in(job, job.reference, "reference", comparing)
            return own
        return self._laid(job, self._guides_in(job, job.reference, whose, guided))

    @staticmethod
    def _looks(job: _ClipJob) -> bool:
        """Whether faces of the generated video are still to be looked at."""
        checks = job.checks
        return "framing" in checks.wanted and "framing" not in checks.done and job.reference is not None

    def _face_looks(self, job: _ClipJob, guides: _Guides) -> FaceLooks | None:
        """What looks at the faces as the generated video passes, if its boxes or their place are to be checked."""
        checks = job.checks
        laid = guides.boxes.face.xyxy if guides.boxes is not None and self._looks(job) else None
        if laid is None and not checks.places_face:
            return None
        if self._detector is None:
            self._detector = embedded_detector()
        frames = [count for count in (checks.frames, checks.frames_expected) if count is not None]
        return FaceLooks(self._detector, laid, min(frames, default=0))

    def _see_framing(self, job: _ClipJob, looks: FaceLooks | None) -> None:
        """Once the generated video has passed: whether the boxes were laid over its face."""
        checks = job.checks
        found: list[Finding] = []
        looked = looks is not None and looks.laid
        if looks is not None and looked and checks.size is not None:
            try:
                found += check_framing(job.clip.id, looks, checks.size, job.reference, checks.reference_size)
            except ClipError as error:
                self._fail_referring(job, error)
        # Where those who need boxes have their evidence from before, nobody has looked yet: _check_alone does.
        boxed = [*job.evidence, *job.states]
        if looked or not any(self._needs[name].boxes for name in boxed):
            checks.see_framing(found)
        if looks is not None and checks.places_face:
            checks.see_place(looks.place)

    def _key(self, plan: ObserverPlan, job: _ClipJob) -> dict[str, Any]:
        """Everything that decides the evidence, and nothing else."""
        needs = self._needs[plan.name]
        clip = job.clip
        key: dict[str, Any] = {
            "observer": plan.identity,
            "decoding": DECODING + job.checks.read_anew(needs, laid=self.plan.boxes.source == "reference"),
            "generated": job.generated_sha256,
        }
        if job.checks.surplus:  # its end is left out
            key["frames"] = job.checks.frames_expected
        if needs.reference:
            key["reference"] = job.reference_sha256
        if needs.boxes:
            key["boxes"] = self._guided_by(self._boxes.identity, needs, job)
        if needs.placements:
            key["placements"] = self._guided_by(self._mouths.identity, needs, job)
        if _guided(needs) and self._rescales(job):  # kept before there was scaling, it would be of another place
            key["scaled"] = [job.checks.guide_size, job.checks.size]
        if needs.audio and clip.audio is not None:
            key["audio"] = content_sha256(clip.audio, clip.id, "audio")
        if needs.transcript:
            key["transcript"] = clip.transcript
        if needs.word:
            key["word"] = clip.word
        return key

    def _watch(self, job: _ClipJob) -> None:
        """Decode the clip once and show it to every observer that waits for it."""
        clip = job.clip
        names = list(job.keys)
        needs = {name: self._needs[name] for name in names}
        each = self.plan.boxes.source == "generated"
        # A video that is searched is read before it is shown.
        searched = any(_searches(n, clip) and (n.reference or not each) for n in needs.values())
        generated = job.generated
        assert generated is not None
        generated.budget_bytes = KEPT_VIDEO_BYTES if each and any(map(_guided, needs.values())) else 0
        reference = job.reference if any(n.reference or _guided(n) for n in needs.values()) else None
        if reference is not None:
            reference.budget_bytes = KEPT_VIDEO_BYTES if searched else 0

        samples = self._hear(job, generated, [name for name in names if needs[name].audio])
        guides = self._guides(job, generated, reference)

        for name in list(job.keys):
            heard = samples if needs[name].audio else None
            try:
                job.states[name] = self._observer(name).start_clip(clip, heard)
                if needs[name].boxes:
                    _tell_boxes(job.states[name], needs[name], *guides)
            except ClipError as error:
                job.fail(name, error)
        try:
            self._show_all(job, generated, reference, *guides)
        except ClipError as error:  # the generated video can't be decoded: nobody has anything to say
            self._fail_all(job, error)
        self._keep_checks(job)

    def _hear(self, job: _ClipJob, generated: VideoReader, names: Sequence[str]) -> np.ndarray | None:
        """The clip's sound for these observers, checked as it is decoded. Without any they fail."""
        checks, path = job.checks, job.clip.audio or generated.path
        due = "sound" in checks.wanted and "sound" not in checks.done
        if not names and not due:
            return None
        samples, ear = None, Ear()
        try:
            samples = read_heard(path, ear.take) if due else read_audio(path)
        except ClipError as error:
            for name in names:
                job.fail(name, error)
        if due:
            checks.hear(ear.sound, generated, job.reference)
            self._note(job)
        return samples

    def _guides(self, job: _ClipJob, generated: VideoReader, reference: VideoReader | None) -> tuple[_Guides, _Guides]:
        """Where to look in the generated and in the real video, each in its own pixels."""
        waiting = list(job.keys)
        if self.plan.boxes.source == "generated":
            own = self._guides_in(job, generated, "generated", waiting)
            comparing = [name for name in job.keys if self._needs[name].reference]
            return own, self._guides_in(job, reference, "reference", comparing)
        real = self._guides_in(job, reference, "reference", waiting)
        return self._laid(job, real), real

    def _laid(self, job: _ClipJob, guides: _Guides) -> _Guides:
        """Those of the real video, for the generated one."""
        if not self._rescales(job):
            return guides
        return guides.scaled(job.checks.guide_size, job.checks.size)

    def _guides_in(self, job: _ClipJob, video: VideoReader | None, whose: GuideSource, names: Sequence[str]) -> _Guides:
        """What these observers need to know where to look in one video. Those for whom it can't be found fail."""
        clip = job.clip
        sha256 = job.generated_sha256 if whose == "generated" else job.reference_sha256
        boxes: Boxes | None = None
        steadied: np.ndarray | None = None
        found: np.ndarray | None = None
        if any(self._needs[name].boxes for name in names):
            try:
                boxes = self._find_boxes(job, video, sha256, whose)
                if any(self._needs[name].framing for name in names):
                    steadied = steady(boxes.face.xyxy)
            except ClipError as error:
                for name in [n for n in names if self._needs[n].boxes]:
                    job.fail(name, error)
        if any(self._needs[name].placements for name in names):
            try:
                found = self._mouths.placements(clip, video, sha256, whose)
            except ClipError as error:
                error = _of_searched(error, whose, given=clip.landmarks is not None)
                for name in [n for n in names if self._needs[n].placements]:
                    job.fail(name, error)
        return _Guides(boxes, steadied, found)

    def _find_boxes(self, job: _ClipJob, video: VideoReader | None, sha256: str | None, whose: GuideSource) -> Boxes:
        """The boxes of one of a clip's videos, and what the checks say of them. Raises ClipError if there are none."""
        clip = job.clip
        try:
            boxes = self._boxes.boxes(clip, video, sha256, whose)
        except ClipError as error:
            raise _of_searched(error, whose, given=clip.boxes is not None) from error
        job.checks.see_faces(boxes, whose)
        self._note(job)
        return boxes

    def _rescales(self, job: _ClipJob) -> bool:
        """Whether boxes and landmarks of the real video are laid over a generated one of another size."""
        size, guide_size = job.checks.size, job.checks.guide_size
        return self.plan.boxes.source == "reference" and guide_size is not None and size != guide_size

    def _guided_by(self, identity: Callable[..., str], needs: Needs, job: _ClipJob) -> str:
        """What decides where an observer looks, by what a finder says of each video."""
        clip = job.clip
        if self.plan.boxes.source == "reference":
            return identity(clip, job.reference_sha256)
        own = identity(clip, job.generated_sha256, "generated")
        return f"{own}+{identity(clip, job.reference_sha256)}" if needs.reference else own

    def _reads_reference(self, name: str, clip: Clip) -> bool:
        needs = self._needs[name]
        return needs.reference or (self.plan.boxes.source == "reference" and _searches(needs, clip))

    def _show_all(
        self,
        job: _ClipJob,
        generated: VideoReader,
        reference: VideoReader | None,
        guides: _Guides,
        real_guides: _Guides,
    ) -> None:
        """Both videos side by side over the same frame indices, until both have ended.

        Of a generated video that is longer than its clip the end is decoded and shown to nobody. A reference that can't
        be decoded fails those who need it. Raises ClipError if the generated video can't be.
        """
        wanted = reference if any(self._needs[name].reference for name in job.states) else None
        real_chunks: Iterator[FrameChunk] = iter(())
        chunk_frames = generated.chunk_frames
        try:
            if wanted is not None:
                chunk_frames = min(chunk_frames, wanted.chunk_frames)
                real_chunks = wanted.frames(chunk_frames)
        except ClipError as error:
            self._fail_referring(job, error)
            wanted = None
        seen_chunks = generated.frames(chunk_frames)
        limit = job.checks.frames_expected if job.checks.surplus else None
        looks = self._face_looks(job, guides)
        frames = 0
        while job.states:
            seen = next(seen_chunks, None)
            try:
                real = next(real_chunks, None)
            except ClipError as error:
                self._fail_referring(job, error)
                real = wanted = None
            if seen is None and real is None:
                job.checks.see_pictures(generated)
                if wanted is not None:
                    job.checks.see_reference(wanted)
                self._see_framing(job, looks)
                break
            if wanted is not None:
                job.checks.see_motion(seen, real)
            seen = None if seen is None else seen.before(limit)
            if seen is not None and looks is not None:
                looks.take(seen)
            frames += len(seen) if seen is not None else 0
            if seen is not None or real is not None:
                self._show(job, seen, real, guides, real_guides)
        if job.states:  # else nobody saw them to the end, and what the cache says stands
            job.frames = frames
        self._note(job)

    def _fail_referring(self, job: _ClipJob, error: ClipError) -> None:
        """The real video can't be decoded. That is its own fault, whoever made the generated one."""
        error = _broken_reference(error)
        for name in [name for name, needs in self._needs.items() if needs.reference]:
            job.fail(name, error)

    def _show(
        self, job: _ClipJob, seen: FrameChunk | None, real: FrameChunk | None, guides: _Guides, real_guides: _Guides
    ) -> None:
        """A run of frames of both videos, each with the guides in its own pixels."""
        chunks = [chunk for chunk in (seen, real) if chunk is not None]
        start, end = chunks[0].start, max(chunk.start + len(chunk) for chunk in chunks)
        for name, state in list(job.states.items()):
            needs = self._needs[name]
            boxes, placements = guides.for_frames(needs, start, end)
            own = real_guides.for_frames(needs, start, end) if needs.reference else (None, None)
            try:
                state.update(ClipChunk(seen, real if needs.reference else None, boxes, placements, *own))
            except ClipError as error:
                job.fail(name, error)

    def _compute(self, plan: ObserverPlan, jobs: list[_ClipJob]) -> None:
        states = [job.states[plan.name] for job in jobs]
        for job, outcome in zip(jobs, self._observer(plan.name).compute(states), strict=True):
            if isinstance(outcome, ClipError):
                job.fail(plan.name, outcome)
                continue
            payload: dict[str, Any] = {"evidence": outcome.to_json(), "frames": job.frames}
            if "boxes" in job.keys[plan.name]:
                payload["faces"] = True  # the clip's face was followed
            self.cache.write(job.keys[plan.name], payload)
            job.evidence[plan.name] = outcome

    def _observer(self, name: str) -> Observer:
        if name not in self._loaded:
            plan = next(o for o in self.plan.observers if o.name == name)
            self._loaded[name] = observer_class(name).load(
                plan.weights, plan.views, self.plan.device, plan.modes, half=plan.half
            )
        return self._loaded[name]


def _sha256_or_missing(path: Path, clip_id: str, what: str) -> str:
    """For the key of the checks, which say themselves what is wrong with a file of boxes or sound."""
    try:
        return content_sha256(path, clip_id, what)
    except ClipError as error:
        return error.code


def _broken_reference(error: ClipError) -> ClipError:
    return ClipError("reference-broken", f"the real video can't be decoded: {error.message}")


def _of_searched(error: ClipError, whose: GuideSource, *, given: bool) -> ClipError:
    """The error of a search for faces, said of the real video if that is what can't be decoded."""
    return _broken_reference(error) if whose == "reference" and not given and isinstance(error, MediaError) else error


def _tell_boxes(state: ClipState, needs: Needs, guides: _Guides, real_guides: _Guides) -> None:
    state.clip_boxes = guides.boxes
    state.clip_reference_boxes = real_guides.boxes if needs.reference else None


def _guided(needs: Needs) -> bool:
    """Whether an observer must be told where to look."""
    return needs.boxes or needs.placements


def _searches(needs: Needs, clip: Clip) -> bool:
    """Whether a video has to be searched to tell it: nothing was given with the clip."""
    return (needs.boxes and clip.boxes is None) or (needs.placements and clip.landmarks is None)
