"""Ranks systems by differences that are shown to be real.

The rank of a system is 1 plus the number of systems that are shown to be better. The best number always has rank 1, and
so has every system that is not shown to be worse; equal ranks are ties. The rule is that of Chiang et al. 2024,
"Chatbot Arena", section 4, with a permutation test. Counting the better systems avoids chains of ties, since "not shown
to differ from the next one" is not transitive.

A system is shown to be better in one of these cases:

* Both have per-clip tallies: by the paired permutation test, corrected over all such pairs (Holm).
* Both have an interval: the intervals do not overlap. Touching counts as overlap, which is stricter than a test.
* Both are published figures without an interval: the figure is better. Nothing else is known, and tables with such
  ranks say so.
* If only one has an interval, nothing is shown.

Only entrants with the same protocol are ranked together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np

from tlbench.errors import TlbenchError, quoted
from tlbench.metrics.metric import Direction, Metric
from tlbench.scoring.differences import paired_difference
from tlbench.scoring.result import Result
from tlbench.statistics import IntervalSettings, Ratio, group_units, holm, permutation_p_value, swapped_sums


@dataclass(frozen=True)
class Entrant:
    """One system's number of one metric.

    Attributes
    ----------
    key : str
        Unique name of the entrant.
    value : float
        In the unit of the metric; may be infinite.
    protocol : str
        Protocol id, or where the number was published.
    low, high : float or None
        Confidence interval; None if there is none.
    result : Result or None
        The result with the per-clip tallies; None for a published figure.
    """

    key: str
    value: float
    protocol: str
    low: float | None = None
    high: float | None = None
    result: Result | None = None


@dataclass(frozen=True)
class PairedTest:
    """The paired test of two entrants. ``p_value`` is not corrected yet."""

    a: str
    b: str
    p_value: float


def rank(
    entrants: Sequence[Entrant], better: Direction, pairs: Sequence[PairedTest] = (), level: float = 0.95
) -> dict[str, int]:
    """Ranks by entrant key, from 1, by the rule above. The order of entrants and pairs does not matter.

    Parameters
    ----------
    entrants : sequence of Entrant
        All with the same protocol.
    better : "higher", "lower" or "none"
        Without a direction there are no ranks, and the mapping is empty.
    pairs : sequence of PairedTest
        From :func:`paired_tests`. Missing pairs are compared by their intervals.
    level : float
        At 0.95 a difference is shown if its corrected p is below 0.05.

    Raises
    ------
    TlbenchError
        If the entrants have different protocols, or two have the same key.
    """
    protocols = sorted({entrant.protocol for entrant in entrants})
    if len(protocols) > 1:
        raise TlbenchError(f"can't rank across protocols: {protocols[0]} and {protocols[1]}; rank each on its own")
    keys = [entrant.key for entrant in entrants]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise TlbenchError(f"{quoted(twice[0])} is given twice; rank each system once")
    if better == "none":
        return {}
    corrected = holm({"\n".join(sorted((pair.a, pair.b))): pair.p_value for pair in pairs})
    beaten = dict.fromkeys(keys, 0)
    for a, b in combinations(entrants, 2):
        if a.value == b.value:
            continue
        winner, loser = (a, b) if (a.value > b.value) == (better == "higher") else (b, a)
        p_value = corrected.get("\n".join(sorted((a.key, b.key))))
        if p_value < 1 - level if p_value is not None else _clearly_better(winner, loser, better):
            beaten[loser.key] += 1
    return {key: 1 + count for key, count in beaten.items()}


def best_of(ranks: Mapping[str, int]) -> frozenset[str]:
    """The keys that a table prints bold, of ranks by :func:`rank`: those of rank 1, if any system is ranked below them.

    Where no system is shown to be worse than another, bold would be on every number and point at none.

    >>> sorted(best_of({"a": 1, "b": 1, "c": 3})), sorted(best_of({"a": 1, "b": 1}))
    (['a', 'b'], [])
    """
    return (
        frozenset(key for key, own in ranks.items() if own == 1) if max(ranks.values(), default=1) > 1 else frozenset()
    )


def _clearly_better(winner: Entrant, loser: Entrant, better: Direction) -> bool:
    if winner.low is None or winner.high is None or loser.low is None or loser.high is None:
        bare = winner.low is None and loser.low is None
        return bare and winner.result is None and loser.result is None
    return winner.low > loser.high if better == "higher" else winner.high < loser.low


def paired_tests(entrants: Sequence[Entrant], metric: Metric) -> list[PairedTest]:
    """Paired permutation tests of every two entrants that have per-clip tallies of a metric.

    A pair without a p value (no common clip, two infinite values) is left out. Every pair gets the p value that
    :func:`tlbench.scoring.differences.paired_difference` gives. Entrants that scored the same clips share the random
    swaps, since drawing swaps of the 25,000 clips of LRW takes most of the time: their sums are computed once for each
    entrant and not once for each pair.
    """
    with_clips = sorted((e for e in entrants if e.result is not None), key=lambda entrant: entrant.key)
    alike: dict[object, list[_Scored]] = {}
    for entrant in with_clips:
        assert entrant.result is not None
        scored = _scored(entrant.key, entrant.result, metric)
        alike.setdefault((scored.ids, scored.labels, scored.settings), []).append(scored)
    found = [pair for members in alike.values() for pair in _tests_over_same_clips(members, metric)]
    for one, other in combinations(alike.values(), 2):
        for a, b in product(one, other):
            p_value = paired_difference(a.result, b.result, metric, a.settings).p_value
            if p_value is not None:
                found.append(PairedTest(a.key, b.key, p_value))
    return found


@dataclass(frozen=True)
class _Scored:
    """The clips of one entrant scored by a metric, and the labels by which they are resampled and swapped."""

    key: str
    result: Result
    ids: tuple[str, ...]
    labels: tuple[str | None, ...]
    settings: IntervalSettings


def _scored(key: str, result: Result, metric: Metric) -> _Scored:
    clips = sorted((clip for clip in result.clips if metric.key in clip.tallies), key=lambda clip: clip.id)
    # Few resamples, since the interval, which takes the most time, is not used.
    settings = replace(result.interval, resamples=100, cluster=metric.cluster or result.interval.cluster)
    by_word = settings.cluster == "word"
    labels = tuple(clip.info.word if by_word else clip.info.speaker for clip in clips)
    return _Scored(key, result, tuple(clip.id for clip in clips), labels, settings)


def _tests_over_same_clips(members: Sequence[_Scored], metric: Metric) -> list[PairedTest]:
    """As :func:`paired_difference` for every two entrants, with the same random swaps for all pairs.

    A swap exchanges the swapped units of a and b, so the sums over the swapped and the other units of each entrant are
    enough for all pairs.
    """
    first = members[0]
    if len(members) < 2 or not first.ids:
        return []
    units = group_units(first.ids, first.labels, first.settings.cluster)
    ratios = []
    for member in members:
        tallies = [member.result.by_id[clip_id].tallies[metric.key] for clip_id in member.ids]
        sums = units.sums(np.array([(tally.numerator, tally.denominator) for tally in tallies], dtype=np.float64))
        ratios.append(Ratio(sums[:, 0], sums[:, 1], metric.finish, metric.scale))
    nothing = np.zeros(units.count)
    columns = [column for ratio in ratios for column in (nothing, nothing, ratio.numerators, ratio.denominators)]
    swapped = swapped_sums(np.stack(columns, axis=1), first.settings.seed).reshape(-1, len(members), 2, 2)
    inside, outside = swapped[:, :, 0], swapped[:, :, 1]  # each (swaps, members, 2): swapped units, other units
    found = []
    for i, j in combinations(range(len(members)), 2):
        x, y = ratios[i], ratios[j]
        p_value: float | None = None
        with np.errstate(invalid="ignore"):
            delta = x.total - y.total
        if np.array_equal(x.numerators, y.numerators) and np.array_equal(x.denominators, y.denominators):
            p_value = 1.0
        elif np.isfinite(delta):
            a, b = outside[:, i] + inside[:, j], outside[:, j] + inside[:, i]
            with np.errstate(invalid="ignore"):
                differences = x.value(a[:, 0], a[:, 1]) - y.value(b[:, 0], b[:, 1])
            rounding = 1e-11 * max(abs(x.total), abs(y.total))
            p_value = permutation_p_value(delta, differences, units.count, rounding)
        if p_value is not None:
            found.append(PairedTest(members[i].key, members[j].key, p_value))
    return found
