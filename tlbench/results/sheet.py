"""Sheets: grids of cells with notes, drawn for the terminal, Markdown or LaTeX. Knows nothing of metrics."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

SYMBOLS = "↑↓∞─†"  # what sheets use besides ASCII
NOTHING = "-"  # the text of a cell without a number
_PLAIN = str.maketrans({"↑": "^", "↓": "v", "∞": "inf", "─": "-", "†": "!"})
_PLAIN_BOX = box.Box(" -- \n    \n -- \n    \n -- \n -- \n    \n -- \n", ascii=True)


@dataclass(frozen=True)
class Cell:
    """A cell: what it says, and what stands smaller below or beside that (an interval, a unit)."""

    text: str
    aside: str = ""


@dataclass(frozen=True)
class Grid:
    """One table.

    Attributes
    ----------
    title : str
    head : tuple of Cell
    sections : tuple of (label, rows)
        Rows are tuples of cells; sections are set apart by a rule and their label.
    kept : tuple of int
        Columns that are repeated in each part where the table is too wide for one.
    left : tuple of int
        Columns of text; the others are numbers and stand to the right.
    partial : tuple of str
        Labels of sections whose rows are left out of a part of the table in which they have no number.
    """

    title: str
    head: tuple[Cell, ...]
    sections: tuple[tuple[str, tuple[tuple[Cell, ...], ...]], ...]
    kept: tuple[int, ...]
    left: tuple[int, ...]
    partial: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """Tables with a heading above and notes below."""

    heading: str
    grids: tuple[Grid, ...]
    notes: tuple[str, ...]


def clean(text: str) -> str:
    """Text from outside on one line: no control characters, no invisible marks that turn the reading direction."""
    spaced = "".join(" " if character.isspace() else character for character in text)
    return "".join(character for character in spaced if not unicodedata.category(character).startswith("C"))


def draw_terminal(sheet: Sheet, width: int, color: bool, ascii_only: bool) -> str:
    """The sheet for a terminal of ``width`` columns; what is too wide is split, never squeezed."""
    stream = StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        force_jupyter=False,
        legacy_windows=False,
        highlight=False,
        _environ={},
    )
    console.print(Text(sheet.heading, style="bold"))
    for grid in sheet.grids:
        parts = _parts(console, grid, ascii_only)
        for number, columns in enumerate(parts, start=1):
            part = f" ({number} of {len(parts)})" if len(parts) > 1 else ""
            console.print()
            console.print(Text(grid.title + part, style="bold cyan"))
            console.print(_table(grid, columns, width, ascii_only))
    if sheet.notes:
        console.print()
    for note in sheet.notes:
        console.print(Text(note, style="dim"), soft_wrap=False)
    drawn = "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"
    return plain(drawn) if ascii_only else drawn


def plain(text: str) -> str:
    """The symbols of sheets in ASCII; other characters as they are."""
    return text.translate(_PLAIN)


def _parts(console: Console, grid: Grid, ascii_only: bool) -> list[list[int]]:
    """The columns of each part: as many as fit, at least one besides those repeated."""
    free = [i for i in range(len(grid.head)) if i not in grid.kept]
    parts: list[list[int]] = []
    taken: list[int] = []
    for column in free:
        wider = sorted([*grid.kept, *taken, column])
        needed = console.measure(
            _table(grid, wider, console.width, ascii_only), options=console.options.update(width=9999)
        )
        if taken and needed.maximum > console.width:
            parts.append(sorted([*grid.kept, *taken]))
            taken = []
        taken.append(column)
    return [*parts, sorted([*grid.kept, *taken])]


def _has_number(grid: Grid, row: Sequence[Cell], columns: Sequence[int]) -> bool:
    """Whether a row has anything to say in columns that are not repeated in each part."""
    return any(row[column].text != NOTHING for column in columns if column not in grid.kept)


def _table(grid: Grid, columns: Sequence[int], width: int, ascii_only: bool) -> Table:
    table = Table(
        box=_PLAIN_BOX if ascii_only else box.HORIZONTALS,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="",
    )
    for i in columns:
        left = i in grid.left
        table.add_column(
            _lines(grid.head[i], "bold", ascii_only),
            justify="left" if left else "right",
            no_wrap=not left,
            overflow="fold",
            max_width=max(12, width // 3) if left else None,
        )
    for label, rows in grid.sections:
        shown = [row for row in rows if label not in grid.partial or _has_number(grid, row, columns)]
        if label and shown:
            table.add_section()
            table.add_row(Text(label, style="italic dim"))
        for row in shown:
            table.add_row(*(_lines(row[i], "", ascii_only) for i in columns))
    return table


def _lines(cell: Cell, style: str, ascii_only: bool) -> Text:
    text = Text(plain(cell.text) if ascii_only else cell.text, style=style)
    if cell.aside:
        text.append("\n" + (plain(cell.aside) if ascii_only else cell.aside), style="not bold dim")
    return text


def draw_markdown(sheet: Sheet) -> str:
    """The sheet in Markdown, GitHub's tables."""
    lines = [f"**{markdown_text(sheet.heading)}**"]
    for grid in sheet.grids:
        lines += ["", f"**{markdown_text(grid.title)}**", ""]
        lines.append(
            _markdown_row(
                f"{markdown_text(c.text)} ({markdown_text(c.aside)})" if c.aside else markdown_text(c.text)
                for c in grid.head
            )
        )
        lines.append(_markdown_row(":---" if i in grid.left else "---:" for i in range(len(grid.head))))
        for label, rows in grid.sections:
            if label:
                lines.append(_markdown_row([f"*{markdown_text(label)}*"] + [""] * (len(grid.head) - 1)))
            lines += [_markdown_row(_beside(cell, markdown_text) for cell in row) for row in rows]
    if sheet.notes:
        lines += ["", *(f"- {markdown_text(note)}" for note in sheet.notes)]
    return "\n".join(lines) + "\n"


def _beside(cell: Cell, escape: Callable[[str], str]) -> str:
    return escape(cell.text) + (" " + escape(cell.aside) if cell.aside else "")


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def markdown_text(text: str) -> str:
    """Nothing in it is taken for markup, a link, HTML or the end of a cell."""
    escaped = "".join("\\" + c if c in "\\`*_<>|~#" else "&amp;" if c == "&" else c for c in text)
    return escaped.replace("](", "]\\(")  # brackets alone are no link, and intervals are full of them


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "[": "{[}",  # or it would be an option of the line break before it
    "]": "{]}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "∞": r"$\infty$",
    "─": "-",
    "†": r"\dag{}",
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def draw_latex(sheet: Sheet) -> str:
    """The sheet in LaTeX: a tabular a table, for the packages booktabs and, where names need it, fontenc T1."""
    lines = [f"% {sheet.heading}"]
    for grid in sheet.grids:
        width = len(grid.head)
        lines += ["", f"% {grid.title}"]
        lines.append(r"\begin{tabular}{" + "".join("l" if i in grid.left else "r" for i in range(width)) + "}")
        lines.append(r"\toprule")
        lines.append(
            " & ".join(f"{_latex(c.text)} ({_latex(c.aside)})" if c.aside else _latex(c.text) for c in grid.head)
            + r" \\"
        )
        lines.append(r"\midrule")
        for label, rows in grid.sections:
            if label:
                lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{\emph{{{_latex(label)}}}}} \\"]
            for row in rows:
                lines.append(" & ".join(_latex_cell(cell) for cell in row) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}"]
    lines += ["", *(f"% {note}" for note in sheet.notes)]
    return "\n".join(lines) + "\n"


def _latex_cell(cell: Cell) -> str:
    return _latex(cell.text) + (rf" {{\scriptsize {_latex(cell.aside)}}}" if cell.aside else "")
