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
from itertools import combinations

from tlbench.errors import TlbenchError
from tlbench.metrics.metric import Direction, Metric
from tlbench.results.result import Result
from tlbench.results.statistics import holm, paired_difference


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
class Pair:
    """Two entrants told apart by their clips: ``p_value`` is of the paired test, not yet corrected."""

    a: str
    b: str
    p_value: float


def rank(
    entrants: Sequence[Entrant], better: Direction, pairs: Sequence[Pair] = (), level: float = 0.95
) -> dict[str, int]:
    """Ranks by entrant key, from 1; see the rule above. The order of entrants and pairs does not matter.

    Parameters
    ----------
    entrants : sequence of Entrant
        Of one protocol.
    better : "higher", "lower" or "none"
        A metric without a direction ranks nobody: the mapping is empty.
    pairs : sequence of Pair
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


def paired_tests(entrants: Sequence[Entrant], metric: Metric) -> list[Pair]:
    """Paired permutation tests of every two entrants that have per-clip tallies of a metric.

    A pair whose difference has no p value (no common clip, two infinite values) is left out.
    """
    with_clips = sorted((e for e in entrants if e.result is not None), key=lambda entrant: entrant.key)
    found = []
    for a, b in combinations(with_clips, 2):
        assert a.result is not None
        assert b.result is not None
        settings = replace(a.result.interval, resamples=100)  # the interval, which costs most, is not looked at
        p_value = paired_difference(a.result, b.result, metric, settings).p_value
        if p_value is not None:
            found.append(Pair(a.key, b.key, p_value))
    return found
