"""Lines for people on a terminal, in which a name from a file can't move the cursor or change colours."""

from __future__ import annotations

import sys

import click

from tlbench.errors import one_line


def say(line: object, *, err: bool = False) -> None:
    """Print one line to stdout, or to stderr with ``err``. What is not printable in it is escaped.

    On a stdout that is no terminal the line stays as it is, since a program may read a path from it.
    """
    text = str(line)
    click.echo(one_line(text) if err or sys.stdout.isatty() else text, err=err)
