"""Comparisons as text: for the terminal, papers and programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO

from tlbench.comparison.compare import Comparison, SystemStatus
from tlbench.comparison.comparison_table import COLUMNS, comparison_document, comparison_notes
from tlbench.errors import TlbenchError, listed, quoted
from tlbench.tables.formats import Format, check_format, csv_text, draw, finite_row, json_text
from tlbench.tables.terminal import DEFAULT_WIDTH, shows_color, shows_only_ascii, terminal_width, write_text


def render_comparison(
    comparison: Comparison,
    format: Format = "terminal",
    *,
    columns: Sequence[str] | None = None,
    intervals: bool = True,
    width: int = DEFAULT_WIDTH,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """A comparison as text that ends with a newline.

    Parameters
    ----------
    comparison : Comparison
    columns : sequence of str, optional
        Only these columns, in this order: ``a``, ``b``, ``difference``, ``wins``, ``p``, ``verdict``. CSV and JSON
        always have all.
    format, intervals, width, color, ascii_only
        As for :func:`tlbench.tables.result_table.render`.

    Raises
    ------
    TlbenchError
        For an unknown format or column.
    """
    check_format(format)
    chosen = COLUMNS if columns is None else tuple(dict.fromkeys(columns))
    for name in chosen:
        if name not in COLUMNS:
            raise TlbenchError(f"no column {quoted(name)}{listed(name, COLUMNS)} (--columns)")
    if format == "csv":
        return csv_text({"system_a": comparison.a, "system_b": comparison.b} | item for item in comparison.as_dicts())
    if format == "json":
        return json_text(_json(comparison))
    document = comparison_document(comparison, columns=chosen, intervals=intervals)
    return draw(document, format, width, color, ascii_only)


def print_comparison(
    comparison: Comparison,
    stream: TextIO,
    format: Format = "terminal",
    *,
    columns: Sequence[str] | None = None,
    intervals: bool = True,
) -> None:
    """Write :func:`render_comparison` to a stream, with the width, colours and characters that it can show."""
    text = render_comparison(
        comparison,
        format,
        columns=columns,
        intervals=intervals,
        width=terminal_width(),
        color=shows_color(stream),
        ascii_only=shows_only_ascii(stream),
    )
    write_text(stream, text)


def _json(comparison: Comparison) -> dict[str, Any]:
    return {
        "a": comparison.a,
        "b": comparison.b,
        "level": comparison.level,
        "clips": comparison.clips,
        "only_a": comparison.only_a,
        "only_b": comparison.only_b,
        "other_reference": comparison.other_reference,
        "sides": {"a": _status_json(comparison.status_a), "b": _status_json(comparison.status_b)},
        "not_read": [{"system": name, "metric": key} for name, key in comparison.not_read],
        "rows": [finite_row(item) for item in comparison.as_dicts()],
        "not_comparable": [{"metric": n.key, "a": n.a, "b": n.b} for n in comparison.not_comparable],
        "notes": comparison_notes(comparison),
    }


def _status_json(status: SystemStatus) -> dict[str, Any]:
    return {
        "complete": status.complete,
        "clips_in_error": status.in_error,
        "clips_absent": status.absent,
        "findings": [found.to_json() for found in status.findings],
        "cannot_read": list(status.cannot_read),
    }
