"""Tables that are made from the records of the leaderboards are those of the records."""

from __future__ import annotations

import re

import pytest

from benchmarks import capacity
from scripts.page_tables import PAGES, ROOT, TABLES, current


@pytest.mark.parametrize("name", PAGES)
def test_the_tables_are_current(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert text == current(text), "run: python scripts/page_tables.py"


def test_every_table_is_on_a_page_and_has_rows() -> None:
    text = "".join((ROOT / name).read_text("utf-8") for name in PAGES)
    assert sorted(re.findall(r"<!-- table: ([\w-]+) -->", text)) == sorted(TABLES)
    assert all(made().count("\n") > 5 for made in TABLES.values())


def test_cells_of_the_calibration_are_those_of_its_pages() -> None:
    rows = [line.strip("| ").split(" | ") for line in TABLES["second-reader"]().splitlines()[2:]]
    pages = [(ROOT / "docs" / "calibration" / f"{name}.md").read_text("utf-8") for name in ("grid", "grid-columns")]
    assert [row[0] for row in rows][:2] == ["no fault", "picture shift (frames): 5"]
    for _, wer1, wer3, lip_score in rows:
        assert f" {wer1} |" in pages[0]
        assert f" {wer3} |" in pages[1]
        assert f" {lip_score} |" in pages[1]


def test_the_calculated_tables_of_scale_are_those_that_the_script_prints() -> None:
    there = (ROOT / "docs" / "scale.md").read_text("utf-8").splitlines()
    printed = [*capacity.speeds(100.0), *capacity.times(100.0), *capacity.costs(100.0, 2.0, 0.05)]
    assert len(printed) > 15
    assert [line for line in printed if line not in there] == []
