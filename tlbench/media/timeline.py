"""The start of a file's time, for every reader of pictures and sound.

Time is presentation time and begins when the first picture is shown: frame k is the picture k/25 s after that, and
sample n is played n/16000 s after it. Sound before the first picture is cut off, and a sound that starts later is
padded with silence. A file without pictures begins with its first sample.

How FFmpeg gives the time of the first picture:

- mp4 and mov: an edit list (ISO/IEC 14496-12, 8.6.6) shifts the track. The demuxer marks hidden pictures to be
  discarded, such as those between a key frame and a cut made by ``-ss -c copy``.
- With B-frames the first decoded picture is not the first shown; the decoder puts them in order.
- A stream that begins without a key frame shows nothing until there is one: the first picture is the first that the
  decoder gives.
- AVI has no timestamps. Its chunks are counted, each lasts one frame, and empty chunks repeat the picture before. A
  video track that starts late can't begin with empty chunks, so FFmpeg writes the first picture at once and the empty
  chunks after it (``write_skip_frames`` in libavformat/avienc.c). A gap after the first picture therefore counts as a
  late start.
- The delay of an audio encoder (AAC's priming) is cut by FFmpeg if the file declares it: by an edit list, Matroska's
  codec delay or a LAME header. Otherwise (MPEG-TS, AVI) it is played, and counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from tlbench.errors import ClipError
from tlbench.media.container import opened, packets, picture_stream, sound_stream
from tlbench.media.jpeg import jpeg_layout
from tlbench.media.orientation import orientation
from tlbench.media.rates import SAMPLE_RATE

COUNTED = "avi"  # the container with chunk numbers as times
FILE_CLOCK = Fraction(1, 1_000_000)  # seconds: FFmpeg's AV_TIME_BASE, to which a file's start time is rounded
SAMPLE = Fraction(1, SAMPLE_RATE)  # seconds
# libswresample does not correct a smaller offset (async=1 sets min_comp to 0.001, libswresample/swresample.c).
LEFT_ALONE = Fraction(1, 1000)  # seconds
CHANGED = "+presentation"  # added to the cache keys of files that older versions read differently


@dataclass(frozen=True)
class Timeline:
    """The start of a file's time, in seconds on its own clock.

    Attributes
    ----------
    origin : Fraction
        Time of the first picture; without pictures, of the first sample.
    file_start : Fraction
        FFmpeg's start time of the file: the earliest start of its tracks. The ffmpeg program counts from here.
    tolerance : Fraction
        The resolution of the tracks' clocks: half a unit of each, at least one sample at 16 kHz.
    has_pictures : bool
    plain : bool
        Whether the tracks start together, the first track of each kind is read, and the pictures are not mirrored and
        in 4:2:0. All versions of tlbench read such a file in the same way.
    """

    origin: Fraction
    file_start: Fraction
    tolerance: Fraction
    has_pictures: bool
    plain: bool

    @property
    def pictures_late_seconds(self) -> Fraction:
        """Time from the file's start to its first picture; 0 without pictures."""
        return self.origin - self.file_start if self.has_pictures else Fraction(0)

    def is_off(self, start: Fraction) -> bool:
        """Whether a sound that starts ``start`` seconds after the origin is off by more than :attr:`tolerance`."""
        return abs(start) > self.tolerance


def timeline(path: Path) -> Timeline:
    """Read the start of a file's pictures and sound. One picture and one block of sound are decoded.

    Raises
    ------
    MediaError
        The codes of ``container.opened``.
    """
    with opened(path) as container:
        pictures, sound = picture_stream(container), sound_stream(container)
        file_start = Fraction(container.start_time or 0) * FILE_CLOCK
        clocks = [Fraction(stream.time_base or 0) for stream in (pictures, sound) if stream is not None]
        plain = _are_first(container, pictures, sound)
        picture, picture_start, sound_start = _first_of_each(container, pictures, sound)
        counted = pictures is not None and container.format.name == COUNTED
        lead_in = sound is not None and not sound.codec_context.name.startswith("pcm_")
    if picture is not None:
        plain &= not orientation(picture).mirrored and jpeg_layout(picture.format) == "yuvj420p"
    if counted and picture_start is not None:
        numbers = _chunks(path)
        picture_start = _counted_start(numbers, lead_in) * clocks[0]
        plain &= not has_holes(numbers)
    origin = picture_start if picture_start is not None else sound_start
    # The file's start is rounded to microseconds: if it equals the origin within that, it is used instead.
    if origin is None or abs(origin - file_start) <= FILE_CLOCK:
        origin = file_start
    tolerance = max(SAMPLE, sum(clocks, Fraction(0)) / 2)
    together = sound_start is None or abs(sound_start - origin) <= max(SAMPLE, min(tolerance, LEFT_ALONE))
    return Timeline(
        origin, file_start, tolerance, picture_start is not None, plain and origin == file_start and together
    )


def decoding_key(*paths: Path | None) -> str:
    """The suffix for the decoding in cache keys of results from these files.

    Empty if all files are :attr:`Timeline.plain`. Older versions read other files differently, so their cached results
    must not be used. A file that can't be read is ignored.
    """
    for path in paths:
        if path is None:
            continue
        try:
            if not timeline(path).plain:
                return CHANGED
        except ClipError:
            continue
    return ""


def _first_of_each(
    container: InputContainer, pictures: av.VideoStream | None, sound: av.AudioStream | None
) -> tuple[av.VideoFrame | None, Fraction | None, Fraction | None]:
    """The first decoded picture, its time, and the time of the first sample, in seconds.

    None for a track that can't be decoded or has no time.
    """
    streams: list[av.VideoStream | av.AudioStream] = [stream for stream in (pictures, sound) if stream is not None]
    first: dict[int, av.VideoFrame | av.AudioFrame] = {}
    for stream in streams:
        stream.codec_context.thread_count = 1
    for packet in itertools.chain(packets(container, *streams), [None]):
        for stream in streams:
            if stream.index in first or (packet is not None and packet.stream_index != stream.index):
                continue
            try:
                frames = stream.decode(packet)
            except av.error.FFmpegError:
                continue
            if frames:
                first[stream.index] = frames[0]
        if len(first) == len(streams):
            break
    picture = None if pictures is None else first.get(pictures.index)
    assert picture is None or isinstance(picture, av.VideoFrame)
    picture_start, sound_start = (
        None if stream is None or stream.index not in first else _seconds(first[stream.index], stream)
        for stream in (pictures, sound)
    )
    return picture, picture_start, sound_start


def _seconds(frame: av.VideoFrame | av.AudioFrame, stream: av.VideoStream | av.AudioStream) -> Fraction | None:
    return None if frame.pts is None else frame.pts * (stream.time_base or Fraction(0))


def _are_first(container: InputContainer, pictures: av.VideoStream | None, sound: av.AudioStream | None) -> bool:
    """Whether the tracks that are read are the first of their kind, which older versions always read."""
    moving = (s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic)
    first_pictures, first_sound = next(moving, None), next(iter(container.streams.audio), None)
    return all(
        chosen is None or first is None or chosen.index == first.index
        for chosen, first in ((pictures, first_pictures), (sound, first_sound))
    )


def _chunks(path: Path) -> list[int]:
    """The numbers of the chunks with a picture, in a file that counts chunks."""
    with opened(path) as container:
        stream = picture_stream(container)
        assert stream is not None  # checked by the caller
        return [packet.dts or 0 for packet in packets(container, stream)]


def has_holes(numbers: Sequence[int]) -> bool:
    """Whether there are empty chunks between those with a picture."""
    return any(after - before > 1 for before, after in itertools.pairwise(numbers))


def _counted_start(numbers: Sequence[int], lead_in: bool) -> int:
    """The number of the chunk at which the pictures begin. ``lead_in``: whether the sound may have an encoder delay."""
    begin = chunk_times(numbers)[0]
    late = begin - numbers[0]
    one_frame = len(numbers) > 2 and late <= numbers[2] - numbers[1]
    return numbers[0] if lead_in and one_frame else begin


def chunk_times(numbers: Sequence[int]) -> list[int]:
    """The times of pictures in counted chunks: their numbers, except the first, which is right before the second.

    FFmpeg counts in finer steps if it copies a stream of unknown rate: a picture then lasts several chunks, as given by
    the median step.
    """
    times = list(numbers)
    if len(times) > 2:
        steps = sorted(after - before for before, after in itertools.pairwise(times))
        times[0] = max(times[0], times[1] - steps[len(steps) // 2])
    return times
