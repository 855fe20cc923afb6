"""``tlbench controls``: folders of real clips with a known fault."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.arguments import as_names
from tlbench.cli.completion import complete_controls
from tlbench.cli.facts import print_json
from tlbench.cli.lines import say
from tlbench.cli.options import (
    cache_option,
    data_options,
    face_options,
    given_weights,
    json_option,
    seed_option,
    take_over_option,
    weights_option,
)

if TYPE_CHECKING:
    from tlbench.datasets.options import DataOptions
    from tlbench.observing.face_options import FaceOptions


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@data_options
@click.option(
    "--kinds",
    default="all",
    show_default=True,
    metavar="KINDS",
    shell_complete=complete_controls,
    help="Names of the list above, with commas.",
)
@seed_option
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
    kinds: str,
    seed: int,
    weights: tuple[str, ...],
    faces: FaceOptions,
    cache: Path | None,
    take_over: bool,
    as_json: bool,
) -> None:
    """Write the real clips with a known fault to OUT/<kind>/<id>.mp4, to be scored like a generator's folder.

    KINDS: reencoded, blurred (blurred-3.5: sigma in pixels), shifted (shifted-3: frames), frozen-mouth, greyed-mouth,
    nearest-mouth, static, swapped-audio. Existing videos are kept, so an interrupted run goes on where it stopped.

    Exit code: 0 all were written, 1 some could not be, 2 nothing could be done.
    """
    from tlbench.cli.progress import CountProgress
    from tlbench.generation.generate_dataset import WriteOptions
    from tlbench.generation.write_controls import write_controls

    with CountProgress("writing controls", "videos", transient=True) as progress:
        folders, failures = write_controls(
            out,
            data,
            faces,
            WriteOptions(given_weights(weights), cache=cache, take_over=take_over),
            kinds=as_names(kinds) or (),
            seed=seed,
            progress=progress,
        )
    for kind, clip_id, error in failures:
        say(f"no {kind}: {clip_id}: {error}", err=True)
    if as_json:
        failed = [{"kind": kind, "clip": clip_id, "error": error} for kind, clip_id, error in failures]
        print_json({"folders": folders, "failures": failed})
        context.exit(1 if failures else 0)
    for kind, folder in folders.items():
        say(f"{kind}: {folder}")
    context.exit(1 if failures else 0)
