"""``tlbench calibrate``: which metric notices which fault?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.arguments import as_names
from tlbench.cli.completion import complete_faults
from tlbench.cli.options import (
    WholeNumber,
    cache_option,
    data_and_landmark_options,
    detector_options,
    device_option,
    face_option,
    given_weights,
    json_option,
    metrics_option,
    parse_views,
    seed_option,
    take_over_option,
    view_option,
    weights_option,
)

if TYPE_CHECKING:
    from tlbench.datasets.options import DataOptions


@click.command()
@data_and_landmark_options
@click.option(
    "--faults",
    metavar="NAMES",
    shell_complete=complete_faults,
    help="With commas: shift, blur, other-words ...; another name lists all.",
)
@metrics_option
@weights_option
@view_option
@detector_options
@face_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The folder OUT.  [default: tlbench-calibration]",
)
@click.option(
    "--workers", type=WholeNumber(min=1), default=1, show_default=True, metavar="N", help="Number of processes."
)
@device_option
@seed_option
@cache_option
@take_over_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    data: DataOptions,
    faults: str | None,
    metrics: str | None,
    weights: tuple[str, ...],
    views: tuple[str, ...],
    detector: str,
    smooth: int,
    face: str,
    out: Path | None,
    workers: int,
    device: str,
    seed: int,
    cache: Path | None,
    take_over: bool,
    as_json: bool,
) -> None:
    """Put faults of growing size into real clips and measure which metric notices which fault.

    Writes calibration.json, calibration.md and the curves as PNG, PDF and SVG to OUT, and prints the table of rank
    correlations and verdicts. An interrupted run continues when the same command is given again. OUT/work has the
    faulty videos and may be deleted.

    Exit code: 0 every clip was scored at every size, 1 some were not, 2 nothing could be done.
    """
    from tlbench.calibration.calibrate import calibrate
    from tlbench.calibration.page import print_calibration
    from tlbench.cli.progress import ScoreProgress

    with ScoreProgress() as progress:
        found = calibrate(
            data.dataset,
            data.data_root,
            faults=as_names(faults),
            split=data.split,
            subset=data.subset,
            limit=data.limit,
            manifest=data.manifest,
            boxes=data.boxes,
            landmarks=data.landmarks,
            metrics=as_names(metrics),
            weights=given_weights(weights),
            detector=detector,
            smooth=smooth,
            face=face,
            views=parse_views(views),
            device=device,
            cache=cache,
            out=out,
            workers=workers,
            seed=seed,
            take_over=take_over,
            progress=progress,
        )
    if as_json:
        click.echo(found.to_json(), nl=False)
    else:
        print_calibration(found, sys.stdout, all_metrics=metrics is not None)
    context.exit(0 if found.complete else 1)
