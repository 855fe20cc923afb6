"""Writing folders of generated videos: which clips are left, several at a time, one file each, and the logs.

All generators are written by this module, so that their folders are continued, checked and described in one way.
"""

from __future__ import annotations

import itertools
from collections import abc
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TypeVar

from tlbench.arguments import CountCallback
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.generation.encoding import CODEC
from tlbench.generation.generation_log import ClipProvenance, GenerationLog, make_folder
from tlbench.generation.generator import MadeClip
from tlbench.generation.read_clip import ReadClip, provenance_of
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.video_writer import write_video
from tlbench.observing.face_boxes import BoxRule

Result = TypeVar("Result")


@dataclass
class GeneratedDataset:
    """What was done to a folder of generated videos.

    Attributes
    ----------
    written, kept : int
        Videos generated now, and videos that were there already.
    frames : int
        Of the videos generated now.
    outdated : int
        Videos generated now in place of one whose reference or audio file has changed.
    failures : dict of clip id to ClipError
    converted : dict of clip id to str
        Clips whose audio or frames were converted, and the form they had.
    faceless : dict of clip id to (int, int)
        Clips generated now with frames in which no face was found: the number of these frames, and of all frames. Such
        a frame has the box in the middle that TalkLip gives it.
    """

    written: int = 0
    kept: int = 0
    frames: int = 0
    outdated: int = 0
    failures: dict[str, ClipError] = field(default_factory=dict)
    converted: dict[str, str] = field(default_factory=dict)
    faceless: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, clip: Clip, result: WrittenClip | ClipError, *, outdated: bool) -> None:
        """Count a clip that is done."""
        if isinstance(result, ClipError):
            self.failures[clip.id] = result
            return
        provenance = result.provenance
        self.written += 1
        self.outdated += outdated
        self.frames += provenance.frames
        if result.converted:
            self.converted[clip.id] = result.converted
        if provenance.faceless_frames:
            self.faceless[clip.id] = provenance.faceless_frames, provenance.frames

    def merge(self, other: GeneratedDataset) -> None:
        """Add what was done to further clips of the same folder."""
        self.written += other.written
        self.kept += other.kept
        self.frames += other.frames
        self.outdated += other.outdated
        self.failures |= other.failures
        self.converted |= other.converted
        self.faceless |= other.faceless


@dataclass(frozen=True)
class WrittenClip:
    """A video that was written: what it was generated from, and what was converted for it."""

    provenance: ClipProvenance
    converted: str = ""


@dataclass(frozen=True)
class GeneratedFolder:
    """A folder of generated videos.

    Attributes
    ----------
    path : Path
        Is owned by the caller.
    log : GenerationLog
    rule : BoxRule or None
        How face boxes are found; None if the generator needs none.
    write : (clip, path) -> WrittenClip
        Writes a video, whole or not at all. Called from several threads if there are several workers.
    """

    path: Path
    log: GenerationLog
    rule: BoxRule | None
    write: Callable[[ReadClip, Path], WrittenClip]


def write_generated(
    clips: Sequence[Clip],
    folders: Sequence[GeneratedFolder],
    *,
    workers: int = 1,
    stop: Event | None = None,
    progress: CountCallback | None = None,
) -> list[GeneratedDataset]:
    """Generate the clips of folders that are not there yet, or whose files have changed. A clip is read once for all.

    Parameters
    ----------
    stop : Event, optional
        Is set when the run ends early, so that ``write`` can stop.
    progress : (done, total) -> None, optional
        Counts the videos of all folders.

    Returns
    -------
    list of GeneratedDataset
        One for each folder.

    Raises
    ------
    TlbenchError
        If there are videos that were generated with other face boxes. A ClipError of a clip is in ``failures``.
    """
    stop, tell = stop or Event(), progress or (lambda *_: None)
    left = [{clip.id for clip in unfinished(clips, each.path, each.log, each.rule)} for each in folders]
    total = len(folders) * len(clips)
    outdated = [
        {name for name in ids if name in each.log.clips and (each.path / f"{name}.mp4").is_file()}
        for each, ids in zip(folders, left, strict=True)
    ]
    done = [GeneratedDataset(kept=len(clips) - len(ids)) for ids in left]
    count = sum(each.kept for each in done)

    def of_clip(clip: Clip) -> list[tuple[int, WrittenClip | ClipError]]:
        read = ReadClip(clip)
        numbers = [number for number, ids in enumerate(left) if clip.id in ids]
        return [(number, _written(folders[number], read)) for number in numbers]

    for each in folders:
        each.log.write()
    tell(count, total)
    todo = [clip for clip in clips if any(clip.id in ids for ids in left)]
    try:
        with closing(_in_parallel(of_clip, todo, workers, stop)) as results:
            for clip, of_folders in results:
                for number, result in of_folders:
                    done[number].add(clip, result, outdated=clip.id in outdated[number])
                    if isinstance(result, WrittenClip):
                        folders[number].log.add(clip.id, result.provenance)
                count += len(of_folders)
                tell(count, total)
    finally:
        for each in folders:
            each.log.write()
    return done


def _written(folder: GeneratedFolder, read: ReadClip) -> WrittenClip | ClipError:
    try:
        return folder.write(read, folder.path / f"{read.clip.id}.mp4")
    except ClipError as error:
        return error


def write_made(path: Path, made: MadeClip, crf: int) -> None:
    """Write what a generator made of a clip, whole or not at all. Raises TlbenchError if it can't be written."""
    make_folder(path.parent)
    write_video(path, made.frames, FRAMES_PER_SECOND, made.samples, SAMPLE_RATE, CODEC, crf)


def unfinished(clips: Sequence[Clip], out: Path, log: GenerationLog, rule: BoxRule | None) -> list[Clip]:
    """The clips that are still to be generated. Raises TlbenchError if others were generated with other boxes."""
    if rule is not None:
        rules = {provenance.boxes for provenance in log.clips.values() if provenance.boxes_kind != "given"}
        others = rules - {rule.identity}
        if others and any(clip.boxes is None for clip in clips):
            raise TlbenchError(
                f"{out} has videos with face boxes by {min(others)}, now they would be by {rule.identity}; "
                "give the same --detector, --smooth and --weights, or choose another folder (--out)"
            )
    todo = []
    for clip in clips:
        before = log.clips.get(clip.id)
        if before is None or not (out / f"{clip.id}.mp4").is_file():
            todo.append(clip)
            continue
        try:
            now = provenance_of(clip, rule)
        except ClipError:
            todo.append(clip)  # generating it reports the error
            continue
        if now.boxes != before.boxes:
            raise TlbenchError(
                f"{out}: clip {clip.id} was generated with other face boxes ({before.boxes:.22}, now {now.boxes:.22}); "
                "give the same boxes, or choose another folder (--out)"
            )
        if now != before:
            todo.append(clip)
    return todo


def _in_parallel(
    generate: Callable[[Clip], Result], clips: list[Clip], workers: int, stop: Event
) -> abc.Generator[tuple[Clip, Result], None, None]:
    """Each clip with its result, as it is done. Closing the generator early stops the clips in progress."""
    todo = iter(clips)
    with ThreadPoolExecutor(workers, thread_name_prefix="generate") as pool:
        waiting: dict[Future[Result], Clip] = {
            pool.submit(generate, clip): clip for clip in itertools.islice(todo, workers)
        }
        try:
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    clip = waiting.pop(future)
                    result = future.result()
                    for following in itertools.islice(todo, 1):
                        waiting[pool.submit(generate, following)] = following
                    yield clip, result
        finally:
            stop.set()
