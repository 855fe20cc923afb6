"""``tlbench plot``: the figures of the paper for other generators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tlbench.arguments import as_names
from tlbench.cli.completion import complete_clips
from tlbench.cli.facts import print_json
from tlbench.cli.grouped_help import CommandGroup
from tlbench.cli.lines import say
from tlbench.cli.options import (
    Number,
    WholeNumber,
    clip_options,
    data_root_option,
    dataset_option,
    json_option,
    manifest_option,
    seed_option,
    split_option,
)
from tlbench.errors import TlbenchError, quoted

if TYPE_CHECKING:
    from tlbench.figures.figure_files import Width


_width: Callable[[Any], Any] = click.option(
    "--width",
    type=click.Choice(["column", "page"]),
    help="Of a paper: 3.3 or 6.875 inches.  [default: as wide as it needs]",
)


@click.group("plot", cls=CommandGroup)
def command() -> None:
    """Draw frames of generated clips, or the audio embeddings of words."""


@command.command("snapshots")
@click.argument("generated", type=click.Path(path_type=Path), nargs=-1)
@dataset_option
@data_root_option
@split_option
@manifest_option
@click.option("--clip", required=True, metavar="ID", shell_complete=complete_clips, help="The clip to draw.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="A .png, .pdf or .svg file."
)
@_width
@click.option("--names", metavar="A,B", help="Names of the rows.  [default: the folders' names]")
@click.option(
    "--frames",
    "count",
    type=WholeNumber(1, 40),
    default=8,
    show_default=True,
    help="How many, evenly spaced.",
)
@click.option("--from", "begin_seconds", type=Number(min=0), default=0.0, metavar="SECONDS", help="Time of the first.")
@click.option(
    "--to",
    "end_seconds",
    type=Number(min=0),
    metavar="SECONDS",
    help="Time of the last.  [default: clip's end]",
)
@click.option("--at", metavar="S,S", help="Times of the frames in seconds instead: 0.4,0.52,0.6.")
@click.option("--labels/--no-labels", default=True, show_default=True, help="Label frames with phoneme and word.")
@json_option
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
    width: Width | None,
    names: str | None,
    count: int,
    begin_seconds: float,
    end_seconds: float | None,
    at: str | None,
    labels: bool,
    as_json: bool,
) -> None:
    """Draw frames of one clip, as Fig. 4 of the paper: the real video on top and one row for each folder GENERATED.

    Exit code: 0 all rows are complete, 1 a folder lacks the clip, 2 nothing could be drawn.
    """
    from tlbench.figures.snapshot_figure import plot_snapshots

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
        width=width,
    )
    for line in missing:
        say(f"missing: {line}", err=True)
    if as_json:
        print_json({"figure": out, "missing": list(missing)})
    else:
        say(out)
    context.exit(1 if missing else 0)


@command.command("embeddings")
@click.argument("checkpoints", type=click.Path(path_type=Path), nargs=-1, required=True)
@clip_options
@click.option("--words", required=True, metavar="A,B", help="Two words that sound similar: MEETING,MEDIA.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="A .png, .pdf or .svg file."
)
@_width
@click.option("--names", metavar="A,B", help="Names of the panels.  [default: the files' names]")
@seed_option
@json_option
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
    width: Width | None,
    names: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Draw the audio embeddings of two words, as Fig. 3, 5 and 7 of the paper: one panel for each of CHECKPOINTS.

    Each point is one occurrence of a word: the sum of the audio embeddings of its frames, projected by t-SNE. --limit
    counts the occurrences of each word. Needs the extra 'plot' and a data set with the times of words: lrw, grid,
    synthetic, synthetic-words.
    """
    from tlbench.cli.progress import CountProgress
    from tlbench.figures.embedding_figure import EACH_WORD, plot_embeddings

    both = as_names(words) or ()
    if len(both) != 2:
        raise TlbenchError(f"--words {quoted(words)}: give two words, as in --words MEETING,MEDIA")
    with CountProgress("embedding", "words") as progress:
        spreads = plot_embeddings(
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
            width=width,
            progress=progress,
        )
    if as_json:
        panels = [
            {"name": one.name, "counts": list(one.counts), "same_word_share": one.same_word_share} for one in spreads
        ]
        print_json({"figure": out, "words": both, "panels": panels})
        return
    for one in spreads:
        counts = " and ".join(f"{count} {word.upper()}" for count, word in zip(one.counts, both, strict=True))
        say(f"{one.name}: {counts}; {100 * one.same_word_share:.0f} % have a nearest neighbour of the same word")
    say(out)


def _seconds(text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in as_names(text) or ())
    except ValueError as error:
        raise TlbenchError(f"--at {quoted(text)}: {error}; give seconds, as in --at 0.4,0.52") from error
