"""The check that every number of an observer is finite, in one place for all observers and all ways to evidence.

A network with damaged weights gives NaN or infinities, and whatever is made of them, a word as well as a distance, says
nothing of the clip. So such a clip has no evidence, with the reason.
"""

from __future__ import annotations

import math

import numpy as np

from tlbench.errors import ClipError
from tlbench.observing.evidence import Evidence

NOT_FINITE = "not-finite"


def check_finite(evidence: Evidence, clip_id: str) -> None:
    """Raises ClipError ``not-finite`` if a number of the evidence, or one that it was decoded from, is NaN or infinite.

    The message names the first such value.
    """
    name = first_not_finite(evidence)
    if name is not None:
        raise ClipError(
            NOT_FINITE,
            f"clip {clip_id}: {evidence.observer} gives a {name} that is NaN or infinite; its checkpoint is "
            "damaged, or does not fit such videos",
        )


def first_not_finite(evidence: Evidence) -> str | None:
    """Name of the first value that is not finite, or that it is the network's output; None if all are finite."""
    if not evidence.finite:
        return "network output"
    return next((name for name, value in evidence.values.items() if not _is_finite(value)), None)


def _is_finite(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind != "f" or bool(np.isfinite(value).all())
    return not isinstance(value, (float, np.floating)) or math.isfinite(value)
