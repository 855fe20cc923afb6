"""``tlbench observers``: what looks at videos, and through which views."""

from __future__ import annotations

import json
import sys

import click

from tlbench.cli.grouped_help import CommandGroup
from tlbench.cli.options import json_option


@click.group(cls=CommandGroup)
def command() -> None:
    """List the observers: what looks at videos."""


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """Every observer: its views, what it needs, its checkpoints and its metrics.

    Views are for --view OBSERVER=VIEW; the usual one is that of the checkpoint. Networks of the user's own are added by
    packages.
    """
    from tlbench.checkpoints.catalogue import observer_names
    from tlbench.metrics.sheet import observer_sheet, shown_observer
    from tlbench.tables.terminal import folded

    sheets = [observer_sheet(name) for name in observer_names()]
    if as_json:
        click.echo(json.dumps(sheets, indent=1, ensure_ascii=False))
        return
    for own in sheets:
        for line in shown_observer(own):
            click.echo(folded(line, sys.stdout))
        click.echo()
