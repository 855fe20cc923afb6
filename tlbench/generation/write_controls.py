"""Writing control videos: one folder for each kind of control, one video for each clip."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import Any

from tlbench.arguments import CountCallback
from tlbench.datasets.clip import Clip
from tlbench.datasets.options import DataOptions
from tlbench.errors import ClipError, TlbenchError
from tlbench.generation.clip_writer import ClipWriter
from tlbench.generation.controls import CONTROLS, control
from tlbench.generation.generate_dataset import DEFAULT_WRITING, WriteOptions
from tlbench.generation.generator import GenerateOptions
from tlbench.generation.write_generated import write_generated
from tlbench.observing.face_boxes import BoxFinder
from tlbench.observing.face_options import DEFAULT_FACES, FaceOptions
from tlbench.observing.make_boxes import box_finder, select_references
from tlbench.owner import owned

NOTE_OF_BEFORE = "control.json"  # in place of a log, in folders of controls that do not say which files they are of


def write_controls(
    out: Path,
    data: DataOptions,
    faces: FaceOptions = DEFAULT_FACES,
    writing: WriteOptions = DEFAULT_WRITING,
    *,
    kinds: Sequence[str] = ("all",),
    seed: int = 0,
    progress: CountCallback | None = None,
) -> tuple[dict[str, Path], list[tuple[str, str, ClipError]]]:
    """Write controls of a data set's real videos; see :func:`make_controls`. Each kind's folder is owned.

    Returns
    -------
    folders : dict of kind to Path
    failures : list of (kind, clip id, ClipError)
    """
    chosen = [known.name for known in CONTROLS] if tuple(kinds) == ("all",) else list(kinds)
    selection = select_references(data)
    finder = box_finder(selection, faces, writing.weights, writing.cache)
    failures: list[tuple[str, str, ClipError]] = []

    def remember(clip_id: str, kind: str, error: ClipError) -> None:
        failures.append((kind, clip_id, error))

    written = [kind for kind in chosen if control(kind).written]
    with owned(*(out / kind for kind in written), take_over=writing.take_over):
        folders = make_controls(
            selection.clips,
            out,
            chosen,
            finder,
            entry={"dataset": data.dataset},
            seed=seed,
            progress=progress,
            on_failure=remember,
        )
    return folders, failures


def control_clips(clips: Sequence[Clip], kind: str, folder: Path | None) -> list[Clip]:
    """The clips with this control as their generated video.

    Parameters
    ----------
    folder : Path or None
        The folder that :func:`make_controls` returned for the kind; None for ``ground-truth``. A clip without a video
        there gets ``generated=None``.
    """
    if not control(kind).written:
        return [replace(clip, generated=clip.reference, audio=None) for clip in clips]
    if folder is None:
        raise ValueError(f"control {kind} is written to a folder; make_controls returns it")
    there = ((clip, folder / f"{clip.id}.mp4") for clip in clips)
    return [replace(clip, generated=path if path.is_file() else None, audio=None) for clip, path in there]


def make_controls(
    clips: Sequence[Clip],
    out: Path,
    kinds: Sequence[str],
    finder: BoxFinder | None = None,
    *,
    entry: Mapping[str, Any] = MappingProxyType({}),
    seed: int = 0,
    only: Collection[str] | None = None,
    part: str = "",
    progress: CountCallback | None = None,
    on_failure: Callable[[str, str, ClipError], None] | None = None,
) -> dict[str, Path]:
    """Write ``<out>/<kind>/<id>.mp4`` for each clip and kind that does not exist yet, as any generator's videos.

    Parameters
    ----------
    kinds : sequence of str
        Names for :func:`control`. ``ground-truth`` is accepted and writes nothing.
    finder : BoxFinder or None
        Finds the face boxes of real videos; None if no kind needs them.
    entry : mapping
        JSON for the logs: which data set it is.
    seed : int
        Decides which clip's speech ``swapped-audio`` takes.
    only : collection of str, optional
        Ids of the clips to write, such as those of a shard; other clips only give speech and mouths.
    part : str
        Name of a run that writes ``only`` these while others write others, for its log.
    progress : (done, total) -> None, optional
        Counts the videos of all kinds.
    on_failure : (clip id, kind, error) -> None, optional
        Called for each control that can't be made. Without it the first error is raised.

    Returns
    -------
    dict of kind to folder, without ``ground-truth``

    Raises
    ------
    TlbenchError
        Unknown kind; a folder that was made with other parameters, seed or clips; a folder that can't be written.
    """
    chosen = [found for found in map(control, dict.fromkeys(kinds)) if found.written]
    own = [clip for clip in clips if only is None or clip.id in only]
    options = GenerateOptions(seed=seed)
    stop = Event()
    folders = []
    for kind in chosen:
        _refuse_those_of_before(out / kind.name)
        writer = ClipWriter(kind, options, finder if kind.needs.boxes else None)
        folders.append(writer.folder(out / kind.name, entry, clips, stop=stop, part=part))
    done = write_generated(own, folders, stop=stop, progress=progress)
    for clip in own:
        for kind, of_kind in zip(chosen, done, strict=True):
            if clip.id in of_kind.failures:
                if on_failure is None:
                    raise of_kind.failures[clip.id]
                on_failure(clip.id, kind.name, of_kind.failures[clip.id])
    return {kind.name: out / kind.name for kind in chosen}


def _refuse_those_of_before(folder: Path) -> None:
    """Raises TlbenchError for a folder that has no log but a note of before: it is not known which files are ours."""
    if (folder / NOTE_OF_BEFORE).is_file():
        raise TlbenchError(
            f"{folder}: {NOTE_OF_BEFORE} says that an older tlbench wrote these controls; remove the folder, or choose "
            "another"
        )
