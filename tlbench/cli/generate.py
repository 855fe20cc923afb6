"""``tlbench generate``: videos of a data set or a single video, by a generator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from tlbench.cli.grouped_help import GroupedCommand
from tlbench.cli.lines import say
from tlbench.cli.options import (
    WholeNumber,
    cache_option,
    detector_options,
    face_option,
    given_weights,
    optional_dataset_options,
    take_over_option,
    weights_option,
)
from tlbench.document import counted
from tlbench.errors import TlbenchError, quoted

if TYPE_CHECKING:
    from tlbench.generation.write_generated import GeneratedDataset

COMMAND = "command"  # in place of a generator's name
DATASET_ONLY = ("data_root", "split", "subset", "limit", "manifest", "boxes", "trim", "workers", "cache")
DRIVE_SAYS = ("dataset", "split", "subset", "limit", "video", "audio")
NOT_FOR_COMMAND = ("drive", "video", "audio", "identity", "trim", "device", "precision", "workers")
GROUPS = {
    "Generator": ("--generator", "--identity", "--trim"),
    "Another repository's script, with --generator command": ("--recipe", "--repo", "--python", "--set"),
    "A data set": (
        "--dataset",
        "--data-root",
        "--split",
        "--subset",
        "--limit",
        "--manifest",
        "--boxes",
        "--large-pictures",
    ),
    "A drive": ("--drive",),
    "A single video": ("--video", "--audio"),
    "Faces": ("--detector", "--smooth", "--face", "--weights"),
    "Running": ("--device", "--precision", "--workers", "--cache"),
    "Output": ("--out", "--take-over"),
}


def _renamed(_: click.Context, __: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise TlbenchError(f"--checkpoint is called --generator now; write --generator {value}")


@click.command(cls=GroupedCommand, groups=GROUPS)
@click.option(
    "--generator",
    required=True,
    metavar="NAME|CHECKPOINT",
    help="A checkpoint: TalkLip's or Wav2Lip's published file, OUT/last of train-reference, the name of a bundled one "
    "(talklip-gc-synthetic), or NAME=FILE. Or the name of a generator that needs none. Or command.",
)
@click.option(
    "--recipe",
    metavar="NAME|FILE",
    help="How the script is called: atvgnet, latentsync, musetalk, pc-avs, sadtalker, wav2lip, or a TOML file of your "
    "own.",
)
@click.option("--repo", type=click.Path(path_type=Path), metavar="FOLDER", help="The repository that you cloned.")
@click.option(
    "--python",
    default="python",
    show_default=True,
    metavar="WORDS",
    help='The Python of its environment, such as "conda run -n wav2lip python".',
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of the recipe; may be given several times.",
)
@click.option("--checkpoint", hidden=True, is_eager=True, expose_value=False, callback=_renamed)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="PATH", help="Folder, or one .mp4 file.")
@optional_dataset_options
@click.option(
    "--drive",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Sounds made by `tlbench data drive`.",
)
@click.option("--video", type=click.Path(path_type=Path), metavar="FILE", help="Video of a face, any size and rate.")
@click.option("--audio", type=click.Path(path_type=Path), metavar="FILE", help="The speech, with --video.")
@click.option(
    "--identity",
    type=click.Choice(["first", "same"]),
    help="The whole face that the generator is given: the first frame's, or that of the frame to generate.  "
    "[default: first, as in the paper's tests; with --video same, as in its demo]",
)
@click.option(
    "--trim",
    type=click.Choice(["both-ends", "end"]),
    default="both-ends",
    show_default=True,
    help="Where the features of a global audio encoder are cut if they are longer than the video; both-ends as "
    "published.",
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
    help="bf16: for GPUs and processors with bfloat16 instructions.",
)
@click.option(
    "--workers",
    type=WholeNumber(min=1),
    metavar="N",
    help="Clips generated at the same time.  [default: 1 on a CPU, 4 on a GPU]",
)
@cache_option
@take_over_option
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Generate videos with a generator.

    With --dataset, OUT/<id>.mp4 is written for each reference video: its frames with generated faces, and its audio, to
    be scored like any generator's folder. With --drive, OUT/<kind>/<id>.mp4 is written for each sound that
    `tlbench data drive` made: for silence, another clip's speech and the video's own. Videos that exist are kept, so
    that a stopped run is continued by the same command. With --video and --audio, the face of a video is generated for
    other speech. A JSON file next to the videos says how they were generated.

    With --generator command, the script of another repository makes the videos, in its own environment, as a recipe
    says: from files that are prepared for it, its videos are collected by clip.

    Exit codes: 0 all written, 1 some could not be generated, 2 nothing done.
    """
    dataset, video, audio = options["dataset"], options["video"], options["audio"]
    if options["generator"] == COMMAND:
        done = _generate_by_command(context, options)
        _print(done, options["out"])
        context.exit(1 if done.failures else 0)
    for name in ("recipe", "repo", "python", "settings"):
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            option = "set" if name == "settings" else name
            raise TlbenchError(f"--{option} is for another repository's script; pass --generator {COMMAND} too")
    if options["drive"] is not None:
        for name in DRIVE_SAYS:
            if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
                raise TlbenchError(f"--{name} does not go with --drive, which says what is generated; leave it out")
        kinds = _generate_drive(options)
        for kind, done in kinds.items():
            _print(done, options["out"] / kind)
        context.exit(1 if any(done.failures for done in kinds.values()) else 0)
    if dataset is not None:
        if video is not None or audio is not None:
            raise TlbenchError("--video and --audio are for a single video; leave them out, or leave out --dataset")
        done = _generate_dataset(options)
        _print(done, options["out"])
        context.exit(1 if done.failures else 0)
    if video is None or audio is None:
        raise TlbenchError("nothing to generate from: give --dataset, --drive, or --video and --audio")
    for name in DATASET_ONLY:
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise TlbenchError(f"--{name.replace('_', '-')} is for data sets; leave it out with --video")
    _generate_video(options)


def _generate_dataset(options: dict[str, Any]) -> GeneratedDataset:
    from tlbench.cli.progress import CountProgress
    from tlbench.generation.generate_dataset import generate_dataset

    with CountProgress("generating", "clips") as progress:
        return generate_dataset(
            options["generator"],
            options["out"],
            options["dataset"],
            options["data_root"],
            split=options["split"],
            subset=options["subset"],
            limit=options["limit"],
            manifest=options["manifest"],
            boxes=options["boxes"],
            weights=given_weights(options["weights"]),
            detector=options["detector"],
            smooth=options["smooth"],
            face=options["face"],
            identity=options["identity"] or "first",
            trim=options["trim"],
            device=options["device"],
            precision=options["precision"],
            workers=options["workers"],
            cache=options["cache"],
            take_over=options["take_over"],
            progress=progress,
        )


def _generate_by_command(context: click.Context, options: dict[str, Any]) -> GeneratedDataset:
    from tlbench.cli.progress import CountProgress
    from tlbench.datasets.options import DataOptions
    from tlbench.generation.generate_by_command import CommandOptions, generate_by_command
    from tlbench.observing.face_options import FaceOptions

    for name in NOT_FOR_COMMAND:
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise TlbenchError(f"--{name} does not go with --generator {COMMAND}; leave it out")
    for name in ("recipe", "repo", "dataset"):
        if options[name] is None:
            raise TlbenchError(f"--generator {COMMAND} needs --{name}")
    data = DataOptions(
        options["dataset"],
        options["data_root"],
        *(options[name] for name in ("split", "subset", "limit", "manifest", "boxes")),
    )
    with CountProgress("generating", "clips") as progress:
        return generate_by_command(
            CommandOptions(options["recipe"], options["repo"], options["python"], _settings(options["settings"])),
            options["out"],
            data,
            FaceOptions(options["detector"], options["smooth"], options["face"]),
            weights=given_weights(options["weights"]),
            cache=options["cache"],
            take_over=options["take_over"],
            progress=progress,
        )


def _settings(given: tuple[str, ...]) -> dict[str, str]:
    """The values of ``--set`` by name. Raises TlbenchError on another form."""
    settings = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise TlbenchError(f"--set takes NAME=VALUE, such as checkpoint=wav2lip.pth; got {quoted(pair)}")
        settings[name] = value
    return settings


def _generate_drive(options: dict[str, Any]) -> dict[str, GeneratedDataset]:
    from tlbench.cli.progress import CountProgress
    from tlbench.generation.drive import DriveOptions
    from tlbench.generation.generate_dataset import generate_drive

    with CountProgress("generating", "videos") as progress:
        return generate_drive(
            options["generator"],
            options["out"],
            DriveOptions(options["drive"], options["data_root"], options["manifest"], options["boxes"]),
            weights=given_weights(options["weights"]),
            detector=options["detector"],
            smooth=options["smooth"],
            face=options["face"],
            identity=options["identity"] or "first",
            trim=options["trim"],
            device=options["device"],
            precision=options["precision"],
            workers=options["workers"],
            cache=options["cache"],
            take_over=options["take_over"],
            progress=progress,
        )


def _print(done: GeneratedDataset, out: Path) -> None:
    for clip_id, error in done.failures.items():
        say(f"not generated: {clip_id}: {error}", err=True)
    for clip_id, form in done.converted.items():
        say(f"converted: {clip_id}: {form}", err=True)
    for clip_id, (faceless, frames) in done.faceless.items():
        say(f"no face: {clip_id}: in {faceless} of {counted(frames, 'frame')}; they got a box in the middle", err=True)
    if done.outdated:
        click.echo(
            f"generated again: {counted(done.outdated, 'video')} whose reference or audio file has changed", err=True
        )
    kept = f", {done.kept} existed already" if done.kept else ""
    say(f"{counted(done.written, 'video')} of {counted(done.frames, 'frame')} in {out}{kept}")


def _generate_video(options: dict[str, Any]) -> None:
    from tlbench.generation.generate_video import generate_video

    frames = generate_video(
        options["generator"],
        options["video"],
        options["audio"],
        options["out"],
        weights=given_weights(options["weights"]),
        detector=options["detector"],
        smooth=options["smooth"],
        face=options["face"],
        identity=options["identity"] or "same",
        device=options["device"],
        precision=options["precision"],
        take_over=options["take_over"],
        notify=lambda line: say(line, err=True),
    )
    say(f"{options['out']}: {counted(frames, 'frame')}, {frames / 25:g} s")
