"""The page of assumptions is in step with the catalogue of findings, and so is the benchmark of faults."""

from __future__ import annotations

import re

from benchmarks.fault_kinds import GRID_KINDS, KINDS
from tests.docs.commands import ROOT
from tlbench.preflight.findings import CATALOGUE

PAGE = (ROOT / "docs" / "input.md").read_text("utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line[:2] == "| "]
CODE = re.compile(r"`([a-z]+(?:-[a-z]+)*)`")
WORDS = {"paper", "sound", "score", "check"}  # stand in backticks too, and are no codes


def named() -> set[str]:
    return {code for row in ROWS for code in CODE.findall(row[1])} - WORDS


def test_each_code_on_the_page_is_one_that_tlbench_finds() -> None:
    assert named() <= set(CATALOGUE)


def test_every_kind_of_finding_belongs_to_an_assumption() -> None:
    assert set(CATALOGUE) <= named()


def test_the_level_beside_a_code_is_its_level() -> None:
    wrong = []
    for row in ROWS:
        for part in re.split(r"[.;]", row[1]):
            levels = re.findall(r"\b(error|warning|info)\b", part)
            codes = CODE.findall(part)
            if codes and len(set(levels)) == 1:
                wrong += [code for code in codes if code in CATALOGUE and CATALOGUE[code].level != levels[0]]
    assert not wrong


def test_what_the_data_set_is_to_blame_for_is_said_to_be_of_the_data_set() -> None:
    for kind in CATALOGUE.values():
        if kind.of_dataset:
            (row,) = (row for row in ROWS if f"`{kind.code}`" in row[1])
            assert "of the data set" in row[1], kind.code


def test_each_fault_of_the_benchmark_is_told_by_codes_that_there_are() -> None:
    assert {code for kind in (*KINDS, *GRID_KINDS) for code in kind.codes} <= set(CATALOGUE)
    assert len({kind.name for kind in (*KINDS, *GRID_KINDS)}) == len(KINDS) + len(GRID_KINDS)
    for kind in (*KINDS, *GRID_KINDS):
        assert kind.codes or kind.words or kind.right or kind.same, f"{kind.name} can't be silently wrong"
