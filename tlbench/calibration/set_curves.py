"""The curves of numbers of a whole set (FID, KID, FVD) along a fault, by the paired jackknife of comparisons.

A clip has no FID, so the rank correlation is that of the set's number with the size of the fault, and has no interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tlbench.calibration.verdicts import Curve, FaultPoint, FaultSide, Mark, decide_verdict, mark_of, spearman
from tlbench.comparison.set_differences import set_difference, why_not_compared
from tlbench.generation.faults import Fault
from tlbench.scoring.result import Result
from tlbench.scoring.set_scores import SetScore


def make_set_curves(fault: Fault, none: Result, grown: Mapping[float, Result], level: float) -> list[Curve]:
    """The curves of all numbers of a set that the clips without the fault have; ``level`` is that of intervals."""
    return [_curve(fault, score, grown, level) for score in none.sets if score.value is not None]


def _curve(fault: Fault, none: SetScore, grown: Mapping[float, Result], level: float) -> Curve:
    scores = {size: _score(grown[size], none) for size in fault.grown} | {fault.none: none}
    points = {size: _point(size, scores[size], none, level) for size in fault.sizes}
    return Curve(
        fault.name,
        none.metric,
        none.protocol.id,
        tuple(points.values()),
        tuple(
            _side(name, sizes, none, [scores[size] for size in sizes], [points[size].mark for size in sizes])
            for name, sizes in fault.sides
        ),
    )


def _score(result: Result, like: SetScore) -> SetScore | None:
    """The same number of another result; None if it has none."""
    return next((score for score in result.sets if score.metric.key == like.metric.key), None)


def _point(size: float, score: SetScore | None, none: SetScore, level: float) -> FaultPoint:
    if score is None or score.value is None:
        return FaultPoint(size, None, None, None, None, None, None, 0, "unknown")
    if why_not_compared(score, none):
        mark: Mark = "none" if score is none else "unknown"
        return FaultPoint(size, score.value, score.low, score.high, None, None, None, score.clips, mark)
    found = set_difference(score, none, level)
    mark = "none" if score is none else mark_of(none.metric, found.low, found.high, found.units)
    return FaultPoint(size, score.value, score.low, score.high, found.delta, found.low, found.high, score.clips, mark)


def _side(
    name: str, sizes: tuple[float, ...], none: SetScore, scores: Sequence[SetScore | None], marks: Sequence[Mark]
) -> FaultSide:
    verdict, since = decide_verdict(sizes, marks)
    values = [score.value for score in (none, *scores) if score is not None and score.value is not None]
    if len(values) <= len(sizes):  # a size has no number
        return FaultSide(name, sizes, None, None, None, none.clips, verdict, since)
    correlation = spearman(values) * (-1 if none.metric.better == "higher" else 1)
    return FaultSide(name, sizes, correlation, None, None, none.clips, verdict, since)
