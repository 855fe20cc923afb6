"""One clip on its way through a runner: what is left to observe, and what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.video_reader import VideoReader
from tlbench.observing.clip_checks import ClipChecks, concerned
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Evidence, Observation
from tlbench.observing.mouth_alignment import takes_landmarks
from tlbench.observing.observer import ClipState, Needs
from tlbench.observing.plan import Plan
from tlbench.preflight.findings import Finding


@dataclass
class ClipJob:
    """One clip of a batch.

    Attributes
    ----------
    plan : Plan
    needs : dict of str to Needs
        Of each observer of the plan.
    generated, reference : VideoReader or None
        Of the two videos, once they are opened.
    real : ClipJob or None
        The real video as a clip of its own, for numbers of a set.
    keys : dict of str to dict
        Cache keys of the observers that still have to see the clip.
    states : dict of str to ClipState
        Of the observers that are given the frames.
    evidence, failures : dict
        What the observers returned, or why there is nothing, by observer.
    findings : list of Finding
        Of the checks, with the observers they concern.
    view_findings : list of Finding
        Of the views of this run's observers.
    frames : int or None
        Of the generated video, as observed.
    cached : int
        How many observers' evidence came from the cache.
    """

    clip: Clip
    checks: ClipChecks
    plan: Plan
    needs: Mapping[str, Needs]
    generated: VideoReader | None = None
    reference: VideoReader | None = None
    real: ClipJob | None = None
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    states: dict[str, ClipState] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    failures: dict[str, ClipError] = field(default_factory=dict)
    generated_sha256: str | None = None
    reference_sha256: str | None = None
    findings: list[Finding] = field(default_factory=list)
    view_findings: list[Finding] = field(default_factory=list)
    frames: int | None = None
    cached: int = 0

    @property
    def to_compute(self) -> bool:
        """Whether an observer still has to compute, for the clip or for its real video."""
        return bool(self.states) or (self.real is not None and self.real.to_compute)

    def fail(self, name: str, error: ClipError) -> None:
        self.failures.setdefault(name, error)
        self.evidence.pop(name, None)
        self.keys.pop(name, None)
        self.states.pop(name, None)

    def observation(self, names: Sequence[str]) -> Observation:
        """The result, with evidence in the order of ``names``, the same from the cache as from a new observation."""
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

    def fail_all(self, error: ClipError) -> None:
        """No observer can score the clip."""
        for plan in self.plan.observers:
            self.fail(plan.name, error)

    def fail_reference(self, error: ClipError) -> None:
        """The real video can't be decoded, so the observers that need its frames can't score the clip."""
        error = broken_reference(error)
        for name in [name for name, needs in self.needs.items() if needs.reference]:
            self.fail(name, error)

    def reads_reference(self, name: str) -> bool:
        """Whether an observer needs the real video, for its frames or to find the face in it."""
        needs = self.needs[name]
        return needs.reference or (self.plan.boxes.source == "reference" and needs_search(needs, self.clip))

    def note_findings(self) -> None:
        """Take the new findings of the checks. The observers that an error concerns do not score the clip."""
        readers = [name for name in self.needs if self.reads_reference(name)]
        for found in self.checks.findings[len(self.findings) :]:
            with_observers = concerned(found, self.needs, readers)
            self.findings.append(with_observers)
            if found.level == "error" and found.code not in self.plan.excused:
                for name in with_observers.observers:
                    self.fail(name, ClipError(found.code, f"{found.message}; {found.fix}"))

    def add_finding(self, found: Finding | None) -> None:
        """Add a finding about a view. The observers that it names do not score the clip if it is an error."""
        if found is not None:
            self.view_findings.append(found)
            for name in found.observers:
                self.fail(name, ClipError(found.code, f"{found.message}; {found.fix}"))


def broken_reference(error: ClipError) -> ClipError:
    """``reference-broken``, from the error of decoding the real video."""
    return ClipError("reference-broken", f"the real video can't be decoded: {error.message}")


def needs_guides(needs: Needs) -> bool:
    """Whether an observer needs face boxes or mouth placements."""
    return needs.boxes or needs.placements != ""


def needs_search(needs: Needs, clip: Clip) -> bool:
    """Whether a video has to be searched for faces or landmarks: the observer needs them and the clip has no file."""
    given = clip.landmarks is not None and needs.placements != "" and takes_landmarks(needs.placements)
    return (needs.boxes and clip.boxes is None) or (needs.placements != "" and not given)
