"""Reading the headers and packets of a video file; only the first picture is decoded."""

from __future__ import annotations

import hashlib
import itertools
from array import array
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from tlbench.media.completeness import Missing, missing_pictures, nominal_rate
from tlbench.media.container import LARGE_PIXELS, MediaError, most_pixels, opened, packets, picture_stream, sound_stream
from tlbench.media.orientation import Orientation, orientation
from tlbench.media.rates import FRAMES_PER_SECOND
from tlbench.media.timeline import COUNTED, SoundBefore, begins_late, chunk_times, has_holes

# Containers without timestamps: FFmpeg makes them from a frame counter, so pictures are evenly spaced by definition.
UNTIMED = frozenset({"avi", "h264", "hevc", "m4v", "mpegvideo", "mjpeg", "yuv4mpegpipe"})
# Longer gaps are broken timestamps, and filling them would repeat one frame thousands of times: between two pictures,
# and all gaps of more than a second together.
LONGEST_GAP_SECONDS, LONG_GAPS_SECONDS = 60.0, 600.0
LONG_GAP_SECONDS = 1.0
MOST_PACKETS_TO_FIRST_FRAME = 64  # the probe gives up decoding the first picture after so many packets


@dataclass(frozen=True)
class AudioInfo:
    """The sound of a file: its default track, else the one with the most channels.

    Attributes
    ----------
    codec : str
        FFmpeg's name, "unknown" if it has no decoder for it.
    sample_rate : int
        In hertz, 0 without a decoder.
    channels : int
        0 without a decoder.
    duration_seconds : float
        From the packets in the file, so it is shorter for a truncated file.
    start_seconds : float
        Start of the sound relative to the first picture.
    """

    codec: str
    sample_rate: int
    channels: int
    duration_seconds: float
    start_seconds: float


@dataclass(frozen=True)
class VideoInfo:
    """The pictures of a file: its default track, else the one with the largest pictures.

    Attributes
    ----------
    container, codec, pixel_format : str
        FFmpeg's names.
    width, height : int
        As displayed, after ``rotation_degrees``.
    rotation_degrees : int
        Clockwise rotation for display: 0, 90, 180 or 270.
    sample_aspect : Fraction or None
        Width of a pixel by its height, as displayed; None if the file does not say. Frames are not stretched by it.
    mirrored : bool
        Whether left and right are exchanged after the rotation.
    frames_per_second : float
        Average over the file; from the header if the container has no timestamps (AVI).
    variable_frame_rate : bool
        Whether the longest and the shortest interval between two pictures differ by more than half the median interval.
        Smaller differences are rounding of timestamps (1 ms in Matroska). False without timestamps.
    even_at_25 : bool
        Whether the i-th picture is the one nearest to i/25 s, for every i, so that conversion to 25 frames/s changes
        nothing.
    has_timestamps : bool
        Whether the file says when each picture is shown. Raw streams don't, nor do AVIs without empty chunks between
        their pictures; the pictures are then evenly spaced.
    frame_count : int
        Number of pictures that a player shows, counted as packets.
    declared_frame_count : int or None
        From the header; None if it has none. May include pictures that an edit list hides.
    truncated : bool
        Whether the file ends before the length that its header declares, by more than single frames.
    missing_seconds : float
        By how much, if the header gives a length in seconds.
    duration_seconds : float
        From the first picture to the end of the last.
    longest_gap_seconds : float
        The longest interval between two pictures; for a single picture, its duration.
    long_gaps_seconds : float
        All intervals of more than a second together.
    start_seconds : float
        Time of the first picture on the file's clock.
    video_packets_sha256 : str
        Hash of the coded pictures. Equal for a copy in another container without re-encoding, if both containers store
        the codec in the same form (mp4, mov and mkv do; AVI and MPEG-TS use other separators for H.264 and HEVC).
    audio : AudioInfo or None
    """

    container: str
    codec: str
    pixel_format: str
    width: int
    height: int
    rotation_degrees: int
    sample_aspect: Fraction | None
    mirrored: bool
    frames_per_second: float
    variable_frame_rate: bool
    even_at_25: bool
    has_timestamps: bool
    frame_count: int
    declared_frame_count: int | None
    truncated: bool
    missing_seconds: float
    duration_seconds: float
    longest_gap_seconds: float
    long_gaps_seconds: float
    start_seconds: float
    video_packets_sha256: str
    audio: AudioInfo | None

    @property
    def broken_times(self) -> str:
        """Why the times of the pictures can't be right, in words; an empty text if they can."""
        if self.even_at_25:
            return ""
        if self.longest_gap_seconds > LONGEST_GAP_SECONDS:
            return f"its timestamps jump by {self.longest_gap_seconds:.0f} s between two pictures"
        if self.long_gaps_seconds > LONG_GAPS_SECONDS:
            return f"its timestamps leave gaps of {self.long_gaps_seconds:.0f} s in all between its pictures"
        return ""


@dataclass(frozen=True)
class FrameTiming:
    """The timing of a stream's pictures, for the conversion to 25 frames/s: fields of :class:`VideoInfo`."""

    frames_per_second: float
    variable: bool  # VideoInfo.variable_frame_rate
    even_at_25: bool
    duration_seconds: float
    longest_gap_seconds: float
    long_gaps_seconds: float


def probe(path: Path) -> VideoInfo:
    """Read the headers and packets of a file, and decode the first picture for its rotation.

    Raises
    ------
    MediaError
        ``missing``, ``empty-file``, ``unreadable``, ``truncated``, ``no-video``, ``no-frames`` or ``too-large``.
    """
    with opened(path) as container:
        video = video_stream(container, path)
        video.codec_context.thread_count = 1
        sound = sound_stream(container)
        scan = _scan(container, video, sound)
        times, untimed = scan.times, scan.untimed
        counted = container.format.name == COUNTED
        time_base = float(video.time_base or 1)
        missing = _missing(container, video, sound, scan, path)
        truncated = scan.cut or missing.much
        if not times:
            if truncated:
                raise MediaError("truncated", f"{path}: cut before its first picture; write or copy the file again")
            raise MediaError("no-frames", f"{path}: its video stream holds no pictures; write the file again")
        if counted:
            if begins_late(times, scan.sound_before, Fraction(video.time_base or 1)):
                times = array("q", chunk_times(times))
            untimed = not has_holes(times)
        nominal = float(nominal_rate(video))
        timing = even_timing(len(times), nominal) if untimed else measured_timing(times, time_base, nominal)
        begin = min(times) if counted or scan.first is None or scan.first.pts is None else scan.first.pts
        shown = scan.first or video.codec_context  # both have size and layout
        turn = orientation(scan.first) if scan.first else Orientation()
        aspect = video.sample_aspect_ratio
        on_its_side = turn.rotation_degrees in (90, 270)
        if min(shown.width, shown.height) < 1:
            size = f"{shown.width}x{shown.height}"
            raise MediaError("unreadable", f"{path}: damaged header (pictures of {size}); write or copy the file again")
        return VideoInfo(
            container=container.format.name,
            codec=video.codec_context.codec.canonical_name,
            pixel_format=shown.format.name if shown.format else "unknown",
            width=shown.height if on_its_side else shown.width,
            height=shown.width if on_its_side else shown.height,
            rotation_degrees=turn.rotation_degrees,
            sample_aspect=1 / aspect if aspect and on_its_side else aspect or None,
            mirrored=turn.mirrored,
            frames_per_second=timing.frames_per_second,
            variable_frame_rate=timing.variable,
            even_at_25=timing.even_at_25,
            has_timestamps=not untimed,
            frame_count=len(times),
            declared_frame_count=video.frames or None,
            truncated=truncated,
            missing_seconds=missing.seconds,
            duration_seconds=timing.duration_seconds,
            longest_gap_seconds=timing.longest_gap_seconds,
            long_gaps_seconds=timing.long_gaps_seconds,
            start_seconds=begin * time_base,
            video_packets_sha256=scan.sha256,
            audio=None if sound is None else _audio_info(sound, scan, begin * time_base),
        )


@dataclass(frozen=True)
class _Scan:
    """All packets of a file.

    Attributes
    ----------
    times : array of int
        Of the shown pictures, in units of the stream's time base.
    end : int
        The latest end of a picture, in the same units; 0 if no picture is shown.
    hidden : int
        Number of pictures that are marked to be discarded.
    untimed : bool
        Whether some picture has no timestamp.
    cut : bool
        Whether the last picture is cut off by the end of the file.
    first : VideoFrame or None
        The first decoded picture.
    sha256 : str
        Of the coded pictures.
    sound_start : int or None
        Of the first packet of sound, in units of the sound's time base; None without sound.
    sound_end : int
        The latest end of a packet of sound, in the same units; 0 without sound.
    sound_before : Fraction or None
        Seconds of sound that come before the first picture in the order of the file (not of time); see
        :func:`tlbench.media.timeline.begins_late`.
    """

    times: array[int]
    end: int
    hidden: int
    untimed: bool
    cut: bool
    first: av.VideoFrame | None
    sha256: str
    sound_start: int | None
    sound_end: int
    sound_before: Fraction | None


def _scan(container: InputContainer, video: av.VideoStream, sound: av.AudioStream | None) -> _Scan:
    """Read all packets of the file, and decode the first picture."""
    streams = (video,) if sound is None else (video, sound)
    digest = hashlib.sha256()
    times: array[int] = array("q")
    untimed = container.format.name in UNTIMED
    counted = container.format.name == COUNTED
    hidden = tried = end = 0
    one_frame = round(1 / (nominal_rate(video) * (video.time_base or 1)))
    cut = False
    first: av.VideoFrame | None = None
    before = SoundBefore()
    sound_start: int | None = None
    sound_end = 0
    for packet in packets(container, *streams):
        if packet.stream_index != video.index:
            if packet.pts is not None:
                before.add(packet)
                sound_start = packet.pts if sound_start is None else sound_start
                sound_end = max(sound_end, packet.pts + (packet.duration or 0))
            continue
        digest.update(memoryview(packet))
        before.seen = True
        cut = packet.is_corrupt  # set on a last packet that is cut off by the end of the file
        if packet.is_discard:
            hidden += 1
        else:
            untimed |= packet.pts is None
            time = packet.dts if counted else packet.pts
            times.append(time or 0)
            end = max(end, (time or 0) + (packet.duration or one_frame))
        if first is None and tried < MOST_PACKETS_TO_FIRST_FRAME:
            tried += 1
            first = _decoded(video, packet)
    if first is None and tried < MOST_PACKETS_TO_FIRST_FRAME:
        first = _decoded(video, None)
    return _Scan(times, end, hidden, untimed, cut, first, digest.hexdigest(), sound_start, sound_end, before.seconds)


def video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    """The video stream that is read, see :func:`tlbench.media.container.picture_stream`.

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
    if width * height > most_pixels():
        way = "scale the video down" + (", or pass --large-pictures" if width * height <= LARGE_PIXELS else "")
        side = isqrt(most_pixels())
        raise MediaError("too-large", f"{path}: pictures of {width}x{height}, at most {side}x{side}; {way}")
    return stream


def even_timing(count: int, nominal: float) -> FrameTiming:
    """The timing of ``count`` pictures that are evenly spaced at ``nominal`` pictures per second."""
    ticks = [tick_at_25(index / nominal) for index in range(count)] if nominal != FRAMES_PER_SECOND else []
    return FrameTiming(
        frames_per_second=nominal,
        variable=False,
        even_at_25=_is_even(ticks, count, count / nominal) if ticks else True,
        duration_seconds=count / nominal,
        longest_gap_seconds=1 / nominal,
        long_gaps_seconds=0.0,
    )


def measured_timing(times: array[int], time_base: float, nominal: float) -> FrameTiming:
    """The timing of pictures shown at ``times`` (in any order, in units of ``time_base`` seconds).

    The rate is the header's if it agrees with the timestamps, which may be rounded.
    """
    ordered = sorted(times)
    span = (ordered[-1] - ordered[0]) * time_base
    gaps = sorted(after - before for before, after in itertools.pairwise(ordered))
    rate = nominal
    if gaps and span > 0 and abs(span * nominal - len(gaps)) >= 0.5:
        rate = len(gaps) / span
    ticks = [tick_at_25((time - ordered[0]) * time_base) for time in ordered]
    return FrameTiming(
        frames_per_second=rate,
        variable=bool(gaps) and gaps[-1] - gaps[0] > 0.5 * gaps[len(gaps) // 2],
        even_at_25=_is_even(ticks, len(ordered), span + 1 / rate),
        duration_seconds=span + 1 / rate,
        longest_gap_seconds=gaps[-1] * time_base if gaps else 1 / rate,
        long_gaps_seconds=sum(gap for gap in gaps if gap * time_base > LONG_GAP_SECONDS) * time_base,
    )


def tick_at_25(seconds: float) -> int:
    """The nearest multiple of 1/25 s, half rounded up like FFmpeg's ``fps`` filter (libavfilter/vf_fps.c, ``near``)."""
    return int(seconds * FRAMES_PER_SECOND + 0.5 + 1e-9)  # the last term: 12.5 may arrive as 12.499999999999998


def _is_even(ticks: list[int], count: int, duration_seconds: float) -> bool:
    """Whether picture i is shown at tick i of 25 a second, and all of them last as many ticks as there are pictures."""
    return max(1, tick_at_25(duration_seconds)) == count and all(tick == i for i, tick in enumerate(ticks))


def _decoded(video: av.VideoStream, packet: av.Packet[Any] | None) -> av.VideoFrame | None:
    """The first picture that the decoder gives for a packet; None at the end of the file asks for what it holds back.

    None if it gives none, or can't decode the packet.
    """
    try:
        return next(iter(video.decode(packet)), None)
    except av.error.FFmpegError:
        return None


def _missing(
    container: InputContainer, video: av.VideoStream, sound: av.AudioStream | None, scan: _Scan, path: Path
) -> Missing:
    """What the header announces beyond the packets of a file."""
    time_base = float(video.time_base or 1)
    sound_end = 0.0 if sound is None else scan.sound_end * float(sound.time_base or 1)
    begin = min(scan.times, default=0) * time_base
    count = len(scan.times) + scan.hidden
    return missing_pictures(container, video, count, begin, scan.end * time_base, sound_end, path)


def _audio_info(sound: av.AudioStream, scan: _Scan, video_start_seconds: float) -> AudioInfo:
    """What is known of the sound; ``video_start_seconds`` is the first picture's time on the file's clock."""
    time_base = float(sound.time_base or 1)
    start_time = sound.start_time if sound.start_time is not None else scan.sound_start or 0
    seconds = max(0.0, (scan.sound_end - start_time) * time_base)
    return AudioInfo(
        codec=sound.codec_context.codec.canonical_name if sound.codec_context else "unknown",
        sample_rate=sound.codec_context.sample_rate if sound.codec_context else 0,
        channels=sound.codec_context.channels if sound.codec_context else 0,
        duration_seconds=seconds,
        start_seconds=start_time * time_base - video_start_seconds,
    )
