"""Ranking: chance tells nobody apart, and protocols don't mix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories.results_factory import LEVEL, PSNR, QUICK, WER, levels, record, result
from tlbench.comparison.ranking import Entrant, PairedTest, best_of, paired_tests, rank
from tlbench.errors import TlbenchError
from tlbench.metrics.metric import Metric
from tlbench.scoring.differences import paired_difference
from tlbench.scoring.record import ClipRecord

VALUES = st.floats(-100, 100).map(lambda x: round(x, 2))


@st.composite
def fields(draw: st.DrawFn) -> list[Entrant]:
    """Some entrants of one protocol, each with an interval around its value."""
    made = []
    for i in range(draw(st.integers(1, 7))):
        value, below, above = draw(VALUES), draw(st.floats(0, 20)), draw(st.floats(0, 20))
        made.append(Entrant(f"s{i}", value, "p", value - below, value + above))
    return made


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Entrant], list[PairedTest]]:
    """Entrants, and p values of some of their pairs."""
    entrants = draw(fields())
    keys = [entrant.key for entrant in entrants]
    pairs = [
        PairedTest(a, b, draw(st.floats(0, 1)))
        for i, a in enumerate(keys)
        for b in keys[i + 1 :]
        if draw(st.booleans())
    ]
    return entrants, pairs


@given(cases(), st.randoms())
def test_the_order_of_entrants_and_pairs_does_not_matter(case: tuple[list[Entrant], list[PairedTest]], random) -> None:  # type: ignore[no-untyped-def]
    entrants, pairs = case
    mixed, turned = random.sample(entrants, len(entrants)), [PairedTest(p.b, p.a, p.p_value) for p in reversed(pairs)]
    assert rank(mixed, "higher", turned) == rank(entrants, "higher", pairs)


@given(cases())
def test_the_best_value_has_rank_1_and_no_rank_exceeds_the_number_of_entrants(
    case: tuple[list[Entrant], list[PairedTest]],
) -> None:
    entrants, pairs = case
    ranks = rank(entrants, "higher", pairs)
    assert ranks[max(entrants, key=lambda entrant: entrant.value).key] == 1
    assert set(ranks.values()) <= set(range(1, len(entrants) + 1))


@given(cases())
def test_the_best_are_those_of_rank_1_unless_all_are(case: tuple[list[Entrant], list[PairedTest]]) -> None:
    ranks = rank(case[0], "higher", case[1])
    first = {key for key, own in ranks.items() if own == 1}
    assert best_of(ranks) == (first if first < set(ranks) else set())


@given(cases())
def test_turning_the_direction_and_the_signs_changes_nothing(case: tuple[list[Entrant], list[PairedTest]]) -> None:
    entrants, pairs = case
    turned = [
        replace(e, value=-e.value, low=-e.high, high=-e.low)
        for e in entrants
        if e.low is not None and e.high is not None
    ]
    assert rank(turned, "lower", pairs) == rank(entrants, "higher", pairs)


@given(fields())
def test_without_pairs_overlapping_intervals_tie_and_disjoint_ones_do_not(entrants: list[Entrant]) -> None:
    ranks = rank(entrants, "higher")
    for entrant in entrants:
        better = [e for e in entrants if e.low is not None and entrant.high is not None and e.low > entrant.high]
        assert ranks[entrant.key] == 1 + len(better)


@given(st.lists(VALUES, min_size=1, max_size=8))
def test_bare_figures_are_ranked_by_their_order_and_equal_ones_tie(values: list[float]) -> None:
    ranks = rank([Entrant(f"s{i}", value, "p") for i, value in enumerate(values)], "higher")
    assert ranks == {f"s{i}": 1 + sum(other > value for other in values) for i, value in enumerate(values)}


def test_a_figure_without_an_interval_is_not_told_from_one_that_has_one() -> None:
    ranks = rank([Entrant("a", 9.0, "p"), Entrant("b", 1.0, "p", 0.9, 1.1)], "higher")
    assert ranks == {"a": 1, "b": 1}


def test_protocols_are_never_ranked_together() -> None:
    with pytest.raises(TlbenchError, match="can't rank across protocols"):
        rank([Entrant("a", 1.0, "p"), Entrant("b", 2.0, "q")], "higher")


def test_one_system_twice_is_refused() -> None:
    with pytest.raises(TlbenchError, match="'a' is given twice"):
        rank([Entrant("a", 1.0, "p"), Entrant("a", 2.0, "p")], "higher")


def test_a_metric_without_a_direction_ranks_nobody() -> None:
    assert rank([Entrant("a", 1.0, "p"), Entrant("b", 2.0, "p")], "none") == {}


def test_clips_tell_apart_what_intervals_do_not() -> None:
    """Two systems whose intervals overlap widely, one better on every single clip."""
    base = [float(i % 10) for i in range(40)]
    entrants = []
    for key, bonus in (("a", 0.0), ("b", 0.5)):
        made = result(levels([value + bonus for value in base]), name=key, settings=QUICK)
        row = made.row(LEVEL.key)
        assert row.value is not None
        entrants.append(Entrant(key, row.value, "p", row.low, row.high, made))
    assert rank(entrants, "higher") == {"a": 1, "b": 1}
    assert rank(entrants, "higher", paired_tests(entrants, LEVEL)) == {"a": 2, "b": 1}


def test_the_paired_tests_are_corrected_for_how_many_there_are() -> None:
    entrants = [Entrant(key, value, "p") for key, value in (("a", 1.0), ("b", 2.0), ("c", 3.0))]
    alone = rank(entrants[:2], "higher", [PairedTest("a", "b", 0.02)])
    among = rank(entrants, "higher", [PairedTest("a", "b", 0.02), PairedTest("b", "c", 0.9), PairedTest("a", "c", 0.9)])
    assert (alone["a"], among["a"]) == (2, 1)


# The same p values as pair by pair


def fields_of(count: int, seed: int, speakers: Sequence[str | None]) -> list[ClipRecord]:
    """Clips with a number, errors in words, and a squared error of 0 in a system whose seed is divisible by 5."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        edits = np.array([int(rng.integers(0, 3)), int(rng.integers(0, 2)), int(rng.integers(0, 3)), 5])
        mse = 0.0 if seed % 5 == 0 else float(rng.uniform(1, 60))
        values = {"level": float(rng.normal(seed / 50, 1)), "edits": edits, "mse": mse}
        made.append(record(f"c{i:05d}", values, speakers[i]))
    return made


@pytest.mark.parametrize("metric", [LEVEL, WER, PSNR], ids=["mean", "pooled words", "decibels"])
@pytest.mark.parametrize("clusters", [None, "speaker"], ids=["clips", "speakers"])
@pytest.mark.parametrize("count", [1, 5, 12, 13, 60], ids=lambda count: f"{count} clips")
def test_entrants_that_share_swaps_get_the_p_value_of_their_pair(
    metric: Metric, clusters: str | None, count: int
) -> None:
    settings = replace(QUICK, cluster=clusters)
    speakers = [f"s{i % 15}" for i in range(count)]
    entrants = [
        Entrant(f"e{seed}", 0.0, "p", result=result(fields_of(count, seed, speakers), (metric,), settings=settings))
        for seed in (1, 2, 3, 5, 10)  # 5 and 10: infinite decibels
    ]
    entrants.append(replace(entrants[0], key="twin of e1"))
    fewer = result(fields_of(count, 7, speakers)[1:], (metric,), settings=settings)
    entrants += [Entrant("without a clip", 0.0, "p", result=fewer)] if count > 1 else []
    other = result(fields_of(count, 8, ["x"] * count), (metric,), settings=settings)
    entrants.append(Entrant("other speakers", 0.0, "p", result=other))
    expected = {}
    for a, b in combinations(sorted(entrants, key=lambda entrant: entrant.key), 2):
        assert a.result is not None
        assert b.result is not None
        p_value = paired_difference(a.result, b.result, metric, replace(settings, resamples=100)).p_value
        if p_value is not None:
            expected[frozenset((a.key, b.key))] = p_value
    found = {frozenset((pair.a, pair.b)): pair.p_value for pair in paired_tests(entrants, metric)}
    if clusters is None:
        assert found == expected
    else:  # whose speakers count hangs on which of two comes first where they differ; nothing else may
        same = {pair for pair in expected if "other speakers" not in pair}
        assert {pair: found[pair] for pair in same} == {pair: expected[pair] for pair in same}
        assert set(found) == set(expected)


def test_an_entrant_alone_or_without_clips_is_tested_against_nobody() -> None:
    alone = Entrant("a", 0.0, "p", result=result(levels([1.0, 2.0])))
    assert paired_tests([alone, Entrant("b", 1.0, "p")], LEVEL) == []
    assert paired_tests([], LEVEL) == []
