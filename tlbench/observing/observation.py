"""What a run says of one clip: evidence by observer, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.observing.evidence import Evidence


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
    notes : tuple of str
        What was done to the clip that its user should know: frame rate converted, boxes filled in.
    frames : int or None
        Of the generated video, as it was seen; None if nobody saw it.
    cached : int
        How many observers' evidence came from the cache.
    """

    clip: Clip
    evidence: dict[str, Evidence] = field(default_factory=dict)
    failures: dict[str, ClipError] = field(default_factory=dict)
    generated_sha256: str | None = None
    reference_sha256: str | None = None
    notes: tuple[str, ...] = ()
    frames: int | None = None
    cached: int = 0
