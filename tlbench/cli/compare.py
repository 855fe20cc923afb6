"""``tlbench compare``: which differences between two systems are real."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.arguments import as_names
from tlbench.cli.options import format_option

if TYPE_CHECKING:
    from tlbench.tables.table import Format


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--level", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True, help="Of confidence.")
@click.option(
    "--metrics", metavar="KEYS", help="With commas: psnr/sound, lse_c/paper ...  [default: those usually shown]"
)
@format_option
def command(a: Path, b: Path, level: float, metrics: str | None, table_format: Format) -> None:
    """Compare two results A and B (files or run folders) clip by clip.

    Only equal protocols and clips scored in both count. P values are corrected over all metrics (Holm).
    """
    from tlbench.comparison.compare import compare
    from tlbench.scoring.result_file import load_result
    from tlbench.tables.table import render_comparison

    comparison = compare(load_result(a), load_result(b), level=level, metrics=as_names(metrics))
    click.echo(render_comparison(comparison, table_format))
