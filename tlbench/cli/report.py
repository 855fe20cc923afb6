"""``tlbench report``: one run, or two compared, as a web page."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("other", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.html", help="[default: RUN/report.html]")
@click.option(
    "--videos",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FOLDER",
    help="Folder of the scored videos; may be given several times.",
)
@click.option(
    "--check",
    type=click.Path(path_type=Path),
    metavar="FILE.json",
    help="Output of `tlbench check --json`, shown as warnings.",
)
@click.option("--embed", is_flag=True, help="Include small previews of the videos.")
@click.option(
    "--pictures",
    type=click.IntRange(min=0),
    default=48,
    show_default=True,
    metavar="N",
    help="Number of clips with pictures: the worst, the best, the most changed.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the N most notable clips.  [default: all]")
def command(
    run: Path,
    other: Path | None,
    out: Path | None,
    videos: tuple[Path, ...],
    check: Path | None,
    embed: bool,
    pictures: int,
    limit: int | None,
) -> None:
    """Write one web page about RUN (its folder or result.json), compared with OTHER if given, and print its path.

    The page has the numbers with intervals, warnings, the worst and best clips, and for each clip what was read, curves
    and film strips. No model is loaded. The page is a single file that can be sent by mail. It has transcripts in it.
    """
    from tlbench.cli.progress import CountProgress
    from tlbench.reporting.report import report

    with CountProgress("drawing", "videos") as progress:
        page = report(
            run,
            other,
            out=out,
            videos=videos,
            check=check,
            embed=embed,
            pictures=pictures,
            limit=limit,
            progress=progress,
        )
    click.echo(page)
