"""Two systems are compared on the clips and metrics they share, and on nothing else."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from io import StringIO
from typing import get_args

import numpy as np
import pytest

from tests.factories.results_factory import ACC, LEVEL, PSNR, WER, levels, metric, record, result
from tlbench.comparison.compare import compare
from tlbench.errors import TlbenchError
from tlbench.preflight.findings import finding
from tlbench.scoring.result import Result
from tlbench.tables.comparison_table import render_comparison
from tlbench.tables.formats import Format

RNG = np.random.default_rng(0)
LOW = list(RNG.normal(0, 1, 40))
HIGH = [x + 1 + 0.3 * e for x, e in zip(LOW, RNG.normal(0, 1, 40), strict=True)]


def with_references(of: Result, references: list[str | None]) -> Result:
    clips = tuple(
        replace(c, info=replace(c.info, reference_sha256=r)) for c, r in zip(of.clips, references, strict=True)
    )
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


def found_in(of: Result, clips: dict[str, str], *, folder: str | None = None) -> Result:
    """The result with a finding of a code at each of these clips, and one of the folder."""
    marked = tuple(
        replace(c, findings=(finding(clips[c.id], c.id, f"found in {c.id}"),)) if c.id in clips else c for c in of.clips
    )
    return replace(of, clips=marked, findings=(finding(folder, None, "of the folder"),) if folder else ())


def test_findings_of_the_clips_compared_are_counted_and_named_worst_first() -> None:
    mine = result(levels(LOW[:6]), name="mine")
    a = found_in(mine, {"c00000": "rescaled", "c00001": "frame-count", "c00005": "damaged"})  # c00005: only in a
    b = found_in(
        result(levels(HIGH[:4]), name="theirs"), {"c00001": "frame-count", "c00002": "few-frames", "c00003": "framing"}
    )
    comparison = compare(a, b)
    assert [f.code for f in comparison.status_a.findings] == ["frame-count", "rescaled"]
    assert [f.code for f in comparison.status_b.findings] == ["few-frames", "framing", "frame-count"]
    shown = " ".join(render_comparison(comparison).split())
    said = [
        "a: incomplete: 1 clip of 6 with an error.",
        "a, b: warning, frame-count, 1 clip: c00001: found in c00001",
        "a: info: rescaled 1.",
        "b: incomplete: 2 clips of 4 with an error.",
        "b: error, few-frames, 1 clip: c00002: found in c00002",
        "b: error, framing, 1 clip: c00003: found in c00003",
    ]
    places = [shown.index(one) for one in said]
    assert places[3] < places[4] < places[5]  # worst first
    assert "damaged" not in shown


def test_machines_get_the_findings_of_both_results() -> None:
    a = found_in(result(levels(LOW[:4])), {"c00001": "frame-count", "c00002": "frame-count"}, folder="extra")
    b = result(levels(HIGH[:3]), expected=9)
    comparison = compare(a, b)
    data = json.loads(render_comparison(comparison, "json"))
    assert [found["code"] for found in data["sides"]["a"]["findings"]] == ["extra", "frame-count", "frame-count"]
    assert (data["sides"]["a"]["complete"], data["sides"]["b"]["complete"]) == (True, False)
    assert data["sides"]["b"]["clips_absent"] == 6
    (row,) = csv.DictReader(StringIO(render_comparison(comparison, "csv")))
    assert (row["warnings_a"], row["warnings_b"]) == ("extra 1; frame-count 2", "")
    assert (row["complete_a"], row["complete_b"]) == ("True", "False")
    assert list(comparison.to_dataframe()["errors_a"]) == [""]


@pytest.mark.parametrize("format", get_args(Format))
def test_an_incomplete_result_is_said_so_in_every_form(format: Format) -> None:
    whole = result(levels(LOW[:4]), name="whole")
    assert "incomplete" not in render_comparison(compare(whole, whole), format)
    short = render_comparison(compare(result(levels(HIGH[:3]), name="short", expected=9), whole), format)
    if format == "csv":
        assert "False,True" in short
    else:
        assert "incomplete, 6 clips of 9 not observed at all" in " ".join(short.split())


def test_what_makes_a_folder_incomplete_and_strict_warnings_are_said() -> None:
    whole = result(levels(LOW[:4]))
    twice = found_in(whole, {}, folder="duplicate")
    assert "a: incomplete because of a finding of the folder" in " ".join(
        render_comparison(compare(twice, whole)).split()
    )
    strict = replace(found_in(whole, {"c00001": "frame-count"}), strict=True)
    shown = " ".join(render_comparison(compare(whole, strict)).split())
    assert "b: incomplete: 1 clip of 4 with an error or a warning (--strict)" in shown
