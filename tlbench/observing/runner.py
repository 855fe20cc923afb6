"""Plan to evidence: each clip is decoded once, shown to every observer that has not seen it, and kept.

An :class:`ObserverRunner` is what one process needs; :mod:`tlbench.observing.engines` decides how many there
are. A clip that fails becomes an :class:`Observation` with the reason, never a gap. Whatever was concluded is in the
cache before the next clip begins, so a run that is killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.audio import read_audio, read_heard
from tlbench.media.container import MediaError
from tlbench.media.face_crop import steady
from tlbench.media.faces import Boxes, FaceDetector
from tlbench.media.scaling import Size, scale_boxes, scale_placements
from tlbench.media.video import DECODING, FrameChunk, VideoReader
from tlbench.observing.cache import Cache, content_sha256
from tlbench.observing.clip_checks import ClipChecks, concerned, wanted_parts
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Evidence
from tlbench.observing.face_boxes import BoxFinder, BoxRule, GuideSource, embedded_detector
from tlbench.observing.face_checks import FaceLooks, check_framing
from tlbench.observing.mouth_alignment import MouthFinder
from tlbench.observing.observation import Observation
from tlbench.observing.observer import ClipState, Needs, Observer
from tlbench.observing.registry import observer_class
from tlbench.observing.view_checks import check_face_place, check_view_frames, looks_at_whole_frames
from tlbench.preflight.clip import Expected
from tlbench.preflight.findings import Finding
from tlbench.preflight.sound import Ear

FOOTAGE_BYTES = 96 * 2**20  # a clip this small is decoded once even if boxes have to be found first


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
            boxes = _held(self.steadied, start, end)
        elif needs.boxes and self.boxes is not None:
            boxes = self.boxes.xyxy[start:end]
        return boxes, _held(self.placements, start, end) if needs.placements else None


def _held(rows: np.ndarray | None, start: int, end: int) -> np.ndarray | None:
    """Rows ``start`` to ``end``, the last one held beyond the end: a face does not vanish with its reference."""
    return None if rows is None else rows[np.minimum(np.arange(start, end), len(rows) - 1)]


@dataclass
class _ClipJob:
    """One clip on its way through the bench."""

    clip: Clip
    checks: ClipChecks
    generated: VideoReader | None = None
    reference: VideoReader | None = None
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)  # cache keys of what is still to be observed
    watchers: dict[str, ClipState] = field(default_factory=dict)
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
        self.watchers.pop(name, None)

    def observation(self, names: Sequence[str]) -> Observation:
        """What was found, in the order of ``names``: the same whether it comes from the cache or was seen just now."""
        return Observation(
            self.clip,
            replace(
                ClipInfo.of(self.clip),
                generated_sha256=self.generated_sha256,
                reference_sha256=self.reference_sha256,
                pictures_sha256=self.checks.pictures_sha256,
                frames=self.frames,
                frames_expected=self.checks.frames_expected,
            ),
            {name: self.evidence[name] for name in names if name in self.evidence},
            {name: self.failures[name] for name in names if name in self.failures},
            (*self.findings, *self.view_findings),
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
        sittings = [self._open(clip) for clip in clips]
        for sitting in sittings:
            if sitting.keys:
                self._watch(sitting)
            if sitting.evidence and not sitting.checks.whole:  # kept by a run that checked less
                self._check_alone(sitting)
        for observer_plan in self.plan.observers:
            waiting = [s for s in sittings if observer_plan.name in s.watchers]
            if waiting:
                self._conclude(observer_plan, waiting)
        for sitting in sittings:
            self._check_place(sitting)
        names = [observer_plan.name for observer_plan in self.plan.observers]
        return [sitting.observation(names) for sitting in sittings]

    def _open(self, clip: Clip) -> _ClipJob:
        """Hash the files, check their headers, take what the cache has, and note what is left to observe."""
        sitting = _ClipJob(clip, ClipChecks(clip, self.plan.expected, self._parts))
        try:
            sitting.generated_sha256 = content_sha256(clip.generated, clip.id, "generated video")
        except ClipError as error:
            self._fail_all(sitting, error)
            return sitting
        reference_error = None
        if clip.reference is not None or any(needs.reference or _guided(needs) for needs in self._needs.values()):
            try:
                sitting.reference_sha256 = content_sha256(clip.reference, clip.id, "reference video")
            except ClipError as error:
                reference_error = error
        self._check_headers(sitting)
        for plan in self.plan.observers:
            if plan.name in sitting.failures:
                continue
            try:
                if reference_error is not None and self._reads_reference(plan.name, clip):
                    raise reference_error
                key = self._key(plan, sitting)
            except ClipError as error:
                sitting.fail(plan.name, error)
                continue
            stored = self.cache.read(key)
            if stored is None or self._outdated(sitting, key, stored):
                sitting.keys[plan.name] = key
            else:
                sitting.evidence[plan.name] = Evidence.from_json(stored["evidence"])
                sitting.frames = stored["frames"]
                sitting.cached += 1
        return sitting

    def _check_headers(self, sitting: _ClipJob) -> None:
        """What an earlier run has found of the same files, or what their headers say."""
        clip, checks = sitting.clip, sitting.checks
        assert clip.generated is not None  # _open has hashed it
        sitting.generated = VideoReader(clip.generated, 0)
        sitting.reference = None if clip.reference is None else VideoReader(clip.reference, 0)
        try:
            kept = self._kept_checks.read(self._checks_key(sitting))
            if kept is not None:
                checks.take(kept)
            else:
                same_bytes = sitting.generated_sha256 == sitting.reference_sha256
                checks.read_headers(sitting.generated, sitting.reference, same_bytes=same_bytes)
                checks.note_origins(sitting.generated, sitting.reference)
        except ClipError as error:
            self._fail_all(sitting, error)
        self._note(sitting)
        for plan in self.plan.observers:
            if plan.name not in sitting.failures:
                found = check_view_frames(
                    clip.id, observer_class(plan.name), plan.views, checks.size, checks.reference_size, plan.needs
                )
                self._take(sitting, found)

    def _check_place(self, sitting: _ClipJob) -> None:
        """Whether frames that are scaled whole are of a face, for those who score the clip."""
        if sitting.checks.face_place is None:
            return
        shown = [(observer_class(o.name), o.views) for o in self.plan.observers if o.name in sitting.evidence]
        told = {found.code for found in sitting.findings}
        self._take(sitting, check_face_place(sitting.clip.id, shown, sitting.checks.face_place, told))

    def _take(self, sitting: _ClipJob, found: Finding | None) -> None:
        """Note a finding that says whom it concerns; after an error they are let go."""
        if found is not None:
            sitting.view_findings.append(found)
            for name in found.observers:
                sitting.fail(name, ClipError(found.code, f"{found.message}; {found.fix}"))

    def _checks_key(self, sitting: _ClipJob) -> dict[str, Any]:
        clip = sitting.clip
        boxes = None if clip.boxes is None else _sha256_or_missing(clip.boxes, clip.id, "box file")
        reference = sitting.reference_sha256 or ("missing" if clip.reference is not None else None)
        decided = {"generated": sitting.generated_sha256, "reference": reference, "boxes": boxes}
        if "faces" in self._parts:
            decided["found"] = self.plan.boxes.identity
        if "sound" in self._parts and clip.audio is not None:
            decided["audio"] = _sha256_or_missing(clip.audio, clip.id, "audio")
        return sitting.checks.key(decided)

    def _outdated(self, sitting: _ClipJob, key: dict[str, Any], stored: dict[str, Any]) -> bool:
        """Whether kept evidence was made when nobody followed a face, of a clip where that matters."""
        each = self.plan.boxes.source == "generated"  # nobody's evidence is older than this
        if each or "boxes" not in key or "faces" in stored or not self._boxes.searches(sitting.clip):
            return False
        try:
            plain = self._boxes.of_clip(sitting.clip).plain
        except ClipError:  # it is looked for again, and the reason told
            return True
        if plain:
            self.cache.write(key, stored | {"faces": True})
        return not plain

    def _note(self, sitting: _ClipJob) -> None:
        """Take over what the checks have found since, and let the observers go whom an error concerns."""
        readers = [name for name in self._needs if self._reads_reference(name, sitting.clip)]
        for found in sitting.checks.findings[len(sitting.findings) :]:
            with_whom = concerned(found, self._needs, readers)
            sitting.findings.append(with_whom)
            if found.level == "error" and found.code not in self.plan.excused:
                for name in with_whom.observers:
                    sitting.fail(name, ClipError(found.code, f"{found.message}; {found.fix}"))

    def _fail_all(self, sitting: _ClipJob, error: ClipError) -> None:
        for plan in self.plan.observers:
            sitting.fail(plan.name, error)

    def _keep_checks(self, sitting: _ClipJob) -> None:
        if sitting.checks.whole:
            self._kept_checks.write(self._checks_key(sitting), sitting.checks.to_json())

    def _check_alone(self, sitting: _ClipJob) -> None:
        """Decode a clip for its checks alone: all of its evidence was kept by a run that did not make them."""
        assert sitting.generated is not None  # it has evidence, so its files were opened
        looks = self._face_looks(sitting, self._guides_for_checks(sitting))
        self._hear(sitting, sitting.generated, ())
        try:
            for seen in sitting.generated.frames():
                sitting.checks.see_motion(seen, None)
                if looks is not None:
                    looks.take(seen)
            sitting.checks.see_pictures(sitting.generated)
        except ClipError as error:
            self._fail_all(sitting, error)
            return
        if "reference" in sitting.checks.wanted and sitting.reference is not None:
            try:
                for real in sitting.reference.frames():
                    sitting.checks.see_motion(None, real)
                sitting.checks.see_reference(sitting.reference)
            except ClipError as error:
                self._fail_referring(sitting, error)
        self._see_framing(sitting, looks)
        self._note(sitting)
        self._keep_checks(sitting)

    def _guides_for_checks(self, sitting: _ClipJob) -> _Guides:
        """Where faces are, for the checks alone."""
        guided = [name for name in sitting.evidence if self._needs[name].boxes]
        whose = self.plan.boxes.source
        if whose == "generated":
            own = self._guides_in(sitting, sitting.generated, whose, guided)
            comparing = [name for name in sitting.evidence if self._needs[name].boxes and self._needs[name].reference]
            self._guides_in(sitting, sitting.reference, "reference", comparing)
            return own
        return self._laid(sitting, self._guides_in(sitting, sitting.reference, whose, guided))

    @staticmethod
    def _looks(sitting: _ClipJob) -> bool:
        """Whether faces of the generated video are still to be looked at."""
        checks = sitting.checks
        return "framing" in checks.wanted and "framing" not in checks.done and sitting.reference is not None

    def _face_looks(self, sitting: _ClipJob, guides: _Guides) -> FaceLooks | None:
        """What looks at the faces as the generated video passes, if its boxes or their place are to be checked."""
        checks = sitting.checks
        laid = guides.boxes.face.xyxy if guides.boxes is not None and self._looks(sitting) else None
        if laid is None and not checks.places_face:
            return None
        if self._detector is None:
            self._detector = embedded_detector()
        frames = [count for count in (checks.frames, checks.frames_expected) if count is not None]
        return FaceLooks(self._detector, laid, min(frames, default=0))

    def _see_framing(self, sitting: _ClipJob, looks: FaceLooks | None) -> None:
        """Once the generated video has passed: whether the boxes were laid over its face."""
        checks = sitting.checks
        found: list[Finding] = []
        looked = looks is not None and looks.laid
        if looks is not None and looked and checks.size is not None:
            try:
                found += check_framing(sitting.clip.id, looks, checks.size, sitting.reference, checks.reference_size)
            except ClipError as error:
                self._fail_referring(sitting, error)
        # Where those who need boxes have their evidence from before, nobody has looked yet: _check_alone does.
        boxed = [*sitting.evidence, *sitting.watchers]
        if looked or not any(self._needs[name].boxes for name in boxed):
            checks.see_framing(found)
        if looks is not None and checks.places_face:
            checks.see_place(looks.place)

    def _key(self, plan: ObserverPlan, sitting: _ClipJob) -> dict[str, Any]:
        """Everything that decides the evidence, and nothing else."""
        needs = self._needs[plan.name]
        clip = sitting.clip
        key: dict[str, Any] = {
            "observer": plan.identity,
            "decoding": DECODING + sitting.checks.read_anew(needs, laid=self.plan.boxes.source == "reference"),
            "generated": sitting.generated_sha256,
        }
        if sitting.checks.surplus:  # its end is left out
            key["frames"] = sitting.checks.frames_expected
        if needs.reference:
            key["reference"] = sitting.reference_sha256
        if needs.boxes:
            key["boxes"] = self._guided_by(self._boxes.identity, needs, sitting)
        if needs.placements:
            key["placements"] = self._guided_by(self._mouths.identity, needs, sitting)
        if _guided(needs) and self._rescales(sitting):  # kept before there was scaling, it would be of another place
            key["scaled"] = [sitting.checks.guide_size, sitting.checks.size]
        if needs.audio and clip.audio is not None:
            key["audio"] = content_sha256(clip.audio, clip.id, "audio")
        if needs.transcript:
            key["transcript"] = clip.transcript
        if needs.word:
            key["word"] = clip.word
        return key

    def _watch(self, sitting: _ClipJob) -> None:
        """Decode the clip once and show it to every observer that waits for it."""
        clip = sitting.clip
        names = list(sitting.keys)
        needs = {name: self._needs[name] for name in names}
        each = self.plan.boxes.source == "generated"
        # A video that is searched is read before it is shown.
        searched = any(_searches(n, clip) and (n.reference or not each) for n in needs.values())
        generated = sitting.generated
        assert generated is not None
        generated.budget_bytes = FOOTAGE_BYTES if each and any(map(_guided, needs.values())) else 0
        reference = sitting.reference if any(n.reference or _guided(n) for n in needs.values()) else None
        if reference is not None:
            reference.budget_bytes = FOOTAGE_BYTES if searched else 0

        samples = self._hear(sitting, generated, [name for name in names if needs[name].audio])
        guides = self._guides(sitting, generated, reference)

        for name in list(sitting.keys):
            heard = samples if needs[name].audio else None
            try:
                sitting.watchers[name] = self._observer(name).watch(clip, heard)
                if needs[name].boxes:
                    _tell_boxes(sitting.watchers[name], needs[name], *guides)
            except ClipError as error:
                sitting.fail(name, error)
        try:
            self._show_all(sitting, generated, reference, *guides)
        except ClipError as error:  # the generated video can't be decoded: nobody has anything to say
            self._fail_all(sitting, error)
        self._keep_checks(sitting)

    def _hear(self, sitting: _ClipJob, generated: VideoReader, names: Sequence[str]) -> np.ndarray | None:
        """The clip's sound for these observers, checked as it is decoded. Without any they fail."""
        checks, path = sitting.checks, sitting.clip.audio or generated.path
        due = "sound" in checks.wanted and "sound" not in checks.done
        if not names and not due:
            return None
        samples, ear = None, Ear()
        try:
            samples = read_heard(path, ear.take) if due else read_audio(path)
        except ClipError as error:
            for name in names:
                sitting.fail(name, error)
        if due:
            checks.hear(ear.sound, generated, sitting.reference)
            self._note(sitting)
        return samples

    def _guides(
        self, sitting: _ClipJob, generated: VideoReader, reference: VideoReader | None
    ) -> tuple[_Guides, _Guides]:
        """Where to look in the generated and in the real video, each in its own pixels."""
        waiting = list(sitting.keys)
        if self.plan.boxes.source == "generated":
            own = self._guides_in(sitting, generated, "generated", waiting)
            comparing = [name for name in sitting.keys if self._needs[name].reference]
            return own, self._guides_in(sitting, reference, "reference", comparing)
        real = self._guides_in(sitting, reference, "reference", waiting)
        return self._laid(sitting, real), real

    def _laid(self, sitting: _ClipJob, guides: _Guides) -> _Guides:
        """Those of the real video, for the generated one."""
        if not self._rescales(sitting):
            return guides
        return guides.scaled(sitting.checks.guide_size, sitting.checks.size)

    def _guides_in(
        self, sitting: _ClipJob, video: VideoReader | None, whose: GuideSource, names: Sequence[str]
    ) -> _Guides:
        """What these observers need to know where to look in one video. Those for whom it can't be found fail."""
        clip = sitting.clip
        sha256 = sitting.generated_sha256 if whose == "generated" else sitting.reference_sha256
        boxes: Boxes | None = None
        steadied: np.ndarray | None = None
        found: np.ndarray | None = None
        if any(self._needs[name].boxes for name in names):
            try:
                boxes = self._find_boxes(sitting, video, sha256, whose)
                if any(self._needs[name].framing for name in names):
                    steadied = steady(boxes.face.xyxy)
            except ClipError as error:
                for name in [n for n in names if self._needs[n].boxes]:
                    sitting.fail(name, error)
        if any(self._needs[name].placements for name in names):
            try:
                found = self._mouths.placements(clip, video, sha256, whose)
            except ClipError as error:
                error = _of_searched(error, whose, given=clip.landmarks is not None)
                for name in [n for n in names if self._needs[n].placements]:
                    sitting.fail(name, error)
        return _Guides(boxes, steadied, found)

    def _find_boxes(
        self, sitting: _ClipJob, video: VideoReader | None, sha256: str | None, whose: GuideSource
    ) -> Boxes:
        """The boxes of one of a clip's videos, and what the checks say of them. Raises ClipError if there are none."""
        clip = sitting.clip
        try:
            boxes = self._boxes.boxes(clip, video, sha256, whose)
        except ClipError as error:
            raise _of_searched(error, whose, given=clip.boxes is not None) from error
        sitting.checks.see_faces(boxes, whose)
        self._note(sitting)
        return boxes

    def _rescales(self, sitting: _ClipJob) -> bool:
        """Whether boxes and landmarks of the real video are laid over a generated one of another size."""
        size, guide_size = sitting.checks.size, sitting.checks.guide_size
        return self.plan.boxes.source == "reference" and guide_size is not None and size != guide_size

    def _guided_by(self, identity: Callable[..., str], needs: Needs, sitting: _ClipJob) -> str:
        """What decides where an observer looks, by what a finder says of each video."""
        clip = sitting.clip
        if self.plan.boxes.source == "reference":
            return identity(clip, sitting.reference_sha256)
        own = identity(clip, sitting.generated_sha256, "generated")
        return f"{own}+{identity(clip, sitting.reference_sha256)}" if needs.reference else own

    def _reads_reference(self, name: str, clip: Clip) -> bool:
        needs = self._needs[name]
        return needs.reference or (self.plan.boxes.source == "reference" and _searches(needs, clip))

    def _show_all(
        self,
        sitting: _ClipJob,
        generated: VideoReader,
        reference: VideoReader | None,
        guides: _Guides,
        real_guides: _Guides,
    ) -> None:
        """Both videos side by side over the same frame indices, until both have ended.

        Of a generated video that is longer than its clip the end is decoded and shown to nobody. A reference that can't
        be decoded fails those who need it. Raises ClipError if the generated video can't be.
        """
        wanted = reference if any(self._needs[name].reference for name in sitting.watchers) else None
        real_runs: Iterator[FrameChunk] = iter(())
        run = generated.run
        try:
            if wanted is not None:
                run = min(run, wanted.run)
                real_runs = wanted.frames(run)
        except ClipError as error:
            self._fail_referring(sitting, error)
            wanted = None
        seen_runs = generated.frames(run)
        limit = sitting.checks.frames_expected if sitting.checks.surplus else None
        looks = self._face_looks(sitting, guides)
        frames = 0
        while sitting.watchers:
            seen = next(seen_runs, None)
            try:
                real = next(real_runs, None)
            except ClipError as error:
                self._fail_referring(sitting, error)
                real = wanted = None
            if seen is None and real is None:
                sitting.checks.see_pictures(generated)
                if wanted is not None:
                    sitting.checks.see_reference(wanted)
                self._see_framing(sitting, looks)
                break
            if wanted is not None:
                sitting.checks.see_motion(seen, real)
            seen = None if seen is None else seen.before(limit)
            if seen is not None and looks is not None:
                looks.take(seen)
            frames += len(seen) if seen is not None else 0
            if seen is not None or real is not None:
                self._show(sitting, seen, real, guides, real_guides)
        if sitting.watchers:  # else nobody saw them to the end, and what the cache says stands
            sitting.frames = frames
        self._note(sitting)

    def _fail_referring(self, sitting: _ClipJob, error: ClipError) -> None:
        """The real video can't be decoded. That is its own fault, whoever made the generated one."""
        error = _broken_reference(error)
        for name in [name for name, needs in self._needs.items() if needs.reference]:
            sitting.fail(name, error)

    def _show(
        self, sitting: _ClipJob, seen: FrameChunk | None, real: FrameChunk | None, guides: _Guides, real_guides: _Guides
    ) -> None:
        """A run of frames of both videos, each with the guides in its own pixels."""
        runs = [run for run in (seen, real) if run is not None]
        start, end = runs[0].start, max(run.start + len(run) for run in runs)
        for name, watcher in list(sitting.watchers.items()):
            needs = self._needs[name]
            boxes, placements = guides.for_frames(needs, start, end)
            own = real_guides.for_frames(needs, start, end) if needs.reference else (None, None)
            try:
                watcher.see(seen, real if needs.reference else None, boxes, placements, *own)
            except ClipError as error:
                sitting.fail(name, error)

    def _conclude(self, plan: ObserverPlan, sittings: list[_ClipJob]) -> None:
        watchers = [sitting.watchers[plan.name] for sitting in sittings]
        for sitting, outcome in zip(sittings, self._observer(plan.name).conclude(watchers), strict=True):
            if isinstance(outcome, ClipError):
                sitting.fail(plan.name, outcome)
                continue
            payload: dict[str, Any] = {"evidence": outcome.to_json(), "frames": sitting.frames}
            if "boxes" in sitting.keys[plan.name]:
                payload["faces"] = True  # the clip's face was followed
            self.cache.write(sitting.keys[plan.name], payload)
            sitting.evidence[plan.name] = outcome

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


def _tell_boxes(watcher: ClipState, needs: Needs, guides: _Guides, real_guides: _Guides) -> None:
    watcher.clip_boxes = guides.boxes
    watcher.clip_reference_boxes = real_guides.boxes if needs.reference else None


def _guided(needs: Needs) -> bool:
    """Whether an observer must be told where to look."""
    return needs.boxes or needs.placements


def _searches(needs: Needs, clip: Clip) -> bool:
    """Whether a video has to be searched to tell it: nothing was given with the clip."""
    return (needs.boxes and clip.boxes is None) or (needs.placements and clip.landmarks is None)
