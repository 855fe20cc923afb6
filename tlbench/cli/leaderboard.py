"""``tlbench leaderboard``: add results, and build the tables from the records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_board: Callable[[Any], Any] = click.option(
    "--board",
    type=click.Path(path_type=Path),
    default=Path("leaderboards"),
    show_default=True,
    metavar="FOLDER",
    help="Folder of the leaderboards.",
)


@click.group()
def command() -> None:
    """Add results to leaderboards, and build their tables."""


@command.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="What the leaderboard calls the system.  [default: the result's name]")
@click.option("--paper", metavar="URL", help="Address of the paper.")
@click.option("--code", metavar="URL", help="Address of the code.")
@click.option(
    "--trained-with",
    metavar="NAMES",
    help="Checkpoints of observers that it was trained with, with commas; 'none' if there are none.",
)
@click.option("--replace", is_flag=True, help="Replace the record of the same name.")
@_board
def add(
    result: Path,
    name: str | None,
    paper: str | None,
    code: str | None,
    trained_with: str | None,
    replace: bool,
    board: Path,
) -> None:
    """Check RESULT (a result.json or a run's folder), add it as a record, and print the record's path.

    Every number is made again from the clips' counts. Refused are incomplete runs, changed files, runs over other clips
    than those of the other records, and systems that do not say what they were trained with. If records.jsonl is in the
    folder of RESULT, error counts by length of word and by viseme are added.
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
    )
    click.echo(str(path))
    click.echo("added; now run: tlbench leaderboard build", err=True)


@command.command()
@_board
@click.option(
    "--site",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write a static site as well: sortable tables, pictures, a page for each system. Open its index.html.",
)
def build(board: Path, site: Path | None) -> None:
    """Write the tables from the records, and print the files that changed."""
    from tlbench.leaderboard import build as leaderboard

    changed = leaderboard.build(board, site)
    for path in changed:
        click.echo(str(path))
    click.echo(f"{len(changed)} files changed" if changed else "nothing changed", err=True)


@command.command()
@_board
@click.pass_context
def check(context: click.Context, board: Path) -> None:
    """Check every record, and print the tables that differ from what the records give.

    Exit code: 0 everything agrees, 1 some tables differ from the records, 2 a record is damaged.
    """
    from tlbench.leaderboard import build as leaderboard

    differing = leaderboard.check(board)
    for path in differing:
        click.echo(str(path))
    click.echo(
        "these differ from the records; run: tlbench leaderboard build" if differing else "all agree",
        err=True,
    )
    context.exit(1 if differing else 0)
