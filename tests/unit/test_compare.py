"""Two systems are compared on the clips and metrics they share, and on nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.results_factory import ACC, LEVEL, PSNR, WER, levels, metric, record, result
from tlbench.errors import TlbenchError
from tlbench.results.compare import compare
from tlbench.results.result import Result

RNG = np.random.default_rng(0)
LOW = list(RNG.normal(0, 1, 40))
HIGH = [x + 1 + 0.3 * e for x, e in zip(LOW, RNG.normal(0, 1, 40), strict=True)]


def with_references(of: Result, references: list[str | None]) -> Result:
    clips = tuple(replace(c, reference_sha256=r) for c, r in zip(of.clips, references, strict=True))
    return replace(of, clips=clips)


def test_the_better_system_is_told_by_the_metrics_direction() -> None:
    worse = metric("level", "paper", better="lower")
    aimless = metric("aimless", better="none", tally=LEVEL.tally)
    a, b = (result(levels(x), [LEVEL, worse, aimless]) for x in (HIGH, LOW))
    assert [row.verdict for row in compare(a, b).rows] == ["a better", "b better", "a and b differ"]
    assert [row.verdict for row in compare(b, a).rows] == ["b better", "a better", "a and b differ"]


def test_chance_is_not_called_a_difference() -> None:
    noise = [x + 0.3 * e for x, e in zip(LOW, np.random.default_rng(9).normal(0, 1, 40), strict=True)]
    (row,) = compare(result(levels(LOW)), result(levels(noise))).rows
    assert row.verdict == "no difference shown"
    assert row.p_adjusted == row.difference.p_value  # one metric: nothing to correct


def test_looking_at_more_metrics_asks_more_of_each() -> None:
    slight = [x + 0.28 + 0.7 * e for x, e in zip(LOW, np.random.default_rng(1).normal(0, 1, 40), strict=True)]
    metrics = [LEVEL, *(metric(f"m{i}", tally=LEVEL.tally) for i in range(5))]
    one = compare(result(levels(slight)), result(levels(LOW))).rows[0]
    six = compare(result(levels(slight), metrics), result(levels(LOW), metrics)).rows[0]
    assert one.verdict == "a better"
    assert six.verdict == "no difference shown"
    assert six.p_adjusted == pytest.approx(6 * one.p_adjusted)  # type: ignore[operator]


def test_a_system_compared_with_itself_differs_nowhere() -> None:
    values = {"level": 1.0, "mse": 0.0, "edits": np.array([1, 0, 0, 3]), "hit": 1}
    a = result([record(str(i), values) for i in range(12)], [LEVEL, PSNR, WER, ACC])
    for row in compare(a, a).rows:
        assert (row.difference.delta, row.p_adjusted, row.verdict) == (0.0, 1.0, "no difference shown")


def test_an_infinite_value_beside_a_finite_one_is_not_called_no_difference() -> None:
    exact, noisy = (result([record(str(i), {"mse": mse}) for i in range(12)], [PSNR]) for mse in (0.0, 9.0))
    (row,) = compare(exact, noisy).rows
    assert (row.difference.delta, row.verdict) == (None, "can't be told")


def test_only_common_clips_count_and_the_others_are_counted() -> None:
    a, b = result(levels(HIGH)), result([*levels(LOW[:30]), record("new", {"level": 99.0})])
    found = compare(a, b)
    assert (found.clips, found.only_a, found.only_b) == (30, 10, 1)
    assert found.rows[0].difference.clips == 30
    assert found.rows[0].difference.b == pytest.approx(np.mean(LOW[:30]))


def test_equal_ids_of_different_references_are_different_clips() -> None:
    a, b = result(levels(HIGH)), result(levels(LOW))
    other = with_references(b, ["c" * 64] * 5 + [None] * 5 + ["b" * 64] * 30)
    found = compare(a, other)
    assert (found.clips, found.other_reference) == (35, 5)
    with pytest.raises(TlbenchError, match="different reference videos"):
        compare(a, with_references(b, ["c" * 64] * 40))


def test_metrics_of_another_protocol_are_listed_not_compared() -> None:
    a = result(levels(HIGH), [LEVEL])
    b = result(levels(LOW), [LEVEL], boxes="haar")
    with pytest.raises(TlbenchError, match=r"level/sound differs in boxes \(none, haar\)"):
        compare(a, b)
    extra = metric("level", "paper")
    found = compare(result(levels(HIGH), [LEVEL, extra]), a)
    assert [row.metric.key for row in found.rows] == ["level/sound"]
    assert [(item.key, item.b) for item in found.not_comparable] == [("level/paper", None)]


def test_other_metrics_than_the_headline_are_compared_when_asked() -> None:
    side = metric("side", headline=False, tally=LEVEL.tally)
    a, b = (result(levels(x), [LEVEL, side]) for x in (HIGH, LOW))
    assert [row.metric.key for row in compare(a, b).rows] == ["level/sound"]
    assert [row.metric.key for row in compare(a, b, metrics=["side/sound"]).rows] == ["side/sound"]
    with pytest.raises(TlbenchError, match="no metric 'gone'"):
        compare(a, b, metrics=["gone"])


def test_nothing_in_common_is_an_error() -> None:
    with pytest.raises(TlbenchError, match=r"no clip in common \(c00000 against x\)"):
        compare(result(levels(LOW)), result([record("x", {"level": 1.0})]))


def test_tables_for_pandas_and_notebooks() -> None:
    found = compare(replace(result(levels(HIGH)), name="<b>"), result(levels(LOW)))
    table = found.to_dataframe()
    assert table.loc[0, "verdict"] == "a better"
    assert table.loc[0, "delta"] == pytest.approx(np.mean(HIGH) - np.mean(LOW))
    assert "&lt;b&gt;" in found._repr_html_()
