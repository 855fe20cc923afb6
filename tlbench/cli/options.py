"""Options that several commands share, so that one name means one thing everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from tlbench.errors import TlbenchError

_Command = TypeVar("_Command", bound=Callable[..., Any])


def dataset_options(command: _Command) -> _Command:
    """Adds the options that choose clips, and ``boxes``, under the names of ``tlbench.check``'s arguments."""
    return clip_options(_boxes_option(command))


def clip_options(command: _Command) -> _Command:
    """Adds the options that choose clips; the function gets them under the names of ``tlbench.check``'s arguments.

    ``dataset``, ``data_root``, ``split``, ``subset``, ``limit``, ``manifest``. Whether files exist is left to the
    function behind the command, whose errors name the way out.
    """
    return _dataset_option(required=True)(_add_all(_CLIP_OPTIONS, command))


def optional_dataset_options(command: _Command) -> _Command:
    """As :func:`dataset_options`, for a command that also works without a data set: ``dataset`` may be None."""
    return _dataset_option(required=False)(_add_all(_CLIP_OPTIONS, _boxes_option(command)))


def _add_all(options: Sequence[Callable[[_Command], _Command]], command: _Command) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command


def _dataset_option(required: bool) -> Callable[[_Command], _Command]:
    what = "lrs2, lrw, grid, folder; another name lists all."
    return click.option("--dataset", required=required, metavar="NAME", help=what)


_CLIP_OPTIONS = (
    click.option("--data-root", type=click.Path(path_type=Path), metavar="FOLDER", help="Where the data set lies."),
    click.option("--split", metavar="NAME", help="Which part of it.  [default: test]"),
    click.option("--subset", type=click.Path(path_type=Path), metavar="FILE", help="Only the clips this list names."),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N clips."),
    click.option(
        "--manifest",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="List of clips: CSV or JSON Lines for folder, the data set's own form for others.",
    ),
)
_boxes_option = click.option(
    "--boxes", type=click.Path(path_type=Path), metavar="FOLDER", help="Face boxes, one .npy a clip (T, 4)."
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes side by side.  [default: one a core, for score two at most]",
)
landmarks_option = click.option(
    "--landmarks", type=click.Path(path_type=Path), metavar="FOLDER", help="Face landmarks, one .npy a clip (T, 68, 2)."
)
view_option = click.option(
    "--view",
    "views",
    multiple=True,
    metavar="OBSERVER=VIEW",
    help="What a reader looks through: avhubert=face-framed, or =auto, which looks at the frames' size.  "
    "[default: what its checkpoint was trained behind]",
)
boxes_from_option = click.option(
    "--boxes-from",
    type=click.Choice(["reference", "generated"]),
    default="reference",
    show_default=True,
    help="generated: each video is cut by face boxes of its own; no published number is made that way.",
)
face_option = click.option(
    "--face",
    default="largest",
    show_default=True,
    metavar="WHICH",
    help="Whose face is followed among several: largest, central, or its number from the left (1 is the first).",
)
weights_option = click.option(
    "--weights",
    multiple=True,
    metavar="NAME[=FILE]",
    help="A checkpoint, such as syncnet=syncnet_v2.model, or the name of one that is here; may be given several times.",
)
cache_option = click.option(
    "--cache", type=click.Path(path_type=Path), metavar="FOLDER", help="Evidence kept.  [default: $TLBENCH_CACHE]"
)
format_option = click.option(
    "--format",
    "table_format",
    type=click.Choice(["terminal", "markdown", "csv", "json", "latex"]),
    default="terminal",
    show_default=True,
    help="Of the table on stdout.",
)


def detector_options(command: _Command) -> _Command:
    """Adds the options that decide how face boxes are found where none are given: ``detector`` and ``smooth``."""
    return _add_all(_DETECTOR_OPTIONS, command)


_DETECTOR_OPTIONS = (
    click.option(
        "--detector",
        type=click.Choice(["auto", "s3fd", "blazeface", "haar"]),
        default="auto",
        show_default=True,
        help="Finds faces; auto is s3fd if its checkpoint is there, else blazeface.",
    ),
    click.option(
        "--smooth", type=click.IntRange(min=0), default=0, show_default=True, help="Median over so many frames' boxes."
    ),
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
            raise TlbenchError(f"--view takes OBSERVER=VIEW, such as avhubert=face-framed; got {pair!r}")
        if observer in views:
            raise TlbenchError(f"--view {observer} is given twice: {views[observer]} and {view}")
        views[observer] = view
    return views


def read_size(given: str) -> str | dict[str, Any]:
    """What ``--size`` says: a name, or the dimensions in a JSON file. Raises TlbenchError if that can't be read."""
    if not given.endswith(".json"):
        return given
    try:
        read = json.loads(Path(given).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TlbenchError(f"--size {given}: can't be read as JSON ({error})") from error
    if not isinstance(read, dict):
        raise TlbenchError(f"--size {given}: holds no JSON object of dimensions")
    return read
