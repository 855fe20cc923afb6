"""The checks of clips during a run, made on what the observers have decoded anyway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.errors import ClipError
from tlbench.media.audio import read_audio
from tlbench.media.faces import FaceDetector
from tlbench.media.video_reader import VideoReader
from tlbench.observing.cache import Cache, content_sha256
from tlbench.observing.clip_checks import wanted_parts
from tlbench.observing.clip_job import ClipJob
from tlbench.observing.face_boxes import embedded_detector
from tlbench.observing.face_checks import FaceLooks, check_framing
from tlbench.observing.guides import GuideFinder, Guides
from tlbench.observing.observer import Needs
from tlbench.observing.plan import Plan
from tlbench.observing.registry import observer_class
from tlbench.observing.view_checks import check_face_place, check_view_frames, looks_at_whole_frames
from tlbench.preflight.findings import Finding
from tlbench.preflight.sound import SoundMeter


class ClipChecker:
    """Runs the checks of clips and keeps their findings by the content of the files.

    Parameters
    ----------
    plan : Plan
    needs : mapping of str to Needs
        Of each observer of the plan.
    guides : GuideFinder
    """

    def __init__(self, plan: Plan, needs: Mapping[str, Needs], guides: GuideFinder) -> None:
        self.plan = plan
        self.parts = wanted_parts(
            needs.values(),
            laid=plan.boxes.source == "reference",
            whole_frame=any(looks_at_whole_frames(observer_class(o.name), o.views) for o in plan.observers),
        )
        self._needs = needs
        self._guides = guides
        self._kept = Cache(plan.cache / "checks")
        self._detector: FaceDetector | None = None

    def check_headers(self, job: ClipJob) -> None:
        """Take the findings of an earlier run on the same files, or check the headers. Opens both videos.

        Two files of equal bytes have one reader.
        """
        clip, checks = job.clip, job.checks
        assert clip.generated is not None  # its hash is known
        if job.generated is None:
            job.generated = VideoReader(clip.generated, 0)
        if job.reference is None and clip.reference is not None:
            same = job.generated_sha256 == job.reference_sha256
            job.reference = job.generated if same else VideoReader(clip.reference, 0)
        try:
            kept = self._kept.read(self._key(job))
            if kept is not None:
                checks.take(kept)
            else:
                same_bytes = job.generated_sha256 == job.reference_sha256
                checks.check_headers(job.generated, job.reference, same_bytes=same_bytes)
                checks.note_origins(job.generated, job.reference)
        except ClipError as error:
            job.fail_all(error)
        job.note_findings()
        for plan in self.plan.observers:
            if plan.name not in job.failures:
                found = check_view_frames(
                    clip.id, observer_class(plan.name), plan.views, checks.size, checks.reference_size, plan.needs
                )
                job.add_finding(found)

    def check_place(self, job: ClipJob) -> None:
        """For observers that scale whole frames: whether the frames show just a face, as LRS2's do."""
        if job.checks.face_place is None:
            return
        shown = [(observer_class(o.name), o.views) for o in self.plan.observers if o.name in job.evidence]
        reported = {found.code for found in job.findings}
        job.add_finding(check_face_place(job.clip.id, shown, job.checks.face_place, reported))

    def keep(self, job: ClipJob) -> None:
        if job.checks.whole:
            self._kept.write(self._key(job), job.checks.to_json())

    def check_cached(self, job: ClipJob) -> None:
        """Decode a clip with all evidence from the cache, for checks that no earlier run has made."""
        assert job.generated is not None  # opened by check_headers
        looks = self.face_looks(job, self._guides.find_for_checks(job))
        self.read_sound(job, job.generated, ())
        try:
            for seen in job.generated.frames():
                job.checks.update_motion(seen, None)
                if looks is not None:
                    looks.take(seen)
            job.checks.check_generated(job.generated)
        except ClipError as error:
            job.fail_all(error)
            return
        if "reference" in job.checks.wanted and job.reference is not None:
            try:
                for real in job.reference.frames():
                    job.checks.update_motion(None, real)
                job.checks.check_real(job.reference)
            except ClipError as error:
                job.fail_reference(error)
        self.check_framing(job, looks)
        job.note_findings()
        self.keep(job)

    def face_looks(self, job: ClipJob, guides: Guides) -> FaceLooks | None:
        """Collects faces while the generated video is decoded; None if framing and place need no check."""
        checks = job.checks
        laid = guides.boxes.face.xyxy if guides.boxes is not None and self._wants_framing(job) else None
        if laid is None and not checks.places_face:
            return None
        if self._detector is None:
            self._detector = embedded_detector()
        frames = [count for count in (checks.frames, checks.frames_expected) if count is not None]
        return FaceLooks(self._detector, laid, min(frames, default=0))

    def check_framing(self, job: ClipJob, looks: FaceLooks | None) -> None:
        """After the generated video was decoded: whether the real video's boxes fit its face."""
        checks = job.checks
        found: list[Finding] = []
        looked = looks is not None and looks.laid
        if looks is not None and looked and checks.size is not None and not checks.same_bytes:
            try:
                found += check_framing(job.clip.id, looks, checks.size, job.reference, checks.reference_size)
            except ClipError as error:
                job.fail_reference(error)
        # If the evidence of observers that need boxes came from the cache, `check_cached` looks at the faces later.
        boxed = [*job.evidence, *job.states]
        if looked or not any(self._needs[name].boxes for name in boxed):
            checks.add_framing(found)
        if looks is not None and checks.places_face:
            checks.add_face_place(looks.place)

    def read_sound(self, job: ClipJob, generated: VideoReader, names: Sequence[str]) -> np.ndarray | None:
        """The clip's samples for these observers, which fail if there are none; checked while they are decoded."""
        checks, path = job.checks, job.clip.audio or generated.path
        due = "sound" in checks.wanted and "sound" not in checks.done
        if not names and not due:
            return None
        samples, meter = None, SoundMeter()
        try:
            samples = read_audio(path, on_block=meter.update, on_loss=meter.lose) if due else read_audio(path)
        except ClipError as error:
            for name in names:
                job.fail(name, error)
        if due:
            checks.check_sound(meter.sound, generated, job.reference)
            job.note_findings()
        return samples

    def _key(self, job: ClipJob) -> dict[str, Any]:
        clip = job.clip
        boxes = None if clip.boxes is None else _sha256_or_missing(clip.boxes, clip.id, "box file")
        reference = job.reference_sha256 or ("missing" if clip.reference is not None else None)
        decided = {"generated": job.generated_sha256, "reference": reference, "boxes": boxes}
        if "faces" in self.parts:
            decided["found"] = self.plan.boxes.identity
        if "sound" in self.parts and clip.audio is not None:
            decided["audio"] = _sha256_or_missing(clip.audio, clip.id, "audio")
        return job.checks.key(decided)

    @staticmethod
    def _wants_framing(job: ClipJob) -> bool:
        """Whether the framing of the generated video still has to be checked."""
        checks = job.checks
        return "framing" in checks.wanted and "framing" not in checks.done and job.reference is not None


def _sha256_or_missing(path: Path, clip_id: str, what: str) -> str:
    """A file's hash, or the code of the error: the checks report a file that can't be read."""
    try:
        return content_sha256(path, clip_id, what)
    except ClipError as error:
        return error.code
