"""The formats of tables, and the writers of CSV and JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from io import StringIO
from typing import Any, Literal, get_args

from tlbench.document import Document, clean, to_ascii
from tlbench.errors import TlbenchError, listed, quoted
from tlbench.scoring.result_json import json_number
from tlbench.tables.markup import draw_latex, draw_markdown
from tlbench.tables.terminal import draw_terminal

Format = Literal["terminal", "markdown", "csv", "json", "latex"]
SCHEMA = "tlbench.table/1"
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # and their full-width forms


def check_format(format: str) -> None:
    """Raises TlbenchError unless ``format`` is one of the formats."""
    if format not in get_args(Format):
        raise TlbenchError(f"no format {quoted(format)}{listed(format, get_args(Format))} (--format)")


def draw(document: Document, format: Format, width: int, color: bool, ascii_only: bool) -> str:
    """A document for people: ``terminal``, ``markdown`` or ``latex``."""
    if format == "terminal":
        return draw_terminal(document, width, color, ascii_only)
    if format == "markdown":
        text = draw_markdown(document)
        return to_ascii(text) if ascii_only else text
    return draw_latex(document)


def finite_row(item: Mapping[str, Any]) -> dict[str, Any]:
    """A row with infinite numbers as text, since JSON has none."""
    return {name: json_number(value) if isinstance(value, float) else value for name, value in item.items()}


def json_text(data: Mapping[str, Any]) -> str:
    """A JSON object with the schema of tables."""
    return json.dumps({"schema": SCHEMA, **data}, indent=2, allow_nan=False) + "\n"


def csv_text(items: Iterable[Mapping[str, Any]]) -> str:
    """CSV with the keys of the first row as its head; "" without rows."""
    stream = StringIO()
    writer = None
    for item in items:
        if writer is None:
            writer = csv.DictWriter(stream, list(item), lineterminator="\n")
            writer.writeheader()
        writer.writerow({name: _csv_cell(value) for name, value in item.items()})
    return stream.getvalue()


def _csv_cell(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula gets an apostrophe in front (OWASP, "CSV injection")."""
    if not isinstance(value, str):
        return value
    text = clean(value)
    return "'" + text if text.lstrip().startswith(_FORMULA) else text
