"""``tlbench train-observer``: train a lip reader or SyncNet on a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.cli import signals
from tlbench.cli.completion import (
    complete_datasets,
    complete_devices,
    complete_own_checkpoints,
    complete_sizes,
    complete_splits,
    complete_trainables,
    complete_trained_views,
)
from tlbench.cli.config_file import CONFIG_NAME, config_option, config_text, recipe_option
from tlbench.cli.grouped_help import GroupedCommand
from tlbench.cli.lines import say
from tlbench.cli.options import SEED, Number, WholeNumber, cache_option, json_option, read_size, take_over_option

if TYPE_CHECKING:
    from tlbench.training.devices import Precision
    from tlbench.training.train_observer import TrainedObserver

GROUPS = {
    "Data": ("--dataset", "--data-root", "--train-split", "--val-split", "--boxes", "--cache"),
    "Network": ("--size", "--view", "--init-from", "--save-fp16"),
    "Optimisation": ("--steps", "--batch-frames", "--accumulate", "--learning-rate", "--warmup", "--seed"),
    "Run": ("--out", "--take-over", "--recipe", "--config", "--validate-every", "--val-clips", "--max-time", "--json"),
    "Devices": ("--accelerator", "--devices", "--precision", "--num-workers", "--threads"),
}


@click.command(cls=GroupedCommand, groups=GROUPS)
@click.argument(
    "observer",
    metavar="autoavsr|avhubert|conformer|mvm|mvm-aligned|syncnet|wav2lip-sync",
    shell_complete=complete_trainables,
)
@click.option(
    "--dataset",
    required=True,
    metavar="NAME",
    shell_complete=complete_datasets,
    help="synthetic, grid, lrs2, lrw, folder ...",
)
@click.option("--data-root", type=click.Path(path_type=Path), metavar="FOLDER", help="The data set's folder.")
@click.option(
    "--train-split",
    default="train",
    show_default=True,
    metavar="NAME",
    shell_complete=complete_splits,
    help="The clips to train on.",
)
@click.option(
    "--val-split",
    default="val",
    show_default=True,
    metavar="NAME",
    shell_complete=complete_splits,
    help="Chooses the best checkpoint.",
)
@click.option(
    "--boxes",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Face boxes, one .npy a clip (T, 4).  [default: the data set's, or they are found]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="The run folder; a run with these settings in it is resumed.",
)
@click.option(
    "--size",
    default="small",
    show_default=True,
    metavar="NAME|FILE.json",
    shell_complete=complete_sizes,
    help="A size by name, or its dimensions.",
)
@click.option(
    "--view",
    metavar="VIEW",
    shell_complete=complete_trained_views,
    help="The crop that it sees.  [default: by the size and the frames]",
)
@click.option(
    "--init-from",
    type=click.Path(path_type=Path),
    metavar="NAME|FILE",
    shell_complete=complete_own_checkpoints,
    help="Fine-tune this checkpoint or package; its size and vocabulary are kept.",
)
@click.option("--steps", type=WholeNumber(min=1), default=20000, show_default=True, help="Optimiser steps.")
@click.option(
    "--batch-frames",
    type=WholeNumber(min=1),
    default=1000,
    show_default=True,
    help="Video frames in a batch, per device.",
)
@click.option("--accumulate", type=WholeNumber(min=1), default=1, show_default=True, help="Batches per step.")
@click.option(
    "--learning-rate",
    type=Number(min=0, min_open=True),
    default=1e-3,
    show_default=True,
    help="The highest learning rate.",
)
@click.option("--warmup", type=WholeNumber(min=0), default=500, show_default=True, help="Steps until it is reached.")
@click.option(
    "--validate-every",
    type=WholeNumber(min=1),
    default=500,
    show_default=True,
    help="Steps; the state is saved each time.",
)
@click.option(
    "--val-clips",
    type=WholeNumber(min=0),
    default=0,
    show_default=True,
    help="Validate on the first N clips; 0 for all.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of all random numbers.")
@click.option(
    "--max-time",
    type=Number(min=0, min_open=True),
    metavar="MINUTES",
    help="Stop after this time, with everything saved.",
)
@click.option("--save-fp16", is_flag=True, help="Store the package in float16: half as large.")
@click.option(
    "--accelerator",
    default="auto",
    show_default=True,
    metavar="NAME",
    shell_complete=complete_devices,
    help="auto, cpu, cuda.",
)
@click.option("--devices", type=WholeNumber(min=1), default=1, show_default=True, help="How many of them.")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    default="fp32",
    show_default=True,
    help="Of products in training; weights are float32.",
)
@click.option(
    "--num-workers", type=WholeNumber(min=0), default=0, show_default=True, help="Processes that prepare batches."
)
@click.option("--threads", type=WholeNumber(min=1), help="CPU threads of PyTorch.  [default: its own]")
@cache_option
@take_over_option
@recipe_option("tlbench.training")
@config_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    observer: str,
    dataset: str,
    data_root: Path | None,
    train_split: str,
    val_split: str,
    boxes: Path | None,
    out: Path,
    size: str,
    view: str | None,
    init_from: Path | None,
    steps: int,
    batch_frames: int,
    accumulate: int,
    learning_rate: float,
    warmup: int,
    validate_every: int,
    val_clips: int,
    seed: int,
    max_time: float | None,
    save_fp16: bool,
    accelerator: str,
    devices: int,
    precision: Precision,
    num_workers: int,
    threads: int | None,
    cache: Path | None,
    take_over: bool,
    as_json: bool,
) -> None:
    """Train an observer on a data set; needs the extra 'train'.

    The best checkpoint by the observer's own metric on the validation split is kept as a package in OUT/best, which
    `tlbench score --weights` takes. Run the same command again to resume a run that was stopped; OUT/config.toml has
    its options and can be passed to --config.

    Exit codes: 0 all steps are done; 1 stopped by --max-time, 130 by Ctrl-C, 143 by SIGTERM, everything saved; 2 an
    error.
    """
    from tlbench.cli.progress import TrainingProgress
    from tlbench.files import write_text_atomically
    from tlbench.training.schedule import Schedule
    from tlbench.training.train_observer import TrainingDevices, train_observer

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
        val_clips=val_clips,
        seed=seed,
    )
    with TrainingProgress() as progress, signals.deferred():  # the present step is finished first
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
            boxes=boxes,
            init_from=init_from,
            save_fp16=save_fp16,
            devices=TrainingDevices(accelerator, devices, precision, num_workers),
            cache=cache,
            max_seconds=None if max_time is None else 60 * max_time,
            take_over=take_over,
            on_prepared=progress.prepared,
            on_report=progress.tell,
            stop=lambda: signals.received() is not None,
        )
    write_text_atomically(out / CONFIG_NAME, config_text(context))
    _print(trained, as_json)
    if trained.step < trained.steps:
        click.echo(f"stopped at step {trained.step} of {trained.steps}; the same command resumes", err=True)
        context.exit(signals.exit_code(1))


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
        say(f"not trained on: {error}", err=True)
    value = "not validated yet" if trained.value is None else f"{trained.metric} {trained.value:.2f} on validation"
    say(f"{trained.best}: {value}, step {trained.step} of {trained.steps}")
