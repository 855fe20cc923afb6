"""``tlbench calibrate``: which metric notices which fault?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tlbench.arguments import as_names
from tlbench.cli.options import (
    cache_option,
    dataset_options,
    detector_options,
    face_option,
    given_weights,
    json_option,
    landmarks_option,
    parse_views,
    view_option,
    weights_option,
)


@click.command()
@dataset_options
@click.option("--faults", metavar="NAMES", help="With commas: shift, blur, other-words ...; another name lists all.")
@click.option("--metrics", metavar="NAMES", help="With commas: psnr, lse_c/sound, paper ...  [default: all]")
@weights_option
@view_option
@detector_options
@face_option
@landmarks_option
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="[default: tlbench-calibration]")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, metavar="N")
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="cpu, cuda, cuda:1 ...")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of intervals and of swapped sound."
)
@cache_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    dataset: str,
    data_root: Path | None,
    split: str | None,
    subset: Path | None,
    limit: int | None,
    manifest: Path | None,
    boxes: Path | None,
    faults: str | None,
    metrics: str | None,
    weights: tuple[str, ...],
    views: tuple[str, ...],
    detector: str,
    smooth: int,
    face: str,
    landmarks: Path | None,
    out: Path | None,
    workers: int,
    device: str,
    seed: int,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Put faults of growing size into real clips and measure which metric notices which fault.

    Writes calibration.json, curves.png and calibration.md to OUT and prints the table of rank correlations and
    verdicts. An interrupted run continues when the same command is given again. OUT/work has the faulty videos and may
    be deleted.

    Exit code: 0 every clip was scored at every size, 1 some were not, 2 nothing could be done.
    """
    from tlbench.calibration.calibrate import calibrate
    from tlbench.calibration.page import print_calibration
    from tlbench.cli.progress import ScoreProgress

    with ScoreProgress() as progress:
        found = calibrate(
            dataset,
            data_root,
            faults=as_names(faults),
            split=split,
            subset=subset,
            limit=limit,
            manifest=manifest,
            boxes=boxes,
            landmarks=landmarks,
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
            progress=progress,
        )
    if as_json:
        click.echo(found.to_json(), nl=False)
    else:
        print_calibration(found, sys.stdout, all_metrics=metrics is not None)
    context.exit(0 if found.complete else 1)
