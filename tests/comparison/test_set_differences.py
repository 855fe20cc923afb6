"""Two systems by FID and KID: the difference without each group in turn, only over the same clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tlbench.comparison.compare import compare
from tlbench.comparison.set_differences import set_difference, why_not_compared
from tlbench.errors import TlbenchError
from tlbench.metrics.jackknife import jackknife_interval
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.sets import set_metric
from tlbench.observing.clip_info import ClipInfo
from tlbench.scoring.result import ClipScore, Result
from tlbench.scoring.set_scores import SetScore
from tlbench.statistics import IntervalSettings
from tlbench.tables.comparison_table import render_comparison

PROTOCOL = Protocol(
    "fid", set_metric("fid").version, "d", "s", "v@1", "pyav-25fps@1", "set", "sound", rule="real=paired"
)
SIZES = (200,) * 12


def score(value: float, seed: int, groups: str = "a" * 64, noise: float = 0.1) -> SetScore:
    shared = np.random.default_rng(0).normal(size=len(SIZES))  # of the real videos, so of both systems
    without = value + shared + noise * np.random.default_rng(seed).normal(size=len(SIZES))
    return SetScore(
        set_metric("fid"),
        PROTOCOL,
        value,
        value - 1,
        value + 1,
        clips=24,
        generated=2400,
        real=2400,
        unit="clips",
        without_each=tuple(without.tolist()),
        group_sizes=SIZES,
        groups_sha256=groups,
        features_sha256="b" * 64,
    )


def result(name: str, own: SetScore, clips: int = 24) -> Result:
    scores = tuple(ClipScore(ClipInfo(f"c{i:02}", generated_sha256="0", reference_sha256="1")) for i in range(clips))
    return Result(name, "d", "s", (), {}, scores, clips, {}, IntervalSettings(), sets=(own,))


def test_what_the_groups_share_cancels() -> None:
    a, b = score(20, 1), score(22, 2)
    found = set_difference(a, b, 0.95)
    alone = jackknife_interval(20, np.array(a.without_each), np.array(SIZES), 0.95)
    assert alone is not None
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low < (alone[1] - alone[0]) / 2
    assert found.delta == -2
    assert found.low < -2 < found.high
    assert found.p_value is not None
    assert found.p_value < 0.05
    assert (found.unit, found.units, found.clips) == ("groups of clips", 12, 24)


def test_a_system_is_no_better_than_itself() -> None:
    found = set_difference(score(20, 1), score(20, 1), 0.95)
    assert (found.delta, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_compare_shows_the_difference_and_how_it_was_made() -> None:
    comparison = compare(result("x", score(20, 1)), result("y", score(22, 2)))
    (row,) = comparison.rows
    assert row.verdict == "a better"
    flat = " ".join(render_comparison(comparison, width=80).split())
    assert "FID" in flat
    assert "paired jackknife over 12 groups of clips, p by Student's t; not recomputed" in flat
    named = compare(result("x", score(20, 1)), result("y", score(22, 2)), metrics="fid/sound")
    assert [row.metric.key for row in named.rows] == ["fid/sound"]


@pytest.mark.parametrize(
    ("other", "clips", "said"),
    [
        (score(22, 2, groups="c" * 64), 24, "of different clips"),
        (replace(score(22, 2), without_each=(), group_sizes=()), 24, "too few clips for groups"),
        (replace(score(22, 2), without_each=(1.0,) * 6, group_sizes=(1,) * 6), 24, "of different clips"),
        (replace(score(22, 2), value=None, low=None, high=None, reason="nothing"), 24, r"b has none \(nothing\)"),
        (score(22, 2), 20, "has clips or real videos that the other has not"),
        (
            replace(score(22, 2), protocol=replace(PROTOCOL, rule="real=abc")),
            24,
            r"fid/sound differs in rule \(real=paired, real=abc\)",
        ),
    ],
)
def test_numbers_of_other_sets_are_not_compared(other: SetScore, clips: int, said: str) -> None:
    with pytest.raises(TlbenchError, match=said):
        compare(result("x", score(20, 1)), result("y", other, clips))


def test_why_numbers_can_not_be_compared() -> None:
    assert why_not_compared(score(20, 1), score(22, 2)) == ""
