"""``tlbench``: the group of commands. A command is imported when it is called, so that ``--help`` is fast."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from importlib import import_module
from io import StringIO
from typing import TextIO

import click

from tlbench.cli import minute, signals, streams
from tlbench.cli.grouped_help import CommandGroup
from tlbench.cli.lines import say
from tlbench.cli.surroundings import check_memory, check_words, refused, short_words
from tlbench.errors import MESSAGE_CHARACTERS, TlbenchError, shortened
from tlbench.observing.stopping import EXIT_CODE, StoppedError
from tlbench.version import VERSION

COMPLETION = "_TLBENCH_COMPLETE"  # the variable by which a shell asks click what may follow
COMMANDS = {
    "demo": "tlbench.cli.demo",
    "check": "tlbench.cli.check",
    "score": "tlbench.cli.score",
    "merge": "tlbench.cli.merge",
    "compare": "tlbench.cli.compare",
    "table": "tlbench.cli.table",
    "report": "tlbench.cli.report",
    "view": "tlbench.cli.view",
    "aggregate": "tlbench.cli.aggregate",
    "boxes": "tlbench.cli.boxes",
    "controls": "tlbench.cli.controls",
    "checkpoints": "tlbench.cli.checkpoints",
    "metrics": "tlbench.cli.metrics",
    "observers": "tlbench.cli.observers",
    "calibrate": "tlbench.cli.calibrate",
    "data": "tlbench.cli.data",
    "train-observer": "tlbench.cli.train_observer",
    "train-reference": "tlbench.cli.train_reference",
    "generate": "tlbench.cli.generate",
    "plot": "tlbench.cli.plot",
    "study": "tlbench.cli.study",
    "leaderboard": "tlbench.cli.leaderboard",
}


class LazyGroup(CommandGroup):
    """Commands by the name of their module, which must be fast to import."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[name]).command
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="tlbench")
def group() -> None:
    """Measure how readable generated talking faces are.

    Results go to stdout, progress and warnings to stderr.
    Exit codes: 0 all well, 1 finished but something is to be looked at, 2 could not be done.
    """
    minute.begin()


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a UserWarning as one line; other warnings are for developers and not shown."""
    if issubclass(category, UserWarning):
        _say("warning", str(message))


def _say(what: str, line: str) -> None:
    say(f"{what}: {short_words(shortened(line, MESSAGE_CHARACTERS))}", err=True)


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """What ends a thread of a library, as a full disk that of TensorBoard's log, is one line; the command goes on."""
    line = refused(failure.exc_value) if failure.exc_value is not None else None
    if line is None:
        threading.__excepthook__(failure)
    else:
        _say("warning", line)


def _show(error: click.ClickException) -> None:
    """Print what click says of a wrong command line, which repeats its words."""
    shown = StringIO()
    error.show(shown)
    for line in shown.getvalue().rstrip("\n").split("\n"):
        say(shortened(line, MESSAGE_CHARACTERS), err=True)


def main() -> None:
    """Entry point: run a command. An error that the user can fix is one line, without a traceback."""
    if COMPLETION in os.environ:
        import_module("tlbench.cli.bash_completion")
    streams.prepare()
    warnings.showwarning = _show_warning
    threading.excepthook = _thread_failed
    status = _run()
    streams.end()
    sys.exit(status)


def _run() -> int:
    """Run the command that the words of this process name, and return its exit code."""
    try:
        check_memory()
        signals.install()
        check_words(sys.argv[1:])
        return _called()
    except click.ClickException as error:
        _show(error)
    except StoppedError as stopped:
        say(str(stopped), err=True)
        return EXIT_CODE
    except TlbenchError as error:
        _say("error", str(error))
    except (KeyboardInterrupt, click.Abort):  # click makes an Abort of a KeyboardInterrupt
        click.echo(signals.WORDS.decode(), err=True, nl=False)
        return signals.exit_code(128 + signal.SIGINT)
    except (OSError, MemoryError, RuntimeError, ImportError, UnicodeEncodeError) as error:
        line = refused(error)
        if line is None:
            raise
        _say("error", line)
    return 2


def _called() -> int:
    try:
        status = group.main(standalone_mode=False)
    except click.exceptions.Exit as exit_request:
        status = exit_request.exit_code
    streams.flush()
    return status if isinstance(status, int) else 0
