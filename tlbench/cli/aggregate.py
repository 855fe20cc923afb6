"""``tlbench aggregate``: make a result again from its records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.arguments import as_names
from tlbench.cli.options import take_over_option
from tlbench.cli.table_options import table_options

if TYPE_CHECKING:
    from tlbench.tables.formats import Format


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--metrics", metavar="NAMES", help="With commas, as for score.  [default: those of the run]")
@take_over_option
@table_options
def command(
    run: Path,
    metrics: str | None,
    take_over: bool,
    table_format: Format,
    columns: str | None,
    no_intervals: bool,
) -> None:
    """Make result.json in the folder RUN again from its records.jsonl, without videos and models."""
    from tlbench.scoring.aggregate_folder import aggregate
    from tlbench.tables.result_table import print_results

    result = aggregate(run, as_names(metrics), take_over=take_over)
    print_results(
        [result],
        sys.stdout,
        table_format,
        all_metrics=metrics is not None,
        columns=as_names(columns),
        intervals=not no_intervals,
    )
