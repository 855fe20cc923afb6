"""``tlbench merge``: the results of a run in shards."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.arguments import as_names
from tlbench.cli.facts import print_json
from tlbench.cli.lines import say
from tlbench.cli.options import take_over_option
from tlbench.cli.table_options import table_options

if TYPE_CHECKING:
    from tlbench.tables.formats import Format

_TOLD = {
    "started": "started, not at their end",
    "not started": "not started",
    "changed": "files changed since, to be scored again",
}


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--missing", is_flag=True, help="Only print the ids of clips that are missing, and name their shards.")
@take_over_option
@table_options
@click.pass_context
def command(
    context: click.Context,
    run: Path,
    missing: bool,
    take_over: bool,
    table_format: Format,
    columns: str | None,
    no_intervals: bool,
) -> None:
    """Make records.jsonl and result.json of the folder RUN from its shards (`tlbench score --shard`), print the table.

    RUN is a run's folder, or the folder of several runs and controls. They are what one run without shards writes.

    Exit code: 0 every clip was scored, 1 some were not, 2 shards are missing or do not fit together. With --missing: 0
    if all are there, else 1.
    """
    from tlbench.scoring.merge import merge
    from tlbench.tables.result_table import print_results

    if missing:
        context.exit(1 if _print_missing(run, as_json=table_format == "json") else 0)
    results = merge(run, take_over=take_over)
    print_results(
        results,
        sys.stdout,
        table_format,
        columns=as_names(columns),
        intervals=not no_intervals,
    )
    context.exit(0 if all(result.complete for result in results) else 1)


def _print_missing(folder: Path, *, as_json: bool) -> bool:
    """Ids on stdout, shards on stderr. Returns whether some are missing."""
    from tlbench.document import counted
    from tlbench.scoring.merge import missing_shards, runs_in_shards
    from tlbench.scoring.shard_files import read_plan

    some, found = False, []
    for run in runs_in_shards(folder):
        plan = read_plan(run)
        missing = missing_shards(run, plan, check=True)
        some |= bool(missing)
        states = {one.shard.number: one.state for one in missing}
        ids = {one.shard.number: list(one.ids) for one in missing}
        found.append({"run": run, "shards": plan.shards, "missing": states, "clips": ids})
        for clip in () if as_json else (clip for one in missing for clip in one.ids):
            say(clip)
        parts = []
        for state, told in _TOLD.items():
            numbers = [str(number) for number, its_state in states.items() if its_state == state]
            parts += [f"{told}: {','.join(numbers)}"] if numbers else []
        done = f"{run}: {plan.shards - len(missing)} of {counted(plan.shards, 'shard')} done"
        say("; ".join([done, *parts]), err=True)
    if as_json:
        print_json(found)
    return some
