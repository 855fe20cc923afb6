"""``tlbench train-observer``: a lip reader or SyncNet from a data set, small or as published."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.cli.options import cache_option, json_option, read_size

if TYPE_CHECKING:
    from tlbench.training.devices import Precision
    from tlbench.training.train_observer import TrainedObserver


@click.command()
@click.argument("observer", metavar="avhubert|conformer|mvm|syncnet")
@click.option("--dataset", required=True, metavar="NAME", help="synthetic, grid, lrs2, lrw, folder ...")
@click.option("--data-root", type=click.Path(path_type=Path), metavar="FOLDER", help="Where the data set lies.")
@click.option("--train-split", default="train", show_default=True, metavar="NAME", help="What is learned from.")
@click.option("--val-split", default="val", show_default=True, metavar="NAME", help="What chooses the best checkpoint.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="The training's folder; if it holds one with these settings, that one goes on.",
)
@click.option(
    "--size", default="small", show_default=True, metavar="NAME|FILE.json", help="A size by name, or its dimensions."
)
@click.option("--view", metavar="VIEW", help="What it looks through.  [default: what suits the size and the frames]")
@click.option(
    "--from",
    "start",
    type=click.Path(path_type=Path),
    metavar="NAME|FILE",
    help="Fine-tune this checkpoint or package: it brings its size and its vocabulary.",
)
@click.option("--steps", type=click.IntRange(min=1), default=20000, show_default=True, help="Updates of the weights.")
@click.option(
    "--batch-frames",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Video frames in a batch, a device.",
)
@click.option("--accumulate", type=click.IntRange(min=1), default=1, show_default=True, help="Batches to one update.")
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), default=1e-3, show_default=True)
@click.option("--warmup", type=click.IntRange(min=0), default=500, show_default=True, help="Steps until it is reached.")
@click.option(
    "--validate-every", type=click.IntRange(min=1), default=500, show_default=True, help="Steps; a state is saved too."
)
@click.option(
    "--judged-clips", type=click.IntRange(min=0), default=0, show_default=True, help="Of the val part; 0 for all."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--max-time", type=click.FloatRange(min=0, min_open=True), metavar="MINUTES", help="Stop, all saved.")
@click.option("--half", is_flag=True, help="Keep the package in half precision: half as large.")
@click.option("--accelerator", default="auto", show_default=True, metavar="NAME", help="auto, cpu, cuda.")
@click.option("--devices", type=click.IntRange(min=1), default=1, show_default=True, help="How many of them.")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    default="fp32",
    show_default=True,
    help="Of the arithmetic while training.",
)
@click.option(
    "--loaders", type=click.IntRange(min=0), default=0, show_default=True, help="Processes that prepare batches."
)
@click.option("--threads", type=click.IntRange(min=1), help="Of the matrix library.  [default: its own]")
@cache_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    observer: str,
    dataset: str,
    data_root: Path | None,
    train_split: str,
    val_split: str,
    out: Path,
    size: str,
    view: str | None,
    start: Path | None,
    steps: int,
    batch_frames: int,
    accumulate: int,
    learning_rate: float,
    warmup: int,
    validate_every: int,
    judged_clips: int,
    seed: int,
    max_time: float | None,
    half: bool,
    accelerator: str,
    devices: int,
    precision: Precision,
    loaders: int,
    threads: int | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Train an observer on a data set; needs the extra 'train'.

    The best checkpoint by the observer's own metric on the validation part is kept as a package in OUT/best, which
    `tlbench score --weights` takes. A training that was stopped goes on where it was when the command is run again.

    Exit codes: 0 trained to the end, 1 stopped before it (--max-time, Ctrl-C, SIGTERM), all saved, 2 could not be done.
    """
    from tlbench.cli.progress import TrainingProgress
    from tlbench.training.schedule import Schedule
    from tlbench.training.train_observer import train_observer

    # A cluster that takes its machine back sends SIGTERM; it ends as Ctrl-C does, with all saved.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    schedule = Schedule(
        steps=steps,
        batch_frames=batch_frames,
        learning_rate=learning_rate,
        warmup=warmup,
        accumulate=accumulate,
        validate_every=validate_every,
        judged_clips=judged_clips,
        seed=seed,
    )
    with TrainingProgress() as progress:
        try:
            trained = train_observer(
                observer,
                dataset,
                out,
                data_root,
                size=read_size(size),
                view=view,
                schedule=schedule,
                train_split=train_split,
                val_split=val_split,
                start=start,
                half=half,
                accelerator=accelerator,
                devices=devices,
                precision=precision,
                loaders=loaders,
                cache=cache,
                max_seconds=None if max_time is None else 60 * max_time,
                prepared=progress.prepared,
                tell=progress.tell,
            )
        except KeyboardInterrupt:
            click.echo(f"stopped; the same command goes on from what is saved in {out}", err=True)
            context.exit(1)
    _print(trained, as_json)
    if trained.step < trained.steps:
        click.echo(f"stopped at step {trained.step} of {trained.steps}; the same command goes on", err=True)
        context.exit(1)


def _print(trained: TrainedObserver, as_json: bool) -> None:
    if as_json:
        about = {
            "best": str(trained.best),
            "metric": trained.metric,
            "value": trained.value,
            "step": trained.step,
            "steps": trained.steps,
            "not_learned_from": {clip: str(error) for clip, error in trained.failures.items()},
        }
        click.echo(json.dumps(about, indent=1))
        return
    for error in trained.failures.values():
        click.echo(f"not learned from: {error}", err=True)
    judged = "not judged yet" if trained.value is None else f"{trained.metric} {trained.value:.2f} on the val part"
    click.echo(f"{trained.best}: {judged}, step {trained.step} of {trained.steps}")
