"""What a notebook shows of a result or a comparison: the table's own numbers and notes as a small piece of HTML.

One line a metric, because a notebook's column is narrow. All text is escaped: names and notes come from files of
anybody. The style has a class of its own and takes its colours from the page, so it suits light and dark notebooks.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from tlbench.comparison.compare import Comparison
from tlbench.scoring.result import Result
from tlbench.tables.table import comparison_sheet, result_sheet
from tlbench.tables.table_format import Cell, Document, Table, clean

_STYLE = (
    ".tlbench-sheet{overflow-x:auto;font-variant-numeric:tabular-nums}"
    ".tlbench-sheet table{border-collapse:collapse;margin:.3em 0 .8em}"
    ".tlbench-sheet strong{white-space:pre-wrap}"
    ".tlbench-sheet caption{text-align:left;font-style:italic;padding:.2em 0;white-space:nowrap}"
    ".tlbench-sheet th,.tlbench-sheet td{padding:.15em .7em;text-align:right;white-space:nowrap;background:none}"
    ".tlbench-sheet .t{text-align:left}"
    ".tlbench-sheet thead th{border-bottom:1px solid currentColor}"
    ".tlbench-sheet small{opacity:.75}"
    ".tlbench-sheet ul{margin:.3em 0;padding-left:1.2em;font-size:.9em}"
)


def result_html(result: Result) -> str:
    """The numbers of one result, one line a metric; those that are not headline metrics if there are no others."""
    headline = any(metric.headline for metric in result.metrics)
    sheet = result_sheet([result], all_metrics=not headline)
    heading = f"{clean(result.name)} on {sheet.heading}"
    return _draw(Document(heading, tuple(_turned(grid) for grid in sheet.grids), sheet.notes))


def comparison_html(comparison: Comparison) -> str:
    """A comparison as its table shows it."""
    return _draw(comparison_sheet(comparison))


def _turned(grid: Table) -> Table:
    """A table of one system with its metrics as lines: name, value, interval. The last column stays as it is.

    Readers that do not look are in the notes only.
    """
    (_, (row,)), *_ = grid.sections
    scored = row[-1]
    lines = tuple(
        (head, Cell(cell.text), Cell(cell.aside), scored) for head, cell in zip(grid.head[1:-1], row[1:-1], strict=True)
    )
    names = (Cell("metric"), Cell("value"), Cell("interval"), grid.head[-1])
    return Table(grid.title, names, (("", lines),), kept=(0,), left=(0,))


def _draw(sheet: Document) -> str:
    parts = [Markup("<style>{}</style><div><strong>{}</strong></div>").format(Markup(_STYLE), sheet.heading)]
    parts += [_table(grid) for grid in sheet.grids]
    if sheet.notes:
        notes = Markup("").join(Markup("<li>{}</li>").format(note) for note in sheet.notes)
        parts.append(Markup("<ul>{}</ul>").format(notes))
    return str(Markup('<div class="tlbench-sheet">{}</div>').format(Markup("").join(parts)))


def _table(grid: Table) -> Markup:
    head = _line("th", grid.head, grid.left)
    body = Markup("").join(_line("td", row, grid.left) for _, rows in grid.sections for row in rows)
    return Markup("<table><caption>{}</caption><thead>{}</thead><tbody>{}</tbody></table>").format(
        grid.title, head, body
    )


def _line(tag: str, cells: Sequence[Cell], left: Sequence[int]) -> Markup:
    """One row; ``tag`` is th or td. The first cell of a row names it."""
    drawn = []
    for place, cell in enumerate(cells):
        aside = Markup(" <small>{}</small>").format(cell.aside) if cell.aside else Markup("")
        kind = Markup(' class="t"') if place in left else Markup("")
        drawn.append(Markup("<{0}{1}>{2}{3}</{0}>").format(Markup(tag), kind, escape(cell.text), aside))
    return Markup("<tr>{}</tr>").format(Markup("").join(drawn))
