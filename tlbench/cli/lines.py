"""Lines for people on a terminal, in which a name from a file can't move the cursor or change colours."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from tlbench.errors import one_line

_above: list[Callable[[str], None]] = []  # of the progress bars that are drawn now, the last is on the terminal


@contextmanager
def lines_above(write: Callable[[str], None]) -> Iterator[None]:
    """While a progress bar is drawn on stderr: lines for stderr go to ``write``, which puts them above the bar."""
    _above.append(write)
    try:
        yield
    finally:
        _above.pop()


def say(line: object, *, err: bool = False) -> None:
    """Print one line to stdout, or to stderr with ``err``. What is not printable in it is escaped.

    On a stdout that is no terminal the line stays as it is, since a program may read a path from it.
    """
    text = str(line)
    if err and _above:
        _above[-1](one_line(text))
        return
    click.echo(one_line(text) if err or sys.stdout.isatty() else text, err=err)
