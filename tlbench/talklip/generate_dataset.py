"""Generates a video for each reference video of a data set."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import load_dataset
from tlbench.errors import ClipError, TlbenchError
from tlbench.generation.controls import CODEC, CRF
from tlbench.generation.drive import KINDS, DriveOptions, driven_clips
from tlbench.generation.generation_log import ClipProvenance, GenerationLog, make_folder
from tlbench.litter import remove_litter
from tlbench.media.audio import read_whole_audio, sound_form
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.video_reader import VideoReader
from tlbench.media.video_writer import write_video
from tlbench.observing.cache import Cache, content_sha256, default_cache
from tlbench.observing.evidence import NOT_FINITE
from tlbench.observing.face_boxes import BoxFinder, BoxRule, choose_rule
from tlbench.owner import owned
from tlbench.talklip.generated_clip import (
    VIDEO_BYTES,
    GenerationConfig,
    Identity,
    OpenGenerator,
    Precision,
    Stopped,
    audio_form,
    generate_frames,
)
from tlbench.talklip.inference import Trim

Count = Callable[[int, int], None]  # clips done, all clips


@dataclass
class GeneratedDataset:
    """What :func:`generate_dataset` did.

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

    def add(self, clip: Clip, result: _Result | ClipError, *, outdated: bool) -> None:
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


@dataclass(frozen=True)
class _Result:
    """A generated clip."""

    provenance: ClipProvenance
    converted: str


def generate_dataset(
    checkpoint: Path,
    out: Path,
    dataset: str,
    data_root: Path | None = None,
    *,
    split: str | None = None,
    subset: Path | None = None,
    limit: int | None = None,
    manifest: Path | None = None,
    boxes: Path | None = None,
    weights: Mapping[str, Path] | None = None,
    detector: str = "auto",
    smooth: int = 0,
    face: str = "largest",
    identity: Identity = "first",
    trim: Trim = "both-ends",
    device: str = "auto",
    precision: Precision = "fp32",
    workers: int | None = None,
    cache: Path | None = None,
    take_over: bool = False,
    progress: Count | None = None,
) -> GeneratedDataset:
    """Write ``<out>/<id>.mp4`` for each reference video of a data set: its frames with generated faces, and its audio.

    The protocol is that of TalkLip's ``inf_test.py``: a face is generated from its upper half and the clip's first
    face, and pasted into the face box. ``<out>/generation.json`` says how the videos were generated, and from which
    files, by their hashes. A video that exists is kept, unless its reference or audio file has changed. A folder of
    videos that were generated in another way, or with other face boxes, is refused.

    Parameters
    ----------
    checkpoint : Path
        A file or package that :func:`tlbench.talklip.checkpoint.load_generator` reads, or the name of a checkpoint,
        such as ``talklip-gc-synthetic``.
    identity : "first" or "same"
        The face that the generator is given besides the upper half: the clip's first one, or that of the same frame,
        which shows it the real lips.
    trim : "both-ends" or "end"
        See :meth:`tlbench.talklip.inference.TalkLipInference.encode_audio`.
    precision : "fp32" or "bf16"
        ``bf16`` takes half the time on processors and GPUs with bfloat16 instructions, and more on others. The frames
        differ, so the generation log says which it was.
    workers : int, optional
        Clips generated at the same time: by default one on a CPU, four on a GPU.
    take_over : bool
        Take the folder at once from another run that writes to it; see :func:`tlbench.owner.owned`.
    progress : (done, total) -> None, optional

    The other arguments are those of :func:`tlbench.score`.

    Raises
    ------
    TlbenchError
        If nothing can be generated. What is wrong with a single clip is in ``failures``.
    """
    selection = load_dataset(
        dataset, data_root, split=split, subset=subset, limit=limit, manifest=manifest, boxes=boxes
    )
    if all(clip.reference is None for clip in selection.clips):
        raise TlbenchError(f"{dataset}: has no reference videos to generate from")
    rule, _ = choose_rule(selection.fixed_box, detector, smooth, dict(weights or {}), face=face)
    generator = OpenGenerator.open(checkpoint, device, precision)
    config = GenerationConfig(identity, trim, CRF, precision)
    entry = generator.log_entry(config) | {"dataset": dataset, "boxes_folder": boxes is not None}
    finder = BoxFinder(rule, Cache((cache or default_cache()) / "boxes"))
    tell = progress or (lambda *_: None)
    with owned(out, take_over=take_over):
        return _generate_folder(selection.clips, out, generator, finder, config, entry, workers, tell)


def generate_drive(
    checkpoint: Path,
    out: Path,
    drive: DriveOptions,
    *,
    weights: Mapping[str, Path] | None = None,
    detector: str = "auto",
    smooth: int = 0,
    face: str = "largest",
    identity: Identity = "first",
    trim: Trim = "both-ends",
    device: str = "auto",
    precision: Precision = "fp32",
    workers: int | None = None,
    cache: Path | None = None,
    take_over: bool = False,
    progress: Count | None = None,
) -> dict[str, GeneratedDataset]:
    """Write ``<out>/<kind>/<id>.mp4`` for each item of a drive, in the way of :func:`generate_dataset`.

    Parameters
    ----------
    progress : (done, total) -> None, optional
        Counts the items of all kinds.

    The other arguments are those of :func:`generate_dataset`.

    Returns
    -------
    dict of kind to GeneratedDataset

    Raises
    ------
    TlbenchError
        If nothing can be generated, or the drive or its source videos are not as it says.
    """
    read, selection = drive.load()
    rule, _ = choose_rule(selection.fixed_box, detector, smooth, dict(weights or {}), face=face)
    generator = OpenGenerator.open(checkpoint, device, precision)
    config = GenerationConfig(identity, trim, CRF, precision)
    entry = generator.log_entry(config) | {"dataset": read.dataset, "boxes_folder": drive.boxes is not None}
    finder = BoxFinder(rule, Cache((cache or default_cache()) / "boxes"))
    done: dict[str, GeneratedDataset] = {}
    clips = len(selection.clips)
    with owned(*(out / kind for kind in KINDS), take_over=take_over):
        for number, kind in enumerate(KINDS):

            def tell(count: int, _: int, before: int = number * clips) -> None:
                if progress is not None:
                    progress(before + count, len(KINDS) * clips)

            driven = driven_clips(read, selection.clips, kind)
            own = entry | {"drive": read.sha256, "kind": kind}
            done[kind] = _generate_folder(driven, out / kind, generator, finder, config, own, workers, tell)
    return done


def _generate_folder(
    clips: list[Clip],
    out: Path,
    generator: OpenGenerator,
    finder: BoxFinder,
    config: GenerationConfig,
    entry: Mapping[str, Any],
    workers: int | None,
    progress: Count,
) -> GeneratedDataset:
    """Generate the clips of one folder, which is owned by the caller; ``entry`` is that of its log."""
    remove_litter(out, deep=True)
    log = GenerationLog(out, entry, generator.log_extra())
    return _generate_all(clips, out, generator, finder, config, log, workers, progress)


def _generate_all(
    clips: list[Clip],
    out: Path,
    generator: OpenGenerator,
    finder: BoxFinder,
    config: GenerationConfig,
    log: GenerationLog,
    workers: int | None,
    progress: Count,
) -> GeneratedDataset:
    todo = _unfinished(clips, out, log, finder.rule)
    log.write()
    outdated = {clip.id for clip in todo if clip.id in log.clips and (out / f"{clip.id}.mp4").is_file()}
    stop = Event()

    def generate(clip: Clip) -> _Result:
        return _generate_clip(clip, out / f"{clip.id}.mp4", generator, finder, config, stop)

    done = GeneratedDataset(kept=len(clips) - len(todo))
    progress(done.kept, len(clips))
    workers = workers or (4 if generator.inference.device.type == "cuda" else 1)
    try:
        with closing(_in_parallel(generate, todo, workers, stop)) as results:
            for count, (clip, result) in enumerate(results, start=done.kept + 1):
                done.add(clip, result, outdated=clip.id in outdated)
                if isinstance(result, _Result):
                    log.add(clip.id, result.provenance)
                progress(count, len(clips))
    finally:
        log.write()
    if done.failures.keys() == {clip.id for clip in clips} and _codes(done) == {NOT_FINITE}:
        raise TlbenchError(
            f"checkpoint {generator.checkpoint}: gives faces whose pixels are not finite numbers for each of "
            f"{len(clips):,} clips; it is damaged, take another (--checkpoint)"
        )
    return done


def _codes(done: GeneratedDataset) -> set[str]:
    return {error.code for error in done.failures.values()}


def _unfinished(clips: list[Clip], out: Path, log: GenerationLog, rule: BoxRule) -> list[Clip]:
    """The clips that are still to be generated. Raises TlbenchError if others were generated with other boxes."""
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
            now = _provenance(clip, rule)
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


def _provenance(clip: Clip, rule: BoxRule) -> ClipProvenance:
    """Hashes of a clip's files. Raises ClipError if one is missing."""
    boxes = rule.identity if clip.boxes is None else "given:" + content_sha256(clip.boxes, clip.id, "box file")
    audio = None if clip.audio is None else content_sha256(clip.audio, clip.id, "sound file")
    return ClipProvenance(content_sha256(clip.reference, clip.id, "reference video"), audio, boxes)


def _generate_clip(
    clip: Clip, path: Path, generator: OpenGenerator, finder: BoxFinder, config: GenerationConfig, stop: Event
) -> _Result:
    """Generate one clip. Raises ClipError, or Stopped."""
    if stop.is_set():
        raise Stopped
    provenance = _provenance(clip, finder.rule)
    assert clip.reference is not None  # _provenance refuses a clip without one
    speech = clip.audio or clip.reference
    samples = read_whole_audio(speech)
    video = VideoReader(clip.reference, VIDEO_BYTES)
    boxes = finder.boxes(clip, video, provenance.reference)
    frames = sum(len(chunk) for chunk in video.frames()) if clip.boxes is not None else len(boxes)
    if frames > len(boxes):
        raise ClipError(
            "boxes-too-short", f"clip {clip.id}: {len(boxes)} face boxes for {frames} frames; find the boxes again"
        )
    if boxes.missing == frames or (boxes.face.several and not boxes.face.there.any()):
        raise ClipError(
            "no-face",
            f"clip {clip.id}: no face was found in any frame; give boxes (--boxes), or leave the clip out",
        )
    audio_features = generator.inference.encode_audio(samples, frames, config.trim)
    numbered = ((chunk.start + row, frame) for chunk in video.frames() for row, frame in enumerate(chunk.rgb))
    generated = generate_frames(
        generator.inference, numbered, list(boxes.of_person), audio_features, config.identity, stop
    )
    make_folder(path.parent)
    write_video(path, generated, FRAMES_PER_SECOND, samples, SAMPLE_RATE, CODEC, config.crf)
    converted = list(video.conversions)
    rate, channels = sound_form(speech)
    if (rate, channels) != (SAMPLE_RATE, 1):
        converted.append(f"sound of {audio_form(rate, channels)} to 16000 Hz in one channel")
    return _Result(replace(provenance, frames=frames, faceless_frames=boxes.missing), "; ".join(converted))


def _in_parallel(
    generate: Callable[[Clip], _Result], clips: list[Clip], workers: int, stop: Event
) -> Generator[tuple[Clip, _Result | ClipError], None, None]:
    """Each clip with its result, as it is done. Closing the generator early stops the clips in progress."""
    todo = iter(clips)
    with ThreadPoolExecutor(workers, thread_name_prefix="generate") as pool:
        waiting: dict[Future[_Result], Clip] = {
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


def _result_of(future: Future[_Result]) -> _Result | ClipError:
    try:
        return future.result()
    except ClipError as error:
        return error
