"""``tlbench aggregate``: a result made anew from its records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.arguments import as_names
from tlbench.cli.options import format_option

if TYPE_CHECKING:
    from tlbench.tables.table import Format


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--metrics", metavar="NAMES", help="With commas, as for score.  [default: those of the run]")
@format_option
def command(run: Path, metrics: str | None, table_format: Format) -> None:
    """Make the result.json in the folder RUN anew from its records.jsonl. No video is read, no model loaded."""
    from tlbench.scoring.aggregate_folder import aggregate
    from tlbench.tables.table import render

    result = aggregate(run, as_names(metrics))
    click.echo(render([result], table_format, all_metrics=metrics is not None))
