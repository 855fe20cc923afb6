"""Whether two results are of the same real videos: in private data sets, clip ``001`` may be any clip."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from tlbench.scoring.result import Result


def same_reference(a: Result, b: Result, clip_id: str) -> bool:
    """Whether a clip of both has the same real video, as far as is known."""
    x, y = a.by_id[clip_id].info.reference_sha256, b.by_id[clip_id].info.reference_sha256
    return x is None or y is None or x == y


def other_reference(results: Sequence[Result]) -> tuple[Result, Result, str] | None:
    """The first two results, and the clip, whose real videos are not the same; None if all are."""
    for a, b in combinations(results, 2):
        for clip_id in sorted(a.by_id.keys() & b.by_id.keys()):
            if not same_reference(a, b, clip_id):
                return a, b, clip_id
    return None
