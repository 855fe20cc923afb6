"""Any document fits any terminal: no line is too long, nothing is cut, and a row with a short name is one line."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tlbench.document import Cell, Document, Table, interval_cell, to_ascii
from tlbench.tables.terminal import draw_terminal, print_document

WIDTHS = (60, 80, 100, 120, 200)
NAMES = st.text(st.characters(whitelist_categories=("Lu", "Ll", "Lo", "Nd"), whitelist_characters="-_."), min_size=1)
CELLS = st.builds(
    lambda value, low, width, marks: interval_cell(f"{value:.2f}{marks}", low, low + width, 2),
    st.floats(-1e4, 1e6),
    st.floats(-1e4, 1e4),
    st.floats(0, 1e4),
    st.sampled_from(["", "*", "†", " (a)", " (a, old)*†"]),
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    count = draw(st.integers(1, 14))
    names = draw(st.lists(NAMES.filter(lambda name: cell_len(name) <= 70), min_size=1, max_size=4, unique=True))
    rows = tuple(
        (Cell(name), *draw(st.lists(CELLS | st.just(Cell("-")), min_size=count, max_size=count))) for name in names
    )
    heads = (Cell("system"), *(Cell(f"M{i} ↑", draw(st.sampled_from(["", "%", "frames"]))) for i in range(count)))
    return Document("heading", (Table("title", heads, (("", rows), ("controls", rows)), (0,), (0,)),), ("note " * 30,))


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
@settings(max_examples=25, deadline=None)
@given(document=documents())
def test_every_document_fits(width: int, ascii_only: bool, document: Document) -> None:
    lines = draw_terminal(document, width, ascii_only=ascii_only).splitlines()
    assert max(map(cell_len, lines)) <= width
    (table,) = document.tables
    names = [line.split("  ")[0] for line in lines]
    for row in (row for _, rows in table.sections for row in rows):
        name = row[0].text
        assert name in "".join(names)
        if cell_len(name) <= width // 2 - 8:
            assert name in names
        for cell in row[1:]:
            words = [to_ascii(word) if ascii_only else word for word in (cell.text, cell.detail, cell.short_detail)]
            own = [" ".join(line.split()) for line in lines]
            forms = {f"{words[0]} {detail}".strip() for detail in words[1:]}
            assert any(form in line for form in forms for line in own), forms


def test_every_column_is_in_one_block_and_the_first_in_all() -> None:
    heads = (Cell("system"), *(Cell(f"M{i}") for i in range(20)))
    rows = ((Cell("a"), *(interval_cell(f"{i}.25", i, i + 1.0, 2) for i in range(20))),)
    drawn = draw_terminal(Document("h", (Table("t", heads, (("", rows),), (0,), (0,)),), ()), 60)
    words = drawn.split()
    assert all(words.count(f"M{i}") == 1 for i in range(20))
    assert words.count("system") == 5


def test_a_long_name_continues_at_a_blank() -> None:
    name = "Base without lip and GAN loss, miniature"
    heads = (Cell("system"), *(Cell(f"M{i}") for i in range(5)))
    table = Table("t", heads, (("", ((Cell(name), *(Cell("1.25") for _ in range(5))),)),), (0,), (0,))
    lines = draw_terminal(Document("h", (table,), ()), 60).splitlines()
    assert lines[5:7] == ["Base without lip and GAN loss,  1.25  1.25  1.25  1.25  1.25", "miniature"]


def test_texts_are_whole_where_the_whole_table_fits() -> None:
    heads = (Cell("metric"), Cell("p"), Cell("verdict"))
    rows = ((Cell("a metric with a name"), Cell("0.0013"), Cell("no difference shown")),)
    drawn = draw_terminal(Document("h", (Table("t", heads, (("", rows),), (0, 2), (0, 2)),), ()), 60)
    assert drawn.splitlines()[-1] == "a metric with a name  0.0013  no difference shown"


def test_a_label_longer_than_the_table_continues_on_the_next_line() -> None:
    table = Table("t", (Cell("x"), Cell("y")), (("a label that is long", ((Cell("a"), Cell("1")),)),), (0,), (0,))
    lines = draw_terminal(Document("h", (table,), ()), 60).splitlines()
    assert "".join(lines[-6:-1]).replace(" ", "") == "alabelthatislong"


def test_print_document_takes_the_width_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    stream = io.StringIO()
    print_document(Document("h", (), ("a note " * 40,)), stream)
    assert 50 < max(map(len, stream.getvalue().splitlines())) <= 60
