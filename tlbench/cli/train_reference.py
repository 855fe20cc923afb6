"""``tlbench train-reference``: trains TalkLip in the variants of its paper, and the generators it is compared with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tlbench.cli import signals
from tlbench.cli.completion import (
    complete_datasets,
    complete_devices,
    complete_experts,
    complete_generator_checkpoints,
    complete_one_of,
    complete_splits,
)
from tlbench.cli.config_file import CONFIG_NAME, ConfigOnlyOption, config_option, config_text, recipe_option
from tlbench.cli.grouped_help import GroupedCommand
from tlbench.cli.lines import say
from tlbench.cli.options import (
    SEED,
    Number,
    WholeNumber,
    cache_option,
    detector_options,
    face_option,
    given_weights,
    json_option,
    read_size,
    take_over_option,
    weights_option,
)
from tlbench.errors import TlbenchError
from tlbench.talklip.train_config import (
    GAN_FORMS,
    GENERATORS,
    INITS,
    SYNC_NORMS,
    VARIANTS,
    FaceformerLoss,
    LossConfig,
    OptimConfig,
    Wav2LipLoss,
)

if TYPE_CHECKING:
    from tlbench.talklip.run_config import DataConfig, Devices, ModelConfig, TrainingConfig
    from tlbench.talklip.stages import StageSchedule, SwitchSchedule
    from tlbench.talklip.train import TrainedReference
    from tlbench.talklip.train_config import AnyLoss

GROUPS = {
    "Settings from files": ("--recipe", "--config"),
    "Data": (
        *("--dataset", "--data-root", "--train-split", "--val-split", "--train-list", "--val-list"),
        *("--boxes", "--detector", "--smooth", "--face", "--weights", "--cache"),
    ),
    "Model": (
        *("--generator", "--variant", "--size", "--expert", "--sync-expert"),
        *("--init", "--init-from", "--init-discriminator"),
    ),
    "Optimisation": (
        *("--batch-clips", "--learning-rate", "--discriminator-lr", "--adam-beta1", "--warmup", "--lr-decay-fraction"),
        *("--freeze-bn-from", "--lip-weight", "--contrast-weight", "--sync-weight", "--sync-below", "--gan-weight"),
        *("--mouth-weight", "--seed"),
    ),
    "Stages and validation": ("--stage-steps", "--steps", "--validate-every", "--val-clips", "--max-time"),
    "Devices": ("--accelerator", "--devices", "--precision", "--num-workers", "--threads"),
    "Output": ("--out", "--take-over", "--json"),
}


# Options that not every generator has, by their names in Python.
OWNERS = {
    **dict.fromkeys(("variant", "lip_weight", "contrast_weight", "stage_steps"), ("talklip",)),
    **dict.fromkeys(("sync_weight", "sync_below", "sync_norm"), ("wav2lip",)),
    "gan_weight": ("talklip", "wav2lip"),
    "window_frames": ("faceformer",),
    "steps": ("wav2lip", "faceformer"),
}


def read_stage_steps(
    context: click.Context, option: click.Parameter, value: str | list[int] | None
) -> tuple[int, int, int] | None:
    """``A,B,C`` of the command line, or the array of three numbers of a config file."""
    if value is None:
        return None
    try:
        first, second, third = (int(word) for word in (value.split(",") if isinstance(value, str) else value))
    except (TypeError, ValueError) as error:
        raise TlbenchError(f"--stage-steps {value}: give three numbers, such as 1000,500,500") from error
    return first, second, third


@click.command(cls=GroupedCommand, groups=GROUPS)
@recipe_option("tlbench.talklip")
@config_option
@click.option(
    "--dataset",
    required=True,
    metavar="NAME",
    shell_complete=complete_datasets,
    help="synthetic, grid, lrs2, folder ...",
)
@click.option("--data-root", type=click.Path(path_type=Path), metavar="FOLDER", help="Where the data set is.")
@click.option(
    "--train-split", metavar="NAME", shell_complete=complete_splits, help="The training set.  [default: train]"
)
@click.option("--val-split", metavar="NAME", shell_complete=complete_splits, help="The validation set.  [default: val]")
@click.option("--train-list", type=click.Path(path_type=Path), metavar="FILE", help="Only these clips of it.")
@click.option("--val-list", type=click.Path(path_type=Path), metavar="FILE", help="Only these clips of it.")
@click.option("--boxes", type=click.Path(path_type=Path), metavar="FOLDER", help="Face boxes, one .npy a clip (T, 4).")
@detector_options
@face_option
@weights_option
@cache_option
@click.option(
    "--generator", type=click.Choice(GENERATORS), default="talklip", show_default=True, help="What is trained."
)
@click.option(
    "--variant",
    type=click.Choice(VARIANTS),
    help="TalkLip's audio encoder, local or global, with or without contrastive loss; the bases are trained without "
    "an expert.  [default: g+c]",
)
@click.option(
    "--size",
    metavar="published|miniature|tiny|FILE.json",
    shell_complete=complete_one_of(("published", "miniature", "tiny"), or_file=True),
    help="Of the networks.  [default: published]",
)
@click.option(
    "--expert",
    metavar="NAME|FILE",
    shell_complete=complete_experts,
    help="The lip reader that TalkLip's losses are computed with (not for bases), or Faceformer's audio encoder is of.",
)
@click.option(
    "--sync-expert",
    type=click.Path(path_type=Path),
    metavar="FILE|FOLDER",
    help="Wav2Lip's: OUT/best of `tlbench train-observer wav2lip-sync`, or a published file.",
)
@click.option(
    "--init",
    type=click.Choice(INITS),
    default="random",
    show_default=True,
    help="Weights of a new generator; copy: it copies the faces it is given, for miniatures.",
)
@click.option(
    "--init-from",
    type=click.Path(path_type=Path),
    metavar="NAME|FILE|FOLDER",
    shell_complete=complete_generator_checkpoints,
    help="Train this generator further, such as OUT/last of another training or a published file.",
)
@click.option(
    "--init-discriminator",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Train this discriminator further, such as OUT/discriminator.pth or a published file.  [default: a new one]",
)
@click.option(
    "--batch-clips", type=WholeNumber(min=1), default=8, show_default=True, help="Clips in a batch, on each device."
)
@click.option(
    "--learning-rate",
    type=Number(min=0, min_open=True),
    default=1e-4,
    show_default=True,
    help="Of the generator.",
)
@click.option(
    "--discriminator-lr",
    type=Number(min=0, min_open=True),
    default=1e-4,
    show_default=True,
    help="Learning rate of the discriminator.",
)
@click.option(
    "--adam-beta1",
    type=Number(0, 1, max_open=True),
    default=0.5,
    show_default=True,
    help="Adam's first beta, of both networks.",
)
@click.option(
    "--warmup",
    type=WholeNumber(min=0),
    default=0,
    show_default=True,
    metavar="STEPS",
    help="The learning rates rise linearly over the first steps.",
)
@click.option(
    "--lr-decay-fraction",
    type=Number(0, 1),
    default=0.0,
    show_default=True,
    metavar="FRACTION",
    help="The learning rates fall linearly to 0 over this fraction of all steps, the last ones.",
)
@click.option(
    "--freeze-bn-from",
    type=WholeNumber(min=0),
    metavar="STEP",
    help="From this step on the generator's batch norms keep their statistics.  [default: never]",
)
@click.option("--lip-weight", type=Number(min=0), help="Of the expert's loss.  [default: 1e-5]")
@click.option("--contrast-weight", type=Number(min=0), help="Of the contrastive loss.  [default: 1e-3]")
@click.option("--sync-weight", type=Number(min=0), help="Of Wav2Lip's sync loss, once it is used.  [default: 0.03]")
@click.option(
    "--sync-below",
    type=Number(min=0, min_open=True),
    help="It is used once its mean over the validation set is below this.  [default: 0.75]",
)
@click.option("--gan-weight", type=Number(min=0), help="Of the discriminator's loss.  [default: 0.07]")
@click.option(
    "--mouth-weight",
    type=Number(min=1),
    default=1.0,
    show_default=True,
    help="Of a pixel around the mouth in the reconstruction loss; other pixels have 1.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of weights, batches and dropout.")
@click.option(
    "--stage-steps",
    type=click.UNPROCESSED,
    callback=read_stage_steps,
    metavar="A,B,C",
    help="TalkLip's steps of each stage.  [default: by patience]",
)
@click.option("--steps", type=WholeNumber(min=1), help="Steps of other generators.  [default: by patience]")
@click.option(
    "--validate-every",
    type=WholeNumber(min=1),
    default=3000,
    show_default=True,
    metavar="STEPS",
    help="Steps between validations.",
)
@click.option(
    "--val-clips", type=WholeNumber(min=0), default=0, show_default=True, help="Clips to validate on; 0 for all."
)
@click.option(
    "--max-time",
    type=Number(min=0, min_open=True),
    metavar="MINUTES",
    help="Stop after this time, with everything saved.",
)
@click.option(
    "--accelerator",
    default="auto",
    show_default=True,
    metavar="NAME",
    shell_complete=complete_devices,
    help="auto, cpu, cuda.",
)
@click.option("--devices", type=WholeNumber(min=1), default=1, show_default=True, help="The number of devices.")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    default="fp32",
    show_default=True,
    help="bf16: mixed precision, for GPUs and processors with bfloat16 instructions.",
)
@click.option(
    "--num-workers", type=WholeNumber(min=0), default=0, show_default=True, help="Processes that prepare batches."
)
@click.option("--threads", type=WholeNumber(min=1), help="CPU threads of torch.  [default: torch's own]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="The run folder; a training in it with the same settings is continued.",
)
@take_over_option
@json_option
@click.option(
    "--accumulate",
    cls=ConfigOnlyOption,
    type=WholeNumber(min=1),
    default=1,
    show_default=True,
    help="Batches whose gradients are added before a step.",
)
@click.option(
    "--gan-form",
    cls=ConfigOnlyOption,
    type=click.Choice(GAN_FORMS),
    default="code",
    show_default=True,
    help="Adversarial losses as in the published code, or as printed in the paper (Eq. 2 and 3).",
)
@click.option(
    "--mask-probability",
    cls=ConfigOnlyOption,
    type=Number(0, 1, min_open=True),
    default=0.08,
    show_default=True,
    help="Fraction of frames at which a run of generated frames begins (the paper's p).",
)
@click.option(
    "--mask-length",
    cls=ConfigOnlyOption,
    type=WholeNumber(1, 11),
    default=5,
    show_default=True,
    help="Frames of such a run (the paper's M).",
)
@click.option(
    "--patience",
    cls=ConfigOnlyOption,
    type=WholeNumber(min=1),
    default=5,
    show_default=True,
    help="Validations without a new best before a stage ends, if stage_steps is not given.",
)
@click.option(
    "--save-every",
    cls=ConfigOnlyOption,
    type=WholeNumber(min=1),
    default=500,
    show_default=True,
    help="Steps between states.",
)
@click.option(
    "--sync-norm",
    cls=ConfigOnlyOption,
    type=click.Choice(SYNC_NORMS),
    help="Statistics that the sync expert normalises by: the batch's, as published, or its own.  [default: batch]",
)
@click.option(
    "--window-frames",
    cls=ConfigOnlyOption,
    type=WholeNumber(min=2),
    help="Consecutive frames that Faceformer generates in a step.  [default: 50]",
)
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Train a generator: TalkLip, Wav2Lip or Faceformer; needs the extra 'train'.

    TalkLip has three stages, as published: the audio encoder is frozen, then its last blocks are trained, then the
    expert's losses are added. Wav2Lip's sync loss is added once it is below 0.75 on the validation set. The generator
    of the last validation is kept as a package in OUT/last, which `tlbench generate --generator` takes;
    OUT/config.toml has every option, for --config. A training that was stopped is continued by the same command.

    Exit codes: 0 trained to the end; 1 stopped by --max-time, 130 by Ctrl-C, 143 by SIGTERM, everything saved; 2 not
    done.
    """
    from tlbench.cli.progress import TrainingProgress
    from tlbench.files import write_text_atomically
    from tlbench.talklip.run_config import Hooks
    from tlbench.talklip.train import train_reference

    if options["threads"] is not None:
        import torch

        torch.set_num_threads(options["threads"])
    out: Path = options["out"]
    with TrainingProgress() as progress, signals.deferred():  # the present step is finished first
        trained = train_reference(
            _data(options),
            _model(options),
            training_config(options),
            out,
            devices=_devices(options),
            max_seconds=None if options["max_time"] is None else 60 * options["max_time"],
            take_over=options["take_over"],
            hooks=Hooks(
                on_start=lambda: write_text_atomically(out / CONFIG_NAME, config_text(context)),
                on_prepared=progress.prepared,
                on_report=progress.tell,
                notify=progress.say,
                stop=lambda: signals.received() is not None,
            ),
        )
    _print(trained, options["as_json"])
    if not trained.done:
        click.echo(f"stopped at step {trained.step}, everything is saved; the same command continues", err=True)
        context.exit(signals.exit_code(1))


def _data(options: Mapping[str, Any]) -> DataConfig:
    from tlbench.talklip.run_config import DataConfig, Splits

    return DataConfig(
        options["dataset"],
        options["data_root"],
        Splits(options["train_split"], options["val_split"], options["train_list"], options["val_list"]),
        options["boxes"],
        options["detector"],
        options["smooth"],
        options["face"],
        given_weights(options["weights"]),
        options["cache"],
    )


def _model(options: Mapping[str, Any]) -> ModelConfig:
    from tlbench.talklip.run_config import ModelConfig

    size = None if options["size"] is None else read_size(options["size"])
    return ModelConfig(
        options["expert"],
        options["init"],
        options["init_from"],
        size,
        options["sync_expert"],
        options["init_discriminator"],
    )


def training_config(options: Mapping[str, Any]) -> TrainingConfig:
    """How the networks are trained, from the command's parameters."""
    from tlbench.talklip.batches import FrameMasking
    from tlbench.talklip.run_config import TrainingConfig
    from tlbench.talklip.trainer import TrainLoopConfig

    return TrainingConfig(
        _loss(options),
        OptimConfig(
            options["learning_rate"],
            options["discriminator_lr"],
            options["adam_beta1"],
            options["warmup"],
            options["lr_decay_fraction"],
            options["freeze_bn_from"],
        ),
        _schedule(options),
        TrainLoopConfig(
            options["batch_clips"],
            options["accumulate"],
            options["validate_every"],
            options["val_clips"],
            options["save_every"],
            options["seed"],
        ),
        FrameMasking(options["mask_probability"], options["mask_length"]),
    )


def _loss(options: Mapping[str, Any]) -> AnyLoss:
    """The weights of the generator's losses. Raises TlbenchError if an option of another generator is given."""
    generator = options["generator"]
    for name, owners in OWNERS.items():
        if options[name] is not None and generator not in owners:
            option = f"--{name.replace('_', '-')}"
            instead = "; give the steps of each stage (--stage-steps)" if name == "steps" else ""
            raise TlbenchError(
                f"{option} is an option of {' and '.join(owners)}, not of {generator}; leave it out{instead} "
                "(--generator)"
            )
    names = ("lip_weight", "contrast_weight", "gan_weight", "sync_weight", "sync_below", "sync_norm", "window_frames")
    own = {name: options[name] for name in names if options[name] is not None}
    if generator == "faceformer":
        return FaceformerLoss(**own, mouth_weight=options["mouth_weight"])
    common = {"gan_form": options["gan_form"], "mouth_weight": options["mouth_weight"]}
    if generator == "wav2lip":
        return Wav2LipLoss(**own, **common)
    return replace(LossConfig.for_variant(options["variant"] or "g+c"), **own, **common)


def _schedule(options: Mapping[str, Any]) -> StageSchedule | SwitchSchedule:
    from tlbench.talklip.stages import StageSchedule, SwitchSchedule

    if options["generator"] == "talklip":
        return StageSchedule(options["stage_steps"], options["patience"])
    return SwitchSchedule(options["steps"], options["patience"])


def _devices(options: Mapping[str, Any]) -> Devices:
    from tlbench.talklip.run_config import Devices

    return Devices(options["accelerator"], options["devices"], options["precision"], options["num_workers"])


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
        say(f"left out: {error}", err=True)
    l1 = "not validated yet" if trained.l1 is None else f"validation L1 {trained.l1:.4f}"
    say(f"{trained.last}: {l1}, step {trained.step}")
