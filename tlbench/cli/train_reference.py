"""``tlbench train-reference``: the reference generator, TalkLip, in the variants of its paper."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from tlbench.cli.options import cache_option, detector_options, face_option, json_option, read_size, weights_option
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from tlbench.talklip.train import TrainedReference
    from tlbench.talklip.train_step import GanForm
    from tlbench.training.devices import Precision

VARIANTS = ("l", "l+c", "g", "g+c", "base-no-lip", "base-no-lip-gan")


@click.command()
@click.option("--dataset", required=True, metavar="NAME", help="synthetic, grid, lrs2, folder ...")
@click.option("--data-root", type=click.Path(path_type=Path), metavar="FOLDER", help="Where the data set lies.")
@click.option("--train-split", metavar="NAME", help="What is learned from.  [default: train]")
@click.option("--val-split", metavar="NAME", help="What is judged by.  [default: val]")
@click.option("--train-list", type=click.Path(path_type=Path), metavar="FILE", help="Only these clips of it.")
@click.option("--val-list", type=click.Path(path_type=Path), metavar="FILE", help="Only these clips of it.")
@click.option(
    "--variant",
    type=click.Choice(VARIANTS),
    default="g+c",
    show_default=True,
    help="Local or global audio encoder, with contrastive learning or not; the bases learn without a lip reader.",
)
@click.option(
    "--expert", metavar="NAME|FILE", help="The lip reader it learns from; not for the two bases.  [see docs/reference]"
)
@click.option(
    "--begin-from",
    type=click.Path(path_type=Path),
    metavar="FILE|FOLDER",
    help="A generator to learn more from, such as OUT/last of another training or a published file.",
)
@click.option("--size", metavar="published|miniature|tiny|FILE.json", help="Of the networks.  [default: published]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="The training's folder; if it holds one with these settings, that one goes on.",
)
@click.option(
    "--stage-steps",
    metavar="A,B,C",
    help="Updates of each of the three stages.  [default: by patience, as published]",
)
@click.option(
    "--patience",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Judgements without a new best before the next stage.",
)
@click.option(
    "--validate-every", type=click.IntRange(min=1), default=3000, show_default=True, help="Steps between judgements."
)
@click.option(
    "--judged-clips", type=click.IntRange(min=0), default=0, show_default=True, help="Of the val part; 0 for all."
)
@click.option("--save-every", type=click.IntRange(min=1), default=500, show_default=True, help="Steps between states.")
@click.option("--batch-clips", type=click.IntRange(min=1), default=8, show_default=True, help="In a batch, a device.")
@click.option("--accumulate", type=click.IntRange(min=1), default=1, show_default=True, help="Batches to one update.")
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), default=1e-4, show_default=True)
@click.option(
    "--judge-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=1e-4,
    show_default=True,
    help="The discriminator's own learning rate.",
)
@click.option(
    "--momentum",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.5,
    show_default=True,
    help="Adam's first beta.",
)
@click.option(
    "--copier",
    "copies",
    is_flag=True,
    help="Begin with a generator that copies the pictures it is given: for miniatures.",
)
@click.option(
    "--settled-from",
    type=click.IntRange(min=0),
    metavar="STEP",
    help="From this step on the generator's batch norms keep their statistics: for batches of few people.",
)
@click.option(
    "--warmup",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="STEPS",
    help="Let the learning rate rise over the first steps.",
)
@click.option(
    "--fade",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Let the learning rate fall to 0 over this share of all steps, the last ones.",
)
@click.option("--lip-weight", type=click.FloatRange(min=0), help="Of the lip reader's loss.  [default: 1e-5]")
@click.option("--contrast-weight", type=click.FloatRange(min=0), help="Of contrastive learning.  [default: 1e-3]")
@click.option("--gan-weight", type=click.FloatRange(min=0), help="Of the discriminator.  [default: 0.07]")
@click.option(
    "--gan-form",
    type=click.Choice(["code", "paper"]),
    default="code",
    show_default=True,
    help="The discriminator's losses as in the published code, or as the paper prints them (Eq. 2 and 3).",
)
@click.option(
    "--mouth-weight",
    type=click.FloatRange(min=1),
    default=1.0,
    show_default=True,
    help="How many times a pixel around the mouth counts in the pictures' loss.",
)
@click.option(
    "--mask-share",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.08,
    show_default=True,
    help="Of a clip's frames, so many begin a run that is generated (the paper's p).",
)
@click.option(
    "--mask-run", type=click.IntRange(1, 11), default=5, show_default=True, help="Frames of such a run (its M)."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--max-time", type=click.FloatRange(min=0, min_open=True), metavar="MINUTES", help="Stop, all saved.")
@click.option("--boxes", type=click.Path(path_type=Path), metavar="FOLDER", help="Face boxes, one .npy a clip (T, 4).")
@detector_options
@face_option
@weights_option
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
    dataset: str,
    data_root: Path | None,
    train_split: str | None,
    val_split: str | None,
    train_list: Path | None,
    val_list: Path | None,
    variant: str,
    expert: str | None,
    begin_from: Path | None,
    size: str | None,
    out: Path,
    stage_steps: str | None,
    patience: int,
    validate_every: int,
    judged_clips: int,
    save_every: int,
    batch_clips: int,
    accumulate: int,
    learning_rate: float,
    judge_rate: float,
    momentum: float,
    copies: bool,
    settled_from: int | None,
    warmup: int,
    fade: float,
    lip_weight: float | None,
    contrast_weight: float | None,
    gan_weight: float | None,
    gan_form: GanForm,
    mouth_weight: float,
    mask_share: float,
    mask_run: int,
    seed: int,
    max_time: float | None,
    boxes: Path | None,
    detector: str,
    smooth: int,
    face: str,
    weights: tuple[str, ...],
    accelerator: str,
    devices: int,
    precision: Precision,
    loaders: int,
    threads: int | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Train the reference generator, TalkLip; needs the extra 'train'.

    Three stages, as published: the audio encoder stands still, then it learns, then the lip reader's loss is added.
    What it has learned last is kept as a package in OUT/last, which `tlbench generate --checkpoint` takes. A training
    that was stopped goes on where it was when the command is run again.

    Exit codes: 0 trained to the end, 1 stopped before it (--max-time, Ctrl-C, SIGTERM), all saved, 2 could not be done.
    """
    from tlbench.cli.options import given_weights
    from tlbench.cli.progress import TrainingProgress
    from tlbench.talklip.batches import FrameMasking
    from tlbench.talklip.stages import StageSchedule
    from tlbench.talklip.train import Devices, Splits, train_reference
    from tlbench.talklip.train_step import Recipe
    from tlbench.talklip.trainer import TrainLoopConfig

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    published = Recipe.for_variant(variant)
    recipe = replace(
        published,
        lip=published.lip if lip_weight is None else lip_weight,
        contrast=published.contrast if contrast_weight is None else contrast_weight,
        gan=published.gan if gan_weight is None else gan_weight,
        learning_rate=learning_rate,
        judge_rate=judge_rate,
        momentum=momentum,
        warmup=warmup,
        fade=fade,
        copies=copies,
        settled_from=settled_from,
        gan_form=gan_form,
        mouth=mouth_weight,
    )
    stop = _StopSign()
    with TrainingProgress() as progress:
        trained = train_reference(
            dataset,
            recipe,
            out,
            data_root,
            expert=expert,
            begin_from=begin_from,
            size=None if size is None else read_size(size),
            stages=StageSchedule(_stage_steps(stage_steps), patience),
            pace=TrainLoopConfig(batch_clips, accumulate, validate_every, judged_clips, save_every, seed),
            picking=FrameMasking(mask_share, mask_run),
            parts=Splits(train_split, val_split, train_list, val_list),
            boxes=boxes,
            detector=detector,
            smooth=smooth,
            face=face,
            weights=given_weights(weights),
            devices=Devices(accelerator, devices, precision, loaders),
            cache=cache,
            max_seconds=None if max_time is None else 60 * max_time,
            stop=stop,
            prepared=progress.prepared,
            tell=progress.tell,
            notice=progress.say,
        )
    _print(trained, as_json)
    if not trained.done:
        click.echo(f"stopped at step {trained.step}, all saved; the same command goes on", err=True)
        context.exit(1)


class _StopSign:
    """Set by Ctrl-C, and by the SIGTERM of a cluster that takes its machine back: the step under way is finished first.

    A second Ctrl-C does not wait; what was saved last is then what is gone on from.
    """

    def __init__(self) -> None:
        self._seen = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._see)

    def _see(self, number: int, frame: FrameType | None) -> None:
        if self._seen:
            raise KeyboardInterrupt
        self._seen = True

    def __call__(self) -> bool:
        return self._seen


def _stage_steps(given: str | None) -> tuple[int, int, int] | None:
    if given is None:
        return None
    try:
        first, second, third = (int(word) for word in given.split(","))
    except ValueError as error:
        raise TlbenchError(f"--stage-steps {given}: give three numbers, such as 1000,500,500") from error
    return first, second, third


def _print(trained: TrainedReference, as_json: bool) -> None:
    if as_json:
        about = {
            "last": str(trained.last),
            "l1": trained.l1,
            "step": trained.step,
            "done": trained.done,
            "not_learned_from": {clip: str(error) for clip, error in trained.failures.items()},
            "sound_converted": trained.converted,
        }
        click.echo(json.dumps(about, indent=1))
        return
    for error in trained.failures.values():
        click.echo(f"not learned from: {error}", err=True)
    judged = "not judged yet" if trained.l1 is None else f"L1 {trained.l1:.4f} on the val part"
    click.echo(f"{trained.last}: {judged}, step {trained.step}")
