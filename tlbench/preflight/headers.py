"""Checks of what a clip's video headers and box files say, compared with the data set and the real video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Dataset
from tlbench.datasets.lrw import Lrw
from tlbench.errors import ClipError
from tlbench.media.box_files import read_boxes
from tlbench.media.probe import VideoInfo, probe
from tlbench.media.scaling import by, same_aspect
from tlbench.preflight.faces import check_faces
from tlbench.preflight.findings import Finding, error_text, finding
from tlbench.preflight.frames import check_frame_count, expected_frames, frames_at_25

LARGE_PIXELS = 1920 * 1080  # above it, decoding a picture takes longer than the observers


@dataclass(frozen=True)
class Expected:
    """What is expected of every clip.

    Attributes
    ----------
    frame_size : (width, height) or None
        Of the data set's videos, if all have the same.
    frame_count : int or None
        Of the data set's videos, if all have the same.
    as_lrw : bool
        Whether clips with a word label are read by a word classifier that was trained on LRW.
    allow_short : bool
        Whether a video that stops early is scored.
    boxes_of_each : bool
        Whether faces are detected in each video by itself, so that the two videos may differ in size.
    """

    frame_size: tuple[int, int] | None = None
    frame_count: int | None = None
    as_lrw: bool = True
    allow_short: bool = False
    boxes_of_each: bool = False

    @classmethod
    def of(cls, dataset: Dataset) -> Expected:
        """What a data set says of its clips."""
        return cls(dataset.frame_size, dataset.frame_count, as_lrw=not dataset.own_words)


def check_reference(
    clip: Clip, expected: Expected, read: Callable[[Path], VideoInfo] = probe
) -> tuple[VideoInfo | None, list[Finding]]:
    """The real video's headers (None if they can't be read), and the findings about them.

    ``read`` reads the headers; a run passes a function that uses its opened file.
    """
    if clip.reference is None:
        return None, [finding("no-reference", clip.id, "no real video to compare with")]
    try:
        video = read(clip.reference)
    except ClipError as error:
        if error.code == "missing":
            return None, [finding("reference-missing", clip.id, f"there is no file {clip.reference.name}")]
        return None, [finding("reference-broken", clip.id, f"the real video: {error_text(error, clip.reference)}")]
    findings = []
    if video.truncated:
        findings.append(finding("reference-broken", clip.id, "the real video ends before the length it declares"))
    if not video.even_at_25:
        message = f"the real video has {_rate(video)}"
        findings.append(finding("reference-rate", clip.id, message))
    size = (video.width, video.height)
    if expected.frame_size is not None and size != expected.frame_size:
        message = f"the real video is {by(size)}, the data set's clips are {by(expected.frame_size)}"
        findings.append(finding("reference-dataset", clip.id, message))
    if expected.frame_count is not None and frames_at_25(video) != expected.frame_count:
        message = f"the real video has {frames_at_25(video)} frames, the data set's clips {expected.frame_count}"
        findings.append(finding("reference-dataset", clip.id, message))
    return video, findings


def check_boxes(clip_id: str, boxes: Path, reference: VideoInfo | None) -> Iterator[Finding]:
    """Findings about the box file given with a clip, compared with the real video that it belongs to."""
    try:
        given = read_boxes(boxes)
    except ClipError as error:
        yield finding("bad-boxes", clip_id, error_text(error, boxes))
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
    """Findings about the generated video's headers, compared with the real video's if there is one."""
    yield from _check_frames(clip, video, reference, expected)
    if clip.word is not None and expected.as_lrw and Lrw.frame_count is not None:
        frames = frames_at_25(video)
        if frames > Lrw.frame_count:  # src/data/vid_aud_lrw.py, as in `check_window`
            yield finding("word-length", clip.id, f"{frames} frames; MVM reads {Lrw.frame_count} at most")


def _check_frames(clip: Clip, video: VideoInfo, reference: VideoInfo | None, expected: Expected) -> Iterator[Finding]:
    clip_id = clip.id
    if video.truncated:
        declared = f" of {video.declared_frame_count}" if video.declared_frame_count else ""
        yield finding(
            "truncated", clip_id, f"ends after {video.frame_count}{declared} frames, before its declared length"
        )
    elif video.missing_seconds:
        message = f"ends {video.missing_seconds:.2f} s before the length in its header"
        yield finding("pictures-missing", clip_id, message)
    if video.broken_times:
        yield finding("timestamps", clip_id, video.broken_times)
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
        source = "the real video" if reference is not None else "the data set's clips"
        if reference is None and expected.frame_count is None:
            source = "the sound"
        yield from check_frame_count(clip_id, frames, target, source, allow_short=expected.allow_short)

    size = (video.width, video.height)
    real_size = (reference.width, reference.height) if reference is not None else expected.frame_size
    if real_size is not None and size != real_size and not expected.boxes_of_each:
        code = "rescaled" if same_aspect(size, real_size) else "frame-size"
        yield finding(code, clip_id, f"{by(size)}, the real video {by(real_size)}")
    if video.width * video.height > LARGE_PIXELS:
        yield finding("large-frame", clip_id, by(size))


def frames_to_expect(clip: Clip, video: VideoInfo, reference: VideoInfo | None, expected: Expected) -> int | None:
    """How many frames the generated video should have; None if that is not known."""
    own_sound = None
    if video.audio is not None and clip.audio is None:  # sound before the first picture does not count
        own_sound = video.audio.duration_seconds + min(video.audio.start_seconds, 0.0)
    return expected_frames(frames_at_25(video), reference, expected.frame_count, own_sound)


def check_window(clip: Clip, video: VideoInfo, expected: Expected) -> Iterator[Finding]:
    """Whether views that crop a fixed window show the mouth. Which observers use such a view is known only in a run.

    MVM's view ``lrw`` crops a fixed window, for frames of any size (``src/data/vid_aud_lrw.py`` of
    ms-dot-k/Multi-head-Visual-Audio-Memory at a902f49).
    """
    size = (video.width, video.height)
    if clip.word is not None and expected.as_lrw:
        if Lrw.frame_size is not None and size != Lrw.frame_size:
            message = f"{by(size)}; ACC's fixed window is the mouth in {by(Lrw.frame_size)} only, here it is elsewhere"
            yield finding("word-window", clip.id, message)
    elif expected.frame_size is not None and size != expected.frame_size:
        message = f"{by(size)}; views that cut a window were made for the data set's {by(expected.frame_size)}"
        yield finding("view-frame", clip.id, message)


def _rate(video: VideoInfo) -> str:
    return f"{video.frames_per_second:.5g} frames a second{' on average' if video.variable_frame_rate else ''}"
