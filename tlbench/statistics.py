"""Intervals and tests for ratios of sums: bootstrap, permutation, Holm.

Every metric is ``finish(sum of numerators / sum of denominators)`` over clips, so a resample of clips needs only two
sums, and one draw of resamples is used for all metrics: the counts of a resample times a matrix of sums.

Rules and reasons:

* Clips of one speaker or programme are not independent, so whole clusters are resampled if the data set names them.
  With fewer than ``MIN_CLUSTERS`` clusters the cluster bootstrap is much too narrow (Cameron, Gelbach & Miller 2008,
  "Bootstrap-based improvements for inference with clustered errors"); then clips are resampled, and the interval's
  ``unit`` says so.
* For some metrics the cluster is the spoken word: its clips share how hard it is to read, and ``sound`` should hold for
  speech in general, not only for these 500 words (Clark 1973, "The language-as-fixed-effect fallacy").
* With fewer than two units with a nonzero denominator there is no interval: one unit does not show how units differ.
* A resample in which every denominator is 0 has no value and is left out. Otherwise a few empty clips would leave all
  others without an interval.
* If all units have the same ratio, the interval is the value itself: resampling gives nothing else, and the bootstrap's
  bias correction is undefined.
* If the value is not finite (pooled PSNR of identical videos), there is no interval.
* BCa intervals (Efron 1987, "Better bootstrap confidence intervals") are used because rates near 0 or 100 % are skewed;
  percentile intervals if BCa is undefined (every resample on one side of the value, or a jackknife without spread).

``scipy.stats.bootstrap`` gives the same BCa numbers (a test compares them), but its jackknife takes units x units
elements and every metric draws again: for LRW's 25,000 clips one metric takes longer than sixteen do here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import fsum
from statistics import NormalDist
from typing import TypeAlias

import numpy as np

from tlbench.errors import TlbenchError

Finish: TypeAlias = Callable[[np.ndarray], np.ndarray]  # elementwise, from ratios to the numbers shown

NORMAL = NormalDist()  # equal to scipy.special's ndtr and ndtri to rounding, and imported ten times faster
MIN_CLUSTERS = 10
TIE = 1e-12  # relative to the largest resample: more than the rounding error of any order of summation
EXACT_UNITS = 12  # up to so many units all label swaps are tried: 2^12 = 4,096
PERMUTATIONS = 9_999  # random swaps for more units; with the observed labels p is a multiple of 1/10,000
MOST_RESAMPLES = 100_000  # twenty times the usual number; sixteen metrics take 26 MB of sums
BATCH_CELLS = 2**20  # resamples x units in memory at a time: 8 MB per array, a few arrays at once


@dataclass(frozen=True)
class IntervalSettings:
    """The settings of intervals, stored with every result.

    Attributes
    ----------
    level : float
        Confidence, 0.95 for 95 %.
    resamples : int
        With 4,999 the ends of a 95 % interval vary by about 1 % of its width between seeds, and sixteen metrics of
        25,000 clips take about three seconds.
    seed : int
        The same seed, clips and settings give the same interval.
    cluster : str or None
        What ``Clip.speaker`` is in this data set, in the singular: ``speaker``, ``programme``. None: clips count as
        independent.
    """

    level: float = 0.95
    resamples: int = 4_999
    seed: int = 0
    cluster: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise TlbenchError(f"confidence level {self.level} is not between 0 and 1; 0.95 is usual")
        if self.resamples < 100:
            raise TlbenchError(f"{self.resamples} resamples are too few for an interval; take at least 100")
        if self.resamples > MOST_RESAMPLES:
            raise TlbenchError(f"{self.resamples:,} resamples are too many; take at most {MOST_RESAMPLES:,}")


@dataclass(frozen=True)
class Interval:
    """A confidence interval in the unit of its metric. ``unit`` is what was resampled, ``units`` how many."""

    low: float
    high: float
    unit: str
    units: int


@dataclass(frozen=True)
class Units:
    """The units that are resampled: for each clip the index of its unit."""

    name: str  # in the plural: clips, speakers, programmes
    index: np.ndarray  # (clips,) int64
    count: int

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum (clips, k) float64 within units: (units, k)."""
        return np.stack([np.bincount(self.index, weights=column, minlength=self.count) for column in values.T], axis=1)


def group_units(clip_ids: Sequence[str], speakers: Sequence[str | None], cluster: str | None) -> Units:
    """The units of clips, in an order that does not depend on the order of the clips.

    A clip without a speaker is its own cluster.
    """
    names = [(1, clip) if speaker is None else (0, speaker) for clip, speaker in zip(clip_ids, speakers, strict=True)]
    if cluster is None or len(set(names)) < MIN_CLUSTERS:
        names, unit = [(1, clip) for clip in clip_ids], "clips"
    else:
        unit = f"{cluster}s"
    order = {name: i for i, name in enumerate(sorted(set(names)))}
    return Units(unit, np.array([order[name] for name in names], dtype=np.int64), len(order))


@dataclass(frozen=True)
class Ratio:
    """One metric's sums by unit, and the function from their ratio to the number shown."""

    numerators: np.ndarray  # (units,) float64
    denominators: np.ndarray  # (units,) float64
    finish: Finish
    scale: float

    def value(self, numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
        """The number for sums of any shape; nan where the denominator is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(denominator != 0, numerator / denominator, np.nan)
            return np.asarray(self.finish(ratio) * self.scale)

    @property
    def total(self) -> float:
        return float(self.value(np.float64(fsum(self.numerators)), np.float64(fsum(self.denominators))))

    @property
    def without_each(self) -> np.ndarray:
        """The jackknife values, (units,): the number without unit i."""
        return self.value(self.numerators.sum() - self.numerators, self.denominators.sum() - self.denominators)

    @property
    def constant(self) -> bool:
        """Whether all units have the same ratio, up to rounding."""
        filled = self.denominators != 0
        if not filled.any() or self.numerators[~filled].any():
            return False
        ratios = self.numerators[filled] / self.denominators[filled]
        return bool(np.ptp(ratios) <= 1e-12 * np.abs(ratios).max())


def resampled_sums(sums: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Sums over bootstrap resamples of units: (units, k) -> (resamples, k).

    Units are drawn as in scipy.stats.bootstrap, so that both can be compared for the same seed.
    """
    count = len(sums)
    if count * resamples <= BATCH_CELLS:
        return np.asarray(_all_times_drawn(count, resamples, seed) @ sums)
    return np.concatenate([times @ sums for times in _times_drawn(count, resamples, seed)])


def _times_drawn(count: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each unit is in each resample, (rows, units) float64, some resamples at a time."""
    rng = np.random.default_rng(seed)
    batch = max(1, BATCH_CELLS // count)
    for start in range(0, resamples, batch):
        rows = min(batch, resamples - start)
        drawn = rng.integers(0, count, (rows, count))  # which units, by resample
        drawn += np.arange(rows)[:, None] * count
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


@lru_cache(maxsize=1)  # 8 MB; systems, blind rows and differences of a run have the same units
def _all_times_drawn(count: int, resamples: int, seed: int) -> np.ndarray:
    """All of them at once, for few units."""
    (times,) = _times_drawn(count, resamples, seed)
    return times


def bootstrap_intervals(ratios: Sequence[Ratio], unit: str, settings: IntervalSettings) -> list[Interval | None]:
    """Confidence intervals of several metrics over the same units, from one draw of resamples.

    Returns
    -------
    list of Interval or None
        None if there is no interval, by the rules of this module.
    """
    if not ratios:
        return []
    units = len(ratios[0].numerators)
    if units < 2:
        return [None] * len(ratios)
    sums = np.stack([column for r in ratios for column in (r.numerators, r.denominators)], axis=1)
    drawn = resampled_sums(sums, settings.resamples, settings.seed)
    intervals: list[Interval | None] = []
    for i, ratio in enumerate(ratios):
        if not np.isfinite(ratio.total) or np.count_nonzero(ratio.denominators) < 2:
            intervals.append(None)
        elif ratio.constant:
            intervals.append(Interval(ratio.total, ratio.total, unit, units))
        else:
            resampled = ratio.value(drawn[:, 2 * i], drawn[:, 2 * i + 1])
            ends = bca_interval(ratio.total, resampled, ratio.without_each, settings.level)
            intervals.append(None if ends is None else Interval(*ends, unit, units))
    return intervals


def seed_interval(seeds: Sequence[Ratio], settings: IntervalSettings) -> Interval | None:
    """The percentile interval of the mean of one metric over several seeds of one system, over the same units.

    A resample draws as many seeds as there are, with replacement, and once as many units, which are used for all seeds
    drawn: the seeds were scored on the same clips, so that clips and seeds are crossed. The bootstrap underestimates
    the variance of n seeds by (n - 1) / n.

    Parameters
    ----------
    seeds : sequence of Ratio
        The metric's sums of each seed.

    Returns
    -------
    Interval or None
        None with fewer than two seeds or units, or if an end is not finite.
    """
    count = len(seeds)
    if count < 2 or len(seeds[0].numerators) < 2:
        return None
    sums = np.stack([column for ratio in seeds for column in (ratio.numerators, ratio.denominators)], axis=1)
    drawn = resampled_sums(sums, settings.resamples, settings.seed)
    values = np.stack([r.value(drawn[:, 2 * i], drawn[:, 2 * i + 1]) for i, r in enumerate(seeds)], axis=1)
    chosen = np.random.default_rng((settings.seed, 1)).integers(0, count, values.shape)
    means = np.take_along_axis(values, chosen, axis=1).mean(axis=1)
    means = means[~np.isnan(means)]
    if not len(means):
        return None
    low, high = quantiles(means, np.array([(1 - settings.level) / 2, (1 + settings.level) / 2]))
    return Interval(float(low), float(high), "seeds", count) if np.isfinite([low, high]).all() else None


def bca_interval(
    value: float, resampled: np.ndarray, without_each: np.ndarray, level: float
) -> tuple[float, float] | None:
    """Bias-corrected and accelerated bootstrap interval; the percentile interval where it is undefined.

    Efron & Tibshirani 1993, "An Introduction to the Bootstrap", equations 14.10, 14.14 and 14.15.

    Parameters
    ----------
    value : float
        The value of the sample.
    resampled : (resamples,) float
        The values of the bootstrap resamples; nan for one without a value.
    without_each : (units,) float
        The values of the sample without unit i.
    level : float

    Returns
    -------
    (low, high), or None if an end is not finite.
    """
    resampled = resampled[~np.isnan(resampled)]
    if not len(resampled):
        return None
    # Ties count half. Values that differ only by rounding are ties, so that the interval is the same on every machine.
    scale = np.abs(resampled[np.isfinite(resampled)]).max(initial=0.0)
    tied = np.isclose(resampled, value, rtol=0, atol=TIE * scale)
    below = ((resampled < value) & ~tied).mean() + tied.mean() / 2
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    if 0 < below < 1 and np.isfinite(without_each).all():
        spread = without_each.mean() - without_each
        if np.abs(spread).max() > 0:
            spread /= np.abs(spread).max()  # only its shape matters; the cube of tiny numbers would underflow
            acceleration = (spread**3).sum() / (6 * np.square(spread).sum() ** 1.5)
            bias = NORMAL.inv_cdf(below)
            shifted = bias + np.array([NORMAL.inv_cdf(tail) for tail in tails])
            tails = np.array([NORMAL.cdf(end) for end in bias + shifted / (1 - acceleration * shifted)])
    low, high = quantiles(resampled, tails)
    return (float(low), float(high)) if np.isfinite([low, high]).all() else None


def quantiles(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Quantiles of (n,) values at (k,) shares from 0 to 1: those of ``np.quantile``, to the bit.

    ``np.quantile`` imports ``numpy.ma`` at its first call, a third of the time of all intervals of 20 clips. Between
    infinite values a quantile is nan.
    """
    ordered = np.sort(values)
    places = shares * (len(values) - 1)
    below = np.floor(places).astype(np.int64)
    low, high = ordered[below], ordered[np.minimum(below + 1, len(values) - 1)]
    share = places - below
    with np.errstate(invalid="ignore"):
        apart = high - low
        return np.asarray(np.where(share < 0.5, low + apart * share, high - apart * (1 - share)))


def swapped_sums(sums: np.ndarray, seed: int) -> np.ndarray:
    """Sums after swapping the labels a and b in some units: (units, 4 per metric) -> (swaps, 4 per metric).

    All 2^units swaps for up to ``EXACT_UNITS`` units, else ``PERMUTATIONS`` random ones.
    """
    count = len(sums)
    by_system = sums.reshape(count, -1, 2, 2)  # unit, metric, system, numerator or denominator
    change = np.ascontiguousarray((by_system[:, :, 1] - by_system[:, :, 0]).reshape(count, -1))  # what a swap adds to a
    if count <= EXACT_UNITS:
        moved = np.array(list(product((0.0, 1.0), repeat=count))) @ change
    else:
        rng = np.random.default_rng(seed)
        batch = max(1, BATCH_CELLS // count)
        parts = []
        for start in range(0, PERMUTATIONS, batch):
            swap = rng.integers(0, 2, (min(batch, PERMUTATIONS - start), count), dtype=np.uint8)
            parts.append(swap.astype(np.float64) @ change)
        moved = np.concatenate(parts)
    moved = moved.reshape(len(moved), -1, 1, 2)
    swapped = by_system.sum(axis=0) + np.concatenate([moved, -moved], axis=2)  # and takes from b
    return np.asarray(swapped.reshape(len(moved), -1))


def permutation_p_value(observed: float, swapped: np.ndarray, units: int, rounding: float) -> float:
    """Two-sided p value: the share of swaps with a difference at least as large as observed, within ``rounding``.

    With random swaps the observed labels count as one of them. A swap with an undefined difference counts as larger.
    """
    as_far = int((~(np.abs(swapped) < abs(observed) - rounding)).sum())
    if units <= EXACT_UNITS:
        return as_far / len(swapped)
    return (as_far + 1) / (len(swapped) + 1)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P values corrected for the number of tests, under the same names.

    Holm 1979, "A simple sequentially rejective multiple test procedure": the smallest of m values is multiplied by m,
    the next by m - 1, and so on; never less than the one before, never above 1. Valid for dependent tests too.
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}
