"""Writing one folder of generated videos: which clips are left, several at a time, one file each, and the log.

All generators are written by this module, so that their folders are continued, checked and described in one way.
"""

from __future__ import annotations

import itertools
from collections import abc
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from tlbench.arguments import CountCallback
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.generation.generation_log import ClipProvenance, GenerationLog
from tlbench.observing.cache import content_sha256
from tlbench.observing.face_boxes import BoxRule

NO_BOXES = "none"  # in place of a rule, for a generator that needs none


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


def write_generated(
    clips: list[Clip],
    out: Path,
    log: GenerationLog,
    rule: BoxRule | None,
    generate: Callable[[Clip, Path], WrittenClip],
    *,
    workers: int = 1,
    stop: Event | None = None,
    progress: CountCallback | None = None,
) -> GeneratedDataset:
    """Generate the clips of a folder that are not there yet, or whose files have changed.

    Parameters
    ----------
    out : Path
        Is owned by the caller.
    log : GenerationLog
        Of the folder.
    rule : BoxRule or None
        How face boxes are found; None if the generator needs none.
    generate : (clip, path) -> WrittenClip
        Writes a video, whole or not at all. Called from several threads if ``workers`` is more than 1.
    stop : Event, optional
        Is set when the run ends early, so that ``generate`` can stop.
    progress : (done, total) -> None, optional

    Raises
    ------
    TlbenchError
        If there are videos that were generated with other face boxes. A ClipError of a clip is in ``failures``.
    """
    stop, tell = stop or Event(), progress or (lambda *_: None)
    todo = unfinished(clips, out, log, rule)
    log.write()
    outdated = {clip.id for clip in todo if clip.id in log.clips and (out / f"{clip.id}.mp4").is_file()}
    done = GeneratedDataset(kept=len(clips) - len(todo))
    tell(done.kept, len(clips))
    try:
        with closing(_in_parallel(lambda clip: generate(clip, out / f"{clip.id}.mp4"), todo, workers, stop)) as results:
            for count, (clip, result) in enumerate(results, start=done.kept + 1):
                done.add(clip, result, outdated=clip.id in outdated)
                if isinstance(result, WrittenClip):
                    log.add(clip.id, result.provenance)
                tell(count, len(clips))
    finally:
        log.write()
    return done


def unfinished(clips: list[Clip], out: Path, log: GenerationLog, rule: BoxRule | None) -> list[Clip]:
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


def provenance_of(clip: Clip, rule: BoxRule | None) -> ClipProvenance:
    """Hashes of the files that a clip's video is generated from. Raises ClipError if one is missing."""
    boxes = NO_BOXES if rule is None else rule.identity
    if rule is not None and clip.boxes is not None:
        boxes = "given:" + content_sha256(clip.boxes, clip.id, "box file")
    audio = None if clip.audio is None else content_sha256(clip.audio, clip.id, "sound file")
    return ClipProvenance(content_sha256(clip.reference, clip.id, "reference video"), audio, boxes)


def _in_parallel(
    generate: Callable[[Clip], WrittenClip], clips: list[Clip], workers: int, stop: Event
) -> abc.Generator[tuple[Clip, WrittenClip | ClipError], None, None]:
    """Each clip with its result, as it is done. Closing the generator early stops the clips in progress."""
    todo = iter(clips)
    with ThreadPoolExecutor(workers, thread_name_prefix="generate") as pool:
        waiting: dict[Future[WrittenClip], Clip] = {
            pool.submit(generate, clip): clip for clip in itertools.islice(todo, workers)
        }
        try:
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    clip = waiting.pop(future)
                    result = _result_of(future)
                    for following in itertools.islice(todo, 1):
                        waiting[pool.submit(generate, following)] = following
                    yield clip, result
        finally:
            stop.set()


def _result_of(future: Future[WrittenClip]) -> WrittenClip | ClipError:
    try:
        return future.result()
    except ClipError as error:
        return error
