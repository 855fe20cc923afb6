"""``tlbench table``: print results as one table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.arguments import as_names
from tlbench.cli.table_options import table_options

if TYPE_CHECKING:
    from tlbench.tables.formats import Format


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@table_options
@click.option("--all-metrics", is_flag=True, help="Also metrics that are not headline metrics.")
def command(
    results: tuple[Path, ...], table_format: Format, columns: str | None, no_intervals: bool, all_metrics: bool
) -> None:
    """Print RESULTS as one table: result files, run folders, or folders of those.

    Fits the terminal: columns that do not fit are moved to a further block.
    """
    from tlbench.scoring.result_file import load_result, result_files
    from tlbench.tables.result_table import print_results

    print_results(
        [load_result(file) for path in results for file in result_files(path)],
        sys.stdout,
        table_format,
        all_metrics=all_metrics,
        columns=as_names(columns),
        intervals=not no_intervals,
    )
