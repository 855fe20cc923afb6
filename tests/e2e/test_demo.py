"""What the demo says at its end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.factories.results_factory import levels, metric, result
from tlbench.demo import REAL, Shown, closing_lines, closing_sentence


@pytest.mark.parametrize(("dataset", "whose"), [(REAL, "real"), ("synthetic", "drawn")])
def test_the_closing_sentence_says_what_was_read_and_which_page_to_open(dataset: str, whose: str) -> None:
    """Only lip readers' errors count, in the corrected arithmetic, each reader once."""
    reader = replace(metric(better="lower"), reads="sentence")
    metrics = (reader, replace(reader, arithmetic="paper"), metric("psnr"), replace(metric("lse_c"), reads="sentence"))
    rows = [
        result(levels(numbers), metrics[:2], name=name)
        for name, numbers in (("generated", [50.0]), ("ground-truth", [6.0, 8.4]), ("frozen-mouth", [90.0, 96.0]))
    ]
    shown = [Shown(dataset, rows, Path("out/report.html")), Shown("synthetic-words", [], Path("other.html"))]
    assert closing_sentence(shown) == (
        f"Words that lip readers got wrong on {whose} faces, with their own lips against lips that stand still: "
        "7 % against 93 %. Open out/report.html to see them."
    )
    *before, last = closing_lines(shown)
    assert last == closing_sentence(shown)
    assert [line.partition(":")[0] for line in before] == ([] if dataset == REAL else ["real faces"])
