"""``tlbench leaderboard``: file results, and build the tables of all that are filed."""

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
    help="Of the leaderboards.",
)


@click.group()
def command() -> None:
    """File results and build the tables of all that are filed."""


@command.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="What the leaderboard calls the system.  [default: the result's name]")
@click.option("--paper", metavar="URL", help="Where it is described.")
@click.option("--code", metavar="URL", help="Where its code is.")
@click.option(
    "--trained-with",
    metavar="NAMES",
    help="Observers' checkpoints it was trained with, with commas; 'none' if there are none.",
)
@click.option("--replace", is_flag=True, help="Take the place of a record of the same name.")
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
    """Check RESULT (a result.json or a run's folder) and file it; prints the record's path.

    Every number is made anew from the clips' counts. Refused: incomplete runs, changed files, other clips than the
    others were scored on, a system that does not say what it was trained with. Of the records.jsonl beside RESULT, if
    there, counts are filed: which lengths of words and which visemes were misread.
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
    click.echo("filed; now: tlbench leaderboard build", err=True)


@command.command()
@_board
@click.option(
    "--site",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write a static site there too: sortable tables, pictures, a page per system. Open its index.html.",
)
def build(board: Path, site: Path | None) -> None:
    """Write the tables from the records; prints the files that changed."""
    from tlbench.leaderboard import build as leaderboard

    changed = leaderboard.build(board, site)
    for path in changed:
        click.echo(str(path))
    click.echo(f"{len(changed)} files changed" if changed else "nothing changed", err=True)


@command.command()
@_board
@click.pass_context
def check(context: click.Context, board: Path) -> None:
    """Check every record, and that the tables are those the records give; prints the files that are not.

    Exit code: 0 all as it should be, 1 some tables differ from the records, 2 a record is not as it should be.
    """
    from tlbench.leaderboard import build as leaderboard

    differing = leaderboard.check(board)
    for path in differing:
        click.echo(str(path))
    click.echo(
        "these differ from what the records give; run: tlbench leaderboard build" if differing else "all agree",
        err=True,
    )
    context.exit(1 if differing else 0)
