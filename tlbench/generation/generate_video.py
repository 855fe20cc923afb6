"""Generates a single video: the face of one video with the speech of a sound file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.document import counted
from tlbench.errors import ClipError, TlbenchError
from tlbench.files import write_text_atomically
from tlbench.generation.clip_writer import log_extra, writing_entry
from tlbench.generation.controls import SAMPLES_PER_FRAME
from tlbench.generation.encoding import CODEC
from tlbench.generation.generation_log import FORMAT, log_text, make_folder
from tlbench.generation.generator import GenerateOptions, Generator, Identity, Precision, SourceClip
from tlbench.generation.read_clip import VIDEO_BYTES, audio_form
from tlbench.generation.registry import load_generator_of
from tlbench.generation.sound_features import sound_features
from tlbench.media.audio import read_audio, read_whole_audio, sound_form
from tlbench.media.faces import FaceDetector, running_median
from tlbench.media.followed import FOUND
from tlbench.media.people import find_people
from tlbench.media.ping_pong import to_and_fro
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.video_reader import VideoReader
from tlbench.media.video_writer import write_video
from tlbench.observing.cache import content_sha256
from tlbench.observing.face_boxes import load_detector
from tlbench.observing.face_options import DEFAULT_FACES, FaceOptions
from tlbench.owner import owned

Notify = Callable[[str], None]

CRF = 18  # visually near lossless
MAX_SAMPLE_RATE = 48_000  # of the audio that is written
MAX_GAP = 12  # frames, about half a second: frames without a face that are nearer to one with a face get its box


@dataclass(frozen=True)
class FaceTrack:
    """The face box of each frame of a video.

    Attributes
    ----------
    boxes : list of (4,) int64 or None
        None for a frame that has no face, nor any frame near it.
    filled : int
        Frames without a face that have the box of a near frame.
    """

    boxes: list[np.ndarray | None]
    filled: int

    @property
    def missing(self) -> int:
        """Frames without a box."""
        return sum(box is None for box in self.boxes)


def generate_video(
    generator: Path | str,
    video: Path,
    audio: Path,
    out: Path,
    faces: FaceOptions = DEFAULT_FACES,
    *,
    weights: Mapping[str, Path] | None = None,
    identity: Identity = "same",
    device: str = "auto",
    precision: Precision = "fp32",
    take_over: bool = False,
    notify: Notify | None = None,
) -> int:
    """Write ``out``: the face of a video says what is said in a sound file. Returns the number of frames.

    A video shorter than the speech is played forwards and backwards, a longer one is cut. Frames are converted to 25 a
    second. For the generator the audio is converted to 16 kHz mono; it is written in mono at its own rate. Frames
    without a face are not changed. ``<out>.json`` says how the video was generated.

    Parameters
    ----------
    generator : Path or str
        As in :func:`tlbench.generation.generate_dataset.generate_dataset`.
    faces : FaceOptions
        How the face is found.
    weights : mapping of str to Path, optional
        Checkpoints by name, as for :func:`tlbench.score`.
    identity, device, precision
        See :class:`tlbench.generation.generator.GenerateOptions`. ``same`` is what TalkLip's ``inf_demo.py`` and
        Wav2Lip's ``inference.py`` do.
    take_over : bool
        Take ``out`` at once from another run that writes it; see :func:`tlbench.owner.owned`.
    notify : text -> None, optional
        Gets a line for each conversion.

    Raises
    ------
    TlbenchError
        If no face is found, a file can't be read, or ``out`` exists.
    """
    notify = notify or (lambda _: None)
    _refuse_existing(out)
    rule, _ = faces.rule(None, weights or {})
    options = GenerateOptions(identity, "end", device, precision, CRF)
    maker = load_generator_of(generator, options)
    _check_alone(maker, generator)
    samples = read_whole_audio(audio)
    rate = _written_rate(audio, notify)
    reader = VideoReader(video, VIDEO_BYTES)
    track = track_face(reader, load_detector(rule), rule.smooth, rule.face)
    count = -(-len(samples) // SAMPLES_PER_FRAME)
    _report(video, reader, track, count, notify)
    entry = {"form": FORMAT} | writing_entry(maker, CRF) | _files_entry(video, audio, rule.identity, track)
    frames = to_and_fro(reader, len(track.boxes), count)
    sound = sound_features(maker.needs, samples, count)
    source = SourceClip(Clip(video.stem, reference=video), frames, count, track.boxes, samples, sound, identity)
    generated = maker.generate(source).frames
    written_samples = samples if rate == SAMPLE_RATE else read_audio(audio, rate)
    make_folder(out.parent)
    with owned(out.parent, name=out.name, take_over=take_over):
        _refuse_existing(out)  # another run may have made it meanwhile
        write_video(out, generated, FRAMES_PER_SECOND, written_samples, rate, CODEC, CRF)
        write_text_atomically(_log_path(out), log_text(entry | log_extra(maker)))
    return count


def _check_alone(maker: Generator, given: Path | str) -> None:
    """Raises TlbenchError for a generator that needs other clips."""
    if maker.needs.donor or maker.needs.mouths or maker.needs.stand_in:
        raise TlbenchError(
            f"--generator {given}: takes speech, mouths or faces from other clips; give it a data set (--dataset)"
        )


def _log_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.json")


def _refuse_existing(out: Path) -> None:
    for path in (out, _log_path(out)):
        if path.exists():
            raise TlbenchError(f"{path} exists; remove it or choose another name (--out)")


def track_face(video: VideoReader, detector: FaceDetector, smooth: int, face: str = "largest") -> FaceTrack:
    """The face box of each frame; None where no face is found within half a second.

    Of several people, ``face`` says whose (:func:`tlbench.media.people.find_people`). A frame without a face gets the
    box of the nearest frame with one, the earlier of two equally near. Raises ClipError ``no-face`` if no frame has a
    face.
    """
    found = find_people(video.frames, detector, face=face).face
    with_face = np.flatnonzero(found.states == FOUND)
    if not len(with_face):
        raise ClipError(
            "no-face", f"{video.path}: no face was found in any frame; use a video with a larger, frontal face"
        )
    frames = np.arange(len(found))
    following = np.searchsorted(with_face, frames)
    earlier = with_face[np.maximum(following - 1, 0)]
    later = with_face[np.minimum(following, len(with_face) - 1)]
    nearest = np.where(np.abs(frames - earlier) <= np.abs(later - frames), earlier, later)  # (T,)
    boxes = found.xyxy[nearest]
    if smooth:
        boxes = running_median(boxes, smooth, "edge").astype(np.int64)
    distance = np.abs(frames - nearest)
    kept = [None if distance[frame] > MAX_GAP else boxes[frame] for frame in frames]
    return FaceTrack(kept, int(((distance > 0) & (distance <= MAX_GAP)).sum()))


def _written_rate(audio: Path, notify: Notify) -> int:
    """The sample rate of the written audio; reports the conversion for the generator."""
    rate, channels = sound_form(audio)
    if (rate, channels) != (SAMPLE_RATE, 1):
        notify(f"{audio}: {audio_form(rate, channels)} converted to 16000 Hz in one channel for the generator")
    return min(max(rate, SAMPLE_RATE), MAX_SAMPLE_RATE)


def _report(video: Path, reader: VideoReader, track: FaceTrack, count: int, notify: Notify) -> None:
    """Report what happens to the frames of the video; ``count`` of them are written."""
    frames = len(track.boxes)
    for conversion in reader.conversions:
        notify(f"{video}: {conversion}")
    if track.filled:
        notify(
            f"{video}: no face in {track.filled} of {counted(frames, 'frame')}: the box of the nearest "
            "frame with one is taken"
        )
    if track.missing:
        notify(f"{video}: no face in {track.missing} of {counted(frames, 'frame')}, which stay as they are")
    if count > frames:
        notify(f"{video}: has {counted(frames, 'frame')}, the speech needs {count}; played forwards and backwards")
    elif count < frames:
        notify(f"{video}: cut to the {counted(count, 'frame')} of the speech, {frames - count} are left out")


def _files_entry(video: Path, audio: Path, boxes: str, track: FaceTrack) -> dict[str, Any]:
    """What the video was generated from, as JSON for its log."""
    return {
        "video": {"file": video.name, "sha256": content_sha256(video, video.name, "video")},
        "audio": {"file": audio.name, "sha256": content_sha256(audio, audio.name, "sound")},
        "boxes": boxes,
        "frames": len(track.boxes),
        "bridged_frames": track.filled,
        "faceless_frames": track.missing,
    }
