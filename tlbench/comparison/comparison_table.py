"""A comparison as a table with notes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from tlbench.document import Cell, Document, Table, clean, counted, interval_cell, label_with_arrow, number_text
from tlbench.metrics.metric import Metric
from tlbench.metrics.sets import NOT_RECOMPUTED
from tlbench.scoring.result_notes import TITLES, clip_count, incomplete_notes, notes_of_findings

if TYPE_CHECKING:
    from tlbench.comparison.compare import Comparison, MetricComparison, SystemStatus

COLUMNS = ("a", "b", "difference", "wins", "p", "verdict")  # names for --columns
_HEADS = ("a", "b", "a - b", "a wins", "p", "verdict")


def comparison_document(
    comparison: Comparison, *, columns: Sequence[str] = COLUMNS, intervals: bool = True
) -> Document:
    """A comparison as a document: one line a metric, with the ``columns`` chosen from :data:`COLUMNS`."""
    tables = []
    for arithmetic, title in TITLES.items():
        rows = [row for row in comparison.rows if row.metric.arithmetic == arithmetic]
        if rows:
            tables.append(_table(title, rows, columns, intervals))
    heading = f"a: {clean(comparison.a)}   b: {clean(comparison.b)}   {clip_count(comparison.clips)} in both"
    return Document(heading, tuple(tables), tuple(comparison_notes(comparison)))


def _table(title: str, rows: Sequence[MetricComparison], columns: Sequence[str], intervals: bool) -> Table:
    places = [COLUMNS.index(name) for name in columns]
    head = (Cell("metric"), *(Cell(_HEADS[place]) for place in places))
    lines = []
    for row in rows:
        name = Cell(clean(label_with_arrow(row.metric.label, row.metric.better)), clean(row.metric.unit))
        cells = _cells(row, intervals)
        lines.append((name, *(cells[place] for place in places)))
    texts = (0, *(i for i, name in enumerate(columns, start=1) if name == "verdict"))
    return Table(title, head, (("", tuple(lines)),), kept=texts, left=texts)


def _cells(row: MetricComparison, intervals: bool) -> tuple[Cell, ...]:
    """The cells of a row in the order of :data:`COLUMNS`."""
    difference, digits = row.difference, row.metric.digits
    delta = number_text(difference.delta, digits)
    plus = "+" if (difference.delta or 0) > 0 and delta.strip("0.") else ""
    low, high = (difference.low, difference.high) if intervals else (None, None)
    return (
        Cell(number_text(difference.a, digits)),
        Cell(number_text(difference.b, digits)),
        interval_cell(plus + delta, low, high, digits),
        Cell(number_text(difference.probability_of_improvement, 2)),
        Cell(_p_value(row.p_adjusted)),
        Cell(row.verdict),
    )


def _p_value(p_value: float | None) -> str:
    if p_value is None:
        return "-"
    return f"{p_value:.4f}" if p_value >= 0.0001 else "<0.0001"


def comparison_notes(comparison: Comparison) -> list[str]:
    """How the numbers were made, which clips and metrics were left out, and the findings of both results."""
    level = f"{100 * comparison.level:g} %"
    sides = {"a": comparison.status_a, "b": comparison.status_b}
    notes = _shared_notes(sides, lambda side: side.cannot_read)
    notes += [
        f"a - b with its paired {level} bootstrap interval; p: paired permutation test, two-sided, corrected for "
        f"{counted(len(comparison.rows), 'metric')} (Holm).",
        "a wins: share of clips on which a is better; a tie counts half.",
    ]
    of_clips = [row.difference for row in comparison.rows if isinstance(row.metric, Metric)]
    units = {(d.unit, d.units) for d in of_clips if d.clips}
    if units:
        notes.append("Resampled and swapped: " + ", ".join(f"{count:,} {unit}" for unit, count in sorted(units)) + ".")
    of_sets = [row for row in comparison.rows if not isinstance(row.metric, Metric)]
    if of_sets:
        labels = ", ".join(row.metric.label for row in of_sets)
        groups = of_sets[0].difference.units
        notes.append(f"{labels}: paired jackknife over {groups} groups of clips, p by Student's t; {NOT_RECOMPUTED}.")
    if comparison.only_a or comparison.only_b:
        notes.append(f"Left out: {clip_count(comparison.only_a)} only in a, {clip_count(comparison.only_b)} only in b.")
    if comparison.other_reference:
        notes.append(f"Left out: {clip_count(comparison.other_reference)} with different reference videos.")
    fewer = [f"{r.metric.key} {r.difference.clips:,}" for r in comparison.rows if r.difference.clips < comparison.clips]
    if fewer:
        notes.append(f"Scored in both on fewer clips: {', '.join(fewer)}.")
    notes += _shared_notes(sides, _status_notes)
    if comparison.not_read:
        listed = ", ".join(f"{name} by {key}" for name, key in comparison.not_read)
        notes.append(f"Not read, at 95 % no better than the best blind reader: {listed}.")
    for item in comparison.not_comparable:
        if item.reason:
            notes.append(f"{item.key} not compared: {item.reason}.")
        elif item.a is None or item.b is None:
            notes.append(f"{item.key} not compared: only {'b' if item.a is None else 'a'} has it.")
        else:
            notes.append(f"{item.key} not compared, protocols differ: a {item.a}; b {item.b}")
    return [clean(note) for note in notes]


def _status_notes(side: SystemStatus) -> list[str]:
    notes = incomplete_notes(side.in_error, side.absent, side.expected, side.strict)
    if not side.complete and not notes:
        notes.append("incomplete because of a finding of the folder.")
    findings, info = notes_of_findings(side.findings)
    return notes + findings + info


def _shared_notes(sides: Mapping[str, SystemStatus], notes_of: Callable[[SystemStatus], Sequence[str]]) -> list[str]:
    """The notes of both sides; a note of both is printed once: ``a, b: ...``."""
    names: dict[str, list[str]] = {}
    for name, side in sides.items():
        for note in notes_of(side):
            names.setdefault(note, []).append(name)
    return [f"{', '.join(of)}: {note}" for note, of in names.items()]
