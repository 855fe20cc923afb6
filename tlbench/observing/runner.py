"""Plan to evidence: each clip is decoded once for all observers, and the evidence is kept in the cache.

An :class:`ObserverRunner` does the work of one process; :mod:`tlbench.observing.engines` starts one or several. A clip
that fails becomes an :class:`Observation` with the reason. Evidence is written to the cache batch by batch, so a run
that is killed continues where it stopped.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.video_reader import DECODING, KEPT_VIDEO_BYTES, VideoReader
from tlbench.observing.cache import Cache, content_sha256
from tlbench.observing.clip_checker import ClipChecker
from tlbench.observing.clip_checks import ClipChecks
from tlbench.observing.clip_job import ClipJob, needs_guides, needs_search
from tlbench.observing.evidence import Evidence, Observation, check_finite, first_not_finite
from tlbench.observing.guides import GuideFinder
from tlbench.observing.kept import LoadedObservers
from tlbench.observing.observer import StartClip
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.registry import observer_class
from tlbench.observing.showing import Showing, show


class ObserverRunner:
    """The observers of a plan in one process. Each observer is loaded once, when a clip first needs it.

    Its two halves, :meth:`look` and :meth:`finish`, can be in two processes. The real videos that the plan names are
    observed with their clips, by the observers of sets alone.

    Parameters
    ----------
    plan : Plan
    loaded : LoadedObservers, optional
        Where observers are kept; by default as long as this runner is.
    croppers : mapping of str to callable, optional
        What starts clips for the observers, by name, that compute in another process: see
        :meth:`.observer.Observer.cropper`.
    """

    def __init__(
        self,
        plan: Plan,
        loaded: LoadedObservers | None = None,
        croppers: Mapping[str, StartClip] | None = None,
    ) -> None:
        self.plan = plan
        self._croppers = dict(croppers or {})
        self.cache = Cache(plan.cache / "evidence")
        self._needs = {o.name: o.needs for o in plan.observers}
        self._guides = GuideFinder(plan, self._needs)
        self._checker = ClipChecker(plan, self._needs, self._guides)
        self._loaded = loaded or LoadedObservers()
        self._of_set = ObserverRunner(plan.of_set, self._loaded, croppers) if plan.real else None

    @property
    def clips_per_batch(self) -> int:
        return max(observer_class(o.name).clips_per_batch for o in self.plan.observers)

    def observe(self, clips: Sequence[Clip]) -> list[Observation]:
        """Observe a batch of clips; one Observation each, in order."""
        return self.finish(self.look(clips))

    def look(self, clips: Sequence[Clip]) -> list[ClipJob]:
        """The first half: take what the cache has of each clip, and decode it for the observers that have to see it.

        Observers without a cropper compute at once if others have one.
        """
        jobs = [self._open(clip) for clip in clips]
        for job in jobs:
            job.real = self._open_real(job)
            self._look_at(job)
            for one in (job, job.real):
                if one is not None:  # all is decoded: no reader keeps frames until the batch is complete
                    one.generated = one.reference = None
        if self._croppers:
            self._leave(jobs)
        return jobs

    def _look_at(self, job: ClipJob) -> None:
        """Decode a clip, and its real video for a set, in one pass if an observer compares both videos."""
        real = job.real
        if real is not None and real.keys and any(self._needs[name].reference for name in job.keys):
            self._observe(job, real)
        else:
            if job.keys:
                self._observe(job)
            if real is not None and real.keys:
                self._in_set._observe(real)
        for runner, one in ((self, job), (self._of_set, real)):
            if runner is not None and one is not None and one.evidence and not one.checks.whole:
                runner._checker.check_cached(one)  # the cache has evidence of a run that checked less

    def _leave(self, jobs: Sequence[ClipJob]) -> None:
        """Compute what no other process does, and leave the rest to it."""
        self._compute_all([o for o in self.plan.observers if o.name not in self._croppers], jobs)
        if self._of_set is not None:
            self._of_set._leave([job.real for job in jobs if job.real is not None])

    @property
    def _in_set(self) -> ObserverRunner:
        """Observes real videos, for numbers of a set. Raises ValueError if the plan names none."""
        if self._of_set is None:
            raise ValueError("the plan has no real videos")
        return self._of_set

    def finish(self, jobs: Sequence[ClipJob]) -> list[Observation]:
        """The second half: let the observers compute what they say of the clips they have seen."""
        self._compute_all(self.plan.observers, jobs)
        for job in jobs:
            self._checker.check_place(job)
        names = [observer_plan.name for observer_plan in self.plan.observers]
        seen = [job.observation(names) for job in jobs]
        return seen if self._of_set is None else self._with_real(jobs, seen, self._of_set)

    def _with_real(
        self, jobs: Sequence[ClipJob], seen: Sequence[Observation], of_set: ObserverRunner
    ) -> list[Observation]:
        """The observations with those of the real videos."""
        opened = {job.clip.id: job.real for job in jobs if job.real is not None}
        real = dict(zip(opened, of_set.finish(list(opened.values())), strict=True))
        for one in seen:
            clip = self.plan.real.get(one.clip.id)
            if clip is not None and one.clip.id not in real:  # it is the generated video too, which is in the cache now
                (real[one.clip.id],) = of_set.observe([clip])
        return [replace(one, real=real.get(one.clip.id)) for one in seen]

    def _compute_all(self, observers: Sequence[ObserverPlan], jobs: Sequence[ClipJob]) -> None:
        for observer_plan in observers:
            waiting = [job for job in jobs if observer_plan.name in job.states]
            if waiting:
                self._compute(observer_plan, waiting)

    def recall(self, clip: Clip) -> Observation | None:
        """What :meth:`observe` gives for a clip, if nothing has to be computed for it; else None.

        No observer is loaded, no face is searched, and of the videos nothing but hashes and headers is read.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is damaged is told when the clip is observed
            job = self._open(clip, compute=False)
        if job.keys or (job.evidence and not job.checks.whole):
            return None
        real = None
        if self._of_set is not None and clip.id in self.plan.real:
            real = self._of_set.recall(self.plan.real[clip.id])
            if real is None:
                return None
        self._checker.check_place(job)
        return replace(job.observation([observer_plan.name for observer_plan in self.plan.observers]), real=real)

    def _open_real(self, job: ClipJob) -> ClipJob | None:
        """The clip's real video as a clip of a set, read by the same reader; None if it is not in the set.

        Also None if it is the generated video as well: when that is observed, the cache has what is to know.
        """
        real = self.plan.real.get(job.clip.id)
        if real is None or (job.generated_sha256 is not None and job.generated_sha256 == job.reference_sha256):
            return None
        return self._in_set._open(real, reader=job.reference)

    def _open(self, clip: Clip, *, compute: bool = True, reader: VideoReader | None = None) -> ClipJob:
        """Hash the files, check their headers, take evidence from the cache, and list what is left to observe.

        Without ``compute``, evidence that might be outdated is left to observe, instead of searching for faces.
        ``reader`` reads the generated video; a new one does if it is None.
        """
        job = ClipJob(clip, ClipChecks(clip, self.plan.expected, self._checker.parts), self.plan, self._needs, reader)
        try:
            job.generated_sha256 = content_sha256(clip.generated, clip.id, "generated video")
        except ClipError as error:
            job.fail_all(error)
            return job
        reference_error = None
        if clip.reference is not None or any(needs.reference or needs_guides(needs) for needs in self._needs.values()):
            try:
                job.reference_sha256 = content_sha256(clip.reference, clip.id, "reference video")
            except ClipError as error:
                reference_error = error
        self._checker.check_headers(job)
        for plan in self.plan.observers:
            if plan.name in job.failures:
                continue
            try:
                if reference_error is not None and job.reads_reference(plan.name):
                    raise self._without_reference(plan.name, job, reference_error)
                key = self._key(plan, job)
            except ClipError as error:
                job.fail(plan.name, error)
                continue
            stored = self.cache.read(key)
            if stored is None or (
                self._before_following(job, key, stored) and (not compute or self._outdated(job, key, stored))
            ):
                job.keys[plan.name] = key
            else:
                job.frames = stored["frames"]
                job.cached += 1
                self._take(job, plan.name, Evidence.from_json(stored["evidence"]))
        return job

    def _without_reference(self, name: str, job: ClipJob, error: ClipError) -> ClipError:
        """Why an observer can't see a clip whose real video can't be read; with a way out if it only needs the face."""
        if job.clip.reference is not None or self._needs[name].reference:
            return error
        why = f"{error.message} to find the face in; have it found in the generated videos with --boxes-from generated"
        return ClipError("reference-missing", why)

    @staticmethod
    def _take(job: ClipJob, name: str, evidence: Evidence) -> bool:
        """Take an observer's evidence of a clip; if a number of it is not finite, the observer fails. Returns which."""
        try:
            check_finite(evidence, job.clip.id)
        except ClipError as error:
            job.fail(name, error)
            return False
        job.evidence[name] = evidence
        return True

    def _before_following(self, job: ClipJob, key: dict[str, Any], stored: dict[str, Any]) -> bool:
        """Whether cached evidence is from before faces were followed, for a clip whose faces are searched."""
        each = self.plan.boxes.source == "generated"  # this option is newer than following faces
        return not each and "boxes" in key and "faces" not in stored and self._guides.boxes.searches(job.clip)

    def _outdated(self, job: ClipJob, key: dict[str, Any], stored: dict[str, Any]) -> bool:
        """Whether the boxes of a clip have changed since its evidence was cached, before faces were followed."""
        try:
            plain = self._guides.boxes.of_clip(job.clip).plain
        except ClipError:  # the error is reported when the clip is observed again
            return True
        if plain:
            self.cache.write(key, stored | {"faces": True})
        return not plain

    def _key(self, plan: ObserverPlan, job: ClipJob) -> dict[str, Any]:
        """The cache key: everything that decides the evidence, and nothing else."""
        needs = self._needs[plan.name]
        clip = job.clip
        key: dict[str, Any] = {
            "observer": plan.identity,
            "decoding": DECODING + job.checks.read_anew(needs, laid=self.plan.boxes.source == "reference"),
            "generated": job.generated_sha256,
        }
        if job.checks.surplus:  # frames beyond the clip's end are left out
            key["frames"] = job.checks.frames_expected
        if needs.reference:
            key["reference"] = job.reference_sha256
        key |= self._guides.key(job, needs)
        if needs.audio and clip.audio is not None:
            key["audio"] = content_sha256(clip.audio, clip.id, "audio")
        if needs.transcript:
            key["transcript"] = clip.transcript
        if needs.word:
            key["word"] = clip.word
        if needs.word_times:
            key["word_times"] = [[span.label, span.begin_seconds, span.end_seconds] for span in clip.word_times]
        if needs.source:
            key["source"] = content_sha256(clip.source, clip.id, "source picture")
        return key

    def _observe(self, job: ClipJob, real: ClipJob | None = None) -> None:
        """Decode the clip once for every observer that still has to see it, and for those of its ``real`` video."""
        shown = self._prepare(job)
        of_set = None if real is None else self._in_set._prepare(real)
        if shown.reference is not None:
            show(shown, of_set)
        else:
            show(shown)
            if of_set is not None:
                show(of_set)
        self._checker.keep(job)
        if real is not None:
            self._in_set._checker.keep(real)

    def _prepare(self, job: ClipJob) -> Showing:
        """Read the sound, find the guides and start a state for every observer that still has to see the clip."""
        clip = job.clip
        names = list(job.keys)
        needs = {name: self._needs[name] for name in names}
        each = self.plan.boxes.source == "generated"
        # A video that is searched for faces is read once more.
        searched = any(needs_search(n, clip) and (n.reference or not each) for n in needs.values())
        generated = job.generated
        assert generated is not None
        if each and any(map(needs_guides, needs.values())):
            generated.budget_bytes = KEPT_VIDEO_BYTES
        reference = job.reference if any(n.reference or needs_guides(n) for n in needs.values()) else None
        if reference is not None and searched:
            reference.budget_bytes = KEPT_VIDEO_BYTES

        samples = self._checker.read_sound(job, generated, [name for name in names if needs[name].audio])
        guides = self._guides.find(job, generated, reference)

        for name in list(job.keys):
            own_samples = samples if needs[name].audio else None
            try:
                job.states[name] = self._start(name)(clip, own_samples)
                if needs[name].boxes:
                    job.states[name].clip_boxes = guides[0].boxes
                    job.states[name].clip_reference_boxes = guides[1].boxes if needs[name].reference else None
                job.states[name].of_reference = self._known_of_reference(job, name)
            except ClipError as error:
                job.fail(name, error)
        if not any(self._needs[name].reference for name in job.states):
            reference = None
        return Showing(job, self._needs, self._checker, generated, reference, *guides)

    def _reference_key(self, job: ClipJob, name: str) -> dict[str, Any]:
        """The cache key of what an observer sees in the real video alone, whatever it is compared with."""
        key = job.keys[name]
        where = self._guides.key_in_reference(job, self._needs[name])
        about = {"observer": key["observer"], "decoding": key["decoding"], "part": "reference"}
        return {**about, "reference": job.reference_sha256, **where}

    def _known_of_reference(self, job: ClipJob, name: str) -> Evidence | None:
        """What a run of another system has seen in the real video; None if there is nothing to share."""
        if not (observer_class(name).shares_reference and self._needs[name].reference):
            return None
        stored = self.cache.read(self._reference_key(job, name))
        return None if stored is None else Evidence.from_json(stored["evidence"])

    def _keep_reference(self, job: ClipJob, name: str, before: Evidence | None) -> None:
        """Cache what an observer has newly seen in the real video."""
        known = job.states[name].of_reference
        if known is not None and known is not before and first_not_finite(known) is None:
            self.cache.write(self._reference_key(job, name), {"evidence": known.to_json()})

    def _compute(self, plan: ObserverPlan, jobs: list[ClipJob]) -> None:
        states = [job.states[plan.name] for job in jobs]
        known = [state.of_reference for state in states]
        outcomes = self._loaded.observer(plan, self.plan.device).compute(states)
        for job, outcome, before in zip(jobs, outcomes, known, strict=True):
            self._keep_reference(job, plan.name, before)
            if isinstance(outcome, ClipError):
                job.fail(plan.name, outcome)
                continue
            key = job.keys[plan.name]
            del job.states[plan.name]
            if not self._take(job, plan.name, outcome):
                continue
            payload: dict[str, Any] = {"evidence": outcome.to_json(), "frames": job.frames}
            if "boxes" in key:
                payload["faces"] = True  # made after faces were followed, see _outdated
            self.cache.write(key, payload)

    def _start(self, name: str) -> StartClip:
        if name in self._croppers:
            return self._croppers[name]
        plan = next(o for o in self.plan.observers if o.name == name)
        return self._loaded.observer(plan, self.plan.device).start_clip
