"""``tlbench report``: one run, or two side by side, as a web page."""

from __future__ import annotations

from pathlib import Path

import click

from tlbench.cli.facts import print_json
from tlbench.cli.lines import say
from tlbench.cli.options import WholeNumber, json_option


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
    "--data-root",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder of the data set, to show real videos beside the generated ones.  [default: the one that is set]",
)
@click.option(
    "--check",
    type=click.Path(path_type=Path),
    metavar="FILE.json",
    help="Output of `tlbench check --json`, to show its findings.",
)
@click.option("--embed", is_flag=True, help="Include small previews of the videos.")
@click.option(
    "--pictures",
    type=WholeNumber(min=0),
    default=48,
    show_default=True,
    metavar="N",
    help="Clips with pictures: the worst, best, or most changed.",
)
@click.option("--limit", type=WholeNumber(min=1), metavar="N", help="Only the N most notable clips.  [default: all]")
@json_option
def command(
    run: Path,
    other: Path | None,
    out: Path | None,
    videos: tuple[Path, ...],
    data_root: Path | None,
    check: Path | None,
    embed: bool,
    pictures: int,
    limit: int | None,
    as_json: bool,
) -> None:
    """Write a web page of RUN (its folder or result.json), compared with OTHER if given, and print its path.

    It opens with the best, the median and the worst clip, real and generated video side by side, and shows numbers with
    ceilings, floors and intervals, findings, and for each clip the words read, curves and film strips. It is one file
    that loads nothing else. It contains transcripts and videos of the first clips.
    """
    from tlbench.cli.progress import CountProgress
    from tlbench.reporting.report import report

    with CountProgress("drawing", "videos") as progress:
        page = report(
            run,
            other,
            out=out,
            videos=videos,
            data_root=data_root,
            check=check,
            embed=embed,
            pictures=pictures,
            limit=limit,
            progress=progress,
        )
    if as_json:
        print_json({"page": page})
    else:
        say(page)
