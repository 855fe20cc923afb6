"""The mean of several seeds as text: for the terminal, papers and programs."""

from __future__ import annotations

from typing import TextIO

from tlbench.scoring.seeds import SeedTable
from tlbench.tables.formats import Format, check_format, csv_text, draw, finite_row, json_text
from tlbench.tables.terminal import shows_color, shows_only_ascii, terminal_width, write_text


def print_seeds(seeds: SeedTable, stream: TextIO, format: Format = "terminal", *, intervals: bool = True) -> None:
    """Write the table of several seeds to a stream, with the width, colours and characters that it can show.

    Raises TlbenchError for an unknown format.
    """
    check_format(format)
    if format == "csv":
        text = csv_text(seeds.as_dicts())
    elif format == "json":
        text = json_text({"seeds": list(seeds.names), "rows": [finite_row(row) for row in seeds.as_dicts()]})
    else:
        document = seeds.document(intervals=intervals)
        text = draw(document, format, terminal_width(), shows_color(stream), shows_only_ascii(stream))
    write_text(stream, text)
