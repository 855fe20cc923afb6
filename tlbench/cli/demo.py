"""``tlbench demo``: the whole chain on talking faces made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.cli.options import cache_option, format_option, workers_option

if TYPE_CHECKING:
    from tlbench.results.table import Format


@click.command()
@click.argument("out", type=click.Path(path_type=Path), default=Path("tlbench-demo"))
@click.option("--sentences", type=click.IntRange(min=2), default=40, show_default=True, help="Clips of sentences.")
@click.option("--words", type=click.IntRange(min=0), default=1, show_default=True, help="Clips of each word.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the faces and what they say."
)
@workers_option
@cache_option
@format_option
@click.pass_context
def command(
    context: click.Context,
    out: Path,
    sentences: int,
    words: int,
    seed: int,
    workers: int | None,
    cache: Path | None,
    table_format: Format,
) -> None:
    """Render talking faces into OUT, generate and spoil them, and score all of it with what is bundled.

    Needs the extra 'demo'; takes a few minutes. The table has a generator in miniature on top, below it ground truth,
    and then what was spoiled in known ways, down to what nobody can read: whoever is not as good as the one or no
    better than the other sees so at once.
    """
    from tlbench.cli.progress import CountProgress, ScoreProgress
    from tlbench.demo import RESULTS_NAME, generate_demo, render_demo, score_demo
    from tlbench.results.table import render

    with CountProgress("rendering", "clips") as rendering:
        render_demo(out, sentences=sentences, words=words, seed=seed, workers=workers, progress=rendering)
    with CountProgress("generating", "clips") as generating:
        generate_demo(out, cache=cache, progress=generating)
    with ScoreProgress() as progress:
        tables = score_demo(out, workers=workers, cache=cache, progress=progress)
    for shown in tables:
        click.echo(render(shown.results, table_format, all_metrics=False))
    for shown in tables:
        click.echo(f"page: {shown.page}", err=True)
    click.echo(f"results: {out / RESULTS_NAME}", err=True)
    context.exit(0 if all(result.complete for shown in tables for result in shown.results) else 1)
