"""Documents for a terminal: one line a row, in as many blocks of columns as its width needs."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from typing import TextIO

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from tlbench.document import NOTHING, SYMBOLS, Cell, Document, Table, clean, in_all_texts, to_ascii

DEFAULT_WIDTH = 120  # columns of an output that is not a terminal
_GAP = 2  # blanks between columns
_NARROWEST_NAME = 8  # columns of text are not folded to less than this
_SHORT_NOTE = "±: half the width of the interval [low, high], which a wider terminal shows in full."


def print_document(document: Document, stream: TextIO, width: int | None = None) -> None:
    """Write a document with the width, the colours and the characters that the stream can show.

    ``width`` is in columns; None takes that of the terminal (``$COLUMNS`` wins), or 120 if there is none. Colours need
    a terminal and are off where ``$NO_COLOR`` is set.
    """
    columns = width or terminal_width()
    write_text(stream, draw_terminal(document, columns, shows_color(stream), shows_only_ascii(stream)))


def terminal_width() -> int:
    """Columns of the terminal, or of ``$COLUMNS`` if it is set; 120 where the output is not a terminal."""
    return shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns


def folded(line: str, stream: TextIO) -> str:
    """A line folded at blanks to the width of the terminal that ``stream`` is; as it is for a file or a pipe.

    Words such as addresses stay whole. Further lines are indented by two more columns than the first.
    """
    if not stream.isatty():
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    pieces = textwrap.wrap(
        line, terminal_width(), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(pieces)


def shows_color(stream: TextIO) -> bool:
    """Whether a stream is a terminal that shows colours and the user wants them (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def shows_only_ascii(stream: TextIO) -> bool:
    """Whether the encoding of a stream lacks the symbols of tables."""
    try:
        SYMBOLS.encode(_encoding(stream))
    except UnicodeEncodeError:
        return True
    return False


def write_text(stream: TextIO, text: str) -> None:
    """Write text. Letters that the stream's encoding lacks, as in names, are written as escapes."""
    encoding = _encoding(stream)
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _encoding(stream: TextIO) -> str:
    return getattr(stream, "encoding", None) or "utf-8"  # a StringIO has none


def draw_terminal(document: Document, width: int, color: bool = False, ascii_only: bool = False) -> str:
    """A document as lines of at most ``width`` columns.

    A row is one line: the value, then its interval. Where a table is too wide, half the width of each interval replaces
    it if that needs fewer blocks. Columns that still do not fit are moved to a further block, which repeats the
    columns in ``Table.kept``. Nothing is cut; only a text too long for its column continues on the next line.
    """
    document = in_all_texts(document, clean)
    if ascii_only:  # before widths are measured: "inf" is wider than its symbol
        document = in_all_texts(document, to_ascii)
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
    console.print(Text(document.heading, style="bold"))
    layouts = [_layout(table, width) for table in document.tables]
    for table, layout in zip(document.tables, layouts, strict=True):
        for number, block in enumerate(layout.blocks, start=1):
            part = f" ({number} of {len(layout.blocks)})" if len(layout.blocks) > 1 else ""
            console.print()
            console.print(Text(table.title + part, style="bold cyan"))
            for line in _block_lines(table, block, layout.short, "-" if ascii_only else "─"):
                console.print(line, soft_wrap=True)
    short = any(layout.short for layout in layouts)
    notes = [*([to_ascii(_SHORT_NOTE) if ascii_only else _SHORT_NOTE] if short else []), *document.notes]
    if notes:
        console.print()
    for note in notes:
        console.print(Text(note, style="dim"))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


@dataclass(frozen=True)
class _Column:
    """A column of a block: its place in the table, its width, and the widths of the texts and details in it."""

    index: int
    width: int
    text_width: int
    detail_width: int


@dataclass(frozen=True)
class _Layout:
    """The blocks of a table; ``short`` if half-widths replace intervals."""

    blocks: tuple[tuple[_Column, ...], ...]
    short: bool
    folded: int  # names that need more than one line


def _layout(table: Table, width: int) -> _Layout:
    """The fewest blocks, then the fewest folded names, then intervals in full rather than their half-widths."""
    layouts = [_layout_of(table, width, short=False)]
    if any(cell.short_detail for row in _rows(table) for cell in row):
        layouts.append(_layout_of(table, width, short=True))
    return min(layouts, key=lambda layout: (len(layout.blocks), layout.folded, layout.short))


def _layout_of(table: Table, width: int, short: bool) -> _Layout:
    columns = [_measure(table, i, short) for i in range(len(table.head))]
    kept = [columns[i] for i in table.kept]
    free = [column for column in columns if column.index not in table.kept]
    # Kept texts are whole if the table fits. Otherwise they take half of the terminal at most, and leave room for the
    # widest of the other columns.
    widest = max((column.width for column in free), default=0)
    names = [column for column in kept if column.index in table.left]
    fixed = sum(column.width + _GAP for column in kept if column.index not in table.left)
    if names and sum(column.width + _GAP for column in columns) - _GAP > width:
        room = width - fixed - _GAP * (len(names) - 1)
        if free:
            room = min(width // 2, room - widest - _GAP)
        limit = max(_fair_limit([column.width for column in names], room), _NARROWEST_NAME)
        kept = [replace(c, width=min(c.width, limit)) if c.index in table.left else c for c in kept]
    taken = sum(column.width + _GAP for column in kept)
    free = [replace(column, width=max(1, min(column.width, width - taken))) for column in free]
    blocks: list[list[_Column]] = [[]]
    for column in free:
        used = taken + sum(other.width + _GAP for other in blocks[-1])
        if blocks[-1] and used + column.width > width:
            blocks.append([])
        blocks[-1].append(column)
    ordered = tuple(tuple(sorted([*kept, *block], key=lambda column: column.index)) for block in blocks)
    limits = {column.index: column.width for column in kept}
    folded = sum(cell_len(row[i].text) > limit for row in _rows(table) for i, limit in limits.items())
    return _Layout(ordered, short, folded)


def _fair_limit(widths: Sequence[int], room: int) -> int:
    """The largest limit such that columns cut to it take no more than ``room`` together."""
    limit, left = 0, room
    for number, width in enumerate(sorted(widths)):
        limit = left // (len(widths) - number)
        if width > limit:
            return limit
        left -= width
    return max(limit, *widths)


def _measure(table: Table, index: int, short: bool) -> _Column:
    text = detail = head = 0
    for row in _rows(table):
        text = max(text, cell_len(row[index].text))
        detail = max(detail, cell_len(_detail(row[index], short)))
    head = max(cell_len(table.head[index].text), cell_len(table.head[index].detail))
    return _Column(index, max(text + (1 + detail if detail else 0), head), text, detail)


def _detail(cell: Cell, short: bool) -> str:
    return cell.short_detail if short and cell.short_detail else cell.detail


def _rows(table: Table) -> Iterator[tuple[Cell, ...]]:
    for _, rows in table.sections:
        yield from rows


def _block_lines(table: Table, block: Sequence[_Column], short: bool, rule: str) -> Iterator[Text]:
    """The head, a rule, and the rows of one block, with a rule and the label before each further section."""
    across = Text(rule * (sum(column.width for column in block) + _GAP * (len(block) - 1)))
    head = [_head_lines(table.head[column.index], column) for column in block]
    height = max(map(len, head))
    yield from _row_lines([[Text()] * (height - len(lines)) + lines for lines in head], table, block)
    yield across
    for number, (label, rows) in enumerate(table.sections):
        shown = [row for row in rows if label not in table.partial or _has_number(table, row, block)]
        if number and shown:
            yield across
        if label and shown:
            yield from (Text(part, style="italic dim") for part in chop_cells(label, len(across)))
        for row in shown:
            cells = [_cell_lines(row[c.index], c, short, c.index in table.left) for c in block]
            yield from _row_lines(cells, table, block)


def _has_number(table: Table, row: Sequence[Cell], block: Sequence[_Column]) -> bool:
    """Whether a row has a number in the columns that belong to this block alone."""
    others = {*table.kept, *table.counts}
    return any(row[column.index].text != NOTHING for column in block if column.index not in others)


def _head_lines(cell: Cell, column: _Column) -> list[Text]:
    """The label, and the unit on a line below."""
    lines = [Text(part, style="bold") for part in _fold(cell.text, column.width)]
    return lines + [Text(part, style="dim") for part in _fold(cell.detail, column.width) if part]


def _cell_lines(cell: Cell, column: _Column, short: bool, is_text: bool) -> list[Text]:
    """One line, with values and details below each other in the column; more if the column is too narrow for it."""
    detail = _detail(cell, short)
    whole = column.text_width + (1 + column.detail_width if column.detail_width else 0)
    if is_text or whole > column.width:
        return [Text(part) for part in _fold(f"{cell.text} {detail}".rstrip(), column.width)]
    line = Text(_pad(cell.text, column.text_width))
    if column.detail_width:
        line.append(" " + _pad(detail, column.detail_width), style="dim")
    return [line]


def _pad(text: str, width: int) -> str:
    return " " * (width - cell_len(text)) + text


def _fold(text: str, width: int) -> list[str]:
    """The text in pieces of at most ``width`` columns, split at blanks if possible; one piece of an empty text."""
    pieces = []
    while cell_len(text) > width:
        piece = chop_cells(text, width)[0]
        blank = piece.rfind(" ") if text[len(piece)] != " " else len(piece)
        end = blank if blank > 0 else len(piece)
        pieces.append(text[:end])
        text = text[end:].lstrip(" ")
    return [*pieces, text]


def _row_lines(cells: Sequence[list[Text]], table: Table, block: Sequence[_Column]) -> Iterator[Text]:
    """The lines of a row, each cell padded to the width of its column."""
    for number in range(max(len(lines) for lines in cells)):
        line = Text()
        for lines, column in zip(cells, block, strict=True):
            part = lines[number] if number < len(lines) else Text()
            blank = " " * (column.width - part.cell_len)
            line.append(" " * _GAP if line.cell_len or column is not block[0] else "")
            line.append_text(Text.assemble(part, blank) if column.index in table.left else Text.assemble(blank, part))
        yield line
