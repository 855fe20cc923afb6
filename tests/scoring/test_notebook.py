"""What a notebook and a log show of a result: every number of the table, small, and nothing that a name could break."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from tests.factories.results_factory import LEVEL, PSNR, levels, record, result
from tlbench.comparison.compare import compare

NASTY = "<img src=x onerror=alert(1)>{0}&amp;\u202e"


class Outline(HTMLParser):
    """Tags in order; an end without its beginning is an error."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def cells(page: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    return [[re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def test_a_result_is_one_line_a_metric_with_value_interval_and_count() -> None:
    found = result(levels([1, 2, 4, 5]))
    page = found._repr_html_()
    head, line = cells(page)
    assert head == ["metric", "value", "interval", "scored"]
    assert line[0].startswith("level")
    assert line[1] == "3.00"
    row = found.row("level/sound")
    assert line[2] == f"[{row.low:.2f}, {row.high:.2f}]"
    assert line[3] == "4 of 4"
    assert "95 % interval" in page


def test_what_is_incomplete_is_said_and_infinity_can_be_read() -> None:
    found = result([record("a", {"level": 1, "mse": 0.0})], (LEVEL, PSNR), expected=2)
    page = found._repr_html_()
    assert "∞" in page
    assert "incomplete" in page
    assert ", incomplete: " in repr(found)


def test_names_from_elsewhere_are_text_and_the_html_is_whole() -> None:
    page = replace(result(levels([1, 2])), name=NASTY, remarks=(NASTY,))._repr_html_()
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;{0}&amp;amp;" in page
    assert "\u202e" not in page
    assert set(Outline(page).tags) <= {"div", "style", "strong", "table", "caption", "thead", "tbody", "tr", *TEXT}


TEXT = ("th", "td", "small", "ul", "li")


def test_the_style_reaches_nothing_else_of_the_notebook_and_has_no_colours_of_its_own() -> None:
    page = result(levels([1, 2]))._repr_html_()
    [style] = re.findall(r"<style>(.*?)</style>", page)
    selectors = [name for block in re.findall(r"([^{}]+)\{", style) for name in block.split(",")]
    assert selectors
    assert all(name.startswith(".tlbench-document") for name in selectors)
    assert not re.search(r"[{;]color:|background:(?!none)|#|rgb", style)


def test_it_stays_small_however_many_clips_there_are() -> None:
    page = result(levels(range(2000)))._repr_html_()
    assert len(page) < 3000
    assert len(repr(result(levels(range(2000))))) < 200


def test_a_comparison_is_shown_as_its_table_is() -> None:
    a, b = result(levels([1, 2, 3, 4])), result(levels([2, 3, 5, 6]), name="<b>")
    page = compare(a, b)._repr_html_()
    assert "a wins" in page
    assert "&lt;b&gt;" in page
    Outline(page)


def test_a_result_says_on_one_line_what_it_is() -> None:
    assert repr(result(levels([1, 2]), name="ours")).startswith("<Result 'ours' on ")
    assert "2 of 2 clips: level/sound=1.50>" in repr(result(levels([1, 2]), name="ours"))


def test_a_number_of_an_older_version_is_marked() -> None:
    page = result(levels([1, 2]), [replace(LEVEL, outdated=True)])._repr_html_()
    assert cells(page)[1][1] == "1.50 (old)"
    assert "old: level/sound by an older version of the metric" in page
    assert "(old)" not in result(levels([1, 2]))._repr_html_()
