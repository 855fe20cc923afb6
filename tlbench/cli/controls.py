"""``tlbench controls``: folders of real clips with a known fault put in."""

from __future__ import annotations

from pathlib import Path

import click

from tlbench.arguments import as_names
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
@click.option("--kinds", default="all", show_default=True, metavar="KINDS", help="Names with commas; see below.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Whose speech is swapped in.")
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
    kinds: str,
    seed: int,
    weights: tuple[str, ...],
    detector: str,
    smooth: int,
    face: str,
    cache: Path | None,
) -> None:
    """Write the reference clips with a fault put in to OUT/<kind>/<id>.mp4, to be scored like a generator's folder.

    KINDS: reencoded, blurred (blurred-3.5: sigma in pixels), shifted (shifted-3: frames), frozen-mouth, greyed-mouth,
    nearest-mouth, static, swapped-audio. Videos that are there already are kept, so an interrupted run goes on.
    Exit code: 0 all written, 1 some could not be, 2 nothing could be done.
    """
    from rich.console import Console
    from rich.progress import Progress

    from tlbench.generation.write_controls import write_controls

    errors = Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("writing controls", total=None)
        folders, failures = write_controls(
            out,
            dataset,
            data_root,
            split=split,
            subset=subset,
            limit=limit,
            manifest=manifest,
            boxes=boxes,
            kinds=as_names(kinds) or (),
            seed=seed,
            weights=given_weights(weights),
            detector=detector,
            smooth=smooth,
            face=face,
            cache=cache,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for kind, clip_id, error in failures:
        click.echo(f"no {kind}: {clip_id}: {error}", err=True)
    for kind, folder in folders.items():
        click.echo(f"{kind}: {folder}")
    context.exit(1 if failures else 0)
