"""``tlbench boxes``: find the faces of the real videos and write them to files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.cli.facts import print_json
from tlbench.cli.lines import say
from tlbench.cli.options import (
    cache_option,
    data_options,
    face_options,
    given_weights,
    json_option,
    take_over_option,
    weights_option,
)
from tlbench.document import counted

if TYPE_CHECKING:
    from tlbench.datasets.options import DataOptions
    from tlbench.observing.face_options import FaceOptions


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@data_options
@weights_option
@face_options
@cache_option
@take_over_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    out: Path,
    data: DataOptions,
    weights: tuple[str, ...],
    faces: FaceOptions,
    cache: Path | None,
    take_over: bool,
    as_json: bool,
) -> None:
    """Find the face in each frame of the real videos and write OUT/<id>.npy, (T, 4) x1 y1 x2 y2.

    The files are those of TalkLip's bbx_extract.py, except that a frame without a face has a row of NaN. Give the
    folder to score and check as --boxes.

    Exit code: 0 every clip has boxes, 1 some have none, 2 nothing could be done.
    """
    from tlbench.cli.progress import CountProgress
    from tlbench.observing.make_boxes import make_boxes

    with CountProgress("finding faces", "clips", transient=True) as progress:
        summary = make_boxes(
            out,
            data,
            faces,
            weights=given_weights(weights),
            cache=cache,
            take_over=take_over,
            progress=progress,
        )
    for clip_id, error in summary.failures.items():
        say(f"no boxes: {clip_id}: {error}", err=True)
    if as_json:
        print_json(
            {
                "out": out,
                "written": summary.written,
                "source": summary.source,
                "frames": summary.frames,
                "frames_without_face": summary.frames_without_face,
                "clips_with_several_faces": summary.clips_with_several,
                "failures": summary.failures,
            }
        )
        context.exit(1 if summary.failures else 0)
    click.echo(
        f"{counted(summary.written, 'box file')} by {summary.source} in {out}; "
        f"rows of NaN for {summary.frames_without_face} of {counted(summary.frames, 'frame')}, without a face"
    )
    if summary.clips_with_several:
        click.echo(
            f"{counted(summary.clips_with_several, 'clip shows', 'clips show')} several faces; boxes follow "
            f"one of them (--face {faces.face})"
        )
    context.exit(1 if summary.failures else 0)
