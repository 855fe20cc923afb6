"""Tallies only add, and a rate is always the ratio of two sums."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlbench.metrics.tally import ErrorTally, HitTally, MeanTally, Tally

counts = st.integers(0, 1000)
hits = st.tuples(counts, counts).map(lambda pair: HitTally(min(pair), max(pair)))
means = st.tuples(st.integers(-1000, 1000), st.integers(1, 1000)).map(lambda pair: MeanTally(*pair))
errors = st.tuples(counts, counts, counts, counts).map(lambda c: ErrorTally(c[0], c[1], c[2], c[0] + c[1] + c[3]))
any_kind = st.one_of(*(st.tuples(kind, kind, kind) for kind in (hits, means, errors)))


@given(any_kind)
def test_adding_does_not_mind_order_or_grouping(three: tuple[Tally, Tally, Tally]) -> None:
    a, b, c = three
    assert a + b == b + a
    assert (a + b) + c == a + (b + c) == sum([c, a, b])


@given(any_kind)
def test_the_value_of_a_sum_is_the_pooled_one(three: tuple[Tally, Tally, Tally]) -> None:
    total = three[0] + three[1] + three[2]
    denominator = sum(tally.denominator for tally in three)
    expected = sum(tally.numerator for tally in three) / denominator if denominator else None
    assert total.value == (pytest.approx(expected) if expected is not None else None)


def test_the_mean_of_rates_is_not_the_rate() -> None:
    short, long = ErrorTally(substitutions=1, reference_length=1), ErrorTally(reference_length=9)
    assert (short + long).value == 0.1


@pytest.mark.parametrize("kind", [MeanTally, HitTally, ErrorTally])
def test_a_tally_of_nothing_has_no_value(kind: type[Tally]) -> None:
    assert kind().value is None


def test_an_error_rate_may_exceed_one() -> None:
    assert ErrorTally(substitutions=1, insertions=2, reference_length=1).value == 3.0


def test_tallies_of_different_kinds_do_not_add() -> None:
    with pytest.raises(TypeError):
        HitTally(1, 2) + MeanTally(1.0, 2)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (HitTally, (3, 2)),
        (HitTally, (-1, 2)),
        (MeanTally, (1.0, 0)),
        (MeanTally, (float("inf"), 1)),
        (MeanTally, (float("nan"), 1)),
        (ErrorTally, (2, 2, 0, 3)),
        (ErrorTally, (0, 0, -1, 3)),
    ],
)
def test_impossible_counts_are_refused(kind: type[Tally], fields: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=kind.__name__):
        kind(*fields)
