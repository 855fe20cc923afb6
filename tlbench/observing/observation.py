"""What a run says of one clip: evidence by observer, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.observing.evidence import Evidence
from tlbench.preflight.findings import Finding


@dataclass(frozen=True)
class Observation:
    """One clip after all observers have looked.

    Attributes
    ----------
    clip : Clip
    evidence : dict of observer name to Evidence
    failures : dict of observer name to ClipError
        Every observer of the plan is in one of the two.
    generated_sha256, reference_sha256 : str or None
        Of the files' bytes; None if there is no file or it can't be read.
    findings : tuple of Finding
        What the checks found, each with the observers it concerns.
    frames : int or None
        Of the generated video, as it was seen; None if nobody saw it.
    frames_expected : int or None
        How many it should have; None if nothing says so.
    pictures_sha256 : str or None
        Of its coded pictures, whatever they are wrapped in.
    cached : int
        How many observers' evidence came from the cache.
    """

    clip: Clip
    evidence: dict[str, Evidence] = field(default_factory=dict)
    failures: dict[str, ClipError] = field(default_factory=dict)
    generated_sha256: str | None = None
    reference_sha256: str | None = None
    findings: tuple[Finding, ...] = ()
    frames: int | None = None
    frames_expected: int | None = None
    pictures_sha256: str | None = None
    cached: int = 0
