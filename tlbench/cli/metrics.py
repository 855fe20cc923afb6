"""``tlbench metrics``: every number that can be measured, and presets of them."""

from __future__ import annotations

import json
import sys

import click

from tlbench.cli.grouped_help import CommandGroup
from tlbench.cli.options import json_option

_BETTER = {"higher": "higher is better", "lower": "lower is better", "none": "no direction"}


@click.group(cls=CommandGroup)
def command() -> None:
    """List the metrics, and presets of them."""


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """Every metric: its name, unit and direction, what it needs, and what it is blind to. Then the presets.

    Names are for --metrics. What a metric is blind to was measured with faults of growing size on two data sets
    (`tlbench calibrate`); a metric without such a line was not.
    """
    from tlbench.metrics.catalogue import all_metrics
    from tlbench.metrics.sets import SET_METRICS
    from tlbench.metrics.sheet import SET_NEEDS, needs_of, set_sheet, sheet, shown_blind_spots
    from tlbench.tables.terminal import folded

    if as_json:
        sheets = [*map(sheet, all_metrics()), *map(set_sheet, SET_METRICS)]
        click.echo(json.dumps(sheets, indent=1, ensure_ascii=False))
        return
    for metric in all_metrics():
        unit = f"{metric.unit}, " if metric.unit else ""
        usual = "  [usual]" if metric.headline else ""
        lines = [
            f"{metric.key}  {metric.label}, {unit}{_BETTER[metric.better]}{usual}",
            f"  {metric.description}",
            f"  needs: {', '.join(needs_of(metric)) or 'nothing but the video'}; observer {metric.observer}",
            *(f"  {line}" for line in shown_blind_spots(metric)),
        ]
        for line in lines:
            click.echo(folded(line, sys.stdout))
        click.echo()
    for of_set in SET_METRICS:
        unit = f"{of_set.unit}, " if of_set.unit else ""
        lines = [
            f"{of_set.key}  {of_set.label}, {unit}{_BETTER[of_set.better]}, of the whole set",
            f"  {of_set.description}",
            f"  needs: {', '.join(SET_NEEDS)}; observer {of_set.observer}",
        ]
        for line in lines:
            click.echo(folded(line, sys.stdout))
        click.echo()
    click.echo("Presets\n")
    _print_presets()


@command.command("presets")
@json_option
def presets(as_json: bool) -> None:
    """Every preset: a name for the metrics of a kind of table.

    Names are for `tlbench score --metrics` and `tlbench table --preset`. A preset says what such a table wants; what
    this installation can't compute is left out of a run, which says so.
    """
    from tlbench.metrics.catalogue import plain_keys
    from tlbench.metrics.presets import PRESETS
    from tlbench.metrics.sheet import preset_sheet

    if as_json:
        click.echo(
            json.dumps(
                [preset_sheet(preset, plain_keys()) for preset in PRESETS.values()], indent=1, ensure_ascii=False
            )
        )
        return
    _print_presets()


def _print_presets() -> None:
    from tlbench.metrics.catalogue import plain_keys
    from tlbench.metrics.presets import PRESETS
    from tlbench.metrics.sheet import shown_preset
    from tlbench.tables.terminal import folded

    for preset in PRESETS.values():
        for line in shown_preset(preset, plain_keys()):
            click.echo(folded(line, sys.stdout))
        click.echo()
