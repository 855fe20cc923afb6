"""Tables with a heading and notes as plain data, the text of their cells, and their HTML for notebooks.

Nothing here knows of metrics or results. ``tlbench.tables`` draws documents for terminals, Markdown and LaTeX.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from markupsafe import Markup, escape

SYMBOLS = "↑↓∞─†±"  # the characters of tables that are not ASCII
ARROWS = {"higher": "↑", "lower": "↓", "none": ""}  # by the direction in which a metric is better
NOTHING = "-"  # the text of a cell without a number
_ASCII = str.maketrans({"↑": "^", "↓": "v", "∞": "inf", "─": "-", "†": "!", "±": "+-"})


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes
    ----------
    text : str
    detail : str
        Shown smaller after the text or below it: an interval, or the unit of a column.
    short_detail : str
        Replaces ``detail`` in a terminal too narrow for it: half the width of the interval. "" if there is no shorter
        form.
    """

    text: str
    detail: str = ""
    short_detail: str = ""


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes
    ----------
    title : str
    head : tuple of Cell
    sections : tuple of (label, rows)
        Rows are tuples of cells. A rule and the label separate a section from the one before.
    kept : tuple of int
        Columns repeated in each block if the table is too wide for the terminal.
    left : tuple of int
        Columns of text, aligned to the left. The others hold numbers and are aligned to the right.
    partial : tuple of str
        Labels of sections whose rows are left out of a block in which they have no number.
    counts : tuple of int
        Columns that say how much was scored; these are no numbers of a row's own.
    """

    title: str
    head: tuple[Cell, ...]
    sections: tuple[tuple[str, tuple[tuple[Cell, ...], ...]], ...]
    kept: tuple[int, ...]
    left: tuple[int, ...]
    partial: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Document:
    """Tables with a heading above and notes below."""

    heading: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...]


def clean(text: str) -> str:
    """Text from a file on one line, without control characters and without marks that change the reading direction."""
    if text.isprintable():  # the only blank that it has is a space
        return text
    spaced = "".join(" " if character.isspace() else character for character in text)
    return "".join(character for character in spaced if not unicodedata.category(character).startswith("C"))


def in_all_texts(document: Document, change: Callable[[str], str]) -> Document:
    """The document with a function applied to each text of it."""

    def changed(cell: Cell) -> Cell:
        return Cell(change(cell.text), change(cell.detail), change(cell.short_detail))

    tables = []
    for table in document.tables:
        head = tuple(map(changed, table.head))
        sections = tuple(
            (change(label), tuple(tuple(map(changed, row)) for row in rows)) for label, rows in table.sections
        )
        tables.append(replace(table, title=change(table.title), head=head, sections=sections))
    return Document(change(document.heading), tuple(tables), tuple(map(change, document.notes)))


def to_ascii(text: str) -> str:
    """The :data:`SYMBOLS` of a text in ASCII. Other characters stay as they are."""
    return text.translate(_ASCII)


def counted(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun: ``1 clip``, ``2 clips``; ``many`` where the plural is not ``one`` and an s."""
    return f"{count} {one}" if count == 1 else f"{count} {many or one + 's'}"


def label_with_arrow(label: str, better: str) -> str:
    """``PSNR ↑`` for a metric that is better when higher, ``LSE-D ↓`` when lower, the label alone for ``none``."""
    return f"{label} {ARROWS[better]}".rstrip()


def number_text(value: float | None, digits: int) -> str:
    """A number with a fixed count of decimals; ``-`` for None, ``∞`` for infinity, never a minus zero."""
    if value is None:
        return "-"
    if not isfinite(value):
        return "∞" if value > 0 else "-∞"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def letter(index: int) -> str:
    """The letter of an index: a ... z, aa, ab, ..."""
    first = letter(index // 26 - 1) if index >= 26 else ""
    return first + chr(ord("a") + index % 26)


def interval_cell(text: str, low: float | None, high: float | None, digits: int) -> Cell:
    """A cell with a confidence interval as its detail, ``[low, high]``, and half its width as the short form."""
    if low is None or high is None:
        return Cell(text)
    ends = f"[{number_text(low, digits)}, {number_text(high, digits)}]"
    return Cell(text, ends, f"±{(high - low) / 2:.{digits}f}")


_STYLE = (
    ".tlbench-document{overflow-x:auto;font-variant-numeric:tabular-nums}"
    ".tlbench-document table{border-collapse:collapse;margin:.3em 0 .8em}"
    ".tlbench-document strong{white-space:pre-wrap}"
    ".tlbench-document caption{text-align:left;font-style:italic;padding:.2em 0;white-space:nowrap}"
    ".tlbench-document th,.tlbench-document td{padding:.15em .7em;text-align:right;white-space:nowrap;background:none}"
    ".tlbench-document .t{text-align:left}"
    ".tlbench-document thead th{border-bottom:1px solid currentColor}"
    ".tlbench-document small{opacity:.75}"
    ".tlbench-document ul{margin:.3em 0;padding-left:1.2em;font-size:.9em}"
)


def document_html(document: Document) -> str:
    """A document as HTML for a notebook.

    All text is escaped, since names and notes may come from files of anyone. The style applies to a class of its own
    and takes its colours from the page, so that it suits light and dark notebooks.
    """
    document = in_all_texts(document, clean)
    parts = [Markup("<style>{}</style><div><strong>{}</strong></div>").format(Markup(_STYLE), document.heading)]
    parts += [_html_table(table) for table in document.tables]
    if document.notes:
        notes = Markup("").join(Markup("<li>{}</li>").format(note) for note in document.notes)
        parts.append(Markup("<ul>{}</ul>").format(notes))
    return str(Markup('<div class="tlbench-document">{}</div>').format(Markup("").join(parts)))


def _html_table(table: Table) -> Markup:
    head = _html_row("th", table.head, table.left)
    body = Markup("").join(_html_row("td", row, table.left) for _, rows in table.sections for row in rows)
    return Markup("<table><caption>{}</caption><thead>{}</thead><tbody>{}</tbody></table>").format(
        table.title, head, body
    )


def _html_row(tag: str, cells: Sequence[Cell], left: Sequence[int]) -> Markup:
    """One row of ``th`` or ``td`` cells."""
    drawn = []
    for i, cell in enumerate(cells):
        detail = Markup(" <small>{}</small>").format(cell.detail) if cell.detail else Markup("")
        kind = Markup(' class="t"') if i in left else Markup("")
        drawn.append(Markup("<{0}{1}>{2}{3}</{0}>").format(Markup(tag), kind, escape(cell.text), detail))
    return Markup("<tr>{}</tr>").format(Markup("").join(drawn))
