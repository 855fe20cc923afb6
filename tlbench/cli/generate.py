"""``tlbench generate``: videos of a data set or a single video, by a generator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from tlbench.cli.completion import complete_devices, complete_generators, complete_recipes, complete_settings
from tlbench.cli.facts import print_json
from tlbench.cli.grouped_help import GroupedCommand
from tlbench.cli.lines import say
from tlbench.cli.options import (
    WholeNumber,
    cache_option,
    face_options,
    given_weights,
    json_option,
    optional_dataset_options,
    seed_option,
    take_over_option,
    weights_option,
)
from tlbench.document import counted
from tlbench.errors import TlbenchError, quoted

if TYPE_CHECKING:
    from tlbench.datasets.options import DataOptions
    from tlbench.generation.drive import DriveOptions
    from tlbench.generation.generate_dataset import WriteOptions
    from tlbench.generation.write_generated import GeneratedDataset

COMMAND = "command"  # in place of a generator's name
OF_COMMAND = ("recipe", "repo", "python", "settings", "call_minutes")
DATASET_ONLY = ("data_root", "split", "subset", "limit", "manifest", "boxes", "trim", "workers", "cache", "seed")
DRIVE_SAYS = ("dataset", "split", "subset", "limit", "video", "audio")
_BY_THE_SCRIPT = "the script decides that; a recipe may have a setting for it (--set)"
NOT_FOR_COMMAND = {
    "video": "run the script itself for a single video, or give a data set of one clip (--dataset folder)",
    "audio": "run the script itself for a single video, or give a data set of one clip (--dataset folder)",
    "identity": _BY_THE_SCRIPT,
    "trim": _BY_THE_SCRIPT,
    "device": _BY_THE_SCRIPT,
    "precision": _BY_THE_SCRIPT,
    "workers": "scripts keep files of fixed names in their repository, so one runs at a time",
    "seed": "it draws nothing",
}
GROUPS = {
    "Generator": ("--generator", "--identity", "--trim"),
    "Another repository's script, with --generator command": (
        *("--recipe", "--repo", "--python", "--set", "--call-minutes"),
    ),
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
    "Running": ("--device", "--precision", "--workers", "--cache", "--seed"),
    "Output": ("--out", "--take-over", "--json"),
}


def _renamed(_: click.Context, __: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise TlbenchError(f"--checkpoint is called --generator now; write --generator {value}")


@click.command(cls=GroupedCommand, groups=GROUPS)
@click.option(
    "--generator",
    required=True,
    metavar="NAME|CHECKPOINT",
    shell_complete=complete_generators,
    help="A checkpoint: TalkLip's or Wav2Lip's published file, OUT/last of train-reference, the name of a bundled one "
    "(talklip-gc-synthetic), or NAME=FILE. Or the name of a generator that needs none. Or command.",
)
@click.option(
    "--recipe",
    metavar="NAME|FILE",
    shell_complete=complete_recipes,
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
    shell_complete=complete_settings,
    help="A setting of the recipe; may be given several times.",
)
@click.option(
    "--call-minutes",
    type=click.FloatRange(0, min_open=True),
    metavar="MINUTES",
    help="End a call of the script that takes longer, name its clips and go on.  [default: wait]",
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
@face_options
@click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="NAME",
    shell_complete=complete_devices,
    help="cpu, cuda, cuda:1 ...",
)
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
@seed_option
@take_over_option
@json_option
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Generate videos with a generator.

    With --dataset, OUT/<id>.mp4 is written for each reference video: its frames with generated faces, and its audio, to
    be scored like any generator's folder. With --drive, OUT/<kind>/<id>.mp4 is written for each sound that
    `tlbench data drive` made: for silence, another clip's speech and the video's own. Videos that exist are kept, so
    that a stopped run is continued by the same command. With --video and --audio, the face of a video is generated for
    other speech. A JSON file next to the videos says how they were generated.

    With --generator command, the script of another repository makes the videos of --dataset or --drive, in its own
    environment, as a recipe says: from files that are prepared for it, its videos are collected by clip.

    Exit codes: 0 all written, 1 some could not be generated, 2 nothing done.
    """
    _check_options(context, options)
    if options["drive"] is None and options["dataset"] is None:
        _generate_video(options)
        return
    folders = _generate_clips(options)
    for folder, done in folders.items():
        _print(done, folder, as_json=options["as_json"])
    if options["as_json"]:
        facts = {folder.name: _facts(done, folder) for folder, done in folders.items()}
        print_json(facts if options["drive"] is not None else next(iter(facts.values())))
    context.exit(1 if any(done.failures for done in folders.values()) else 0)


def _check_options(context: click.Context, options: dict[str, Any]) -> None:
    """Refuse options that do not go together, each in a line that says which to leave out."""

    def given(*names: str) -> Iterator[tuple[str, str]]:
        for name in names:
            if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
                yield name, "--" + ("set" if name == "settings" else name.replace("_", "-"))

    if options["generator"] == COMMAND:
        for name, option in given(*NOT_FOR_COMMAND):
            raise TlbenchError(
                f"{option} does not go with --generator {COMMAND}: {NOT_FOR_COMMAND[name]}; leave it out"
            )
        for name in ("recipe", "repo"):
            if options[name] is None:
                raise TlbenchError(f"--generator {COMMAND} needs --{name}")
        if options["dataset"] is None and options["drive"] is None:
            raise TlbenchError(f"--generator {COMMAND} needs --dataset, or --drive")
    else:
        for _, option in given(*OF_COMMAND):
            raise TlbenchError(f"{option} is for another repository's script; pass --generator {COMMAND} too")
    if options["drive"] is not None:
        for _, option in given(*DRIVE_SAYS):
            raise TlbenchError(f"{option} does not go with --drive, which says what is generated; leave it out")
    elif options["dataset"] is not None:
        for _ in given("video", "audio"):
            raise TlbenchError("--video and --audio are for a single video; leave them out, or leave out --dataset")
    elif options["video"] is None or options["audio"] is None:
        raise TlbenchError("nothing to generate from: give --dataset, --drive, or --video and --audio")
    else:
        for _, option in given(*DATASET_ONLY):
            raise TlbenchError(f"{option} is for data sets; leave it out with --video")


def _generate_clips(options: dict[str, Any]) -> dict[Path, GeneratedDataset]:
    """What was done to each folder: OUT, or OUT/<kind> of a drive."""
    from tlbench.cli.progress import CountProgress
    from tlbench.generation.drive import DriveOptions
    from tlbench.generation.generate_by_command import CommandOptions, generate_by_command
    from tlbench.generation.generate_dataset import generate_dataset, generate_drive
    from tlbench.generation.generator import GenerateOptions

    out, faces, data, writing = options["out"], options["faces"], _data(options), _writing(options)
    with CountProgress("generating", "videos" if isinstance(data, DriveOptions) else "clips") as progress:
        if options["generator"] == COMMAND:
            settings = _settings(options["settings"])
            script = CommandOptions(
                options["recipe"], options["repo"], options["python"], settings, options["call_minutes"]
            )
            return generate_by_command(script, out, data, faces, writing, progress)
        how = GenerateOptions(
            options["identity"] or "first",
            options["trim"],
            options["device"],
            options["precision"],
            seed=options["seed"],
        )
        if isinstance(data, DriveOptions):
            done = generate_drive(options["generator"], out, data, faces, how, writing, progress)
            return {out / kind: of_kind for kind, of_kind in done.items()}
        return {out: generate_dataset(options["generator"], out, data, faces, how, writing, progress)}


def _data(options: dict[str, Any]) -> DataOptions | DriveOptions:
    from tlbench.datasets.options import DataOptions
    from tlbench.generation.drive import DriveOptions

    if options["drive"] is not None:
        return DriveOptions(options["drive"], options["data_root"], options["manifest"], options["boxes"])
    clips = (options[name] for name in ("split", "subset", "limit", "manifest", "boxes"))
    return DataOptions(options["dataset"], options["data_root"], *clips)


def _writing(options: dict[str, Any]) -> WriteOptions:
    from tlbench.generation.generate_dataset import WriteOptions

    return WriteOptions(given_weights(options["weights"]), options["workers"], options["cache"], options["take_over"])


def _settings(given: tuple[str, ...]) -> dict[str, str]:
    """The values of ``--set`` by name. Raises TlbenchError on another form."""
    settings = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise TlbenchError(f"--set takes NAME=VALUE, such as checkpoint=wav2lip.pth; got {quoted(pair)}")
        settings[name] = value
    return settings


def _facts(done: GeneratedDataset, out: Path) -> dict[str, Any]:
    """What ``--json`` says of a folder of videos."""
    return {
        "out": out,
        "written": done.written,
        "kept": done.kept,
        "outdated": done.outdated,
        "frames": done.frames,
        "failures": done.failures,
        "converted": done.converted,
        "faceless": done.faceless,
    }


def _print(done: GeneratedDataset, out: Path, *, as_json: bool) -> None:
    """Notes on stderr and, unless a JSON document follows, the sum on stdout."""
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
    if not as_json:
        say(f"{counted(done.written, 'video')} of {counted(done.frames, 'frame')} in {out}{kept}")


def _generate_video(options: dict[str, Any]) -> None:
    from tlbench.generation.generate_video import generate_video

    frames = generate_video(
        options["generator"],
        options["video"],
        options["audio"],
        options["out"],
        options["faces"],
        weights=given_weights(options["weights"]),
        identity=options["identity"] or "same",
        device=options["device"],
        precision=options["precision"],
        take_over=options["take_over"],
        notify=lambda line: say(line, err=True),
    )
    if options["as_json"]:
        print_json({"out": options["out"], "frames": frames})
    else:
        say(f"{options['out']}: {counted(frames, 'frame')}, {frames / 25:g} s")
