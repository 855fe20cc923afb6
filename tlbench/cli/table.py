"""``tlbench table``: result files as the rows of one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.cli.options import format_option

if TYPE_CHECKING:
    from tlbench.tables.table import Format


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@format_option
@click.option("--all-metrics", is_flag=True, help="Also those that are not usually shown.")
def command(results: tuple[Path, ...], table_format: Format, all_metrics: bool) -> None:
    """Print RESULTS as one table: files, run folders, or folders of those. No video is read, no model loaded."""
    from tlbench.scoring.result_file import load_result, result_files
    from tlbench.tables.table import render

    click.echo(
        render(
            [load_result(file) for path in results for file in result_files(path)],
            table_format,
            all_metrics=all_metrics,
        )
    )
