"""``tlbench study``: how people rate videos, and whether they can read them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.cli.completion import complete_methods, complete_named_files
from tlbench.cli.facts import print_json
from tlbench.cli.grouped_help import CommandGroup
from tlbench.cli.lines import say
from tlbench.cli.options import WholeNumber, clip_options, json_option, seed_option, take_over_option
from tlbench.cli.signals import until_ctrl_c
from tlbench.document import counted
from tlbench.errors import TlbenchError, quoted
from tlbench.serving.addresses import CONNECTIONS_OF_ONE

if TYPE_CHECKING:
    from tlbench.scoring.result import Result
    from tlbench.study.tables import Format


@click.group(cls=CommandGroup)
def command() -> None:
    """Run a user study: draw clips, show them to people, and print the results.

    The questions are those of Table 2 of the TalkLip paper, and people also try to read the lips.
    """


@command.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--method",
    "methods",
    multiple=True,
    required=True,
    metavar="NAME=DIR",
    shell_complete=complete_named_files,
    help="Folder of generated videos, for each method.",
)
@clip_options
@click.option("--clips", type=WholeNumber(min=1), required=True, metavar="N", help="Clips to rate, with sound.")
@click.option(
    "--reading-clips",
    type=WholeNumber(min=0),
    metavar="N",
    help="Clips to read, without sound.  [default: as --clips]",
)
@click.option("--participants", type=WholeNumber(min=1), required=True, metavar="P", help="Number of participants.")
@click.option(
    "--checks",
    type=WholeNumber(min=0),
    default=2,
    show_default=True,
    metavar="N",
    help="Attention checks for each participant.",
)
@seed_option
@take_over_option
@json_option
def new(
    study: Path,
    methods: tuple[str, ...],
    dataset: str,
    data_root: Path | None,
    split: str | None,
    subset: Path | None,
    limit: int | None,
    manifest: Path | None,
    clips: int,
    reading_clips: int | None,
    participants: int,
    checks: int,
    seed: int,
    take_over: bool,
    as_json: bool,
) -> None:
    """Draw the clips of a study and write them to the folder STUDY.

    The real videos are added as a control. Prints the codes of the participants, which are also in STUDY/codes.txt.
    """
    from tlbench.cli.progress import CountProgress
    from tlbench.errors import one_line
    from tlbench.study.new_study import new_study

    with CountProgress("writing videos", "videos", transient=True) as progress:
        made = new_study(
            study,
            _methods(methods),
            dataset,
            data_root,
            clips=clips,
            participants=participants,
            reading_clips=reading_clips,
            checks=checks,
            seed=seed,
            split=split,
            subset=subset,
            limit=limit,
            manifest=manifest,
            take_over=take_over,
            progress=progress,
        )
    for note in made.notes:
        say(f"note: {note}", err=True)
    click.echo(
        f"{counted(made.trials, 'video')} a participant, {made.seconds / 60:.1f} minutes to play once; "
        f"serve with: tlbench study serve {one_line(str(study))}",
        err=True,
    )
    if as_json:
        print_json(
            {
                "study": study,
                "codes": made.codes,
                "videos_each": made.trials,
                "seconds": made.seconds,
                "notes": made.notes,
            }
        )
        return
    for code in made.codes:
        click.echo(code)


@command.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on.")
@click.option(
    "--port", type=WholeNumber(0, 65535), default=8000, show_default=True, metavar="N", help="0 takes a free port."
)
@click.option("--name", metavar="HOST", help="Also answer to this host name, of a proxy on this machine.")
@click.option(
    "--connections",
    type=WholeNumber(1, 1000),
    default=CONNECTIONS_OF_ONE,
    show_default=True,
    metavar="N",
    help="Connections of one address at the same time; the one that has waited longest is closed for a new one.",
)
@take_over_option
def serve(study: Path, host: str, port: int, name: str | None, connections: int, take_over: bool) -> None:
    """Serve the study in STUDY as a web page, until Ctrl-C.

    Answers are stored as they are given, so the server can be stopped and started at any time. Only this machine
    reaches the page unless --host is given. Then everybody who reaches the address can try codes, and nothing is
    encrypted.
    """
    from tlbench.serving.addresses import is_loopback
    from tlbench.study.server import serve_study

    def ready(address: str) -> None:
        click.echo(f"the study is at {address} (Ctrl-C stops it)")
        if not is_loopback(host):
            click.echo("warning: other machines can reach it, and nothing is encrypted", err=True)

    with until_ctrl_c():
        serve_study(study, host, port, name, connections_of_one=connections, take_over=take_over, ready=ready)


@command.command()
@click.argument("study", type=click.Path(path_type=Path))
@json_option
def progress(study: Path, as_json: bool) -> None:
    """Print the code of each participant of STUDY and how many videos are answered."""
    from tlbench.study.store import Store

    with Store(study) as store:
        people = store.participants()
        if as_json:
            print_json([{"code": person.code, "done": person.done, "total": person.total} for person in people])
            return
        for person in people:
            click.echo(f"{person.code}  {person.done} of {person.total}")


@command.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--with",
    "given",
    multiple=True,
    metavar="[NAME=]FILE",
    shell_complete=complete_methods,
    help="Result file of a method, to correlate with; for each method.",
)
@click.option(
    "--failed-checks",
    type=WholeNumber(min=0),
    default=0,
    show_default=True,
    help="Attention checks that a counted participant may fail.",
)
@click.option(
    "--format",
    "table_format",
    type=click.Choice(["terminal", "markdown", "latex"]),
    default="terminal",
    show_default=True,
    help="Format of the table.",
)
@json_option
@click.pass_context
def results(
    context: click.Context, study: Path, given: tuple[str, ...], failed_checks: int, table_format: Format, as_json: bool
) -> None:
    """Print the results of STUDY: means with intervals, differences, agreement.

    Works while the study is served. Exit code: 0 all participants finished, 1 not yet.
    """
    from tlbench.study.results import evaluate
    from tlbench.study.store import Store
    from tlbench.study.tables import print_study

    with Store(study) as store:
        answers = store.answers()
    found = evaluate(answers, allowed_failed_checks=failed_checks, results=_results(given, answers.conditions))
    if as_json:
        click.echo(found.to_json(), nl=False)
    else:
        print_study(found, sys.stdout, table_format)
    context.exit(0 if len(answers.finished) == answers.invited else 1)


def _results(given: tuple[str, ...], conditions: tuple[str, ...]) -> dict[str, Result]:
    """Result files by condition: the given name, or the name in the file."""
    from tlbench.scoring.result_file import load_result

    found: dict[str, Result] = {}
    for word in given:
        name, equals, path = word.partition("=")
        named = bool(equals) and name in conditions
        result = load_result(Path(path) if named else Path(word))
        key = name if named else result.name
        if key in found:
            raise TlbenchError(f"two results of {quoted(key)} are given; pass one of each method (--with)")
        found[key] = result
    return found


def _methods(words: tuple[str, ...]) -> dict[str, Path]:
    """The folders of ``--method`` by name. Raises TlbenchError on another form or a repeated name."""
    methods: dict[str, Path] = {}
    for word in words:
        name, equals, folder = word.partition("=")
        if not equals or not name or not folder:
            raise TlbenchError(f"--method takes NAME=DIR, such as wav2lip=out/wav2lip; got {quoted(word)}")
        if name in methods:
            raise TlbenchError(f"--method {name} is given twice: {methods[name]} and {folder}")
        methods[name] = Path(folder)
    return methods
