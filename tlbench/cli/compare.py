"""``tlbench compare``: which differences between two systems are real."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.arguments import as_names
from tlbench.cli.completion import complete_metrics
from tlbench.cli.options import Number
from tlbench.cli.table_options import comparison_table_options

if TYPE_CHECKING:
    from tlbench.tables.formats import Format


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--level", type=Number(0.5, 0.999), default=0.95, show_default=True, help="Confidence level.")
@click.option(
    "--metrics",
    metavar="KEYS",
    shell_complete=complete_metrics,
    help="With commas: psnr/sound, lse_c/paper ...  [default: headline metrics]",
)
@comparison_table_options
def command(
    a: Path,
    b: Path,
    level: float,
    metrics: str | None,
    table_format: Format,
    columns: str | None,
    no_intervals: bool,
) -> None:
    """Compare two results A and B (files or run folders) clip by clip.

    Only metrics with equal protocol ids are compared, on the clips that both scored. P values are corrected over all
    metrics (Holm).
    """
    from tlbench.comparison.compare import compare
    from tlbench.scoring.result_file import load_result
    from tlbench.tables.comparison_table import print_comparison

    comparison = compare(load_result(a), load_result(b), level=level, metrics=as_names(metrics))
    print_comparison(comparison, sys.stdout, table_format, columns=as_names(columns), intervals=not no_intervals)
