"""What a reader has to know of the numbers of a set before quoting them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tlbench.document import number_text
from tlbench.metrics.sets import NOT_RECOMPUTED

if TYPE_CHECKING:
    from tlbench.scoring.set_scores import SetScore


def set_notes(scores: Iterable[SetScore]) -> list[str]:
    """A note for each number: of how many frames, how its interval was made, what ground truth gets, or why not."""
    return [_note(score) for score in scores]


def _note(score: SetScore) -> str:
    metric = score.metric
    if score.value is None:
        return f"no {metric.label}: {score.reason}."
    real = "an unknown number of" if score.real is None else f"{score.real:,}"
    if score.of_halves:
        return f"{metric.label} of the real videos is that between two halves of them, the ceiling; {NOT_RECOMPUTED}."
    parts = [f"{metric.label} of {score.generated:,} generated and {real} real {metric.samples}", _interval(score)]
    if score.ceiling is not None:
        parts.append(f"two halves of the real set: {number_text(score.ceiling, metric.digits)}")
    return "; ".join([*parts, NOT_RECOMPUTED]) + "."


def _interval(score: SetScore) -> str:
    """How the interval was made, or why there is none."""
    if score.metric.distance == "frechet":
        if score.low is None:
            return "no interval: too few clips to leave out groups of them"
        return f"interval: jackknife over {score.groups} groups of {score.unit}"
    if score.low is None:
        return "no interval: too few clips to resample"
    return f"interval: bootstrap over {score.clips:,} clips"
