"""``tlbench plot``: the figures of the TalkLip paper, for any generator."""

from __future__ import annotations

from pathlib import Path

import click

from tlbench.arguments import as_names
from tlbench.cli.options import (
    clip_options,
    data_root_option,
    dataset_option,
    manifest_option,
    seed_option,
    split_option,
)
from tlbench.errors import TlbenchError


@click.group("plot")
def command() -> None:
    """Draw frames of a clip by several generators, and audio embeddings."""


@command.command("snapshots")
@click.argument("generated", type=click.Path(path_type=Path), nargs=-1)
@dataset_option
@data_root_option
@split_option
@manifest_option
@click.option("--clip", required=True, metavar="ID", help="The clip to show.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE.png")
@click.option("--names", metavar="A,B", help="Names of the rows.  [default: the folders' names]")
@click.option(
    "--frames",
    "count",
    type=click.IntRange(1, 40),
    default=8,
    show_default=True,
    help="Number of frames.",
)
@click.option(
    "--from",
    "begin_seconds",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="First frame.",
)
@click.option(
    "--to",
    "end_seconds",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Last frame.  [default: the clip's end]",
)
@click.option("--at", metavar="S,S", help="Times of the frames in seconds: 0.4,0.52,0.6.")
@click.option("--labels/--no-labels", default=True, show_default=True, help="Show what is said at each time, if known.")
@click.pass_context
def snapshots(
    context: click.Context,
    generated: tuple[Path, ...],
    dataset: str,
    data_root: Path | None,
    split: str | None,
    manifest: Path | None,
    clip: str,
    out: Path,
    names: str | None,
    count: int,
    begin_seconds: float,
    end_seconds: float | None,
    at: str | None,
    labels: bool,
) -> None:
    """Draw frames of one clip: ground truth on top, a row for each folder GENERATED, as the paper's Fig. 4.

    Exit code: 0 all rows were drawn, 1 a folder lacks the clip, 2 nothing could be drawn.
    """
    from tlbench.figures.plotting import plot_snapshots

    missing = plot_snapshots(
        generated,
        dataset,
        data_root,
        clip,
        out,
        split=split,
        manifest=manifest,
        names=as_names(names) or (),
        count=count,
        begin_seconds=begin_seconds,
        end_seconds=end_seconds,
        at_seconds=_seconds(at),
        labels=labels,
    )
    for line in missing:
        click.echo(f"missing: {line}", err=True)
    click.echo(out)
    context.exit(1 if missing else 0)


@command.command("embeddings")
@click.argument("checkpoints", type=click.Path(path_type=Path), nargs=-1, required=True)
@clip_options
@click.option("--words", required=True, metavar="A,B", help="Two words that sound alike: MEETING,MEDIA.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE.png")
@click.option("--names", metavar="A,B", help="Names of the panels.  [default: the files' names]")
@seed_option
def embeddings(
    checkpoints: tuple[Path, ...],
    dataset: str,
    data_root: Path | None,
    split: str | None,
    subset: Path | None,
    limit: int | None,
    manifest: Path | None,
    words: str,
    out: Path,
    names: str | None,
    seed: int,
) -> None:
    """Draw audio embeddings of two words, as the paper's Fig. 3, 5 and 7: one panel for each of CHECKPOINTS.

    A point is one spoken word: the sum of the audio embeddings of its frames, in two dimensions by t-SNE. --limit is
    for each word. Needs the extra 'plot', and a data set with the times of words: lrw, grid, synthetic,
    synthetic-words.
    """
    from tlbench.cli.progress import CountProgress
    from tlbench.figures.plotting import EACH_WORD, plot_embeddings

    both = as_names(words) or ()
    if len(both) != 2:
        raise TlbenchError(f"--words {words!r}: give two words, as in --words MEETING,MEDIA")
    with CountProgress("embedding", "words") as progress:
        panels = plot_embeddings(
            checkpoints,
            dataset,
            data_root,
            (both[0], both[1]),
            out,
            split=split,
            subset=subset,
            manifest=manifest,
            names=as_names(names) or (),
            each=limit or EACH_WORD,
            seed=seed,
            progress=progress,
        )
    for one in panels:
        counts = " and ".join(f"{count} {word.upper()}" for count, word in zip(one.counts, both, strict=True))
        click.echo(f"{one.name}: {counts}; {100 * one.told_apart:.0f} % have a nearest neighbour of the same word")
    click.echo(out)


def _seconds(text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in as_names(text) or ())
    except ValueError as error:
        raise TlbenchError(f"--at {text!r}: {error}; give seconds, as in --at 0.4,0.52") from error
