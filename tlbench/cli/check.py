"""``tlbench check``: find what is wrong with a folder of generated videos, before it is scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from tlbench.cli.completion import complete_faces, complete_weights
from tlbench.cli.options import (
    DETECTOR,
    boxes_from_option,
    cache_option,
    data_options,
    given_weights,
    json_option,
    workers_option,
)
from tlbench.document import counted

if TYPE_CHECKING:
    from rich.console import Console

    from tlbench.datasets.options import DataOptions
    from tlbench.preflight.check import CheckReport
    from tlbench.preflight.findings import Finding

NAMED_CLIPS = 3  # of one code; --json has them all
COLOURS = {"error": "bold red", "warning": "yellow", "info": "cyan"}


@click.command()
@click.argument("generated", type=click.Path(path_type=Path))
@data_options
@boxes_from_option
@click.option("--faces", is_flag=True, help="Also find the face in every frame, as score does: minutes, not seconds.")
@click.option("--detector", type=DETECTOR, help="With --faces, what finds them.  [default: auto]")
@click.option(
    "--face",
    metavar="WHICH",
    shell_complete=complete_faces,
    help="With --faces, which of several faces is followed: largest, central, or its number from the left.  "
    "[default: largest]",
)
@click.option(
    "--weights",
    multiple=True,
    metavar="NAME=FILE",
    shell_complete=complete_weights,
    help="With --faces, a checkpoint: s3fd=FILE.",
)
@cache_option
@workers_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    generated: Path,
    data: DataOptions,
    boxes_from: Literal["reference", "generated"],
    faces: bool,
    detector: str | None,
    face: str | None,
    weights: tuple[str, ...],
    cache: Path | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Find what is wrong with the videos in GENERATED, in seconds and without a model (--faces loads a face detector).

    Missing and broken files, lengths and rates, sound that lags, copies of the real videos, transcripts that no
    observer can spell.

    Exit code: 0 nothing to fix, 1 warnings, 2 errors.
    """
    from rich.console import Console

    from tlbench.checking import check
    from tlbench.cli.progress import CountProgress

    with CountProgress("checking", "clips", transient=True) as progress:
        report = check(
            generated,
            data.dataset,
            data.data_root,
            split=data.split,
            subset=data.subset,
            limit=data.limit,
            manifest=data.manifest,
            boxes=data.boxes,
            boxes_from=boxes_from,
            faces=faces,
            detector=detector,
            face=face,
            weights=given_weights(weights),
            cache=cache,
            workers=workers,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        _print(report, Console(highlight=False, markup=False, emoji=False))
    context.exit(report.exit_code)


def _print(report: CheckReport, console: Console) -> None:
    """Print findings grouped by code, worst first, then a summary in one line."""
    from itertools import groupby

    from rich.text import Text

    from tlbench.errors import one_line
    from tlbench.preflight.check import FACES

    for code, same in groupby(report.findings, key=lambda found: found.code):
        _print_group(code, list(same), console)
    left_out = f"; not checked: {', '.join(report.not_checked)}" if report.not_checked else ""
    hint = " (--faces looks at these)" if FACES in report.not_checked else ""
    folder = "" if report.generated is None else f" in {one_line(str(report.generated))}"
    what = f"{report.found} of {counted(report.expected, 'clip')} of {report.dataset} {report.split} found{folder}"
    verdict, style = "all well", "bold green"
    if report.exit_code:
        verdict = f"{counted(report.count('error'), 'error')}, {counted(report.count('warning'), 'warning')}"
        style = "bold"
    console.print(
        Text.assemble((verdict, style), f": {what}; {report.checked} checked in {report.seconds:.1f} s{left_out}{hint}")
    )


def _print_group(code: str, findings: list[Finding], console: Console) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    level, of_clips = findings[0].level, findings[0].clip is not None
    count = f" ({counted(len(findings), 'clip' if of_clips else 'file')})" if of_clips or len(findings) > 1 else ""
    console.print(Text.assemble((f"{level}: {code}", COLOURS[level]), count))
    rows = Table.grid(padding=(0, 2))
    for found in findings[:NAMED_CLIPS]:
        # Text, not str: square brackets in a name are not markup
        cells = (found.clip, found.message) if found.clip is not None else (found.message,)
        rows.add_row(*(Text(cell, overflow="fold") for cell in cells))
    console.print(Padding(rows, (0, 0, 0, 2), expand=False))
    if len(findings) > NAMED_CLIPS:
        console.print(f"  and {len(findings) - NAMED_CLIPS} more (--json lists all)")
    console.print(Padding(Text.assemble(("fix: ", "bold"), findings[0].fix), (0, 0, 1, 2), expand=False))
