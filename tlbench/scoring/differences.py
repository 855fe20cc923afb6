"""How much two systems differ on the clips that both scored: paired intervals and permutation tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tlbench.statistics import (
    IntervalSettings,
    Ratio,
    bca_interval,
    group_units,
    permutation_p_value,
    resampled_sums,
    swapped_sums,
)

if TYPE_CHECKING:
    from tlbench.metrics.metric import Metric
    from tlbench.scoring.result import Result


@dataclass(frozen=True)
class Difference:
    """The difference of system a from system b on the same clips, in the unit of the metric.

    Attributes
    ----------
    a, b : float or None
        Their values on the clips that both scored.
    delta : float or None
        ``a - b``; None if it is undefined, as for two infinite values.
    low, high : float or None
        Paired bootstrap interval of ``delta``.
    p_value : float or None
        Two-sided, of the paired permutation test of the labels a and b; not corrected.
    probability_of_improvement : float or None
        The share of clips on which a is better than b, with ties counted half; None for a metric without a direction.
        The idea is from Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice",
        here over paired clips.
    clips : int
        Number of clips that both scored.
    unit : str
        The units that were resampled and swapped.
    units : int
        Their number.
    """

    a: float | None
    b: float | None
    delta: float | None
    low: float | None
    high: float | None
    p_value: float | None
    probability_of_improvement: float | None
    clips: int
    unit: str
    units: int


def paired_difference(a: Result, b: Result, metric: Metric, settings: IntervalSettings | None = None) -> Difference:
    """The paired difference of one metric between two results; see :func:`paired_differences`."""
    ids = [clip.id for clip in a.clips if clip.id in b.by_id]
    return paired_differences(a, b, [metric], ids, settings or a.interval)[metric.key]


def paired_differences(
    a: Result, b: Result, metrics: Sequence[Metric], clip_ids: Sequence[str], settings: IntervalSettings
) -> dict[str, Difference]:
    """Paired differences by metric key, over those of ``clip_ids`` that both results scored with that metric.

    The interval resamples units (clips or speakers) with both systems' sums. The test swaps the labels of the systems
    unit by unit: all swaps for up to ``EXACT_UNITS`` units, else ``PERMUTATIONS`` random ones with a fixed seed, with
    the observed labels as one of them, so that p is never zero (Phipson & Smyth 2010). The order of the clips does not
    matter.
    """
    ordered = sorted(clip_ids)
    groups: dict[tuple[str, tuple[str, ...]], list[Metric]] = {}
    for metric in metrics:
        key = metric.key
        scored = tuple(i for i in ordered if key in a.by_id[i].tallies and key in b.by_id[i].tallies)
        groups.setdefault((metric.cluster, scored), []).append(metric)
    found: dict[str, Difference] = {}
    for (cluster, ids), members in groups.items():
        found |= _differences_over(a, b, members, ids, replace(settings, cluster=cluster or settings.cluster))
    return {metric.key: found[metric.key] for metric in metrics}


def _differences_over(
    a: Result, b: Result, metrics: Sequence[Metric], ids: Sequence[str], settings: IntervalSettings
) -> dict[str, Difference]:
    """Differences of metrics with the same clips and the same units."""
    if not ids:
        nothing = Difference(None, None, None, None, None, None, None, 0, "clips", 0)
        return {metric.key: nothing for metric in metrics}
    by_word = settings.cluster == "word"
    units = group_units(ids, [a.by_id[i].word if by_word else a.by_id[i].speaker for i in ids], settings.cluster)
    clips = {m.key: (_clip_sums(a, m, ids), _clip_sums(b, m, ids)) for m in metrics}  # (clips, 2) each
    pairs = {}
    for metric in metrics:
        left, right = (units.sums(sums) for sums in clips[metric.key])
        pairs[metric.key] = (
            Ratio(left[:, 0], left[:, 1], metric.finish, metric.scale),
            Ratio(right[:, 0], right[:, 1], metric.finish, metric.scale),
        )
    sums = np.stack(
        [column for pair in pairs.values() for r in pair for column in (r.numerators, r.denominators)], axis=1
    )  # (units, 4 a metric): numerator and denominator of a, then of b
    drawn = resampled_sums(sums, settings.resamples, settings.seed) if units.count > 1 else None
    swapped = swapped_sums(sums, settings.seed)

    found = {}
    for i, metric in enumerate(metrics):
        x, y = pairs[metric.key]
        mine = slice(4 * i, 4 * i + 4)
        plain = Difference(
            a=_quotable(x.total),
            b=_quotable(y.total),
            delta=None,
            low=None,
            high=None,
            p_value=None,
            probability_of_improvement=_probability_of_improvement(*clips[metric.key], metric),
            clips=len(ids),
            unit=units.name,
            units=units.count,
        )
        with np.errstate(invalid="ignore"):
            delta = x.total - y.total
            jackknife = x.without_each - y.without_each
        if np.array_equal(x.numerators, y.numerators) and np.array_equal(x.denominators, y.denominators):
            # No difference in any unit; a case of its own, since infinite values can't be subtracted.
            found[metric.key] = replace(plain, delta=0.0, low=0.0, high=0.0, p_value=1.0)
        elif not np.isfinite(delta):
            found[metric.key] = plain
        else:
            ends = (
                None if drawn is None else bca_interval(delta, _delta(x, y, drawn[:, mine]), jackknife, settings.level)
            )
            low, high = ends or (None, None)
            rounding = 1e-11 * max(abs(x.total), abs(y.total))
            p_value = permutation_p_value(delta, _delta(x, y, swapped[:, mine]), units.count, rounding)
            found[metric.key] = replace(plain, delta=delta, low=low, high=high, p_value=p_value)
    return found


def _quotable(value: float) -> float | None:
    return None if np.isnan(value) else value


def _clip_sums(result: Result, metric: Metric, ids: Sequence[str]) -> np.ndarray:
    key = metric.key
    tallies = [result.by_id[i].tallies[key] for i in ids]
    return np.array([(t.numerator, t.denominator) for t in tallies], dtype=np.float64)  # (clips, 2)


def _delta(x: Ratio, y: Ratio, sums: np.ndarray) -> np.ndarray:
    """``a - b`` for sums (n, 4): numerator and denominator of a, then of b."""
    with np.errstate(invalid="ignore"):
        return np.asarray(x.value(sums[:, 0], sums[:, 1]) - y.value(sums[:, 2], sums[:, 3]))


def _probability_of_improvement(a: np.ndarray, b: np.ndarray, metric: Metric) -> float | None:
    """The share of clips with a rate on which a is better, ties half. ``a`` and ``b`` are (numerator, denominator)."""
    both = (a[:, 1] != 0) & (b[:, 1] != 0)
    if metric.better == "none" or not both.any():
        return None
    with np.errstate(divide="ignore"):
        x, y = (metric.finish(s[both, 0] / s[both, 1]) for s in (a, b))
    wins = x > y if metric.better == "higher" else x < y
    return float(wins.mean() + (x == y).mean() / 2)
