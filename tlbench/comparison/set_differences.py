"""How much two systems differ in numbers of a whole set: a paired jackknife over the same groups of clips."""

from __future__ import annotations

import numpy as np

from tlbench.metrics.jackknife import FEWEST_GROUPS, jackknife_interval, jackknife_p_value
from tlbench.scoring.differences import Difference
from tlbench.scoring.set_scores import SetScore


def why_not_compared(a: SetScore, b: SetScore) -> str:
    """Why two numbers with one protocol id can't be compared; "" if they can."""
    for name, score in (("a", a), ("b", b)):
        if score.value is None:
            return f"{name} has none ({score.reason})"
        if score.of_halves:
            return f"{name} is the real videos, whose number is that between two halves of them"
        if len(score.without_each) < FEWEST_GROUPS:
            return f"{name} has too few clips for groups"
    if a.groups_sha256 != b.groups_sha256 or len(a.without_each) != len(b.without_each):
        return "they are of different clips, so there are no groups to pair"
    return ""


def set_difference(a: SetScore, b: SetScore, level: float) -> Difference:
    """The difference of two numbers that can be compared.

    Both are taken without the same group of clips in turn. What the groups have in common, the real videos above all,
    then cancels.
    """
    assert a.value is not None
    assert b.value is not None
    delta = a.value - b.value
    without = np.array(a.without_each) - np.array(b.without_each)
    sizes = np.array(a.group_sizes)
    low, high = jackknife_interval(delta, without, sizes, level) or (None, None)
    return Difference(
        a=a.value,
        b=b.value,
        delta=delta,
        low=low,
        high=high,
        p_value=jackknife_p_value(delta, without, sizes),
        probability_of_improvement=None,
        clips=a.clips,
        unit="groups of clips",
        units=len(without),
    )
