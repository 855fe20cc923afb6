"""``tlbench aggregate``: make a result again from its records, or the mean of several seeds' results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.arguments import as_names
from tlbench.cli.completion import complete_metric_choice
from tlbench.cli.options import take_over_option
from tlbench.cli.table_options import table_options
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from tlbench.tables.formats import Format


@click.command()
@click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--metrics",
    metavar="NAMES",
    shell_complete=complete_metric_choice,
    help="With commas, as for score.  [default: those of the run]",
)
@click.option("--seeds", is_flag=True, help="The mean of several runs, one for each seed; nothing is written.")
@take_over_option
@table_options
def command(
    runs: tuple[Path, ...],
    metrics: str | None,
    seeds: bool,
    take_over: bool,
    table_format: Format,
    columns: str | None,
    no_intervals: bool,
) -> None:
    """Make result.json in the folder RUN again from its records.jsonl, without videos and models.

    With --seeds, print the mean of several RUNs of one system that was trained with several seeds, with an interval
    over seeds and clips.
    """
    if seeds:
        if metrics is not None or columns is not None:
            raise TlbenchError("--seeds prints all metrics that the results share; leave out --metrics and --columns")
        from tlbench.scoring.seeds import aggregate_seeds
        from tlbench.tables.seed_table import print_seeds

        print_seeds(aggregate_seeds(runs), sys.stdout, table_format, intervals=not no_intervals)
        return
    if len(runs) > 1:
        raise TlbenchError(f"{len(runs)} runs: give one, or --seeds for the mean of one system's seeds")
    from tlbench.scoring.aggregate_folder import aggregate
    from tlbench.tables.result_table import print_results

    result = aggregate(runs[0], as_names(metrics), take_over=take_over)
    print_results(
        [result],
        sys.stdout,
        table_format,
        all_metrics=metrics is not None,
        columns=as_names(columns),
        intervals=not no_intervals,
    )
