"""``tlbench score``: the main job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.arguments import as_names
from tlbench.cli.options import (
    boxes_from_option,
    cache_option,
    dataset_options,
    detector_options,
    face_option,
    given_weights,
    landmarks_option,
    parse_views,
    view_option,
    weights_option,
    workers_option,
)
from tlbench.cli.table_options import table_options

if TYPE_CHECKING:
    from tlbench.observing.face_boxes import GuideSource
    from tlbench.scoring.score import Precision
    from tlbench.tables.formats import Format


@click.command()
@click.argument("generated", nargs=-1, required=True, type=click.Path(path_type=Path))
@dataset_options
@click.option("--metrics", metavar="NAMES", help="With commas: psnr, lse_c/sound, paper, pixels, all ...")
@weights_option
@view_option
@detector_options
@face_option
@boxes_from_option
@landmarks_option
@click.option("--controls", metavar="KINDS", help="Also score ceilings and floors: 'all', or names with commas.")
@click.option(
    "--trained-with",
    metavar="NAMES",
    help="Checkpoints the system was trained with; warns of an observer of the same family.",
)
@click.option(
    "--contact-sheet",
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    help="Draw what each observer sees of the first clips.",
)
@click.option("--name", metavar="NAME", help="What tables call the system.  [default: the folder's name]")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Results.  [default: tlbench-results]")
@workers_option
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="cpu, cuda, cuda:1 ...")
@click.option(
    "--precision",
    type=click.Choice(["full", "half"]),
    default="full",
    show_default=True,
    help="half: lip readers compute in bfloat16, meant for GPUs; a protocol of its own.",
)
@click.option(
    "--allow-short", is_flag=True, help="Score videos that stop early too; a protocol of its own, not for leaderboards."
)
@click.option("--strict", is_flag=True, help="Warnings leave the result incomplete, as errors do: exit code 1.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of intervals, controls and the probe."
)
@click.option(
    "--no-probe", is_flag=True, help="Do not read 20 real clips to see whether the lip readers can read this data set."
)
@cache_option
@table_options
@click.pass_context
def command(
    context: click.Context,
    generated: tuple[Path, ...],
    dataset: str,
    data_root: Path | None,
    split: str | None,
    subset: Path | None,
    limit: int | None,
    manifest: Path | None,
    boxes: Path | None,
    metrics: str | None,
    weights: tuple[str, ...],
    detector: str,
    smooth: int,
    face: str,
    views: tuple[str, ...],
    boxes_from: GuideSource,
    landmarks: Path | None,
    controls: str | None,
    trained_with: str | None,
    contact_sheet: Path | None,
    name: str | None,
    out: Path | None,
    workers: int | None,
    engine: str,
    device: str,
    precision: Precision,
    allow_short: bool,
    strict: bool,
    seed: int,
    no_probe: bool,
    cache: Path | None,
    table_format: Format,
    columns: str | None,
    no_intervals: bool,
) -> None:
    """Score the videos in one or more GENERATED folders and print the table.

    Videos are matched to the data set's clips by name. Each folder becomes a row; its result.json and records.jsonl
    go to OUT/<name>. A run that was interrupted goes on where it was when the same command is given again.

    Exit code: 0 every clip was scored, 1 some were not or are copies (each with its reason), 2 nothing could be done.
    """
    from tlbench.cli.progress import ScoreProgress
    from tlbench.scoring.score import score_all
    from tlbench.tables.result_table import print_results

    with ScoreProgress() as progress:
        results = score_all(
            generated,
            dataset,
            data_root,
            split=split,
            subset=subset,
            limit=limit,
            manifest=manifest,
            boxes=boxes,
            metrics=as_names(metrics),
            weights=given_weights(weights),
            detector=detector,
            smooth=smooth,
            face=face,
            boxes_from=boxes_from,
            landmarks=landmarks,
            views=parse_views(views),
            trained_with=as_names(trained_with) or (),
            contact_sheet=contact_sheet,
            controls=as_names(controls) or (),
            name=name,
            out=out,
            workers=workers,
            engine=engine,
            device=device,
            precision=precision,
            allow_short=allow_short,
            strict=strict,
            seed=seed,
            probe=not no_probe,
            cache=cache,
            progress=progress,
        )
    print_results(
        results,
        sys.stdout,
        table_format,
        all_metrics=metrics is not None,
        columns=as_names(columns),
        intervals=not no_intervals,
    )
    context.exit(0 if all(result.complete for result in results) else 1)
