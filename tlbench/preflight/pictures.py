"""Checks of a clip's decoded pictures: whether all of them decode, and whether both videos move together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import av

from tlbench.errors import ClipError
from tlbench.media.container import opened, packets
from tlbench.media.probe import VideoInfo, video_stream
from tlbench.media.scaling import by
from tlbench.media.video_reader import VideoReader
from tlbench.preflight.findings import Finding, finding, finding_of_error
from tlbench.preflight.motion import MotionCurve, check_picture_lag

# At most so many pixels are decoded per file: four times LRS2's longest clip (160 x 160, 155 frames).
DECODED_PIXELS = 16_000_000
MOTION_FRAMES = 125  # frames in which motion is compared: a lag shows within five seconds
# FFmpeg's decoder options (libavcodec/options_table.h) for counting: parse the whole stream, skip the last steps.
COUNTING_ONLY = {"skip_loop_filter": "all", "skip_idct": "all"}


def check_decoding(clip_id: str, path: Path, video: VideoInfo) -> Iterator[Finding]:
    """Decode from the start, up to `DECODED_PIXELS`, and check what comes out.

    Pictures are only counted, not converted as :class:`tlbench.media.video_reader.VideoReader` does.
    """
    pictures = damaged = pixels = 0
    sizes = set()
    try:
        with opened(path) as container:
            stream = video_stream(container, path)
            stream.codec_context.thread_count = 1  # clips are checked in parallel
            stream.codec_context.options = COUNTING_ONLY
            for packet in itertools.chain(packets(container, stream), [None]):
                try:
                    frames = stream.decode(packet)
                except av.error.FFmpegError:
                    damaged += 1
                    continue
                marked = packet is not None and packet.is_corrupt  # by the container: a part of it is missing
                damaged += max(marked, sum(frame.is_corrupt for frame in frames))
                for frame in frames:
                    pictures += 1
                    pixels += frame.width * frame.height
                    sizes.add((frame.width, frame.height))
                if pixels > DECODED_PIXELS:
                    break
    except ClipError as error:
        yield finding_of_error(clip_id, error, path)
        return
    if not pictures:
        yield finding("no-frames", clip_id, "none of its pictures decodes")
    elif len(sizes) > 1:
        yield finding("size-changes", clip_id, f"its pictures are {' and '.join(by(size) for size in sorted(sizes))}")
    else:
        yield from check_pictures(clip_id, video, pictures if pixels <= DECODED_PIXELS else None, damaged)


def check_pictures(clip_id: str, video: VideoInfo, pictures: int | None, damaged: int) -> Iterator[Finding]:
    """``damaged`` if some pictures of the generated video can't be decoded.

    Parameters
    ----------
    pictures : int or None
        How many were decoded; None if decoding stopped before the end.
    damaged : int
        Coded pictures that could not be decoded, or that the decoder marked as corrupt.
    """
    lost = _lost(video, pictures, damaged)
    if lost is not None:
        yield finding("damaged", clip_id, f"{lost}; what the decoder shows instead is not the generator's")


def check_reference_pictures(clip_id: str, video: VideoInfo, pictures: int | None, damaged: int) -> Iterator[Finding]:
    """``reference-broken`` if some pictures of the real video can't be decoded; see :func:`check_pictures`."""
    lost = _lost(video, pictures, damaged)
    if lost is not None:
        yield finding("reference-broken", clip_id, f"of the real video {lost}")


def _lost(video: VideoInfo, pictures: int | None, damaged: int) -> str | None:
    """Which pictures can't be decoded, in words; None if all can, or if the file is known to be truncated."""
    if damaged:
        return "a coded picture is damaged" if damaged == 1 else f"{damaged} coded pictures are damaged"
    if pictures is not None and pictures < video.frame_count and not video.truncated:
        return f"{pictures} of {video.frame_count} coded pictures decode"
    return None


def check_motion(clip_id: str, generated: Path, reference: Path) -> Iterator[Finding]:
    """Whether both videos move at the same time, in at most ``MOTION_FRAMES`` frames and ``DECODED_PIXELS`` pixels."""
    curves = []
    for path in (generated, reference):
        video, curve = VideoReader(path, 0), MotionCurve()
        try:
            most = min(MOTION_FRAMES, DECODED_PIXELS // (video.info.width * video.info.height))
            for chunk in video.frames():
                curve.update(chunk.rgb[: most - chunk.start])
                if chunk.start + len(chunk) >= most:
                    break
        except ClipError:  # reported by other checks
            return
        curves.append(curve)
    yield from check_picture_lag(clip_id, *curves)
