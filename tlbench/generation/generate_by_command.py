"""Generates a data set by the script of another repository, as a recipe says.

The script runs in its own environment; nothing of it is imported. Its videos are collected by clip, and the folder gets
the log, the resume and the checks of all generators.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from glob import escape, glob
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from tlbench.arguments import CountCallback
from tlbench.datasets.clip import Clip
from tlbench.datasets.options import DataOptions
from tlbench.document import counted
from tlbench.errors import ClipError, TlbenchError, listed, quoted
from tlbench.files import atomic_path
from tlbench.generation.drive import KINDS, DriveOptions, driven_clips
from tlbench.generation.encoding import CODEC, CRF
from tlbench.generation.generate_dataset import DEFAULT_WRITING, WriteOptions, part_of
from tlbench.generation.generation_log import GenerationLog, made_with, make_folder
from tlbench.generation.read_clip import ReadClip, provenance_of
from tlbench.generation.recipe import PYTHON, Recipe, fill, find_recipe
from tlbench.generation.recipe_inputs import Square, aligned, face_square, key_of, prepare_inputs, put_back
from tlbench.generation.run_command import (
    Repository,
    check_command,
    ended_with,
    open_repository,
    python_words,
    run_command,
    said,
)
from tlbench.generation.write_generated import (
    GeneratedDataset,
    GeneratedFolder,
    WrittenClip,
    unfinished,
    write_generated,
)
from tlbench.litter import remove_litter
from tlbench.media.audio import read_whole_audio, sound_form
from tlbench.media.container import MediaError
from tlbench.media.faces import Boxes
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.video_reader import DECODING, VideoReader
from tlbench.media.video_writer import write_video
from tlbench.observing.face_boxes import BoxFinder
from tlbench.observing.face_options import DEFAULT_FACES, FaceOptions
from tlbench.observing.make_boxes import box_finder, select_references
from tlbench.owner import owned

NAME, VERSION = "command", 1
WORK_SUFFIX = "-work"  # of the folder beside OUT with the script's inputs and what it printed
WORK_MARK = ".tlbench-work"  # in such a folder: all in it is a run's, and is removed with it
LOG_NAME = "log.txt"


@dataclass(frozen=True)
class CommandOptions:
    """Which script makes the videos, and where.

    Attributes
    ----------
    recipe : str
        The name of a recipe, or the path of one.
    repository : Path
        The folder of the repository.
    python : str
        The words that start its Python, such as ``conda run -n pcavs python``.
    settings : mapping of str to str
        In place of the recipe's.
    call_minutes : float or None
        The longest that a call of the script may take; None for any time.
    """

    recipe: str
    repository: Path
    python: str = "python"
    settings: Mapping[str, str] = field(default_factory=dict)
    call_minutes: float | None = None


def generate_by_command(
    command: CommandOptions,
    out: Path,
    data: DataOptions | DriveOptions,
    faces: FaceOptions = DEFAULT_FACES,
    writing: WriteOptions = DEFAULT_WRITING,
    progress: CountCallback | None = None,
) -> dict[Path, GeneratedDataset]:
    """Write ``<out>/<id>.mp4`` for each reference video of a data set, by the script of another repository.

    Of a drive ``<out>/<kind>/<id>.mp4``, for each of its items.

    What the script reads is written to ``<out>-work``, and removed clip by clip once its video is there. A video with
    sound is kept as the script wrote it. One without sound, one that begins at a later frame and one of a crop is
    written again: with the clip's speech, and in the place of the clip's frames. ``<out>/generation.json`` has the
    recipe, the command, the settings and the repository's commit; a folder that was made by others is refused.

    Returns
    -------
    dict of folder to GeneratedDataset

    Raises
    ------
    TlbenchError
        If nothing can be generated. What is wrong with a single clip is in ``failures``.
    """
    recipe = with_settings(find_recipe(command.recipe), command.settings)
    repository = open_repository(command.repository)
    python = python_words(command.python)
    if not (repository.path / recipe.folder).is_dir():
        raise TlbenchError(
            f"--repo {command.repository}: has no folder {quoted(recipe.folder)}, where recipe {recipe.name} works; "
            f"give the clone of {recipe.repository}"
        )
    common = log_entry(recipe, repository)
    if isinstance(data, DriveOptions):
        drive, selection = data.load()
        folders = [
            _Folder(out / kind, driven_clips(drive, selection.clips, kind), common | drive.log_entry(kind))
            for kind in KINDS
        ]
    else:
        selection = select_references(data)
        folders = [_Folder(out, selection.clips, common | {"dataset": data.dataset})]
    finder = box_finder(selection, faces, writing.weights, writing.cache) if recipe.needs_boxes else None
    work = out.with_name(out.name + WORK_SUFFIX).absolute()
    _check_paths(recipe, repository.path, work)
    _check_work(work)
    check_command(_words(recipe, python)[0], repository.path / recipe.folder, _script(recipe))
    extra, clips = {"python": " ".join(python), **made_with({})}, len(selection.clips)
    done: dict[Path, GeneratedDataset] = {}
    with owned(*(folder.path for folder in folders), take_over=writing.take_over):
        for number, folder in enumerate(folders):
            remove_litter(folder.path, deep=True)
            log = GenerationLog(folder.path, folder.entry, extra)
            run = _CommandRun(recipe, repository, python, finder, work, command.call_minutes)
            make_folder(work)
            (work / WORK_MARK).touch()
            tell = part_of(progress, number * clips, len(folders) * clips)
            done[folder.path] = _generate(run, folder.clips, folder.path, log, tell)
    if not any(of_folder.failures for of_folder in done.values()):
        shutil.rmtree(work, ignore_errors=True)
    return done


@dataclass(frozen=True)
class _Folder:
    """A folder of videos, its clips and its entry in the log."""

    path: Path
    clips: list[Clip]
    entry: Mapping[str, Any]


def _generate(
    run: _CommandRun, clips: list[Clip], out: Path, log: GenerationLog, progress: CountCallback
) -> GeneratedDataset:
    if run.recipe.list is not None:
        return _generate_lists(run, run.recipe.list.clips, clips, out, log, progress)
    return write_generated(
        clips, [GeneratedFolder(out, log, run.rule, run.generate)], stop=run.stop, progress=progress
    )[0]


def with_settings(recipe: Recipe, given: Mapping[str, str]) -> Recipe:
    """The recipe with other settings. Raises TlbenchError for one that it does not have, or one that is missing."""
    for name in given:
        if name not in recipe.settings and not recipe.settings:
            raise TlbenchError(f"--set {name}: recipe {recipe.name} has no settings; leave it out")
        if name not in recipe.settings:
            raise TlbenchError(f"--set {name}: recipe {recipe.name} has no such setting{listed(name, recipe.settings)}")
    settings = {**recipe.settings, **given}
    missing = [name for name, value in settings.items() if not value]
    if missing:
        raise TlbenchError(f"recipe {recipe.name} needs its {missing[0]}; give it as --set {missing[0]}=VALUE")
    return replace(recipe, settings=settings)


def log_entry(recipe: Recipe, repository: Repository) -> dict[str, Any]:
    """What decides the videos, as JSON for the generation log."""
    return {
        "generator": {"name": NAME, "version": VERSION},
        "recipe": {"name": recipe.name, "sha256": recipe.sha256, "title": recipe.title},
        "command": list(recipe.command),
        "settings": dict(recipe.settings),
        "repository": {"url": recipe.repository, "commit": repository.commit, "changed": repository.changed},
        "frames_per_second": FRAMES_PER_SECOND,
        "decoding": DECODING,
        "encoder": {"pictures": CODEC, "crf": CRF, "sound": "aac"},  # of videos that are written again
    }


def _generate_lists(
    run: _CommandRun, most: int, clips: list[Clip], out: Path, log: GenerationLog, progress: CountCallback
) -> GeneratedDataset:
    """Run a script for one list of clips after another. Raises TlbenchError if the first one makes no video at all."""
    todo = unfinished(clips, out, log, run.rule)
    done = GeneratedDataset(kept=len(clips) - len(todo))
    for begin in range(0, len(todo), most):
        some = todo[begin : begin + most]
        run.run_list(some)
        tell = part_of(progress, done.kept + begin, len(clips))
        folder = GeneratedFolder(out, log, run.rule, run.collect_of_list)
        (made,) = write_generated(some, [folder], progress=tell)
        done.merge(made)
        if not begin and run.exit_status and not made.written:
            raise TlbenchError(
                f"{run.recipe.title}: its command {ended_with(run.exit_status)} and made none of "
                f"{counted(len(some), 'video')}; {said(run.log)}"
            )
    return done


def _check_paths(recipe: Recipe, *folders: Path) -> None:
    for folder in folders:
        if recipe.plain_paths and any(char.isspace() or char in "'\"" for char in str(folder)):
            raise TlbenchError(
                f"{quoted(str(folder))}: the script of {recipe.title} can't read a path with spaces or quotes; choose "
                "another folder"
            )


def _check_work(work: Path) -> None:
    """Raises TlbenchError for a folder with somebody's files, which would be removed at the end."""
    if work.is_dir() and not (work / WORK_MARK).exists() and any(work.iterdir()):
        raise TlbenchError(
            f"{work}: is not a run's; the script's files are written there and removed, so move it, or choose another "
            "--out"
        )


def _words(recipe: Recipe, python: list[str]) -> list[str]:
    """The words of a recipe's command, with those of ``--python``."""
    return [*python, *recipe.command[1:]] if recipe.command[0] == PYTHON else list(recipe.command)


def _script(recipe: Recipe) -> str | None:
    """The script that Python is given by its path."""
    first = recipe.command[1:2]
    return first[0] if recipe.command[0] == PYTHON and first and first[0].endswith(".py") else None


class _CommandRun:
    """A recipe with its repository and its Python, and what was prepared for it."""

    def __init__(
        self,
        recipe: Recipe,
        repository: Repository,
        python: list[str],
        finder: BoxFinder | None,
        work: Path,
        call_minutes: float | None,
    ) -> None:
        self.recipe, self.stop = recipe, Event()
        self.rule = None if finder is None else finder.rule
        self.exit_status = 0
        self.log = work / LOG_NAME
        self._repository, self._python, self._finder, self._work = repository, python, finder, work
        self._call_minutes = call_minutes
        self._common = {"repo": str(repository.path), "work": str(work), **recipe.settings}
        self._prepared: dict[str, dict[str, str]] = {}  # of the list in work, by clip id
        self._refused: dict[str, ClipError] = {}
        self._started_ns = 0

    def generate(self, read: ReadClip, path: Path) -> WrittenClip:
        """Prepare a clip, run the script for it, and collect its video."""
        clip = read.clip
        provenance_of(clip, self.rule)  # refuses a clip whose files are missing
        folder, inputs = self._prepare(clip)
        values = {**self._common, "work": str(folder), **inputs}
        self.log = folder / LOG_NAME
        self._run(values)
        return self._collect(clip, path, values)

    def run_list(self, clips: Sequence[Clip]) -> None:
        """Prepare clips, write their list, and run the script for it."""
        made = self.recipe.list
        assert made is not None
        self._prepared, self._refused, lines = {}, {}, []
        for clip in clips:
            try:
                provenance_of(clip, self.rule)
                _, values = self._prepare(clip)
            except ClipError as error:
                self._refused[clip.id] = error
                continue
            self._prepared[clip.id] = {**self._common, **values}
            lines.append(fill(made.line, self._prepared[clip.id]))
        if not lines:
            return
        path = Path(fill(made.path, self._common))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n", "utf-8")
        except OSError as error:
            raise TlbenchError(f"{path}: can't be written ({error.strerror})") from error
        self._run({**self._common, "list": str(path)})

    def collect_of_list(self, read: ReadClip, path: Path) -> WrittenClip:
        """Collect the video of a clip of the list that was run."""
        clip = read.clip
        if clip.id in self._refused:
            raise self._refused[clip.id]
        return self._collect(clip, path, self._prepared[clip.id])

    def _prepare(self, clip: Clip) -> tuple[Path, dict[str, str]]:
        """A folder with the inputs of a clip and nothing of an earlier run, and their paths by name."""
        folder = self._work / key_of(clip.id)
        shutil.rmtree(folder, ignore_errors=True)
        return folder, prepare_inputs(self.recipe, clip, self._boxes(clip), folder)

    def _boxes(self, clip: Clip) -> Boxes | None:
        return None if self._finder is None else self._finder.of_clip(clip)

    def _run(self, values: Mapping[str, str]) -> None:
        words = [fill(word, values) for word in _words(self.recipe, self._python)]
        started = self.log.with_name("started")
        started.touch()
        self._started_ns = started.stat().st_mtime_ns
        folder = self._repository.path / self.recipe.folder
        self.exit_status = run_command(words, folder, self.log, self.stop, self._call_minutes)

    def _collect(self, clip: Clip, path: Path, values: Mapping[str, str]) -> WrittenClip:
        """Take the script's video of a clip, and remove what was prepared for it."""
        found = self._found(clip, values)
        provenance = provenance_of(clip, self.rule)
        frames, notes = self._place(clip, found, path)
        if self.exit_status:
            notes.append(f"its command {ended_with(self.exit_status)}")
        shutil.rmtree(self._work / values["key"], ignore_errors=True)
        return WrittenClip(replace(provenance, frames=frames), "; ".join(notes))

    def _found(self, clip: Clip, values: Mapping[str, str]) -> Path:
        pattern = fill(self.recipe.output.path, {name: escape(value) for name, value in values.items()})
        base = escape(str(self._repository.path / self.recipe.folder))
        there = [Path(name) for name in glob(os.path.join(base, pattern))]
        # What an earlier run left in the repository may be of other settings.
        new = [path for path in there if path.is_file() and path.stat().st_mtime_ns >= self._started_ns]
        if len(new) == 1:
            return new[0]
        if new:
            names = ", ".join(sorted(path.name for path in new)[:3])
            raise ClipError(
                "several-outputs", f"clip {clip.id}: {len(new)} videos fit {pattern} ({names}); correct the recipe"
            )
        ended = f"{ended_with(self.exit_status)} and " if self.exit_status else ""
        old = any(path.is_file() for path in there)
        what = "only a video from before this run" if old else "nothing that is a file" if there else "no video"
        raise ClipError("no-output", f"clip {clip.id}: the command {ended}wrote {what} at {pattern}; {said(self.log)}")

    def _place(self, clip: Clip, found: Path, path: Path) -> tuple[int, list[str]]:
        """Write the video of a clip to ``path``; the number of its frames, and what is worth a line about it."""
        assert clip.reference is not None
        output, reader = self.recipe.output, VideoReader(found, 0)
        frames = sum(len(chunk) for chunk in reader.frames())
        if not frames:
            raise ClipError("no-frames", f"clip {clip.id}: {found} has no frames; see {self.log}")
        expected = sum(len(chunk) for chunk in VideoReader(clip.reference, 0).frames())
        make_folder(path.parent)
        notes = []
        if output.place == "frame" and not output.first_frame and found.suffix == path.suffix and _has_sound(found):
            try:
                with atomic_path(path, keep_suffix=True) as temporary:
                    shutil.copyfile(found, temporary)
            except OSError as error:
                raise TlbenchError(f"{path}: can't be written ({error.strerror}); free some space") from error
        else:
            samples = read_whole_audio(clip.audio or clip.reference)
            made = (frame for chunk in reader.frames() for frame in chunk.rgb)
            shown = aligned(made, output.first_frame)
            if output.place == "crop":
                assert self.recipe.crop is not None
                square = face_square(self.recipe.crop, clip, self._boxes(clip))
                shown = self._in_real_frames(clip.reference, shown, square)
            frames += output.first_frame
            frames = min(frames, expected) if output.place == "crop" else frames
            write_video(path, shown, FRAMES_PER_SECOND, samples, SAMPLE_RATE, CODEC, CRF)
            notes = [*reader.conversions, "written again with the clip's speech"]
        if frames != expected:
            notes.append(f"{counted(frames, 'frame')}, its reference has {expected}")
        return frames, notes

    def _in_real_frames(self, reference: Path, made: Iterable[np.ndarray], square: Square) -> Iterator[np.ndarray]:
        real = (frame for chunk in VideoReader(reference, 0).frames() for frame in chunk.rgb)
        for frame, picture in zip(real, made, strict=False):  # the shorter of the two ends the video
            whole = frame.copy()
            put_back(whole, square, self.recipe.output.region, picture)
            yield whole


def _has_sound(path: Path) -> bool:
    try:
        sound_form(path)
    except MediaError:
        return False
    return True
