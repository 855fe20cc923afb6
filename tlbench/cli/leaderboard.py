"""``tlbench leaderboard``: add results, and build the tables of all records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tlbench.cli.completion import complete_systems, complete_training_checkpoints
from tlbench.cli.facts import print_json
from tlbench.cli.grouped_help import CommandGroup
from tlbench.cli.lines import say
from tlbench.cli.options import json_option, take_over_option
from tlbench.document import counted

_board: Callable[[Any], Any] = click.option(
    "--board",
    type=click.Path(path_type=Path),
    default=Path("leaderboards"),
    show_default=True,
    metavar="FOLDER",
    help="Folder of the leaderboards.",
)


@click.group(cls=CommandGroup)
def command() -> None:
    """Add results to leaderboards and build the tables."""


@command.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option(
    "--name",
    metavar="NAME",
    shell_complete=complete_systems,
    help="Name of the system.  [default: the result's name]",
)
@click.option("--paper", metavar="URL", help="Address of the paper.")
@click.option("--code", metavar="URL", help="Address of the code.")
@click.option(
    "--trained-with",
    metavar="NAMES",
    shell_complete=complete_training_checkpoints,
    help="Checkpoints of observers that the system was trained with, with commas, or 'none'.",
)
@click.option("--replace", is_flag=True, help="Replace a record of the same name.")
@_board
@take_over_option
@json_option
def add(
    result: Path,
    name: str | None,
    paper: str | None,
    code: str | None,
    trained_with: str | None,
    replace: bool,
    board: Path,
    take_over: bool,
    as_json: bool,
) -> None:
    """Check RESULT (a result.json or a run's folder), add it as a record, and print the path of the record.

    Every number is computed again from the counts of the clips. Incomplete runs, changed files, clips that differ from
    those of other records, and systems without --trained-with are refused. If records.jsonl is in the same folder, the
    record also gets counts of misread words by length and of misread visemes.
    """
    from tlbench.arguments import as_names
    from tlbench.leaderboard import build as leaderboard

    path = leaderboard.add(
        result,
        board,
        name=name,
        paper=paper,
        code=code,
        trained_with=as_names(trained_with) or (),
        replace=replace,
        take_over=take_over,
    )
    if as_json:
        print_json({"record": path})
    else:
        say(path)
    click.echo("added; now run: tlbench leaderboard build", err=True)


@command.command()
@_board
@click.option(
    "--site",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Also write a static site: sortable tables, charts, a page for each system. Open its index.html.",
)
@take_over_option
@json_option
def build(board: Path, site: Path | None, take_over: bool, as_json: bool) -> None:
    """Write the tables from the records and print the files that changed."""
    from tlbench.leaderboard import build as leaderboard

    changed = leaderboard.build(board, site, take_over=take_over)
    if as_json:
        print_json({"changed": list(changed)})
    for path in () if as_json else changed:
        say(path)
    click.echo(f"{counted(len(changed), 'file')} changed" if changed else "nothing changed", err=True)


@command.command()
@_board
@json_option
@click.pass_context
def check(context: click.Context, board: Path, as_json: bool) -> None:
    """Check every record, and that the tables agree with the records; print the files that do not.

    Exit code: 0 all agree, 1 some tables differ from the records, 2 a record is invalid.
    """
    from tlbench.leaderboard import build as leaderboard

    differing = leaderboard.check(board)
    if as_json:
        print_json({"differing": list(differing)})
    for path in () if as_json else differing:
        say(path)
    click.echo(
        "these differ from the records; run: tlbench leaderboard build" if differing else "all agree",
        err=True,
    )
    context.exit(1 if differing else 0)
