"""``tlbench generate``: videos by a trained generator, of a data set or of one's own face."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from tlbench.cli.options import (
    cache_option,
    detector_options,
    face_option,
    given_weights,
    optional_dataset_options,
    weights_option,
)
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from tlbench.observing.device import Precision
    from tlbench.talklip.generate import Identity
    from tlbench.talklip.inference import Trim

OF_A_DATASET = ("data_root", "split", "subset", "limit", "manifest", "boxes", "trim", "workers", "cache")


@click.command()
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    required=True,
    metavar="NAME|FILE",
    help="TalkLip's or Wav2Lip's published file, what train-reference wrote, or the name of a bundled generator "
    "(talklip-gc-synthetic).",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="PATH", help="Folder, or one .mp4 file.")
@optional_dataset_options
@click.option("--video", type=click.Path(path_type=Path), metavar="FILE", help="One's own face, any size and rate.")
@click.option("--audio", type=click.Path(path_type=Path), metavar="FILE", help="What it is to say, with --video.")
@click.option(
    "--identity",
    type=click.Choice(["first", "same"]),
    help="Whose face the generator sees whole: the first frame's, or the very frame's.  [default: first, as in the "
    "paper's tests; with --video same, as in its demo]",
)
@click.option(
    "--trim",
    type=click.Choice(["both-ends", "end"]),
    default="both-ends",
    show_default=True,
    help="Where a global encoder's sound is cut if it is longer than the pictures; both-ends as published.",
)
@weights_option
@detector_options
@face_option
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="cpu, cuda, cuda:1 ...")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    default="fp32",
    show_default=True,
    help="half: faces are painted in bfloat16, for GPUs and processors that have instructions for it.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Clips side by side.  [default: 1 on a CPU, 4 on a GPU]"
)
@cache_option
@click.pass_context
def command(
    context: click.Context,
    checkpoint: Path,
    out: Path,
    dataset: str | None,
    data_root: Path | None,
    split: str | None,
    subset: Path | None,
    limit: int | None,
    manifest: Path | None,
    boxes: Path | None,
    video: Path | None,
    audio: Path | None,
    identity: Identity | None,
    trim: Trim,
    weights: tuple[str, ...],
    detector: str,
    smooth: int,
    face: str,
    device: str,
    precision: Precision,
    workers: int | None,
    cache: Path | None,
) -> None:
    """Let a trained generator speak.

    With --dataset, write OUT/<id>.mp4 for each reference video: its pictures and sound with generated faces, to be
    scored like any generator's folder. Videos that are there already are kept, so an interrupted run goes on.
    With --video and --audio, let one's own face say something else. How videos were made stands in a JSON file beside
    them. Exit code: 0 all written, 1 some could not be, 2 nothing could be done.
    """
    if dataset is not None:
        if video is not None or audio is not None:
            raise TlbenchError("--video and --audio are for one's own face; leave them out, or leave out --dataset")
    elif video is None or audio is None:
        raise TlbenchError("nothing to generate from: give --dataset, or --video and --audio")
    else:
        _refuse_given(context)
        _of_own_face(checkpoint, video, audio, out, identity, weights, detector, smooth, face, device, precision)
        return

    from tlbench.cli.progress import CountProgress
    from tlbench.talklip.generate import generate_dataset

    with CountProgress("generating", "clips") as progress:
        done = generate_dataset(
            checkpoint,
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
            identity=identity or "first",
            trim=trim,
            device=device,
            precision=precision,
            workers=workers,
            cache=cache,
            progress=progress,
        )
    for clip_id, error in done.failures.items():
        click.echo(f"not generated: {clip_id}: {error}", err=True)
    for clip_id, what in done.converted.items():
        click.echo(f"converted: {clip_id}: {what}", err=True)
    for clip_id, (faceless, frames) in done.faceless.items():
        click.echo(
            f"no face: {clip_id}: in {faceless} of {frames} frames; the middle of the picture stood in", err=True
        )
    if done.outdated:
        click.echo(f"made anew: {done.outdated} videos whose reference or sound has changed", err=True)
    there = f", {done.kept} were there" if done.kept else ""
    click.echo(f"{done.written} videos of {done.frames} frames in {out}{there}")
    context.exit(1 if done.failures else 0)


def _refuse_given(context: click.Context) -> None:
    """Raise TlbenchError for an option that decides nothing about one's own face."""
    for name in OF_A_DATASET:
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise TlbenchError(f"--{name.replace('_', '-')} is for data sets; leave it out with --video")


def _of_own_face(
    checkpoint: Path,
    video: Path,
    audio: Path,
    out: Path,
    identity: Identity | None,
    weights: tuple[str, ...],
    detector: str,
    smooth: int,
    face: str,
    device: str,
    precision: Precision,
) -> None:
    from tlbench.talklip.generate import generate_video

    frames = generate_video(
        checkpoint,
        video,
        audio,
        out,
        weights=given_weights(weights),
        detector=detector,
        smooth=smooth,
        face=face,
        identity=identity or "same",
        device=device,
        precision=precision,
        say=lambda line: click.echo(line, err=True),
    )
    click.echo(f"{out}: {frames} frames, {frames / 25:g} s")
