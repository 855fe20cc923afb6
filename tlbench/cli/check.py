"""``tlbench check``: what is wrong with a folder of generated videos, before any model is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.cli.options import dataset_options, json_option, workers_option

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from tlbench.observing.preflight import Report

NAMED_CLIPS = 3  # of one code; --json has them all
COLOURS = {"error": "bold red", "warning": "yellow", "info": "cyan"}


@click.command()
@click.argument("generated", type=click.Path(path_type=Path))
@dataset_options
@workers_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    generated: Path,
    dataset: str,
    data_root: Path | None,
    split: str | None,
    subset: Path | None,
    limit: int | None,
    manifest: Path | None,
    boxes: Path | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Tell what is wrong with the videos in GENERATED, in seconds and without a model.

    Missing and broken files, lengths and rates, sound that lags, copies of the real videos, transcripts that no
    observer can spell. Exit code: 0 nothing to mend, 1 warnings, 2 errors.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from tlbench.observing.preflight import check

    errors = Console(stderr=True)
    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("checking", total=None)
        report = check(
            generated,
            dataset,
            data_root,
            split=split,
            subset=subset,
            limit=limit,
            manifest=manifest,
            boxes=boxes,
            workers=workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        _print(report, Console(highlight=False, markup=False, emoji=False))
    context.exit(report.exit_code)


def _print(report: Report, console: Console) -> None:
    for part in _parts(report):
        console.print(part)


def _parts(report: Report) -> list[RenderableType]:
    from itertools import groupby

    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from tlbench.observing.checks_catalogue import one_line

    parts: list[RenderableType] = []
    for code, same in groupby(report.findings, key=lambda found: found.code):
        findings = list(same)
        level = findings[0].level
        head = Text.assemble((f"{level}: {code}", COLOURS[level]))
        if len(findings) > 1 or findings[0].clip is not None:
            head.append(f" ({_many(len(findings), 'clip' if findings[0].clip is not None else 'file')})")
        parts.append(head)
        rows = Table.grid(padding=(0, 2))
        rows.add_column(overflow="fold")
        rows.add_column(overflow="fold")
        for found in findings[:NAMED_CLIPS]:
            rows.add_row(Text(found.clip or ""), Text(found.message)) if found.clip else rows.add_row(
                Text(found.message)
            )
        parts.append(Padding(rows, (0, 0, 0, 2)))
        if len(findings) > NAMED_CLIPS:
            parts.append(Padding(Text(f"and {len(findings) - NAMED_CLIPS} more (--json lists all)"), (0, 0, 0, 2)))
        parts.append(Padding(Text.assemble(("fix: ", "bold"), findings[0].fix), (0, 0, 1, 2)))
    folder = one_line(str(report.generated))
    found = f"{report.found} of {_many(report.expected, 'clip')} of {report.dataset} {report.split} found in {folder}"
    time = f"{report.checked} checked in {report.seconds:.1f} s"
    if report.exit_code == 0:
        parts.append(Text.assemble(("all well: ", "bold green"), f"{found}, {time}"))
    else:
        troubles = f"{_many(report.count('error'), 'error')}, {_many(report.count('warning'), 'warning')}: "
        parts.append(Text.assemble((troubles, "bold"), f"{found}, {time}"))
    return parts


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
