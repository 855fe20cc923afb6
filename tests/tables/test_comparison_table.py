"""Tables of comparisons in every format."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from rich.cells import cell_len

from tests.factories.results_factory import LEVEL, levels, result
from tlbench.comparison.compare import compare
from tlbench.errors import TlbenchError
from tlbench.scoring.result import Result
from tlbench.tables.comparison_table import render_comparison
from tlbench.tables.formats import Format

FORMATS: tuple[Format, ...] = get_args(Format)


def two() -> tuple[Result, Result]:
    rng = np.random.default_rng(0)
    low = rng.normal(0, 1, 30)
    a, b = levels(list(low + 2)), levels([*low, 5.0])
    return result(a, [LEVEL], name="a|b"), replace(result(b, [LEVEL]), name="=b")


@pytest.mark.parametrize("format", FORMATS)
def test_a_comparison_shows_difference_verdict_and_what_was_left_out(format: Format) -> None:
    drawn = render_comparison(compare(*two()), format, width=80)
    assert "a better" in drawn
    assert "2.0" in drawn
    if format != "csv":
        assert "1 clip only in b" in drawn
    if format == "terminal":
        assert max(cell_len(line) for line in drawn.splitlines()) <= 80
    if format == "csv":
        (row,) = csv.DictReader(io.StringIO(drawn))
        assert row["system_b"] == "'=b"
        assert float(row["delta"]) == pytest.approx(2.0)
    if format == "json":
        assert json.loads(drawn)["rows"][0]["p_adjusted"] == pytest.approx(0.0001)


def test_columns_are_chosen_and_intervals_left_out() -> None:
    comparison = compare(*two())
    drawn = render_comparison(comparison, columns=["verdict", "difference"], intervals=False)
    head = next(line for line in drawn.splitlines() if line.startswith("metric"))
    assert head.split() == ["metric", "verdict", "a", "-", "b"]
    assert "[" not in "".join(line for line in drawn.splitlines() if line.startswith("level"))
    with pytest.raises(TlbenchError, match="no column 'q'; there are a, b, difference"):
        render_comparison(comparison, columns=["q"])
    with pytest.raises(TlbenchError, match="no column 'diffrence'; did you mean 'difference'"):
        render_comparison(comparison, columns=["diffrence"])
