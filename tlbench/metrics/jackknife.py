"""The jackknife over groups of clips: intervals and tests for numbers of a whole set, such as FID.

A Frechet distance is no ratio of sums, and one takes seconds, so that thousands of resamples are out of reach. Leaving
out one group at a time takes at most :data:`MOST_GROUPS` of them. Groups differ in size, so the variance is that of the
delete-m_j jackknife: Busing, Meijer & van der Leeden 1999, "Delete-m jackknife for unequal m", equations 8 to 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlbench.statistics import Units, group_units

MOST_GROUPS = 20
FEWEST_GROUPS = 5  # with fewer, the quantile of Student's t makes an interval that says nothing


@dataclass(frozen=True)
class Groups:
    """Which group each clip belongs to: whole speakers, or clips where there are too few speakers.

    Attributes
    ----------
    unit : str
        What is never divided: ``speakers``, ``programmes``, or ``clips``.
    index : (clips,) int64
        From 0 to ``count - 1``.
    count : int
    """

    unit: str
    index: np.ndarray
    count: int


def groups_of(clip_ids: Sequence[str], speakers: Sequence[str | None], cluster: str | None) -> Groups:
    """At most :data:`MOST_GROUPS` groups, the same whatever the order of the clips.

    Units are those of :func:`tlbench.statistics.group_units`. More of them than groups are dealt out in turn.
    """
    units: Units = group_units(clip_ids, speakers, cluster)
    count = min(units.count, MOST_GROUPS)
    return Groups(units.name, units.index % max(count, 1), count)


def jackknife_error(value: float, without_each: np.ndarray, sizes: np.ndarray) -> float | None:
    """The standard error of a number.

    Parameters
    ----------
    value : float
        Of the whole set.
    without_each : (groups,) float64
        Of the set without group j.
    sizes : (groups,) int
        Number of feature vectors in group j.

    Returns
    -------
    float or None
        None if there are fewer than :data:`FEWEST_GROUPS` groups.
    """
    groups = len(without_each)
    if groups < FEWEST_GROUPS:
        return None
    ratio = sizes.sum() / sizes  # h_j = n / m_j
    estimate = groups * value - ((1 - 1 / ratio) * without_each).sum()
    pseudo = ratio * value - (ratio - 1) * without_each
    return float(np.sqrt(((pseudo - estimate) ** 2 / (ratio - 1)).mean()))


def jackknife_interval(
    value: float, without_each: np.ndarray, sizes: np.ndarray, level: float
) -> tuple[float, float] | None:
    """The interval ``value`` plus and minus Student's t times the standard error, with groups - 1 degrees of freedom.

    It is around the value as published, bias included. None as :func:`jackknife_error`.
    """
    error = jackknife_error(value, without_each, sizes)
    if error is None:
        return None
    from scipy.special import stdtrit  # imported late: it takes a fifth of a warm run

    margin = float(stdtrit(len(without_each) - 1, (1 + level) / 2)) * error
    return value - margin, value + margin


def jackknife_p_value(value: float, without_each: np.ndarray, sizes: np.ndarray) -> float | None:
    """Two-sided p value of the hypothesis that the number is 0, as a difference of two systems. None as above."""
    error = jackknife_error(value, without_each, sizes)
    if error is None:
        return None
    if error == 0:
        return 1.0 if value == 0 else 0.0
    from scipy.special import stdtr

    return float(2 * stdtr(len(without_each) - 1, -abs(value) / error))
