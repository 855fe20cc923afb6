"""``tlbench report``: a run, or two side by side, as one web page."""

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
    help="Where the videos lie that were scored; may be given several times.",
)
@click.option(
    "--check",
    type=click.Path(path_type=Path),
    metavar="FILE.json",
    help="What `tlbench check --json` printed: shown as warnings.",
)
@click.option("--embed", is_flag=True, help="Put small previews of the videos into the page.")
@click.option(
    "--pictures",
    type=click.IntRange(min=0),
    default=48,
    show_default=True,
    metavar="N",
    help="Clips shown in pictures: the worst, the best, the most changed.",
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
    """Write one web page of RUN (its folder or result.json), beside OTHER if given, and print where it is.

    Numbers with intervals, warnings, worst and best clips, and of each clip what was read, curves and film strips. No
    model is loaded and the page loads nothing: it can be opened from a disk and sent by mail. It holds transcripts.
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
