"""``tlbench boxes``: find the faces once and keep them as files."""

from __future__ import annotations

from pathlib import Path

import click

from tlbench.cli.options import (
    cache_option,
    dataset_options,
    detector_options,
    face_option,
    given_weights,
    weights_option,
)


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@dataset_options
@weights_option
@detector_options
@face_option
@cache_option
@click.pass_context
def command(
    context: click.Context,
    out: Path,
    dataset: str,
    data_root: Path | None,
    split: str | None,
    subset: Path | None,
    limit: int | None,
    manifest: Path | None,
    boxes: Path | None,
    weights: tuple[str, ...],
    detector: str,
    smooth: int,
    face: str,
    cache: Path | None,
) -> None:
    """Find the face in each frame of the reference videos and write OUT/<id>.npy, (T, 4) x1 y1 x2 y2.

    This is the layout of TalkLip's bbx_extract.py, but that a frame without a face has a row of NaN; give the folder
    to score, check or a manifest as --boxes.
    Exit code: 0 every clip has boxes, 1 some have not, 2 nothing could be done.
    """
    from rich.console import Console
    from rich.progress import Progress

    from tlbench.observing.make_boxes import make_boxes

    errors = Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("finding faces", total=None)
        summary = make_boxes(
            out,
            dataset,
            data_root,
            split=split,
            subset=subset,
            limit=limit,
            manifest=manifest,
            boxes=boxes,
            weights=given_weights(weights),
            detector=detector,
            smooth=smooth,
            face=face,
            cache=cache,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for clip_id, error in summary.failures.items():
        click.echo(f"no boxes: {clip_id}: {error}", err=True)
    click.echo(
        f"{summary.written} box files by {summary.source} in {out}; "
        f"{summary.frames_without_face} of {summary.frames} frames show no face and have rows of NaN"
    )
    if summary.clips_with_several:
        click.echo(f"{summary.clips_with_several} clips show several faces; theirs is of one person (--face {face})")
    context.exit(1 if summary.failures else 0)
