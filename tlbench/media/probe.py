"""What a video file says about itself, without decoding more than its first picture."""

from __future__ import annotations

import hashlib
import itertools
import os
from array import array
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from tlbench.media.container import MOST_PIXELS, MediaError, opened, packets, picture_stream, sound_stream
from tlbench.media.orientation import Orientation, orientation
from tlbench.media.timeline import COUNTED, SoundBefore, begins_late, chunk_times, has_holes

FRAMES_PER_SECOND = 25  # what every observer is trained on (LRS2, LRW and GRID are all 25 frames/s)
# Containers whose timestamps are made up by FFmpeg from a frame counter: pictures are evenly spaced by definition.
UNTIMED = frozenset({"avi", "h264", "hevc", "m4v", "mpegvideo", "mjpeg", "yuv4mpegpipe"})
MOST_PACKETS_TO_FIRST_FRAME = 64  # a stream that shows nothing for so long is asked no further by a probe


@dataclass(frozen=True)
class AudioInfo:
    """The sound of a file: its default track, else the one with the most channels.

    Attributes
    ----------
    duration_seconds : float
        From the packets that are really there, so a file that was cut has a shorter one.
    start_seconds : float
        When the sound begins, relative to the first picture.
    """

    codec: str
    sample_rate: int
    channels: int
    duration_seconds: float
    start_seconds: float


@dataclass(frozen=True)
class VideoInfo:
    """The pictures of a file: its default track, else the one with the largest.

    Attributes
    ----------
    container, codec, pixel_format : str
        FFmpeg's names.
    width, height : int
        As displayed, after ``rotation_degrees``.
    rotation_degrees : int
        Clockwise turn that the file asks of its player: 0, 90, 180 or 270.
    mirrored : bool
        Whether it asks to exchange left and right after the turn.
    frames_per_second : float
        Average over the file; what the header says where the container has no timestamps (AVI).
    variable_frame_rate : bool
        The longest and the shortest interval between two pictures differ by more than half the median interval. Finer
        differences are the rounding of timestamps (1 ms in Matroska). Never true where the container has none.
    even_at_25 : bool
        The i-th picture is the one nearest to i/25 s, for every i, so that conversion to 25 frames/s changes nothing.
    has_timestamps : bool
        The file says when each picture is shown. Bare streams don't, nor do AVIs unless empty chunks lie between their
        pictures: then these are evenly spaced.
    frame_count : int
        Pictures that a player would show, counted as packets.
    declared_frame_count : int or None
        What the header says; None where it says nothing. May count pictures that an edit list hides.
    truncated : bool
        The file ends before what its header declares.
    duration_seconds : float
        From the first picture to the end of the last.
    longest_gap_seconds : float
        The longest interval between two pictures; of a single one, how long it stands.
    start_seconds : float
        When the first picture is shown, on the file's clock.
    video_packets_sha256 : str
        Hash of the coded pictures alone. Equal for two files of which one was re-wrapped without re-encoding, among
        containers that store the codec in the same form (mp4, mov and mkv do; AVI and MPEG-TS write H.264 and HEVC
        with other separators and so differ).
    audio : AudioInfo or None
    """

    container: str
    codec: str
    pixel_format: str
    width: int
    height: int
    rotation_degrees: int
    mirrored: bool
    frames_per_second: float
    variable_frame_rate: bool
    even_at_25: bool
    has_timestamps: bool
    frame_count: int
    declared_frame_count: int | None
    truncated: bool
    duration_seconds: float
    longest_gap_seconds: float
    start_seconds: float
    video_packets_sha256: str
    audio: AudioInfo | None


@dataclass(frozen=True)
class Pace:
    """When the pictures of a stream are shown, as far as conversion to 25 frames/s needs to know."""

    frames_per_second: float
    variable: bool
    even_at_25: bool
    duration_seconds: float
    longest_gap_seconds: float


def probe(path: Path) -> VideoInfo:
    """Read the headers and packets of ``path``; of the pictures only the first is decoded, for its rotation.

    Raises
    ------
    MediaError
        ``missing``, ``empty-file``, ``unreadable``, ``truncated``, ``no-video``, ``no-frames`` or ``too-large``.
    """
    with opened(path) as container:
        video = video_stream(container, path)
        video.codec_context.thread_count = 1
        sound = sound_stream(container)
        streams = (video,) if sound is None else (video, sound)
        digest = hashlib.sha256()
        times: array[int] = array("q")  # of the shown pictures, in units of the stream's time base
        untimed = container.format.name in UNTIMED
        counted = container.format.name == COUNTED
        hidden = tried = 0
        cut = False
        first: av.VideoFrame | None = None
        before = SoundBefore()
        sound_start: int | None = None
        sound_end = 0
        for packet in packets(container, *streams):
            if packet.stream_index != video.index:
                if packet.pts is not None:
                    before.hear(packet)
                    sound_start = packet.pts if sound_start is None else sound_start
                    sound_end = max(sound_end, packet.pts + (packet.duration or 0))
                continue
            digest.update(memoryview(packet))
            before.seen = True
            cut = packet.is_corrupt  # a last packet that the file's end cuts is marked so
            if packet.is_discard:
                hidden += 1
            else:
                untimed |= packet.pts is None
                time = packet.dts if counted else packet.pts
                times.append(time or 0)
            if first is None and tried < MOST_PACKETS_TO_FIRST_FRAME:
                tried += 1
                first = _first(video, packet)
        if first is None and tried < MOST_PACKETS_TO_FIRST_FRAME:
            first = _first(video, None)

        declared = video.frames or None
        truncated = cut or _misses_its_end(container, video, times, len(times) + hidden, path)
        if not times:
            if truncated:
                raise MediaError("truncated", f"{path}: cut before its first picture; write or copy the file again")
            raise MediaError("no-frames", f"{path}: its video stream holds no pictures; write the file again")
        if counted:
            if begins_late(times, before.seconds, Fraction(video.time_base or 1)):
                times = array("q", chunk_times(times))
            untimed = not has_holes(times)
        time_base = float(video.time_base or 1)
        nominal = float(video.average_rate or video.guessed_rate or FRAMES_PER_SECOND)
        pace = even_pace(len(times), nominal) if untimed else measured_pace(times, time_base, nominal)
        begin = min(times) if counted or first is None or first.pts is None else first.pts
        shown = first or video.codec_context  # both know their size and layout
        turn = orientation(first) if first else Orientation()
        on_its_side = turn.rotation_degrees in (90, 270)
        return VideoInfo(
            container=container.format.name,
            codec=video.codec_context.codec.canonical_name,
            pixel_format=shown.format.name if shown.format else "unknown",
            width=shown.height if on_its_side else shown.width,
            height=shown.width if on_its_side else shown.height,
            rotation_degrees=turn.rotation_degrees,
            mirrored=turn.mirrored,
            frames_per_second=pace.frames_per_second,
            variable_frame_rate=pace.variable,
            even_at_25=pace.even_at_25,
            has_timestamps=not untimed,
            frame_count=len(times),
            declared_frame_count=declared,
            truncated=truncated,
            duration_seconds=pace.duration_seconds,
            longest_gap_seconds=pace.longest_gap_seconds,
            start_seconds=begin * time_base,
            video_packets_sha256=digest.hexdigest(),
            audio=_audio_info(sound, sound_start, sound_end, begin * time_base) if sound is not None else None,
        )


def video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    """The moving pictures that are read, see ``container.picture_stream``.

    Raises
    ------
    MediaError
        ``no-video``, ``unreadable`` without a decoder, or ``too-large``.
    """
    stream = picture_stream(container)
    if stream is None:
        raise MediaError("no-video", f"{path}: no video stream in it; give a video file")
    if stream.codec_context is None:
        raise MediaError("unreadable", f"{path}: FFmpeg has no decoder for its video; re-encode it as H.264")
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MOST_PIXELS:
        raise MediaError("too-large", f"{path}: pictures of {width}x{height}, at most 8192x8192; scale the video down")
    return stream


def even_pace(count: int, nominal: float) -> Pace:
    """The pace of ``count`` pictures that are evenly spaced at ``nominal`` pictures a second."""
    ticks = [tick_at_25(index / nominal) for index in range(count)] if nominal != FRAMES_PER_SECOND else []
    return Pace(
        frames_per_second=nominal,
        variable=False,
        even_at_25=_is_even(ticks, count, count / nominal) if ticks else True,
        duration_seconds=count / nominal,
        longest_gap_seconds=1 / nominal,
    )


def measured_pace(times: array[int], time_base: float, nominal: float) -> Pace:
    """The pace of pictures shown at ``times`` (any order, in units of ``time_base`` seconds).

    The rate is the stream's own where it agrees with the timestamps, since those may be rounded.
    """
    ordered = sorted(times)
    span = (ordered[-1] - ordered[0]) * time_base
    gaps = sorted(after - before for before, after in itertools.pairwise(ordered))
    rate = nominal
    if gaps and span > 0 and abs(span * nominal - len(gaps)) >= 0.5:
        rate = len(gaps) / span
    ticks = [tick_at_25((time - ordered[0]) * time_base) for time in ordered]
    return Pace(
        frames_per_second=rate,
        variable=bool(gaps) and gaps[-1] - gaps[0] > 0.5 * gaps[len(gaps) // 2],
        even_at_25=_is_even(ticks, len(ordered), span + 1 / rate),
        duration_seconds=span + 1 / rate,
        longest_gap_seconds=gaps[-1] * time_base if gaps else 1 / rate,
    )


def tick_at_25(seconds: float) -> int:
    """The nearest multiple of 1/25 s, halves up; as FFmpeg's ``fps`` filter rounds (libavfilter/vf_fps.c, ``near``)."""
    return int(seconds * FRAMES_PER_SECOND + 0.5 + 1e-9)  # the last term: 12.5 may arrive as 12.499999999999998


def _is_even(ticks: list[int], count: int, duration_seconds: float) -> bool:
    return max(1, tick_at_25(duration_seconds)) == count and all(tick == i for i, tick in enumerate(ticks))


def _first(video: av.VideoStream, packet: av.Packet[Any] | None) -> av.VideoFrame | None:
    try:
        return next(iter(video.decode(packet)), None)
    except av.error.FFmpegError:
        return None


def _misses_its_end(
    container: InputContainer, video: av.VideoStream, times: array[int], packet_count: int, path: Path
) -> bool:
    """Whether the header declares more than the file holds, in the way each container declares it."""
    if container.format.name == "avi":  # its frame count includes pictures that were dropped; its size is exact
        with open(path, "rb") as file:
            declared_bytes = int.from_bytes(file.read(8)[4:], "little") + 8
        return os.path.getsize(path) < declared_bytes
    if video.frames:
        return packet_count < video.frames
    clock = video.metadata.get("DURATION", "").split(":")  # Matroska's statistics tag, 00:00:03.000000000
    if len(clock) == 3 and times:
        try:
            declared_seconds = int(clock[0]) * 3600 + int(clock[1]) * 60 + float(clock[2])
        except ValueError:
            return False
        last_second = max(times) * float(video.time_base or 1)
        return declared_seconds - last_second > max(0.5, 2 / float(video.average_rate or FRAMES_PER_SECOND))
    return False


def _audio_info(sound: av.AudioStream, first_time: int | None, end_time: int, video_start_seconds: float) -> AudioInfo:
    time_base = float(sound.time_base or 1)
    start_time = sound.start_time if sound.start_time is not None else first_time or 0
    seconds = max(0.0, (end_time - start_time) * time_base)
    return AudioInfo(
        codec=sound.codec_context.codec.canonical_name if sound.codec_context else "unknown",
        sample_rate=sound.codec_context.sample_rate if sound.codec_context else 0,
        channels=sound.codec_context.channels if sound.codec_context else 0,
        duration_seconds=seconds,
        start_seconds=start_time * time_base - video_start_seconds,
    )
