"""Options that several commands share: one definition each, so that a name means the same everywhere.

Options that travel together arrive as one value: ``data_options`` gives the command a
:class:`tlbench.datasets.options.DataOptions` as ``data``, ``face_options`` a
:class:`tlbench.observing.face_options.FaceOptions` as ``faces``, ``run_options`` a
:class:`tlbench.scoring.options.RunOptions` as ``options``. The others arrive under their own names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from tlbench.cli.completion import (
    complete_datasets,
    complete_devices,
    complete_faces,
    complete_metric_choice,
    complete_splits,
    complete_views,
    complete_weights,
)
from tlbench.cli.config_file import CommandLineOption
from tlbench.errors import TlbenchError, quoted
from tlbench.files import TEXT, read_outside
from tlbench.json_input import parse_json

if TYPE_CHECKING:
    from tlbench.datasets.options import DataOptions
    from tlbench.generation.drive import DriveOptions
    from tlbench.observing.face_options import FaceOptions
    from tlbench.scoring.options import RunOptions

_Command = TypeVar("_Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
DEVICE_HELP = "auto, cpu, cuda, cuda:1 ..."
DETECTOR = click.Choice(["auto", "s3fd", "blazeface", "haar"])


class WholeNumber(click.IntRange):
    """A whole number in a range: ``click.option("--limit", type=WholeNumber(min=1))``."""

    name = "whole number"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What ``--help`` shows after the option's name."""
        return "N"


class Number(click.FloatRange):
    """A number in a range: ``click.option("--level", type=Number(0.5, 0.999))``."""

    name = "number"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What ``--help`` shows after the option's name."""
        return "NUMBER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number. Not a number (``nan``), which is in every range for click, is refused."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


def data_options(command: _Command) -> _Command:
    """Add the options that choose clips, with ``--boxes``. The command gets ``data``, a DataOptions.

    Whether files exist is left to the function that reads them, so that its errors name the way out.
    """
    return dataset_options(_as_value(_data, "data", ("boxes", *_CLIPS), command))


def clip_data_options(command: _Command) -> _Command:
    """As :func:`data_options`, without ``--boxes``."""
    return clip_options(_as_value(_data, "data", _CLIPS, command))


def data_and_landmark_options(command: _Command) -> _Command:
    """As :func:`data_options`, with ``--landmarks``."""
    return dataset_options(landmarks_option(_as_value(_data, "data", ("landmarks", "boxes", *_CLIPS), command)))


def data_or_drive_options(command: _Command) -> _Command:
    """As :func:`data_and_landmark_options`, or with ``--drive`` in place of ``--dataset``.

    The command gets ``data``: a DataOptions, or a DriveOptions.
    """
    names = ("drive", "landmarks", "boxes", *_CLIPS)
    return optional_dataset_options(landmarks_option(drive_option(_as_value(_data_or_drive, "data", names, command))))


def dataset_options(command: _Command) -> _Command:
    """Add the options of :func:`clip_options` and ``--boxes``, each under its own name."""
    return clip_options(_boxes_option(command))


def clip_options(command: _Command) -> _Command:
    """Add the options that choose clips, each under its own name.

    ``dataset``, ``data_root``, ``split``, ``subset``, ``limit`` and ``manifest``, as ``tlbench.check`` takes them.
    """
    return dataset_option(_add_all(_CLIP_OPTIONS, _large_if_asked(command)))


def optional_dataset_options(command: _Command) -> _Command:
    """As :func:`dataset_options`, for a command that also works without a data set: ``dataset`` may be None."""
    return optional_dataset_option(_add_all(_CLIP_OPTIONS, _boxes_option(_large_if_asked(command))))


def face_options(command: _Command) -> _Command:
    """Add the options of how faces are found in the real videos. The command gets ``faces``, a FaceOptions."""
    return detector_options(face_option(_as_value(_faces, "faces", ("detector", "smooth", "face"), command)))


def face_and_source_options(command: _Command) -> _Command:
    """As :func:`face_options`, with ``--boxes-from``."""
    names = ("detector", "smooth", "face", "boxes_from")
    return detector_options(face_option(boxes_from_option(_as_value(_faces, "faces", names, command))))


def detector_options(command: _Command) -> _Command:
    """Add the options of how face boxes are found where none are given: ``detector`` and ``smooth``."""
    return _add_all(_DETECTOR_OPTIONS, command)


def run_options(command: _Command) -> _Command:
    """Add the options of how a run is done. The command gets ``options``, a RunOptions."""
    names = (
        *("workers", "engine", "ray_address", "gpus_per_worker", "decode_workers", "device", "precision"),
        *("matrix_product", "cache", "seed", "strict", "take_over"),
    )
    return _add_all(_RUN_OPTIONS, _as_value(_run, "options", names, command))


def _large_if_asked(command: _Command) -> _Command:
    """Take ``--large-pictures`` from a command's parameters and see to it before it runs."""

    @wraps(command)
    def with_limit(*words: Any, large_pictures: bool, **given: Any) -> Any:
        if large_pictures:
            from tlbench.media.container import allow_large_pictures

            allow_large_pictures()
        return command(*words, **given)

    return cast(_Command, with_limit)


def _as_value(build: Callable[..., Any], name: str, parts: Sequence[str], command: _Command) -> _Command:
    """Replace the parameters ``parts`` of a command by one, ``name``, which ``build`` makes of them."""

    @wraps(command)
    def with_value(*words: Any, **given: Any) -> Any:
        value = build(**{part: given.pop(part) for part in parts})
        return command(*words, **{name: value}, **given)

    return cast(_Command, with_value)


def _data(dataset: str, data_root: Path | None, **rest: Any) -> DataOptions:
    from tlbench.datasets.options import DataOptions

    return DataOptions(dataset, data_root, **rest)


def _data_or_drive(drive: Path | None, dataset: str | None, **rest: Any) -> DataOptions | DriveOptions:
    from tlbench.generation.drive import data_or_drive

    return data_or_drive(drive, dataset, **rest)


def _faces(**given: Any) -> FaceOptions:
    from tlbench.observing.face_options import FaceOptions

    return FaceOptions(**given)


def _run(
    workers: int | None,
    engine: str,
    ray_address: str | None,
    gpus_per_worker: float,
    decode_workers: int | None,
    **rest: Any,
) -> RunOptions:
    from tlbench.observing.ray_options import DEFAULT_RAY, RayOptions
    from tlbench.scoring.options import RunOptions, default_workers

    if ray_address is not None and engine != "ray":
        raise TlbenchError(f"--ray-address {quoted(ray_address)} is for a Ray cluster; pass --engine ray too")
    if decode_workers is not None and engine != "ray":
        raise TlbenchError(f"--decode-workers {decode_workers} are workers of a Ray cluster; pass --engine ray too")
    if gpus_per_worker != DEFAULT_RAY.gpus_per_worker and engine != "ray":
        raise TlbenchError(f"--gpus-per-worker {gpus_per_worker:g} is for a Ray cluster; pass --engine ray too")
    ray = RayOptions(ray_address, gpus_per_worker, decode_workers)
    return RunOptions(default_workers() if workers is None else workers, engine, ray=ray, **rest)


def _add_all(options: Sequence[Callable[[_Command], _Command]], command: _Command) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command


_DATASET_HELP = "lrs2, lrw, grid, folder; `tlbench data list` shows all."
dataset_option = click.option(
    "--dataset", required=True, metavar="NAME", shell_complete=complete_datasets, help=_DATASET_HELP
)
optional_dataset_option = click.option(
    "--dataset", metavar="NAME", shell_complete=complete_datasets, help=_DATASET_HELP
)
data_root_option = click.option(
    "--data-root",
    type=PATH,
    metavar="FOLDER",
    help="The data set's folder.  [default: what `tlbench data set` or its variable says, such as $TLBENCH_LRS2]",
)
split_option = click.option(
    "--split", metavar="NAME", shell_complete=complete_splits, help="Which part of it.  [default: test]"
)
limit_option = click.option("--limit", type=WholeNumber(min=1), metavar="N", help="Only the first N clips.")
manifest_option = click.option(
    "--manifest",
    type=PATH,
    metavar="FILE",
    help="List of clips: CSV or JSON Lines for folder, the data set's own form for others.",
)
_CLIPS = ("dataset", "data_root", "split", "subset", "limit", "manifest")
_CLIP_OPTIONS = (
    data_root_option,
    split_option,
    click.option("--subset", type=PATH, metavar="FILE", help="Only the clips in this list."),
    limit_option,
    manifest_option,
    click.option(
        "--large-pictures",
        is_flag=True,
        help="Read pictures of more than 4096x4096 pixels too, up to 8192x8192. Takes 3 GB of memory.",
    ),
)
_boxes_option = click.option("--boxes", type=PATH, metavar="FOLDER", help="Face boxes, one .npy (T, 4) for each clip.")
drive_option = click.option(
    "--drive",
    type=PATH,
    metavar="FILE",
    help="drive.json of `tlbench data drive`, in place of --dataset.",
)
landmarks_option = click.option(
    "--landmarks", type=PATH, metavar="FOLDER", help="Face landmarks, one .npy (T, 68, 2) for each clip."
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")
metrics_option = click.option(
    "--metrics",
    metavar="NAMES",
    shell_complete=complete_metric_choice,
    help="With commas: psnr, lse_c/sound, paper, pixels, or a preset: paper-avatar, all ...",
)
workers_option = click.option(
    "--workers",
    type=WholeNumber(min=1),
    metavar="N",
    help="Number of processes.  [default: one for each core; two at most for score]",
)
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="NAME",
    shell_complete=complete_devices,
    help=DEVICE_HELP,
)
SEED = WholeNumber(min=0, max=2**32 - 1)  # what numpy's and torch's generators all take
seed_option = click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Seed of everything that is drawn at random."
)
view_option = click.option(
    "--view",
    "views",
    multiple=True,
    metavar="OBSERVER=VIEW",
    shell_complete=complete_views,
    help="View of an observer: avhubert=face-framed, or avhubert=auto, which decides by the size of the frames.  "
    "[default: the one its checkpoint was trained with]",
)
boxes_from_option = click.option(
    "--boxes-from",
    type=click.Choice(["reference", "generated"]),
    default="reference",
    show_default=True,
    help="generated: each video is cropped by face boxes of its own; no published number is made that way.",
)
face_option = click.option(
    "--face",
    default="largest",
    show_default=True,
    metavar="WHICH",
    shell_complete=complete_faces,
    help="Which of several faces is followed: largest, central, or its number from the left (1 is the first).",
)
weights_option = click.option(
    "--weights",
    multiple=True,
    metavar="NAME[=FILE]",
    shell_complete=complete_weights,
    help="A checkpoint, such as syncnet=syncnet_v2.model, or the name of one that is here; may be given several times.",
)
cache_option = click.option(
    "--cache",
    type=PATH,
    metavar="FOLDER",
    help="Folder of kept evidence.  [default: $TLBENCH_CACHE, or your cache folder]",
)
take_over_option = click.option(
    "--take-over",
    cls=CommandLineOption,
    is_flag=True,
    help="Do not wait for another run that writes there and is gone, such as on a machine that failed. If it is not "
    "gone, it ends with an error.",
)
format_option = click.option(
    "--format",
    "table_format",
    type=click.Choice(["terminal", "markdown", "csv", "json", "latex"]),
    default="terminal",
    show_default=True,
    help="Form of the table on stdout.",
)
_DETECTOR_OPTIONS = (
    click.option(
        "--detector",
        type=DETECTOR,
        default="auto",
        show_default=True,
        help="Finds faces; auto is s3fd if its checkpoint is here, else blazeface.",
    ),
    click.option(
        "--smooth",
        type=WholeNumber(min=0),
        default=0,
        show_default=True,
        help="Running median of face boxes over this odd number of frames; 0 for none.",
    ),
)
_RUN_OPTIONS = (
    workers_option,
    click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Who starts processes: this machine, or a Ray cluster (extra ray).",
    ),
    click.option(
        "--ray-address",
        metavar="HOST:PORT",
        help="Of the Ray cluster.  [default: $RAY_ADDRESS, else one on this machine alone]",
    ),
    click.option(
        "--gpus-per-worker",
        type=Number(min=0, min_open=True, max=64),
        default=1.0,
        show_default=True,
        help="With --engine ray: part of a GPU for each worker; with 0.25, four share one.",
    ),
    click.option(
        "--decode-workers",
        type=WholeNumber(min=0),
        metavar="N",
        help="With --engine ray: further workers, on processors, that decode and crop for the others.  [default: with "
        "GPUs up to 6 for each worker, of the cores left; else 0]",
    ),
    device_option,
    click.option(
        "--precision",
        type=click.Choice(["fp32", "bf16"]),
        default="fp32",
        show_default=True,
        help="bf16: lip readers compute in bfloat16; a protocol of its own, without `paper`.",
    ),
    click.option(
        "--matrix-product",
        type=click.Choice(["auto", "torch", "onednn"]),
        default="auto",
        show_default=True,
        help="Of lip readers on a CPU; auto is the one that was measured as faster here.",
    ),
    cache_option,
    seed_option,
    click.option("--strict", is_flag=True, help="Warnings leave the result incomplete, as errors do: exit code 1."),
    take_over_option,
)


def given_weights(words: tuple[str, ...]) -> dict[str, Path]:
    """What ``--weights`` says. Raises TlbenchError as :func:`tlbench.checkpoints.weights.parse_weights`."""
    from tlbench.checkpoints.catalogue import known_cards
    from tlbench.checkpoints.weights import parse_weights

    return parse_weights(words, known_cards() if words else ())


def parse_views(pairs: tuple[str, ...]) -> dict[str, str]:
    """``OBSERVER=VIEW`` words to a mapping. Raises TlbenchError on another form or an observer named twice."""
    views: dict[str, str] = {}
    for pair in pairs:
        observer, equals, view = pair.partition("=")
        if not equals or not observer or not view:
            raise TlbenchError(f"--view takes OBSERVER=VIEW, such as avhubert=face-framed; got {quoted(pair)}")
        if observer in views:
            raise TlbenchError(f"--view {observer} is given twice: {views[observer]} and {view}")
        views[observer] = view
    return views


def read_size(given: str) -> str | dict[str, Any]:
    """What ``--size`` says: a name, or the dimensions in a JSON file. Raises TlbenchError if that can't be read."""
    if not given.endswith(".json"):
        return given
    try:
        read = parse_json(read_outside(Path(given), TEXT))
    except OSError as error:
        raise TlbenchError(
            f"--size {given}: can't be read ({error.strerror}); give a JSON file of dimensions"
        ) from error
    except ValueError as error:
        raise TlbenchError(f"--size {given}: can't be read as JSON ({error})") from error
    if not isinstance(read, dict):
        raise TlbenchError(f"--size {given}: holds no JSON object of dimensions")
    return read
