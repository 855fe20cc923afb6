"""What a run found out about one clip: evidence by observer, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Evidence
from tlbench.preflight.findings import Finding


@dataclass(frozen=True)
class Observation:
    """One clip after all observers of the plan have seen it.

    Attributes
    ----------
    clip : Clip
        With the paths of its files.
    info : ClipInfo
        Without paths. ``frames`` is None if no observer saw the video.
    evidence : dict of observer name to Evidence
    failures : dict of observer name to ClipError
        Every observer of the plan is in one of the two.
    findings : tuple of Finding
        What the checks found, each with the observers it concerns.
    cached : int
        How many observers' evidence came from the cache.
    """

    clip: Clip
    info: ClipInfo
    evidence: dict[str, Evidence] = field(default_factory=dict)
    failures: dict[str, ClipError] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    cached: int = 0
