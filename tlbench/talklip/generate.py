"""Whole jobs: the videos that a trained generator makes of a data set, and of one's own face."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field, replace
from glob import escape
from pathlib import Path
from threading import Event
from typing import Any, Literal, TypeAlias

import av
import numpy as np
import torch

from tlbench.checkpoints.package import WEIGHTS_NAME, Package
from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import load_dataset
from tlbench.errors import ClipError, TlbenchError
from tlbench.files import file_sha256, write_text_atomically
from tlbench.generation.controls import CODEC, CRF, SAMPLES_PER_FRAME
from tlbench.generation.generation_log import FORM, ClipProvenance, GenerationLog, made_with, make_folder, note_text
from tlbench.media.audio import read_audio, sound_form
from tlbench.media.faces import FaceDetector, running_median
from tlbench.media.followed import FOUND
from tlbench.media.people import find_people
from tlbench.media.ping_pong import to_and_fro
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.video_reader import DECODING, VideoReader
from tlbench.media.video_writer import write_video
from tlbench.observing.cache import Cache, content_sha256, default_cache
from tlbench.observing.device import Precision, choose_device
from tlbench.observing.face_boxes import BoxFinder, BoxRule, choose_rule, load_detector
from tlbench.observing.observer import HALF_NAME
from tlbench.talklip.checkpoint import find_generator, generator_of, open_generator
from tlbench.talklip.dataset import face_of
from tlbench.talklip.inference import TalkLipInference, Trim
from tlbench.talklip.pasting import paste

Identity: TypeAlias = Literal["first", "same"]
Count = Callable[[int, int], None]  # clips done, clips in all
Say = Callable[[str], None]

OWN_CRF = 18  # of one's own face: visually near lossless
HIGHEST_RATE = 48_000  # of the sound written beside one's own face
BRIDGED_FRAMES = 12  # about half a second: a face that is lost for longer is not in the picture
KEPT_VIDEO_BYTES = 256 * 2**20  # a video this small is decoded once


@dataclass(frozen=True)
class Generated:
    """What :func:`generate_dataset` did.

    Attributes
    ----------
    written, kept : int
        Videos made now, and those that were there.
    frames : int
        Of the former.
    outdated : int
        Of the videos written, those that took the place of one made of other files of the same name.
    failures : dict of clip id to ClipError
    converted : dict of clip id to str
        Clips whose sound or pictures had to be converted, and what they were.
    faceless : dict of clip id to (int, int)
        Clips made now with frames in which no face was found: how many, and of how many. Such a frame has the box in
        the middle of the picture that TalkLip gives it.
    """

    written: int
    kept: int
    frames: int
    outdated: int
    failures: dict[str, ClipError]
    converted: dict[str, str]
    faceless: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class FoundFaces:
    """Where the face is in one's own video.

    Attributes
    ----------
    places : list of (4,) int64 or None
        The box of each frame; None where there is no face in it or near it in time.
    bridged : int
        Frames without a face that have the box of one nearby.
    """

    places: list[np.ndarray | None]
    bridged: int

    @property
    def missing(self) -> int:
        """Frames that stay as they are."""
        return sum(place is None for place in self.places)


@dataclass(frozen=True)
class _Result:
    """A clip that was generated."""

    made: ClipProvenance
    converted: str


@dataclass(frozen=True)
class _Manner:
    """How faces are made, besides the generator."""

    identity: Identity
    trim: Trim
    crf: int
    precision: Precision


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
    precision: Precision = "full",
    workers: int | None = None,
    cache: Path | None = None,
    progress: Count | None = None,
) -> Generated:
    """Write ``<out>/<id>.mp4`` for each reference video of a data set: its pictures, its sound, and generated faces.

    The protocol of TalkLip's ``inf_test.py``: each face is generated from its upper half and the clip's first face,
    and takes the place of the face box. ``generation.json`` beside the videos says how they were made, and of what
    each was, by hashes. A video that is there already is kept, unless the reference or the sound that it was made of is
    another file by now. A folder made in another way, or with other face boxes, is refused.

    Parameters
    ----------
    checkpoint : Path
        A file or package as :func:`tlbench.talklip.checkpoint.load_generator` takes it, or the name of a checkpoint
        that is here, such as ``talklip-gc-synthetic``.
    identity : "first" or "same"
        Whose picture the generator is shown besides the upper half: the clip's first frame, or the very frame, whose
        true lips it then sees.
    trim : "both-ends" or "end"
        See :meth:`tlbench.talklip.inference.TalkLipInference.hear`.
    precision : "full" or "half"
        ``half``: faces are painted in bfloat16, which takes half the time where the processor or GPU has instructions
        for it, and more where not. Other pictures, so the note says so.
    workers : int, optional
        Clips at a time: one on a CPU, four on a GPU, which waits for decoders and encoders otherwise.
    progress : (done, total) -> None, optional

    The other arguments are those of :func:`tlbench.score`.

    Raises
    ------
    TlbenchError
        If nothing can be done. What is wrong with one clip is in ``failures``.
    """
    selection = load_dataset(
        dataset, data_root, split=split, subset=subset, limit=limit, manifest=manifest, boxes=boxes
    )
    if all(clip.reference is None for clip in selection.clips):
        raise TlbenchError(f"{dataset}: has no reference videos to generate from")
    rule, _ = choose_rule(selection.fixed_box, detector, smooth, dict(weights or {}), face=face)
    checkpoint = find_generator(checkpoint)
    package = open_generator(checkpoint)
    speaker = _speaker(package, checkpoint, device, precision)
    manner = _Manner(identity, trim, CRF, precision)
    recipe = _recipe(package, checkpoint, manner) | {"dataset": dataset, "boxes_folder": boxes is not None}
    note = GenerationLog(out, recipe, _remarks(checkpoint))
    todo = _unfinished(selection.clips, out, note, rule)
    note.write()
    outdated = {clip.id for clip in todo if clip.id in note.clips and (out / f"{clip.id}.mp4").is_file()}
    finder = BoxFinder(rule, Cache((cache or default_cache()) / "boxes"))
    stop = Event()

    def make(clip: Clip) -> _Result:
        return _make_clip(clip, out / f"{clip.id}.mp4", speaker, finder, manner, stop)

    tally = _Tally()
    kept = len(selection.clips) - len(todo)
    if progress is not None:
        progress(kept, len(selection.clips))
    many = workers or (4 if speaker.device.type == "cuda" else 1)
    try:
        with closing(_side_by_side(make, todo, many, stop)) as results:
            for done, (clip, result) in enumerate(results, start=kept + 1):
                tally.add(clip, result)
                if isinstance(result, _Result):
                    note.add(clip.id, result.made)
                if progress is not None:
                    progress(done, len(selection.clips))
    finally:
        note.write()
    return Generated(
        tally.written,
        kept,
        tally.frames,
        len(outdated - set(tally.failures)),
        tally.failures,
        tally.converted,
        tally.faceless,
    )


@dataclass
class _Tally:
    written: int = 0
    frames: int = 0
    failures: dict[str, ClipError] = field(default_factory=dict)
    converted: dict[str, str] = field(default_factory=dict)
    faceless: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, clip: Clip, result: _Result | ClipError) -> None:
        if isinstance(result, ClipError):
            self.failures[clip.id] = result
            return
        made = result.made
        self.written += 1
        self.frames += made.frames
        if result.converted:
            self.converted[clip.id] = result.converted
        if made.faceless_frames:
            self.faceless[clip.id] = made.faceless_frames, made.frames


def _unfinished(clips: list[Clip], out: Path, note: GenerationLog, rule: BoxRule) -> list[Clip]:
    """The clips that are still to be made. Raises TlbenchError if others were made with other boxes."""
    found = {made.boxes for made in note.clips.values() if made.boxes_kind != "given"}
    if any(clip.boxes is None for clip in clips) and found - {rule.identity}:
        other = min(found - {rule.identity})
        raise TlbenchError(
            f"{out} holds videos with boxes by {other}, and now they would be by {rule.identity}; "
            "give the same --detector, --smooth and --weights, or choose another folder (--out)"
        )
    todo = []
    for clip in clips:
        before = note.clips.get(clip.id)
        if before is None or not (out / f"{clip.id}.mp4").is_file():
            todo.append(clip)
            continue
        try:
            now = _made_of(clip, rule)
        except ClipError:
            todo.append(clip)  # making it will say why
            continue
        if now.boxes != before.boxes:
            raise TlbenchError(
                f"{out}: clip {clip.id} was made with other face boxes ({before.boxes:.22}, now {now.boxes:.22}); give "
                "those again, or choose another folder (--out)"
            )
        if now != before:
            todo.append(clip)
    return todo


def _made_of(clip: Clip, rule: BoxRule) -> ClipProvenance:
    """Hashes of a clip's files. Raises ClipError if one is missing."""
    boxes = rule.identity if clip.boxes is None else "given:" + content_sha256(clip.boxes, clip.id, "box file")
    audio = None if clip.audio is None else content_sha256(clip.audio, clip.id, "sound file")
    return ClipProvenance(content_sha256(clip.reference, clip.id, "reference video"), audio, boxes)


def generate_video(
    checkpoint: Path,
    video: Path,
    audio: Path,
    out: Path,
    *,
    weights: Mapping[str, Path] | None = None,
    detector: str = "auto",
    smooth: int = 0,
    face: str = "largest",
    identity: Identity = "same",
    device: str = "auto",
    precision: Precision = "full",
    say: Say | None = None,
) -> int:
    """Let the face in a video say what a sound file says, and write both to ``out``. Returns the number of frames.

    A video that is shorter than the speech is played to and fro, a longer one is cut. Pictures become 25 a second; for
    the generator the sound becomes 16 kHz in one channel, and is written in one channel at its own rate. Frames that
    show no face stay as they are. Beside the video, ``<out>.json`` says how it was made.

    Parameters
    ----------
    identity : "first" or "same"
        As :func:`generate_dataset`; ``same`` is what TalkLip's ``inf_demo.py`` and Wav2Lip's ``inference.py`` do with
        a face whose own speech is not wanted.
    precision : "full" or "half"
        As :func:`generate_dataset`.
    say : text -> None, optional
        Told what was converted.

    Raises
    ------
    TlbenchError
        If it can't be done: no face, no sound, a file that can't be read or is there already.
    """
    tell = say or (lambda _: None)
    note = out.with_name(f"{out.name}.json")
    for path in (out, note):
        if path.exists():
            raise TlbenchError(f"{path} is there already; remove it or choose another name (--out)")
    rule, _ = choose_rule(None, detector, smooth, dict(weights or {}), face=face)
    checkpoint = find_generator(checkpoint)
    package = open_generator(checkpoint)
    speaker = _speaker(package, checkpoint, device, precision)
    manner = _Manner(identity, "end", OWN_CRF, precision)
    samples = read_audio(audio)
    rate, channels = sound_form(audio)
    written_rate = min(max(rate, SAMPLE_RATE), HIGHEST_RATE)
    if (rate, channels) != (SAMPLE_RATE, 1):
        tell(f"{audio}: {_described(rate, channels)} became 16000 Hz in one channel for the generator")
    reader = VideoReader(video, KEPT_VIDEO_BYTES)
    for done in reader.conversions:
        tell(f"{video}: {done}")
    faces = find_face(reader, load_detector(rule), smooth, rule.face)
    places = faces.places
    if faces.bridged:
        tell(
            f"{video}: {faces.bridged} of {len(places)} frames show no face, and have the box of the nearest that does"
        )
    if faces.missing:
        tell(f"{video}: {faces.missing} of {len(places)} frames show no face and stay as they are")
    count = -(-len(samples) // SAMPLES_PER_FRAME)
    if count > len(places):
        tell(f"{video}: {len(places)} frames for {count} of speech; played to and fro")
    elif count < len(places):
        tell(f"{video}: cut to the {count} frames of the speech, {len(places) - count} are left out")
    content = (
        {"form": FORM}
        | _recipe(package, checkpoint, manner)
        | {
            "video": {"file": video.name, "sha256": content_sha256(video, video.name, "video")},
            "audio": {"file": audio.name, "sha256": content_sha256(audio, audio.name, "sound")},
            "boxes": rule.identity,
            "frames": len(places),
            "bridged_frames": faces.bridged,
            "faceless_frames": faces.missing,
        }
    )
    frames = to_and_fro(reader, len(places), count)
    spoken = speak_over(speaker, frames, places, speaker.hear(samples, count, "end"), identity, Event())
    heard = samples if written_rate == SAMPLE_RATE else read_audio(audio, written_rate)
    make_folder(out.parent)
    write_video(out, spoken, FRAMES_PER_SECOND, heard, written_rate, CODEC, manner.crf)
    write_text_atomically(note, note_text(content | _remarks(checkpoint)))
    return count


def speak_over(
    speaker: TalkLipInference,
    frames: Iterator[tuple[int, np.ndarray]],
    places: list[np.ndarray | None],
    heard: torch.Tensor,
    identity: Identity,
    stop: Event,
) -> Iterator[np.ndarray]:
    """The frames of a video with generated faces in them, a run of the speaker's at a time.

    Parameters
    ----------
    frames : iterator of (number, (height, width, 3) uint8 RGB)
        As many as ``heard`` has rows.
    places : list of (4,) int64 or None
        The face box of each frame by number; None where a frame stays as it is.
    stop : Event
        When set, this ends with :class:`Stopped`.

    Raises
    ------
    ClipError
        If a frame has no entry in ``places``, or its box leaves nothing of it.
    """
    first: np.ndarray | None = None
    for begin in range(0, len(heard), speaker.run_frames):
        if stop.is_set():
            raise Stopped
        chunk = list(itertools.islice(frames, speaker.run_frames))
        shown = [(row, frame, _place(places, index)) for row, (index, frame) in enumerate(chunk)]
        spoken = [(row, frame, box) for row, frame, box in shown if box is not None]
        pictures = [frame.copy() for _, frame, _ in shown]  # what a VideoReader gave may be given again
        if spoken:
            poses = np.stack([face_of(frame, box)[..., ::-1] for _, frame, box in spoken])
            first = poses[:1] if first is None else first
            rows = torch.tensor([begin + row for row, _, _ in spoken], device=heard.device)
            made = speaker.speak(heard[rows], poses, first if identity == "first" else poses)
            for (row, _, box), face in zip(spoken, made, strict=True):
                paste(pictures[row], box, np.ascontiguousarray(face[..., ::-1]))
        yield from pictures


class Stopped(Exception):  # noqa: N818 nothing is wrong
    """The user wants no more."""


def find_face(video: VideoReader, detector: FaceDetector, smooth: int, face: str = "largest") -> FoundFaces:
    """The face box of each frame; none where no face is found in it or within half a second.

    Of several people, ``face`` says whose (:func:`tlbench.media.people.find_people`). A frame without a face near
    one with a face has that one's box, of two equally near the earlier one's. Raises ClipError ``no-face`` if there is
    none.
    """
    found = find_people(video.frames, detector, face=face).face
    there = np.flatnonzero(found.states == FOUND)
    if not len(there):
        raise ClipError("no-face", f"{video.path}: no face was found in any frame; show it from the front, and larger")
    every = np.arange(len(found))
    after = np.searchsorted(there, every)  # the first face that is not earlier
    earlier, later = there[np.maximum(after - 1, 0)], there[np.minimum(after, len(there) - 1)]
    nearest = np.where(np.abs(every - earlier) <= np.abs(later - every), earlier, later)  # (T,)
    boxes = found.xyxy[nearest]
    if smooth:
        boxes = running_median(boxes, smooth, "edge").astype(np.int64)
    away = np.abs(every - nearest)
    places = [None if away[index] > BRIDGED_FRAMES else boxes[index] for index in every]
    return FoundFaces(places, int(((away > 0) & (away <= BRIDGED_FRAMES)).sum()))


def _make_clip(
    clip: Clip, path: Path, speaker: TalkLipInference, finder: BoxFinder, manner: _Manner, stop: Event
) -> _Result:
    """Generate one clip. Raises ClipError, or Stopped."""
    if stop.is_set():
        raise Stopped
    made = _made_of(clip, finder.rule)
    assert clip.reference is not None  # _made_of refuses a clip without one
    speech = clip.audio or clip.reference
    samples = read_audio(speech)
    reader = VideoReader(clip.reference, KEPT_VIDEO_BYTES)
    boxes = finder.boxes(clip, reader, made.reference)
    frames = sum(len(chunk) for chunk in reader.frames()) if clip.boxes is not None else len(boxes)
    if frames > len(boxes):
        raise ClipError("boxes-too-short", f"clip {clip.id}: {len(boxes)} boxes for {frames} frames; find them anew")
    if boxes.missing == frames or (boxes.face.several and not boxes.face.there.any()):
        raise ClipError("no-face", f"clip {clip.id}: no face was found in any frame; give boxes, or leave it out")
    heard = speaker.hear(samples, frames, manner.trim)
    numbered = ((chunk.start + row, frame) for chunk in reader.frames() for row, frame in enumerate(chunk.rgb))
    spoken = speak_over(speaker, numbered, list(boxes.of_person), heard, manner.identity, stop)
    make_folder(path.parent)
    for left in path.parent.glob(f".{escape(path.stem)}.*.part.mp4"):  # of a run that was killed
        left.unlink(missing_ok=True)
    write_video(path, spoken, FRAMES_PER_SECOND, samples, SAMPLE_RATE, CODEC, manner.crf)
    converted = list(reader.conversions)
    rate, channels = sound_form(speech)
    if (rate, channels) != (SAMPLE_RATE, 1):
        converted.append(f"sound of {_described(rate, channels)} to 16000 Hz in one channel")
    return _Result(replace(made, frames=frames, faceless_frames=boxes.missing), "; ".join(converted))


def _side_by_side(
    make: Callable[[Clip], _Result], clips: list[Clip], workers: int, stop: Event
) -> Generator[tuple[Clip, _Result | ClipError], None, None]:
    """Each clip and what became of it, as it is done. Whoever leaves early stops what is under way."""
    todo = iter(clips)
    with ThreadPoolExecutor(workers, thread_name_prefix="generate") as pool:
        waiting: dict[Future[_Result], Clip] = {
            pool.submit(make, clip): clip for clip in itertools.islice(todo, workers)
        }
        try:
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    clip = waiting.pop(future)
                    result = _result(future)
                    for following in itertools.islice(todo, 1):
                        waiting[pool.submit(make, following)] = following
                    yield clip, result
        finally:
            stop.set()


def _result(future: Future[_Result]) -> _Result | ClipError:
    try:
        return future.result()
    except ClipError as error:
        return error


def _place(places: list[np.ndarray | None], index: int) -> np.ndarray | None:
    if index >= len(places):
        raise ClipError("boxes-too-short", f"{len(places)} face boxes, but frame {index} is there; find them anew")
    return places[index]


def _speaker(package: Package, checkpoint: Path, device: str, precision: Precision) -> TalkLipInference:
    chosen = torch.device(choose_device(device, networks=True))
    return TalkLipInference(generator_of(package, checkpoint), chosen, half=precision == "half")


def _recipe(package: Package, checkpoint: Path, manner: _Manner) -> dict[str, Any]:
    """What decides the pictures besides a clip's own files, for the note."""
    weights = checkpoint / WEIGHTS_NAME if checkpoint.is_dir() else checkpoint
    return {
        "checkpoint": {"sha256": package.source_sha256 or file_sha256(weights), "config": dict(package.config)},
        "identity": manner.identity,
        "pose": "lower half black",
        "trim": manner.trim,
        "frames_per_second": FRAMES_PER_SECOND,
        "decoding": DECODING,
        "encoder": {"pictures": CODEC, "crf": manner.crf, "sound": "aac"},
    } | ({"numbers": HALF_NAME} if manner.precision == "half" else {})


def _remarks(checkpoint: Path) -> dict[str, Any]:
    """What the note tells besides, and need not be the same when a run is gone on with."""
    return {"checkpoint_file": checkpoint.name} | made_with({"torch": str(torch.__version__), "av": av.__version__})


def _described(rate: int, channels: int) -> str:
    return f"{rate} Hz in {channels} channels" if channels > 1 else f"{rate} Hz"
