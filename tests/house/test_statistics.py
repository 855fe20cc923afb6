"""Intervals cover what they should, tests are exact where they can be, and nothing hangs on the order of clips."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories.results_factory import ACC, LEVEL, PSNR, QUICK, WER, levels, record, result
from tlbench.errors import TlbenchError
from tlbench.scoring.aggregation import make_intervals
from tlbench.scoring.differences import paired_difference
from tlbench.statistics import (
    IntervalSettings,
    Ratio,
    bca_interval,
    bootstrap_intervals,
    group_units,
    holm,
    quantiles,
    resampled_sums,
)

ONE = np.ones


def ratio(values: np.ndarray) -> Ratio:
    return Ratio(values, ONE(len(values)), LEVEL.finish, 1.0)


@pytest.mark.parametrize("seed", [0, 7])
def test_intervals_equal_scipys_bca(seed: int) -> None:
    rng = np.random.default_rng(seed)
    numerators, denominators = rng.gamma(2, 3, 40), rng.integers(1, 9, 40).astype(float)
    ours = bootstrap_intervals(
        [Ratio(numerators, denominators, LEVEL.finish, 1.0)], "clips", IntervalSettings(resamples=999, seed=seed)
    )[0]
    theirs = scipy.stats.bootstrap(
        (numerators, denominators),
        lambda x, y, axis: x.sum(axis) / y.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=999,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


def test_a_finished_number_has_the_interval_of_finished_resamples() -> None:
    mse = np.random.default_rng(3).uniform(20, 60, 30)
    found = bootstrap_intervals(
        [Ratio(mse, ONE(30), PSNR.finish, 1.0)], "clips", IntervalSettings(resamples=999, seed=5)
    )[0]
    theirs = scipy.stats.bootstrap(
        (mse,),
        lambda x, axis: PSNR.finish(x.mean(axis)),
        vectorized=True,
        n_resamples=999,
        rng=np.random.default_rng(5),
    ).confidence_interval
    assert found is not None
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_an_interval_is_the_same_however_the_sums_of_its_resamples_were_rounded(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 30, 6) / 7
    resampled = values[rng.integers(0, 6, (199, 6))].mean(axis=1)  # few units: many resamples equal the value
    without_each = (values.sum() - values) / 5
    rounded = np.nextafter(resampled, np.where(rng.random(199) < 0.5, -np.inf, np.inf))
    one, other = (bca_interval(values.mean(), each, without_each, 0.95) for each in (resampled, rounded))
    assert one == pytest.approx(other, rel=1e-12)


def test_95_percent_intervals_hold_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(300):
        interval = bootstrap_intervals([ratio(rng.exponential(1.0, 60))], "clips", IntervalSettings(0.95, 400, seed))[0]
        assert interval is not None
        held += interval.low <= 1.0 <= interval.high
    # The binomial spread of 300 trials is 1.3 points; BCa at 60 skewed values is known to cover a point or two less.
    assert 0.89 <= held / 300 <= 0.985


def test_clips_of_one_speaker_are_not_taken_as_independent() -> None:
    rng = np.random.default_rng(1)
    speakers = [f"s{i % 20:02d}" for i in range(200)]
    numbers = rng.normal(0, 1, 20)[np.arange(200) % 20] + rng.normal(0, 0.1, 200)
    records = levels(list(numbers), speakers)
    naive = result(records).row("level/sound")
    clustered = result(records, settings=replace(QUICK, cluster="speaker")).row("level/sound")
    assert (naive.unit, naive.clusters, clustered.unit, clustered.clusters) == ("clips", 200, "speakers", 20)
    wide, narrow = (row.high - row.low for row in (clustered, naive))  # type: ignore[operator]
    # 10 clips a speaker that say nearly the same: the honest interval is about sqrt(10) as wide
    assert 2.3 < wide / narrow < 4.2


def test_fewer_than_ten_speakers_means_clips_are_resampled_and_says_so() -> None:
    speakers = [f"s{i % 9}" for i in range(40)]
    row = result(levels(list(range(40)), speakers), settings=replace(QUICK, cluster="speaker")).row("level/sound")
    assert (row.unit, row.clusters) == ("clips", 40)


def test_a_clip_without_speaker_is_a_cluster_of_its_own() -> None:
    units = group_units(["a", "b", "c"] * 5, [None, *(f"s{i % 12}" for i in range(14))], "speaker")
    assert (units.name, units.count) == ("speakers", 13)


def interval_of(numerators: list[float], denominators: list[float]) -> tuple[float, float] | None:
    only = Ratio(np.array(numerators, float), np.array(denominators, float), LEVEL.finish, 1.0)
    found = bootstrap_intervals([only], "clips", IntervalSettings(resamples=499))[0]
    return None if found is None else (found.low, found.high)


def test_one_clip_that_counted_something_has_no_interval() -> None:
    assert interval_of([1, 0, 0], [2, 0, 0]) is None
    assert interval_of([0, 0, 0], [0, 0, 0]) is None
    assert interval_of([1, 2, 1], [0, 0, 0]) is None  # insertions against empty references


@pytest.mark.parametrize("empty", [1, 4])
def test_resamples_in_which_nothing_was_counted_are_left_out(empty: int) -> None:
    none = [0.0] * empty
    assert interval_of([1, 2, *none], [3, 3, *none]) == pytest.approx((1 / 3, 2 / 3))


def test_one_clip_has_no_interval() -> None:
    row = result(levels([3.0])).row("level/sound")
    assert (row.value, row.low, row.high, row.unit) == (3.0, None, None, None)


def test_no_clip_has_no_value() -> None:
    row = result([]).row("level/sound")
    assert (row.value, row.low, row.scored) == (None, None, 0)


def test_identical_clips_have_the_value_as_interval() -> None:
    row = result(levels([0.1] * 7)).row("level/sound")
    assert row.low == row.value == row.high


def test_identical_videos_have_infinite_psnr_and_no_interval() -> None:
    row = result([record(str(i), {"mse": 0.0}) for i in range(5)], [PSNR]).row(PSNR.key)
    assert (row.value, row.low, row.high) == (np.inf, None, None)


def test_an_interval_that_reaches_infinity_is_not_quoted() -> None:
    records = [record(str(i), {"mse": float(i == 0)}) for i in range(3)]
    assert result(records, [PSNR]).intervals[PSNR.key] is None


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_clips_changes_nothing(numbers: list[float], random: object) -> None:
    records = levels(numbers)
    shuffled = records.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    x, y = result(records), result(shuffled)
    assert x.row("level/sound") == y.row("level/sound")


def test_the_order_of_clips_within_speakers_changes_nothing() -> None:
    rng = np.random.default_rng(6)
    records = levels(list(rng.normal(0, 1e6, 300)), [f"s{i % 12}" for i in range(300)])
    shuffled = [records[i] for i in rng.permutation(300)]
    by_speaker = replace(QUICK, cluster="speaker")
    assert result(records, settings=by_speaker).intervals == result(shuffled, settings=by_speaker).intervals


def test_all_metrics_share_one_draw_without_influence_on_each_other() -> None:
    rng = np.random.default_rng(2)
    records = [record(str(i), {"level": rng.normal(), "hit": int(rng.random() < 0.5)}) for i in range(30)]
    both = result(records, [LEVEL, ACC]).intervals
    assert both[LEVEL.key] == result(records, [LEVEL]).intervals[LEVEL.key]
    assert both[ACC.key] == result(records, [ACC]).intervals[ACC.key]


def test_memory_is_bounded_by_batches() -> None:
    import tracemalloc

    sums = np.random.default_rng(0).random((25_000, 8))
    tracemalloc.start()
    resampled_sums(sums, 200, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20


@given(
    st.lists(st.one_of(st.floats(-1e300, 1e300), st.just(math.inf)), min_size=1, max_size=40),
    st.floats(0, 1),
)
def test_quantiles_are_numpys_to_the_bit(values: list[float], share: float) -> None:
    shares = np.array([share, 1 - share, 0.025, 0.975])
    with np.errstate(invalid="ignore", over="ignore"):
        wanted = np.quantile(values, shares)
        np.testing.assert_array_equal(quantiles(np.array(values), shares), wanted)


@pytest.mark.parametrize("bad", [{"level": 1.0}, {"level": 0.0}, {"resamples": 5}])
def test_settings_that_make_no_sense_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(TlbenchError):
        replace(QUICK, **bad)  # type: ignore[arg-type]


def test_an_unequal_pair_has_the_difference_of_pooled_values() -> None:
    a = result([record("1", {"edits": np.array([1, 0, 0, 2])}), record("2", {"edits": np.array([0, 0, 0, 8])})], [WER])
    b = result([record("1", {"edits": np.array([0, 0, 0, 2])}), record("2", {"edits": np.array([4, 0, 0, 8])})], [WER])
    found = paired_difference(a, b, WER)
    assert (found.a, found.b, found.delta) == pytest.approx((10.0, 40.0, -30.0))
    assert found.probability_of_improvement == 0.5  # better on clip 2, worse on clip 1


def test_the_probability_of_improvement_follows_the_metrics_direction() -> None:
    few, many = (
        result([record(str(i), {"edits": np.array([n if i else 1, 0, 0, 8])}) for i in range(4)], [WER]) for n in (2, 5)
    )
    assert paired_difference(few, many, WER).probability_of_improvement == 0.875  # three better, one tie
    assert paired_difference(many, few, WER).probability_of_improvement == 0.125


def test_up_to_twelve_units_are_enumerated_exactly() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(0.5, 1, 9), rng.normal(0, 1, 9)
    difference = x - y
    swaps = [abs((np.array(signs) * difference).mean()) for signs in product((1, -1), repeat=9)]
    expected = np.mean(np.array(swaps) >= abs(difference.mean()) - 1e-12)
    found = paired_difference(result(levels(list(x))), result(levels(list(y))), LEVEL)
    assert found.p_value == pytest.approx(expected, abs=1e-12)


def test_random_swaps_agree_with_scipys_permutation_test() -> None:
    rng = np.random.default_rng(5)
    y = rng.normal(0, 1, 40)
    x = y + rng.normal(0.3, 1, 40)
    theirs = scipy.stats.permutation_test(
        (x, y),
        lambda u, v, axis: (u - v).mean(axis),
        permutation_type="samples",
        n_resamples=9_999,
        vectorized=True,
        rng=0,
    ).pvalue
    ours = paired_difference(result(levels(list(x))), result(levels(list(y))), LEVEL).p_value
    assert ours is not None
    assert 0.01 < ours < 0.5
    assert ours == pytest.approx(theirs, abs=0.02)  # five standard errors of the difference of two such draws


def test_a_random_p_value_is_never_zero() -> None:
    found = paired_difference(result(levels([5.0] * 30)), result(levels([0.0] * 30)), LEVEL)
    assert found.p_value == 1 / 10_000


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=2, max_size=16))
def test_swapping_the_systems_swaps_every_sign(pairs: list[tuple[float, float]]) -> None:
    a, b = (result(levels(list(side))) for side in zip(*pairs, strict=True))
    one, other = paired_difference(a, b, LEVEL), paired_difference(b, a, LEVEL)
    assert one.delta == -other.delta  # type: ignore[operator]
    assert one.p_value == other.p_value
    assert one.probability_of_improvement == pytest.approx(1 - other.probability_of_improvement)  # type: ignore[operator]
    assert one.low == pytest.approx(-other.high, abs=1e-9)  # type: ignore[operator]


def test_a_system_does_not_differ_from_itself_even_at_infinity() -> None:
    a = result([record(str(i), {"mse": 0.0}) for i in range(5)], [PSNR])
    found = paired_difference(a, a, PSNR)
    assert (found.delta, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)
    assert found.probability_of_improvement == 0.5


def test_two_values_of_which_one_is_infinite_have_no_difference() -> None:
    a = result([record(str(i), {"mse": 0.0}) for i in range(5)], [PSNR])
    b = result([record(str(i), {"mse": 1.0 + i}) for i in range(5)], [PSNR])
    found = paired_difference(a, b, PSNR)
    assert (found.a, found.delta, found.p_value, found.probability_of_improvement) == (np.inf, None, None, 1.0)


def test_holm_by_hand() -> None:
    assert holm({"w": 0.01, "x": 0.04, "y": 0.03, "z": 0.005}) == pytest.approx(
        {"w": 0.03, "x": 0.06, "y": 0.06, "z": 0.02}
    )
    assert holm({}) == {}


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_never_makes_a_p_smaller(p_values: dict[str, float]) -> None:
    adjusted = holm(p_values)
    assert list(adjusted) == list(p_values)
    assert all(p_values[name] <= adjusted[name] <= 1 for name in p_values)
    ranked = [adjusted[name] for name in sorted(p_values, key=lambda name: p_values[name])]
    assert ranked == sorted(ranked)


@pytest.mark.slow
def test_twenty_five_thousand_clips_take_seconds() -> None:
    import time

    rng = np.random.default_rng(0)
    clips = result(levels(list(rng.normal(0, 1, 25_000)))).clips
    started = time.process_time()
    make_intervals(clips, [LEVEL], IntervalSettings())
    assert time.process_time() - started < 15  # of the processor; two where nobody else is at work
