"""Plan to evidence: each clip is decoded once, shown to every observer that has not seen it, and kept.

A :class:`Bench` is what one process needs to observe clips; :mod:`tlbench.observing.engines` decides how many there
are. A clip that fails becomes an :class:`Observation` with the reason, never a gap. Whatever was concluded is in the
cache before the next clip begins, so a run that is killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.audio import read_audio
from tlbench.media.container import MediaError
from tlbench.media.faces import Boxes
from tlbench.media.framing import steady
from tlbench.media.video import DECODING, Footage, Frames
from tlbench.observing.boxing import BoxFinder, BoxRule
from tlbench.observing.cache import Cache, content_sha256
from tlbench.observing.clip_checks import ClipChecks, concerned, wanted_parts
from tlbench.observing.evidence import Evidence
from tlbench.observing.observation import Observation
from tlbench.observing.observer import Needs, Observer, Watcher
from tlbench.observing.placing import MouthFinder
from tlbench.observing.registry import observer_class
from tlbench.preflight.clip import Expected
from tlbench.preflight.findings import Finding

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


@dataclass(frozen=True)
class _Guides:
    """Where to look in each frame: one row a frame of the video they were found in."""

    boxes: Boxes | None = None
    steadied: np.ndarray | None = None  # (T, 4)
    placements: np.ndarray | None = None  # (T, 2, 3)

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
class _Sitting:
    """One clip on its way through the bench."""

    clip: Clip
    checks: ClipChecks
    generated: Footage | None = None
    reference: Footage | None = None
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)  # cache keys of what is still to be observed
    watchers: dict[str, Watcher] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    failures: dict[str, ClipError] = field(default_factory=dict)
    generated_sha256: str | None = None
    reference_sha256: str | None = None
    findings: list[Finding] = field(default_factory=list)  # with whom they concern
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
            {name: self.evidence[name] for name in names if name in self.evidence},
            {name: self.failures[name] for name in names if name in self.failures},
            self.generated_sha256,
            self.reference_sha256,
            tuple(self.findings),
            self.frames,
            self.checks.frames_expected,
            self.checks.pictures_sha256,
            self.cached,
        )


class Bench:
    """The observers of a plan in one process. An observer is loaded when a clip first needs it, and once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.cache = Cache(plan.cache / "evidence")
        self._kept_checks = Cache(plan.cache / "checks")
        self._boxes = BoxFinder(plan.boxes, Cache(plan.cache / "boxes"))
        self._mouths = MouthFinder(plan.boxes.source, Cache(plan.cache / "landmarks"))
        self._needs = {o.name: o.needs for o in plan.observers}
        self._parts = wanted_parts(self._needs.values())
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
        names = [observer_plan.name for observer_plan in self.plan.observers]
        return [sitting.observation(names) for sitting in sittings]

    def _open(self, clip: Clip) -> _Sitting:
        """Hash the files, check their headers, take what the cache has, and note what is left to observe."""
        sitting = _Sitting(clip, ClipChecks(clip, self.plan.expected, self._parts))
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
            if stored is None:
                sitting.keys[plan.name] = key
            else:
                sitting.evidence[plan.name] = Evidence.from_json(stored["evidence"])
                sitting.frames = stored["frames"]
                sitting.cached += 1
        return sitting

    def _check_headers(self, sitting: _Sitting) -> None:
        """What an earlier run has found of the same files, or what their headers say."""
        clip, checks = sitting.clip, sitting.checks
        assert clip.generated is not None  # _open has hashed it
        sitting.generated = Footage(clip.generated, 0)
        sitting.reference = None if clip.reference is None else Footage(clip.reference, 0)
        try:
            kept = self._kept_checks.read(self._checks_key(sitting))
            if kept is not None:
                checks.take(kept)
            else:
                same_bytes = sitting.generated_sha256 == sitting.reference_sha256
                checks.read_headers(sitting.generated, sitting.reference, same_bytes=same_bytes)
        except ClipError as error:
            self._fail_all(sitting, error)
        self._note(sitting)

    def _checks_key(self, sitting: _Sitting) -> dict[str, Any]:
        clip = sitting.clip
        boxes = None if clip.boxes is None else _sha256_or_missing(clip.boxes, clip.id)
        reference = sitting.reference_sha256 or ("missing" if clip.reference is not None else None)
        return sitting.checks.key({"generated": sitting.generated_sha256, "reference": reference, "boxes": boxes})

    def _note(self, sitting: _Sitting) -> None:
        """Take over what the checks have found since, and let the observers go whom an error concerns."""
        readers = [name for name in self._needs if self._reads_reference(name, sitting.clip)]
        for found in sitting.checks.findings[len(sitting.findings) :]:
            with_whom = concerned(found, self._needs, readers)
            sitting.findings.append(with_whom)
            if found.level == "error":
                for name in with_whom.observers:
                    sitting.fail(name, ClipError(found.code, f"{found.message}; {found.fix}"))

    def _fail_all(self, sitting: _Sitting, error: ClipError) -> None:
        for plan in self.plan.observers:
            sitting.fail(plan.name, error)

    def _keep_checks(self, sitting: _Sitting) -> None:
        if sitting.checks.whole:
            self._kept_checks.write(self._checks_key(sitting), sitting.checks.to_json())

    def _check_alone(self, sitting: _Sitting) -> None:
        """Decode a clip for its checks alone: all of its evidence was kept by a run that did not make them."""
        assert sitting.generated is not None  # it has evidence, so its files were opened
        try:
            self._read_through(sitting.generated)
            sitting.checks.see_pictures(sitting.generated)
        except ClipError as error:
            self._fail_all(sitting, error)
            return
        if "reference" in sitting.checks.wanted and sitting.reference is not None:
            try:
                self._read_through(sitting.reference)
                sitting.checks.see_reference(sitting.reference)
            except ClipError as error:
                self._fail_referring(sitting, error)
        if "faces" in sitting.checks.wanted and "faces" not in sitting.checks.done:
            searched = sitting.generated if self.plan.boxes.source == "generated" else sitting.reference
            try:
                self._find_boxes(sitting, searched, self._guide_sha256(sitting))
            except ClipError as error:
                for name in [name for name, needs in self._needs.items() if needs.boxes]:
                    sitting.fail(name, error)
        self._note(sitting)
        self._keep_checks(sitting)

    @staticmethod
    def _read_through(video: Footage) -> None:
        for _ in video.frames():
            pass

    def _key(self, plan: ObserverPlan, sitting: _Sitting) -> dict[str, Any]:
        """Everything that decides the evidence, and nothing else."""
        needs = self._needs[plan.name]
        clip = sitting.clip
        guide_sha256 = self._guide_sha256(sitting)
        key: dict[str, Any] = {
            "observer": plan.identity,
            "decoding": DECODING,
            "generated": sitting.generated_sha256,
        }
        if sitting.checks.surplus:  # its end is left out
            key["frames"] = sitting.checks.frames_expected
        if needs.reference:
            key["reference"] = sitting.reference_sha256
        if needs.boxes:
            key["boxes"] = self._boxes.identity(clip, guide_sha256)
        if needs.placements:
            key["placements"] = self._mouths.identity(clip, guide_sha256)
        if needs.audio and clip.audio is not None:
            key["audio"] = content_sha256(clip.audio, clip.id, "audio")
        if needs.transcript:
            key["transcript"] = clip.transcript
        if needs.word:
            key["word"] = clip.word
        return key

    def _watch(self, sitting: _Sitting) -> None:
        """Decode the clip once and show it to every observer that waits for it."""
        clip = sitting.clip
        names = list(sitting.keys)
        needs = {name: self._needs[name] for name in names}
        searched = any(_searches(n, clip) for n in needs.values())  # then that video is read before it is shown
        in_generated = self.plan.boxes.source == "generated"
        generated = sitting.generated
        assert generated is not None
        generated.budget_bytes = FOOTAGE_BYTES if searched and in_generated else 0
        reference = sitting.reference if any(n.reference or _guided(n) for n in needs.values()) else None
        if reference is not None:
            reference.budget_bytes = FOOTAGE_BYTES if searched and not in_generated else 0

        samples: np.ndarray | None = None
        if any(n.audio for n in needs.values()):
            try:
                samples = read_audio(clip.audio or generated.path)
            except ClipError as error:
                for name in [n for n in names if needs[n].audio]:
                    sitting.fail(name, error)
        guides = self._guides(sitting, generated if in_generated else reference)

        for name in list(sitting.keys):
            heard = samples if needs[name].audio else None
            try:
                sitting.watchers[name] = self._observer(name).watch(clip, heard)
            except ClipError as error:
                sitting.fail(name, error)
        try:
            self._show_all(sitting, generated, reference, guides)
        except ClipError as error:  # the generated video can't be decoded: nobody has anything to say
            self._fail_all(sitting, error)
        self._keep_checks(sitting)

    def _guides(self, sitting: _Sitting, video: Footage | None) -> _Guides:
        """What the observers that still wait need to know where to look. Those for whom it can't be found fail."""
        clip, sha256 = sitting.clip, self._guide_sha256(sitting)
        boxes: Boxes | None = None
        steadied: np.ndarray | None = None
        found: np.ndarray | None = None
        if any(self._needs[name].boxes for name in sitting.keys):
            try:
                boxes = self._find_boxes(sitting, video, sha256)
                if any(self._needs[name].framing for name in sitting.keys):
                    steadied = steady(boxes.xyxy)
            except ClipError as error:
                for name in [n for n in sitting.keys if self._needs[n].boxes]:
                    sitting.fail(name, error)
        if any(self._needs[name].placements for name in sitting.keys):
            try:
                found = self._mouths.placements(clip, video, sha256)
            except ClipError as error:
                error = self._of_searched(error, given=clip.landmarks is not None)
                for name in [n for n in sitting.keys if self._needs[n].placements]:
                    sitting.fail(name, error)
        return _Guides(boxes, steadied, found)

    def _find_boxes(self, sitting: _Sitting, video: Footage | None, sha256: str | None) -> Boxes:
        """The clip's boxes, and what the checks say of them. Raises ClipError if there are none."""
        clip = sitting.clip
        try:
            boxes = self._boxes.boxes(clip, video, sha256)
        except ClipError as error:
            raise self._of_searched(error, given=clip.boxes is not None) from error
        if "faces" not in sitting.checks.done:
            sitting.checks.see_faces(boxes, in_reference=self.plan.boxes.source == "reference")
            self._note(sitting)
        return boxes

    def _of_searched(self, error: ClipError, *, given: bool) -> ClipError:
        """The error of a search for faces, said of the real video if that is what can't be decoded."""
        if given or self.plan.boxes.source != "reference" or not isinstance(error, MediaError):
            return error
        return _broken_reference(error)

    def _guide_sha256(self, sitting: _Sitting) -> str | None:
        """Of the video in which boxes and landmarks are looked for."""
        return sitting.generated_sha256 if self.plan.boxes.source == "generated" else sitting.reference_sha256

    def _reads_reference(self, name: str, clip: Clip) -> bool:
        needs = self._needs[name]
        return needs.reference or (self.plan.boxes.source == "reference" and _searches(needs, clip))

    def _show_all(self, sitting: _Sitting, generated: Footage, reference: Footage | None, guides: _Guides) -> None:
        """Both videos side by side over the same frame indices, until both have ended.

        Of a generated video that is longer than its clip the end is decoded and shown to nobody. A reference that can't
        be decoded fails those who need it. Raises ClipError if the generated video can't be.
        """
        wanted = reference if any(self._needs[name].reference for name in sitting.watchers) else None
        real_runs: Iterator[Frames] = iter(())
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
                break
            seen = None if seen is None else seen.before(limit)
            frames += len(seen) if seen is not None else 0
            if seen is not None or real is not None:
                self._show(sitting, seen, real, guides)
        if sitting.watchers:  # else nobody saw them to the end, and what the cache says stands
            sitting.frames = frames
        self._note(sitting)

    def _fail_referring(self, sitting: _Sitting, error: ClipError) -> None:
        """The real video can't be decoded. That is its own fault, whoever made the generated one."""
        error = _broken_reference(error)
        for name in [name for name, needs in self._needs.items() if needs.reference]:
            sitting.fail(name, error)

    def _show(self, sitting: _Sitting, seen: Frames | None, real: Frames | None, guides: _Guides) -> None:
        runs = [run for run in (seen, real) if run is not None]
        start, end = runs[0].start, max(run.start + len(run) for run in runs)
        for name, watcher in list(sitting.watchers.items()):
            needs = self._needs[name]
            boxes, placements = guides.for_frames(needs, start, end)
            try:
                watcher.see(seen, real if needs.reference else None, boxes, placements)
            except ClipError as error:
                sitting.fail(name, error)

    def _conclude(self, plan: ObserverPlan, sittings: list[_Sitting]) -> None:
        watchers = [sitting.watchers[plan.name] for sitting in sittings]
        for sitting, outcome in zip(sittings, self._observer(plan.name).conclude(watchers), strict=True):
            if isinstance(outcome, ClipError):
                sitting.fail(plan.name, outcome)
                continue
            payload = {"evidence": outcome.to_json(), "frames": sitting.frames}
            self.cache.write(sitting.keys[plan.name], payload)
            sitting.evidence[plan.name] = outcome

    def _observer(self, name: str) -> Observer:
        if name not in self._loaded:
            plan = next(o for o in self.plan.observers if o.name == name)
            self._loaded[name] = observer_class(name).load(
                plan.weights, plan.views, self.plan.device, plan.modes, half=plan.half
            )
        return self._loaded[name]


def _sha256_or_missing(boxes: Path, clip_id: str) -> str:
    """For the key of the checks, which say themselves what is wrong with a file of boxes."""
    try:
        return content_sha256(boxes, clip_id, "box file")
    except ClipError as error:
        return error.code


def _broken_reference(error: ClipError) -> ClipError:
    return ClipError("reference-broken", f"the real video can't be decoded: {error.message}")


def _guided(needs: Needs) -> bool:
    """Whether an observer must be told where to look."""
    return needs.boxes or needs.placements


def _searches(needs: Needs, clip: Clip) -> bool:
    """Whether a video has to be searched to tell it: nothing was given with the clip."""
    return (needs.boxes and clip.boxes is None) or (needs.placements and clip.landmarks is None)
