"""``tlbench demo``: everything at once, on talking faces that it renders."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.arguments import as_names
from tlbench.cli.facts import print_json
from tlbench.cli.lines import say
from tlbench.cli.options import WholeNumber, cache_option, seed_option, take_over_option, workers_option
from tlbench.cli.table_options import table_options

if TYPE_CHECKING:
    from tlbench.tables.formats import Format


@click.command()
@click.argument("out", type=click.Path(path_type=Path), default=Path("tlbench-demo"))
@click.option("--sentences", type=WholeNumber(min=2), default=20, show_default=True, help="Clips of sentences.")
@click.option("--words", type=WholeNumber(min=0), default=1, show_default=True, help="Clips of each word.")
@seed_option
@workers_option
@cache_option
@take_over_option
@click.option("--open", "open_page", is_flag=True, help="Open the first page in the browser.")
@table_options
@click.pass_context
def command(
    context: click.Context,
    out: Path,
    sentences: int,
    words: int,
    seed: int,
    workers: int | None,
    cache: Path | None,
    take_over: bool,
    open_page: bool,
    table_format: Format,
    columns: str | None,
    no_intervals: bool,
) -> None:
    """Render talking faces into OUT, generate them again, add known faults, and score it all with bundled observers.

    Needs the extra 'demo' and takes a few minutes. It begins with twelve bundled clips of a real face, of GRID: read as
    they are, as small generators, TalkLip and Wav2Lip, make them, and with lips that stand still or are of other words.
    The next table has drawn faces that a small TalkLip made on top, ground truth below it, and then clips with known
    faults, from one that is hardly visible to one that nobody can read.
    """
    from tlbench.cli.progress import CountProgress, ScoreProgress
    from tlbench.demo import (
        RESULTS_NAME,
        generate_demo,
        render_demo,
        score_demo,
        what_is_missing,
        what_was_seen,
    )
    from tlbench.tables.result_table import print_results, results_json

    with CountProgress("rendering", "clips") as rendering:
        render_demo(
            out,
            sentences=sentences,
            words=words,
            seed=seed,
            workers=workers,
            take_over=take_over,
            progress=rendering,
        )
    with CountProgress("generating", "clips") as generating:
        generate_demo(out, cache=cache, take_over=take_over, progress=generating)
    with ScoreProgress() as progress:
        tables = score_demo(out, workers=workers, cache=cache, take_over=take_over, progress=progress)
    if table_format == "json":
        print_json(
            {
                "results": out / RESULTS_NAME,
                "tables": [
                    {
                        "dataset": shown.dataset,
                        "page": shown.page,
                        **results_json(shown.results, columns=as_names(columns), intervals=not no_intervals),
                    }
                    for shown in tables
                ],
            }
        )
    for shown in () if table_format == "json" else tables:
        print_results(shown.results, sys.stdout, table_format, columns=as_names(columns), intervals=not no_intervals)
    for shown in tables:
        sentence = what_was_seen(shown)
        say(f"{sentence or shown.dataset}; open {shown.page}", err=True)
    if missing := what_is_missing(tables):
        say(missing, err=True)
    say(f"results: {out / RESULTS_NAME}", err=True)
    if open_page and tables:
        webbrowser.open(tables[0].page.resolve().as_uri())
    context.exit(0 if all(result.complete for shown in tables for result in shown.results) else 1)
