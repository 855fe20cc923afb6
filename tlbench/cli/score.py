"""``tlbench score``: the main job."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.arguments import as_names
from tlbench.cli.completion import complete_controls, complete_one_of, complete_training_checkpoints
from tlbench.cli.config_file import CONFIG_NAME, CommandLineOption, config_option, config_text
from tlbench.cli.facts import print_json
from tlbench.cli.grouped_help import GroupedCommand
from tlbench.cli.lines import say
from tlbench.cli.options import (
    PATH,
    WholeNumber,
    data_or_drive_options,
    face_and_source_options,
    given_weights,
    metrics_option,
    parse_views,
    run_options,
    view_option,
    weights_option,
)
from tlbench.cli.table_options import table_options
from tlbench.document import counted
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from tlbench.datasets.options import DataOptions
    from tlbench.generation.drive import DriveOptions
    from tlbench.observing.face_options import FaceOptions
    from tlbench.scoring.options import RunOptions
    from tlbench.tables.formats import Format

GROUPS = {
    "Data": ("--dataset", "--data-root", "--split", "--subset", "--limit", "--manifest", "--drive", "--large-pictures"),
    "What is measured": (
        "--metrics",
        "--weights",
        "--real",
        "--view",
        "--controls",
        "--trained-with",
        "--allow-short",
        "--no-probe",
    ),
    "Faces": ("--boxes", "--landmarks", "--detector", "--smooth", "--face", "--boxes-from"),
    "Run": (
        "--workers",
        "--engine",
        "--ray-address",
        "--gpus-per-worker",
        "--decode-workers",
        "--device",
        "--precision",
        "--matrix-product",
        "--seed",
        "--strict",
        "--cache",
        "--config",
    ),
    "Shards": ("--shard", "--print-sbatch"),
    "Output": (
        "--name",
        "--out",
        "--overwrite",
        "--take-over",
        "--contact-sheet",
        "--format",
        "--json",
        "--columns",
        "--no-intervals",
    ),
}


@click.command(cls=GroupedCommand, groups=GROUPS)
@click.argument("generated", nargs=-1, required=True, type=PATH)
@data_or_drive_options
@metrics_option
@weights_option
@view_option
@click.option(
    "--real",
    type=PATH,
    metavar="FOLDER|FILE.npz",
    help="Real videos, or their statistics, that FID and KID compare with.  [default: the real videos of the clips]",
)
@click.option(
    "--controls",
    metavar="KINDS",
    shell_complete=complete_controls,
    help="Also score ceilings and floors: 'all', or names with commas.",
)
@click.option(
    "--trained-with",
    metavar="NAMES",
    shell_complete=complete_training_checkpoints,
    help="Checkpoints the system was trained with, with commas; warns about observers related to them.",
)
@click.option(
    "--allow-short", is_flag=True, help="Score videos that end early too; a protocol of its own, not for leaderboards."
)
@click.option(
    "--no-probe", is_flag=True, help="Do not read 20 real clips to see whether the lip readers can read this data set."
)
@face_and_source_options
@run_options
@click.option("--name", metavar="NAME", help="What tables call the system.  [default: the folder's name]")
@click.option("--out", type=PATH, metavar="FOLDER", help="Where results are written.  [default: tlbench-results]")
@click.option(
    "--overwrite",
    cls=CommandLineOption,
    is_flag=True,
    help="Replace results of another run there, whose numbers this one does not make again.",
)
@click.option(
    "--contact-sheet", type=PATH, metavar="FILE.png", help="Draw what each observer is shown of the first clips."
)
@click.option(
    "--shard",
    "shard_text",
    cls=CommandLineOption,
    metavar="I/N",
    shell_complete=complete_one_of(("auto",)),
    help="Only the I-th of N parts (from 1), into a file of its own; auto: what Slurm, torchrun or MPI says. Then "
    "`tlbench merge`.",
)
@click.option(
    "--print-sbatch",
    cls=CommandLineOption,
    type=WholeNumber(min=1),
    metavar="N",
    help="Print a job script for Slurm that does this in N shards, and end.",
)
@table_options
@config_option
@click.pass_context
def command(
    context: click.Context,
    generated: tuple[Path, ...],
    data: DataOptions | DriveOptions,
    metrics: str | None,
    weights: tuple[str, ...],
    views: tuple[str, ...],
    real: Path | None,
    controls: str | None,
    trained_with: str | None,
    allow_short: bool,
    no_probe: bool,
    faces: FaceOptions,
    options: RunOptions,
    name: str | None,
    out: Path | None,
    overwrite: bool,
    contact_sheet: Path | None,
    shard_text: str | None,
    print_sbatch: int | None,
    table_format: Format,
    columns: str | None,
    no_intervals: bool,
) -> None:
    """Score the videos in one or more GENERATED folders and print the table.

    Videos are matched to the data set's clips by name. Each folder becomes a row. Its result.json and records.jsonl
    are written to OUT/<name>, with the options in config.toml, which --config takes. A run that was interrupted goes
    on where it stopped when the same command is given again. Results of another run are not replaced.

    With --drive, what leaks from the source videos is measured: each GENERATED has the folders silent, mismatched and
    matched, and the drive says the data set.

    Exit code: 0 every clip was scored, 1 some were not or are copies (each with its reason), 2 nothing could be done,
    75 stopped at SIGUSR1.
    """
    from tlbench.cli.progress import ScoreProgress
    from tlbench.files import write_text_atomically
    from tlbench.generation.drive import DriveOptions
    from tlbench.metrics.catalogue import find_metrics
    from tlbench.metrics.sets import without_sets
    from tlbench.scoring.options import MetricOptions
    from tlbench.scoring.score import score_folders
    from tlbench.scoring.shard import parse_shard
    from tlbench.scoring.system_names import OUT_NAME
    from tlbench.tables.result_table import print_results

    out = out or Path(OUT_NAME)
    options = replace(options, overwrite=overwrite)
    not_of_drives = {"--contact-sheet": contact_sheet, "--shard": shard_text, "--print-sbatch": print_sbatch}
    for given, value in not_of_drives.items():
        if isinstance(data, DriveOptions) and value is not None:
            raise TlbenchError(f"{given} does not go with --drive; leave it out")
    if print_sbatch is not None:
        _print_sbatch(print_sbatch, out)
        return
    shard = None if shard_text is None else parse_shard(shard_text)
    if shard is not None and contact_sheet is not None:
        raise TlbenchError("--contact-sheet shows clips of the whole run; leave it out with --shard")
    measured = MetricOptions(
        as_names(metrics),
        weights=given_weights(weights),
        views=parse_views(views),
        trained_with=as_names(trained_with) or (),
        controls=as_names(controls) or (),
        probe=not no_probe,
        allow_short=allow_short,
        real=real,
    )
    for column in as_names(columns) or ():
        find_metrics(without_sets([column]))  # a typing mistake is told before hours of scoring
    with ScoreProgress() as progress:
        options = replace(options, ray=replace(options.ray, watch=progress.watch))
        if isinstance(data, DriveOptions):
            from tlbench.scoring.score_drive import score_drive

            results = score_drive(generated, data, measured, faces, options, name=name, out=out, progress=progress)
        elif shard is not None:
            from tlbench.scoring.score_shard import score_shard

            results = score_shard(
                generated, data, measured, faces, options, shard, name=name, out=out, progress=progress
            )
        else:
            results = score_folders(
                generated,
                data,
                measured,
                faces,
                options,
                name=name,
                out=out,
                contact_sheet=contact_sheet,
                progress=progress,
            )
    for result in results:
        if result.role == "system":
            write_text_atomically(out / result.name / CONFIG_NAME, config_text(context))
    complete = all(result.complete for result in results)
    if shard is not None:
        if table_format == "json":
            of_clips = {one.name: (len(one.clips), len(one.clips) - len(one.clips_in_error)) for one in results}
            print_json(
                {
                    "shard": [shard.number, shard.count],
                    "results": [
                        {"system": name, "clips": clips, "scored": scored} for name, (clips, scored) in of_clips.items()
                    ],
                }
            )
            context.exit(0 if complete else 1)
        for result in results:
            clips = counted(len(result.clips), "clip")
            say(f"{result.name}: shard {shard}, {len(result.clips) - len(result.clips_in_error)} of {clips} scored")
        say(f"when all shards are done: tlbench merge {shlex.quote(str(out))}")
        context.exit(0 if complete else 1)
    print_results(
        results,
        sys.stdout,
        table_format,
        all_metrics=metrics is not None,
        columns=as_names(columns),
        intervals=not no_intervals,
    )
    context.exit(0 if complete else 1)


def _print_sbatch(shards: int, out: Path) -> None:
    from tlbench.scoring.sbatch import sbatch_script

    click.echo(sbatch_script(sys.argv[1:], shards, out), nl=False)
