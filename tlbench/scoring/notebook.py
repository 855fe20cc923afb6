"""A result as a notebook shows it: its table with one line a metric, since a notebook's column is narrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlbench.document import Cell, Document, Table, clean, document_html, interval_cell, label_with_arrow, number_text
from tlbench.scoring.result_notes import (
    TITLES,
    UNREAD,
    UNREAD_MEANS,
    direction_notes,
    interval_notes,
    outdated_notes,
    result_notes,
)

if TYPE_CHECKING:
    from tlbench.scoring.result import AnyRow, Result


def result_html(result: Result) -> str:
    """A result as HTML: name, value, interval and number of clips of each headline metric, and the notes.

    Shows all metrics if none of them is a headline metric.
    """
    rows = result.all_rows()
    shown = [row for row in rows if row.metric.headline] or rows
    tables = []
    for arithmetic, title in TITLES.items():
        lines = tuple(_line(result, row) for row in shown if row.metric.arithmetic == arithmetic)
        if lines:
            head = tuple(Cell(text) for text in ("metric", "value", "interval", "scored"))
            tables.append(Table(title, head, (("", lines),), kept=(0,), left=(0,)))
    place = f"{result.dataset}:{result.split}" + (f" ({result.selection} only)" if result.selection else "")
    return document_html(Document(clean(f"{result.name} on {place}"), tuple(tables), tuple(_notes(result, shown))))


def _line(result: Result, row: AnyRow) -> tuple[Cell, ...]:
    digits = row.metric.digits
    mark = (" (old)" if row.metric.outdated else "") + (UNREAD if row.metric.key in _unread(result) else "")
    return (
        Cell(clean(label_with_arrow(row.metric.label, row.metric.better)), clean(row.metric.unit)),
        Cell(number_text(row.value, digits) + mark),
        Cell(interval_cell("", row.low, row.high, digits).detail),
        Cell(f"{row.scored:,} of {row.expected:,}"),
    )


def _unread(result: Result) -> list[str]:
    """Keys of the metrics by which the system is not read better than by the best blind reader."""
    verdicts = {} if result.blind is None else result.blind.verdicts
    return [key for key, verdict in verdicts.items() if not verdict.read]


def _notes(result: Result, shown: Sequence[AnyRow]) -> list[str]:
    rows = {row.metric.key: row for row in shown}
    notes = [f"{found.message} ({found.fix})." for found in result.findings if found.code == "cannot-read"]
    notes += direction_notes(shown)
    notes += interval_notes([(result, rows)])
    if result.frame_counts is not None:
        notes.append("{:,} of {:,} frames scored.".format(*result.frame_counts))
    notes += result_notes(result, rows)
    notes += list(dict.fromkeys(row.metric.note for row in shown if row.metric.note))
    notes += outdated_notes(shown)
    unread = [key for key in _unread(result) if key in rows]
    if unread:
        notes.append(f"{UNREAD_MEANS} {', '.join(unread)}.")
    return [clean(note) for note in notes]
