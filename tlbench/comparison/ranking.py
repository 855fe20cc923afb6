"""Ranking: who is shown to be better than whom, and nobody is told apart by chance.

A system's rank is 1 plus how many systems are shown to be better than it. The best number always has rank 1, and so
has everybody who can't be told from it; equal ranks are ties. (The rule is that of Chiang et al. 2024, "Chatbot Arena",
section 4, with a test of our own kind.) Counting the better ones needs no chain of ties, which a mere "not told from
its neighbour" would need: that relation is not transitive.

Shown to be better means, in this order:

* both have per-clip tallies: the paired permutation test, corrected over all such pairs (Holm), says so;
* both have an interval: the intervals don't overlap, and touching counts as overlap (stricter than a test needs to be);
* both are a published figure without an interval: the figure is better. There is nothing else to go by, and whoever
  shows such a rank has to say so;
* one has an interval and the other none: nothing is shown.

Only entrants of one protocol are ranked together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np

from tlbench.errors import TlbenchError
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
        What tells entrants apart.
    value : float
        In the unit of the metric; may be infinite.
    protocol : str
        How the number was made: a protocol id, or where it was published.
    low, high : float or None
        Confidence interval; None where there is none.
    result : Result or None
        Where its per-clip tallies are.
    """

    key: str
    value: float
    protocol: str
    low: float | None = None
    high: float | None = None
    result: Result | None = None


@dataclass(frozen=True)
class PairedTest:
    """Two entrants told apart by their clips: ``p_value`` is of the paired test, not yet corrected."""

    a: str
    b: str
    p_value: float


def rank(
    entrants: Sequence[Entrant], better: Direction, pairs: Sequence[PairedTest] = (), level: float = 0.95
) -> dict[str, int]:
    """Ranks by entrant key, from 1; see the rule above. The order of entrants and pairs does not matter.

    Parameters
    ----------
    entrants : sequence of Entrant
        Of one protocol.
    better : "higher", "lower" or "none"
        A metric without a direction ranks nobody: the mapping is empty.
    pairs : sequence of PairedTest
        From :func:`paired_tests`. Pairs that aren't there are judged by their intervals.
    level : float
        0.95 calls a difference shown if its corrected p is below 0.05.

    Raises
    ------
    TlbenchError
        If the entrants were scored in different ways, or one is there twice.
    """
    protocols = sorted({entrant.protocol for entrant in entrants})
    if len(protocols) > 1:
        raise TlbenchError(f"can't rank across protocols: {protocols[0]} and {protocols[1]}; rank each by itself")
    keys = [entrant.key for entrant in entrants]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise TlbenchError(f"{twice[0]!r} is there twice; rank each system once")
    if better == "none":
        return {}
    corrected = holm({"\n".join(sorted((pair.a, pair.b))): pair.p_value for pair in pairs})
    beaten = dict.fromkeys(keys, 0)
    for a, b in combinations(entrants, 2):
        if a.value == b.value:
            continue
        winner, loser = (a, b) if (a.value > b.value) == (better == "higher") else (b, a)
        p_value = corrected.get("\n".join(sorted((a.key, b.key))))
        if p_value < 1 - level if p_value is not None else _apart(winner, loser, better):
            beaten[loser.key] += 1
    return {key: 1 + count for key, count in beaten.items()}


def _apart(winner: Entrant, loser: Entrant, better: Direction) -> bool:
    if winner.low is None or winner.high is None or loser.low is None or loser.high is None:
        bare = winner.low is None and loser.low is None
        return bare and winner.result is None and loser.result is None
    return winner.low > loser.high if better == "higher" else winner.high < loser.low


def paired_tests(entrants: Sequence[Entrant], metric: Metric) -> list[PairedTest]:
    """Paired permutation tests of every two entrants that have per-clip tallies of a metric.

    A pair whose difference has no p value (no common clip, two infinite values) is left out. Every pair gets the p
    value that :func:`tlbench.scoring.differences.paired_difference` gives it. Entrants that scored the same clips share
    the random swaps, whose sums are made once for each of them and not once for each pair: to draw swaps of LRW's
    25,000 clips is what takes the time.
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
    """What one entrant's clips have of a metric: which were scored, and what they are resampled and swapped by."""

    key: str
    result: Result
    ids: tuple[str, ...]
    labels: tuple[str | None, ...]
    settings: IntervalSettings


def _scored(key: str, result: Result, metric: Metric) -> _Scored:
    clips = sorted((clip for clip in result.clips if metric.key in clip.tallies), key=lambda clip: clip.id)
    # Few resamples: the interval, which costs most, is not looked at.
    settings = replace(result.interval, resamples=100, cluster=metric.cluster or result.interval.cluster)
    by_word = settings.cluster == "word"
    labels = tuple(clip.info.word if by_word else clip.info.speaker for clip in clips)
    return _Scored(key, result, tuple(clip.id for clip in clips), labels, settings)


def _tests_over_same_clips(members: Sequence[_Scored], metric: Metric) -> list[PairedTest]:
    """As :func:`paired_difference` for every two, from one draw of swaps.

    A swap of a and b takes from a what the swapped units of a hold and gives it what those of b hold. So the sums over
    the swapped units of each are enough for all pairs.
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
    beside = [column for ratio in ratios for column in (nothing, nothing, ratio.numerators, ratio.denominators)]
    swapped = swapped_sums(np.stack(beside, axis=1), first.settings.seed).reshape(-1, len(members), 2, 2)
    inside, outside = swapped[:, :, 0], swapped[:, :, 1]  # (swaps, members, 2): of the swapped units, of the others
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
