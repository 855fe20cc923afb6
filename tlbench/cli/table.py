"""``tlbench table``: print results as one table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.arguments import as_names
from tlbench.cli.completion import complete_presets
from tlbench.cli.lines import say
from tlbench.cli.table_options import table_options
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from tlbench.tables.formats import Format


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@table_options
@click.option(
    "--preset",
    metavar="NAME",
    shell_complete=complete_presets,
    help="Columns of a kind of table: paper-avatar, paper-talklip, reading, all. With --format latex, the table of a "
    "paper, with a caption.",
)
@click.option("--all-metrics", is_flag=True, help="Also metrics that are not headline metrics.")
def command(
    results: tuple[Path, ...],
    table_format: Format,
    columns: str | None,
    no_intervals: bool,
    preset: str | None,
    all_metrics: bool,
) -> None:
    """Print RESULTS as one table: result files, run folders, or folders of those.

    Fits the terminal: columns that do not fit are moved to a further block.

    With --preset and --format latex it is a table as papers print it: a row for each result, the best number of a
    column bold and the second underlined where tests show it, the protocol ids in the caption, no intervals.
    """
    from tlbench.metrics.presets import find_preset
    from tlbench.scoring.result_file import load_result, result_files
    from tlbench.tables.paper_table import absent_note, paper_table
    from tlbench.tables.result_table import print_results
    from tlbench.tables.terminal import write_text

    if preset is not None and columns is not None:
        raise TlbenchError(f"--preset {preset} and --columns {columns} both choose columns; give one of them")
    chosen = None if preset is None else find_preset(preset)
    loaded = [load_result(file) for path in results for file in result_files(path)]
    if chosen is not None and (note := absent_note(loaded, chosen)):
        say(note, err=True)
    if chosen is not None and table_format == "latex":
        write_text(sys.stdout, paper_table(loaded, chosen))
        return
    print_results(
        loaded,
        sys.stdout,
        table_format,
        all_metrics=all_metrics,
        columns=as_names(columns) if chosen is None else (chosen.name,),
        intervals=not no_intervals,
    )
