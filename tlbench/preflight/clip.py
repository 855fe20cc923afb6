"""What is wrong with the files of one clip, told without any model."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Dataset
from tlbench.datasets.lrw import Lrw
from tlbench.errors import ClipError
from tlbench.files import file_sha256
from tlbench.media.audio import LEAST_SOUND_SECONDS
from tlbench.media.container import opened, packets
from tlbench.media.faces import read_boxes
from tlbench.media.probe import FRAMES_PER_SECOND, VideoInfo, probe, video_stream
from tlbench.media.scaling import same_aspect
from tlbench.media.video import LONGEST_GAP_SECONDS, Footage
from tlbench.preflight.faces import check_faces
from tlbench.preflight.findings import CATALOGUE, Finding, finding
from tlbench.preflight.frames import (
    ROUNDING_FRAMES,
    SLACK_FRAMES,
    check_frame_count,
    check_sync_length,
    expected_frames,
    frames_at_25,
)
from tlbench.preflight.motion import MotionCurve, check_picture_lag
from tlbench.preflight.sound import SAME_SPEECH, Sound, hear, likeness, silence_frames

SAMPLE_RATE = 16_000  # what observers listen at
SILENCE_FRAMES = 5.0  # leading silence beyond the real video's: a breath is shorter, padding is not
LARGE_PIXELS = 1920 * 1080  # a picture above it takes longer to decode than to look at
# Pictures are decoded up to so many pixels a file: LRS2's longest clip (160 x 160, 155 frames) four times over.
DECODED_PIXELS = 16_000_000
MOTION_FRAMES = 125  # whose motion is compared: five seconds show a lag
# FFmpeg's decoder options (libavcodec/options_table.h): the stream is parsed whole, the pictures are not finished.
COUNTING_ONLY = {"skip_loop_filter": "all", "skip_idct": "all"}


@dataclass(frozen=True)
class Expected:
    """What every clip of the data set has: (width, height) and number of frames, where that is fixed.

    ``as_lrw``: whether a clip with a word label is for a word classifier that was published for LRW. ``allow_short``:
    whether a video that stops early is scored all the same. ``boxes_of_each``: whether faces are looked for in each
    video by itself, so that their frames may be of any size.
    """

    frame_size: tuple[int, int] | None = None
    frame_count: int | None = None
    as_lrw: bool = True
    allow_short: bool = False
    boxes_of_each: bool = False

    @classmethod
    def of(cls, dataset: Dataset) -> Expected:
        """What the clips of a data set have."""
        return cls(dataset.frame_size, dataset.frame_count, as_lrw=not dataset.own_words)


@dataclass(frozen=True)
class ClipFacts:
    """What one clip's files gave: findings, and what must be compared with other clips.

    Attributes
    ----------
    findings : tuple of Finding
    bytes_sha256 : str or None
        Of the generated file; None if it can't be read.
    pictures_sha256 : str or None
        Of its coded pictures, whatever they are wrapped in.
    duration_seconds : float or None
        Of the generated video.
    reference_sha256 : str or None
        Of the real file; None if there is none.
    """

    findings: tuple[Finding, ...]
    bytes_sha256: str | None = None
    pictures_sha256: str | None = None
    duration_seconds: float | None = None
    reference_sha256: str | None = None


def check_clip(clip: Clip, expected: Expected) -> ClipFacts:
    """All findings about one clip's reference, boxes and generated file."""
    reference, findings = check_reference(clip, expected)
    if clip.boxes is not None:
        findings += check_boxes(clip.id, clip.boxes, reference)
    if clip.generated is None:
        return ClipFacts(tuple(findings))

    if clip.reference is not None and _same_file(clip.generated, clip.reference):
        findings.append(
            finding("same-file", clip.id, f"is the real video {clip.reference.name} itself (a link or the same folder)")
        )
        return ClipFacts(tuple(findings))
    try:
        video = probe(clip.generated)
        content = file_sha256(clip.generated)
    except ClipError as error:
        findings.append(_of_error(clip.id, error, clip.generated))
        return ClipFacts(tuple(findings))
    except OSError as error:
        findings.append(finding("unreadable", clip.id, f"can't be read ({error.strerror})"))
        return ClipFacts(tuple(findings))
    of_reference = None if clip.reference is None else _sha256_or_none(clip.reference)
    facts = (content, video.video_packets_sha256, video.duration_seconds, of_reference)
    if reference is not None and clip.reference is not None:
        same_bytes = content == of_reference
        findings += check_identity(clip.id, video, reference, same_bytes=same_bytes)
        if same_bytes:
            return ClipFacts(tuple(findings), *facts)
    findings += check_video(clip, video, reference, expected)
    findings += _check_window(clip, video, expected)
    findings += _check_decoding(clip.id, clip.generated, video)
    findings += _check_sound(clip, video, reference)
    if reference is not None and clip.reference is not None:
        findings += _check_motion(clip.id, clip.generated, clip.reference)
    findings += check_sync_length(clip.id, frames_to_expect(clip, video, reference, expected))
    return ClipFacts(tuple(findings), *facts)


def check_reference(
    clip: Clip, expected: Expected, read: Callable[[Path], VideoInfo] = probe
) -> tuple[VideoInfo | None, list[Finding]]:
    """What the real video's headers say, None if they can't be read, and the findings about it.

    ``read`` is what reads them: a run has opened the file already.
    """
    if clip.reference is None:
        return None, [finding("no-reference", clip.id, "no real video to compare with")]
    try:
        video = read(clip.reference)
    except ClipError as error:
        if error.code == "missing":
            return None, [finding("reference-missing", clip.id, f"there is no file {clip.reference.name}")]
        return None, [finding("reference-broken", clip.id, f"the real video: {_what(error, clip.reference)}")]
    findings = []
    if video.truncated:
        findings.append(finding("reference-broken", clip.id, "the real video ends before the length it declares"))
    if not video.even_at_25:
        message = f"the real video has {_rate(video)}"
        findings.append(finding("reference-rate", clip.id, message))
    size = (video.width, video.height)
    if expected.frame_size is not None and size != expected.frame_size:
        message = f"the real video is {_by(size)}, the data set's clips are {_by(expected.frame_size)}"
        findings.append(finding("reference-dataset", clip.id, message))
    if expected.frame_count is not None and frames_at_25(video) != expected.frame_count:
        message = f"the real video has {frames_at_25(video)} frames, the data set's clips {expected.frame_count}"
        findings.append(finding("reference-dataset", clip.id, message))
    return video, findings


def check_boxes(clip_id: str, boxes: Path, reference: VideoInfo | None) -> Iterator[Finding]:
    """Findings about a file of boxes that was given with a clip, beside the real video it belongs to."""
    try:
        given = read_boxes(boxes)
    except ClipError as error:
        yield finding("bad-boxes", clip_id, _what(error, boxes))
        return
    yield from check_faces(clip_id, given, "reference")
    rows = given.face.xyxy  # (T, 4) int64
    frame_count = None if reference is None else frames_at_25(reference)
    if frame_count is not None and len(rows) != frame_count:
        code = "boxes-too-short" if len(rows) < frame_count else "boxes-too-many"
        yield finding(code, clip_id, f"{len(rows)} rows of boxes, the real video {frame_count} frames")
    if reference is not None:
        outside = (rows[:, 0] >= reference.width) | (rows[:, 1] >= reference.height)
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            message = f"row {row} of the boxes, {rows[row].tolist()}, lies outside {reference.width}x{reference.height}"
            yield finding("boxes-outside", clip_id, message)


def check_identity(
    clip_id: str, video: VideoInfo, reference: VideoInfo | None, *, same_bytes: bool
) -> Iterator[Finding]:
    """Whether the generated video is the real one: ``identical`` (every byte) or ``identical-pictures``."""
    if same_bytes:
        yield finding("identical", clip_id, "every byte is the real video's")
    elif reference is not None and video.video_packets_sha256 == reference.video_packets_sha256:
        yield finding("identical-pictures", clip_id, "every coded picture is the real video's, in another file")


def check_video(clip: Clip, video: VideoInfo, reference: VideoInfo | None, expected: Expected) -> Iterator[Finding]:
    """What the headers of the generated video say, beside those of the real one if it has any."""
    yield from _check_frames(clip, video, reference, expected)
    if clip.word is not None and expected.as_lrw and Lrw.frame_count is not None:
        frames = frames_at_25(video)
        if frames > Lrw.frame_count:  # src/data/vid_aud_lrw.py, as in `_check_window`
            yield finding("word-length", clip.id, f"{frames} frames; MVM reads {Lrw.frame_count} at most")


def _check_frames(clip: Clip, video: VideoInfo, reference: VideoInfo | None, expected: Expected) -> Iterator[Finding]:
    clip_id = clip.id
    if video.truncated:
        declared = f" of {video.declared_frame_count}" if video.declared_frame_count else ""
        yield finding(
            "truncated", clip_id, f"ends after {video.frame_count}{declared} frames, before its declared length"
        )
    if video.longest_gap_seconds > LONGEST_GAP_SECONDS and not video.even_at_25:
        message = f"its timestamps jump by {video.longest_gap_seconds:.0f} s between two pictures"
        yield finding("timestamps", clip_id, message)
        return
    if video.variable_frame_rate:
        message = f"{_rate(video)}, with up to {video.longest_gap_seconds:.2f} s between two"
        yield finding("variable-frame-rate", clip_id, message)
    elif not video.even_at_25:
        yield finding("frame-rate", clip_id, f"{_rate(video)}; it becomes {frames_at_25(video)} frames at 25 a second")
    if video.rotation_degrees or video.mirrored:
        turn = f"for a turn of {video.rotation_degrees} degrees" if video.rotation_degrees else "to mirror it"
        also = " and to mirror it" if video.rotation_degrees and video.mirrored else ""
        yield finding("rotated", clip_id, f"asks its player {turn}{also}")

    frames = frames_at_25(video)
    target = frames_to_expect(clip, video, reference, expected)
    if not video.truncated:
        whose = "the real video" if reference is not None else "the data set's clips"
        if reference is None and expected.frame_count is None:
            whose = "the sound"
        yield from check_frame_count(clip_id, frames, target, whose, allow_short=expected.allow_short)

    size = (video.width, video.height)
    real_size = (reference.width, reference.height) if reference is not None else expected.frame_size
    if real_size is not None and size != real_size and not expected.boxes_of_each:
        code = "rescaled" if same_aspect(size, real_size) else "frame-size"
        yield finding(code, clip_id, f"{_by(size)}, the real video {_by(real_size)}")
    if video.width * video.height > LARGE_PIXELS:
        yield finding("large-frame", clip_id, _by(size))


def frames_to_expect(clip: Clip, video: VideoInfo, reference: VideoInfo | None, expected: Expected) -> int | None:
    """How many frames the generated video should have; None if nothing says so."""
    own_sound = None
    if video.audio is not None and clip.audio is None:  # what is heard of it begins with the pictures
        own_sound = video.audio.duration_seconds + min(video.audio.start_seconds, 0.0)
    return expected_frames(frames_at_25(video), reference, expected.frame_count, own_sound)


def _check_window(clip: Clip, video: VideoInfo, expected: Expected) -> Iterator[Finding]:
    """Whether readers whose view cuts a window out of the frame see the mouth: who they are, only a run knows.

    MVM's view ``lrw`` cuts a fixed window out of LRW's frames, whatever size they have
    (``src/data/vid_aud_lrw.py`` of ms-dot-k/Multi-head-Visual-Audio-Memory at a902f49).
    """
    size = (video.width, video.height)
    if clip.word is not None and expected.as_lrw:
        if Lrw.frame_size is not None and size != Lrw.frame_size:
            message = (
                f"{_by(size)}; ACC's fixed window is the mouth in {_by(Lrw.frame_size)} only, here it is elsewhere"
            )
            yield finding("word-window", clip.id, message)
    elif expected.frame_size is not None and size != expected.frame_size:
        message = f"{_by(size)}; views that cut a window were made for the data set's {_by(expected.frame_size)}"
        yield finding("view-frame", clip.id, message)


def _check_decoding(clip_id: str, path: Path, video: VideoInfo) -> Iterator[Finding]:
    """Decode from the start: small clips to their end, large ones as far as seconds allow.

    Pictures are only counted, not converted as `tlbench.media.video.Footage` does for those who look at them.
    """
    pictures = damaged = pixels = 0
    sizes = set()
    try:
        with opened(path) as container:
            stream = video_stream(container, path)
            stream.codec_context.thread_count = 1  # clips are what is worked on side by side
            stream.codec_context.options = COUNTING_ONLY
            for packet in itertools.chain(packets(container, stream), [None]):
                try:
                    frames = stream.decode(packet)
                except av.error.FFmpegError:
                    damaged += 1
                    continue
                for frame in frames:
                    pictures += 1
                    pixels += frame.width * frame.height
                    damaged += frame.is_corrupt
                    sizes.add((frame.width, frame.height))
                if pixels > DECODED_PIXELS:
                    break
    except ClipError as error:
        yield _of_error(clip_id, error, path)
        return
    if not pictures:
        yield finding("no-frames", clip_id, "none of its pictures decodes")
    elif len(sizes) > 1:
        yield finding("size-changes", clip_id, f"its pictures are {' and '.join(_by(size) for size in sorted(sizes))}")
    else:
        yield from check_pictures(clip_id, video, pictures if pixels <= DECODED_PIXELS else None, damaged)


def check_pictures(clip_id: str, video: VideoInfo, pictures: int | None, damaged: int) -> Iterator[Finding]:
    """Whether all that the generated video holds can be decoded: ``damaged`` if not.

    Parameters
    ----------
    pictures : int or None
        How many were decoded; None if not all were tried.
    damaged : int
        Coded pictures that the decoder could not decode, or marked as damaged.
    """
    lost = _lost(video, pictures, damaged)
    if lost is not None:
        yield finding("damaged", clip_id, f"{lost}; what the decoder shows instead is not the generator's")


def check_reference_pictures(clip_id: str, video: VideoInfo, pictures: int | None, damaged: int) -> Iterator[Finding]:
    """As :func:`check_pictures` for the real video: ``reference-broken``."""
    lost = _lost(video, pictures, damaged)
    if lost is not None:
        yield finding("reference-broken", clip_id, f"of the real video {lost}")


def _lost(video: VideoInfo, pictures: int | None, damaged: int) -> str | None:
    """What of a video does not decode; None if all does, or if its header has said already that its end is missing."""
    if damaged:
        return "a coded picture is damaged" if damaged == 1 else f"{damaged} coded pictures are damaged"
    if pictures is not None and pictures < video.frame_count and not video.truncated:
        return f"{pictures} of {video.frame_count} coded pictures decode"
    return None


def _check_motion(clip_id: str, generated: Path, reference: Path) -> Iterator[Finding]:
    """Whether both videos move at the same time, as far as ``MOTION_FRAMES`` and ``DECODED_PIXELS`` reach."""
    curves = []
    for path in (generated, reference):
        video, curve = Footage(path, 0), MotionCurve()
        try:
            most = min(MOTION_FRAMES, DECODED_PIXELS // (video.info.width * video.info.height))
            for run in video.frames():
                curve.see(run.rgb[: most - run.start])
                if run.start + len(run) >= most:
                    break
        except ClipError:  # other checks say so
            return
        curves.append(curve)
    yield from check_picture_lag(clip_id, *curves)


def _check_sound(clip: Clip, video: VideoInfo, reference: VideoInfo | None) -> Iterator[Finding]:
    path = clip.generated if clip.audio is None else clip.audio
    assert path is not None  # clips without a generated file do not come here
    try:
        sound = hear(path)
    except ClipError as error:
        code = "no-audio" if error.code == "no-audio" else "unreadable-audio"
        yield finding(code, clip.id, f"{path.name}: {_what(error, path)}")
        return
    yield from check_sound(clip, video, reference, sound)


def check_sound(clip: Clip, video: VideoInfo, reference: VideoInfo | None, sound: Sound) -> Iterator[Finding]:
    """What is wrong with what was heard of the clip; the real video's sound is heard to compare it, if it has any."""
    own = video.audio if clip.audio is None else None
    if own is not None and (own.sample_rate, own.channels) != (SAMPLE_RATE, 1):
        yield finding("audio-format", clip.id, f"{own.sample_rate} Hz, {_channels(own.channels)}")
    if sound.sounding_seconds < LEAST_SOUND_SECONDS:
        heard = f"{sound.sounding_seconds:.2f} s of its sound rise above -60 dB of full scale"
        yield finding("silent-audio", clip.id, f"{heard}, LSE needs {LEAST_SOUND_SECONDS:g} s")
        return

    real = None
    if clip.reference is not None and reference is not None and reference.audio is not None and own is not None:
        real = _hear_or_none(clip.reference)
    excess_frames = (sound.seconds - video.duration_seconds) * FRAMES_PER_SECOND
    usual_frames = 0.0
    if real is not None and reference is not None:
        usual_frames = (real.seconds - reference.duration_seconds) * FRAMES_PER_SECOND
    too_long = excess_frames > max(usual_frames, 0.0) + ROUNDING_FRAMES + SLACK_FRAMES
    too_short = excess_frames < min(usual_frames, 0.0) - SLACK_FRAMES
    if too_long or too_short:
        message = f"sound {sound.seconds:.2f} s, pictures {video.duration_seconds:.2f} s"
        yield finding("audio-video-length", clip.id, message)
    # Observers hear the gap before a late sound as silence, and nothing of an early one's beginning (`read_audio`).
    if real is not None:
        yield from _compare_sounds(clip.id, sound, real)
    elif own is not None and abs(sound.start_seconds) * FRAMES_PER_SECOND > ROUNDING_FRAMES + SLACK_FRAMES:
        yield finding("audio-start", clip.id, _start(sound.start_seconds))


def _compare_sounds(clip_id: str, sound: Sound, real: Sound) -> Iterator[Finding]:
    """Findings about two sounds of one clip, each counted from its first picture."""
    match = likeness(sound.loudness, real.loudness)
    if match is not None and match.correlation < SAME_SPEECH:
        follows = f"its loudness follows the real clip's to {match.correlation:.2f} only"
        yield finding("other-audio", clip_id, f"{follows} (same speech: over {SAME_SPEECH})")
        return
    if abs(sound.seconds - real.seconds) * FRAMES_PER_SECOND > ROUNDING_FRAMES + SLACK_FRAMES:
        yield finding("audio-length", clip_id, f"{sound.seconds:.2f} s, the real clip's {real.seconds:.2f} s")
    late_seconds = sound.start_seconds - real.start_seconds
    late_frames = late_seconds * FRAMES_PER_SECOND
    lag_frames = late_frames + (match.lag_frames if match is not None else 0.0)
    silence, usual = silence_frames(sound.loudness), silence_frames(real.loudness)
    if abs(lag_frames) > SLACK_FRAMES and abs(late_frames) > SLACK_FRAMES:
        yield finding("audio-start", clip_id, f"{_start(late_seconds)}, other than in the real video")
    elif silence + late_frames - usual > SILENCE_FRAMES:
        before = f"{silence / FRAMES_PER_SECOND:.2f} s before the first sound"
        yield finding("leading-silence", clip_id, f"{before}, the real clip {usual / FRAMES_PER_SECOND:.2f} s")
    elif abs(lag_frames) > SLACK_FRAMES:
        direction = "later" if lag_frames > 0 else "earlier"
        yield finding("audio-lag", clip_id, f"{abs(lag_frames):.1f} frames {direction} than the real clip's")


def _hear_or_none(reference: Path) -> Sound | None:
    """The reference's sound; whether it can be heard is the data set's business."""
    try:
        return hear(reference)
    except ClipError:
        return None


def _same_file(path: Path, other: Path) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:  # one of them is not there, or a link leads in a circle: probing says so
        return False


def _sha256_or_none(path: Path) -> str | None:
    try:
        return file_sha256(path)
    except OSError:
        return None


def _of_error(clip_id: str, error: ClipError, path: Path) -> Finding:
    return finding(error.code if error.code in CATALOGUE else "unreadable", clip_id, _what(error, path))


def _what(error: ClipError, path: Path) -> str:
    """What is wrong, without the path and the way out that the error's one line has for other readers."""
    return error.message.removeprefix(f"{path}: ").partition("; ")[0]


def _rate(video: VideoInfo) -> str:
    return f"{video.frames_per_second:.5g} frames a second{' on average' if video.variable_frame_rate else ''}"


def _start(seconds: float) -> str:
    return f"sound starts {abs(seconds):.2f} s {'after' if seconds > 0 else 'before'} the pictures"


def _channels(count: int) -> str:
    return {1: "mono", 2: "stereo"}.get(count, f"{count} channels")


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
