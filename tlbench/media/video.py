"""Video files to frames, and back. Every observer sees the frames that come from here."""

from __future__ import annotations

import itertools
import os
import platform
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import Interpolation, VideoReformatter

from tlbench.errors import TlbenchError
from tlbench.files import atomic_path
from tlbench.media.container import MediaError, opened, packets
from tlbench.media.probe import (
    AudioInfo,
    VideoInfo,
    probe,
    tick_at_25,
    video_stream,
)
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.timeline import COUNTED, decoding_key

__all__ = [
    "DECODING",
    "AudioInfo",
    "FrameChunk",
    "MediaError",
    "VideoInfo",
    "VideoReader",
    "probe",
    "read_video",
    "write_video",
]

# 25 frames/s by nearest time, upright, RGB as OpenCV 4 decodes it. Part of protocol ids and of the key under which
# evidence is kept; to be changed whenever the same file would give other frames.
DECODING = "pyav-25fps@1"
CHUNK_FRAMES = 32
CHUNK_BYTES = 64 * 2**20
LONGEST_GAP_SECONDS = 60.0  # a longer still picture is a broken timestamp, which conversion would fill with copies
# x264's code for AVX-512 reads memory that nothing wrote (build 165, seen at 160x128): the same frames gave other bytes
# from one call to the next. Up to SSE4.2, which every x86-64 machine that NumPy 2 runs on has, it does not, and its
# output is that of its AVX2 code; measured, 5 % more time than by all instructions.
X86_64 = ("x86_64", "AMD64")
X264_INSTRUCTIONS = "MMX2,SSE2Fast,SSSE3,SSE4.2"
# Layouts whose planes can be turned on their own. With chroma at half size in both directions only even sizes turn
# exactly; with chroma at half width only (4:2:2) a turned picture has no such layout.
TURNED_BY_PLANE = frozenset({"yuv444p", "yuvj444p", "gray"})
TURNED_BY_PLANE_IF_EVEN = frozenset({"yuv420p", "yuvj420p"})


@dataclass(frozen=True)
class FrameChunk:
    """A run of consecutive frames of one video.

    Attributes
    ----------
    start : int
        Index of the first frame.
    native : tuple of av.VideoFrame
        As the decoder gave them (usually planar YUV), for what must not pass through RGB. A frame that conversion to
        25 frames/s repeats is the same object twice.
    """

    start: int
    native: tuple[av.VideoFrame, ...]

    def __len__(self) -> int:
        return len(self.native)

    def before(self, end: int | None) -> FrameChunk | None:
        """The frames of this run before index ``end``; None if there is none of them."""
        if end is None or self.start + len(self) <= end:
            return self
        return FrameChunk(self.start, self.native[: end - self.start]) if end > self.start else None

    @cached_property
    def rgb(self) -> np.ndarray:
        """(n, height, width, 3) uint8 RGB, converted once however many observers look.

        Bit for bit what ``cv2.VideoCapture`` gives, its BGR turned round: OpenCV asks FFmpeg's scaler for BGR24 with
        bicubic chroma (modules/videoio/src/cap_ffmpeg_impl.hpp), so this asks for the same. RGB24 is not always equal
        (4:2:2 of odd height, 10 bit), nor is PyAV's default bilinear chroma (4:2:0 of odd height).
        """
        reformatter = VideoReformatter()  # one for all: it keeps its tables from frame to frame
        rgb = np.empty((len(self.native), self.native[0].height, self.native[0].width, 3), np.uint8)
        for i, frame in enumerate(self.native):
            if i and frame is self.native[i - 1]:
                rgb[i] = rgb[i - 1]
            else:
                cv2.cvtColor(_bgr(reformatter, frame), cv2.COLOR_BGR2RGB, dst=rgb[i])
        return rgb


class VideoReader:
    """One video file as frames at 25 a second, decoded once.

    The frames of a file that is itself even at 25 frames/s (``VideoInfo.even_at_25``) pass one for one. Any other is
    converted: output frame n is the last picture whose time, counted from the first picture, rounds to n/25 s or
    earlier, as FFmpeg's ``fps=25`` filter does. So are the holes that lost pictures leave: the picture before the hole
    stays until the next, and sound and picture keep together. An AVI has no timestamps: its pictures are evenly spaced
    at the rate of its header, and where it holds empty chunks the picture before them stays.

    Pictures are turned upright and mirrored as their display matrix says, as the ffmpeg program does.

    After a coded picture that can't be decoded the rest is read on, as FFmpeg's own programs do.

    Parameters
    ----------
    path : Path
    budget_bytes : int
        Frames (coded layout and RGB) are kept for the next pass as long as they fit; a longer video is decoded anew on
        each pass, and never more than one run of it is held.
    every_frame : bool
        Hand out each decoded picture as it comes, without conversion to 25 frames/s, like a loop over
        ``cv2.VideoCapture.read``.

    Attributes
    ----------
    decodes : int
        How many times decoding has begun.
    damaged_packets : int
        In the latest pass: packets FFmpeg could not decode, and pictures that it marked as damaged but gave.
    """

    def __init__(self, path: Path, budget_bytes: int = 256 * 2**20, *, every_frame: bool = False) -> None:
        self.path = path
        self.budget_bytes = budget_bytes
        self.every_frame = every_frame
        self.decodes = 0
        self.damaged_packets = 0
        self._kept: tuple[FrameChunk, ...] | None = None
        self._kept_chunk_frames = 0
        self._decoded_count: int | None = None

    @cached_property
    def info(self) -> VideoInfo:
        """What the file's headers and packets say; see ``probe``, whose errors it raises."""
        return probe(self.path)

    @cached_property
    def decoding(self) -> str:
        """:data:`DECODING`, marked for a file that was read otherwise before time began with its first picture."""
        return DECODING + decoding_key(self.path)

    @property
    def conversions(self) -> tuple[str, ...]:
        """What was done to the pictures' order and direction, for the record; empty for a plain 25 frames/s file."""
        done = []
        if not self.every_frame and not self.info.even_at_25:
            rate = f"{self.info.frames_per_second:.4g}"
            source = f"variable rate (mean {rate})" if self.info.variable_frame_rate else rate
            done.append(f"{source} to {FRAMES_PER_SECOND} frames/s")
        if self.info.rotation_degrees:
            done.append(f"turned {self.info.rotation_degrees} degrees clockwise")
        if self.info.mirrored:
            done.append("mirrored left to right")
        return tuple(done)

    @property
    def decoded_count(self) -> int | None:
        """How many pictures the latest whole pass has given; None before there was one."""
        return self._decoded_count

    @property
    def chunk_frames(self) -> int:
        """How many frames are handed out at once: 32, fewer of a large picture, so that a run stays below 64 MiB."""
        frame_bytes = self.info.width * self.info.height * 9 // 2  # 4:2:0 and RGB
        return max(1, min(CHUNK_FRAMES, CHUNK_BYTES // max(1, frame_bytes)))

    def frames(self, chunk_frames: int | None = None) -> Iterator[FrameChunk]:
        """The video in runs of ``run`` frames (:attr:`run` if not given), the last one shorter.

        Raises
        ------
        MediaError
            What ``probe`` raises; ``no-frames`` if nothing can be decoded, ``size-changes`` if the pictures' size
            changes on the way, ``timestamps`` if a still of more than a minute would have to be filled.
        """
        count = self.chunk_frames if chunk_frames is None else chunk_frames
        if self._kept is not None:
            if count != self._kept_chunk_frames:
                natives = [native for frames in self._kept for native in frames.native]
                self._kept, self._kept_chunk_frames = tuple(_in_chunks(natives, count)), count
            return iter(self._kept)
        return self._keeping(_read_ahead(_in_chunks(self._paced(), count)), count)

    def _keeping(self, chunks: Iterator[FrameChunk], chunk_frames: int) -> Iterator[FrameChunk]:
        """The same runs, kept for the next pass if all of them fit."""
        kept: list[FrameChunk] | None = []
        kept_bytes = 0
        for frames in chunks:
            kept_bytes += len(frames) * _size_bytes(frames.native[0])
            if kept is not None and kept_bytes <= self.budget_bytes:
                kept.append(frames)
            else:
                kept = None
            yield frames
        if kept is not None:
            self._kept, self._kept_chunk_frames = tuple(kept), chunk_frames

    def _paced(self) -> Iterator[av.VideoFrame]:
        """The decoded pictures at 25 a second."""
        if self.every_frame or self.info.even_at_25:
            yield from self._decoded()
            return
        if self.info.longest_gap_seconds > LONGEST_GAP_SECONDS:
            raise MediaError(
                "timestamps",
                f"{self.path}: its timestamps jump by {self.info.longest_gap_seconds:.0f} s between two pictures; "
                "re-encode the file",
            )
        rate = Fraction(self.info.frames_per_second).limit_denominator(10_000)
        held: av.VideoFrame | None = None
        first_seconds: float | None = None
        seconds = 0.0
        given = 0
        for index, frame in enumerate(self._decoded()):
            seconds = float(index / rate)
            if self.info.has_timestamps and frame.time is not None:
                first_seconds = frame.time if first_seconds is None else first_seconds
                seconds = frame.time - first_seconds
            while held is not None and given < tick_at_25(seconds):
                yield held
                given += 1
            held = frame
        end = tick_at_25(seconds + float(1 / rate))
        while held is not None and given < max(1, end):
            yield held
            given += 1

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Every picture the decoder gives, upright and of one size."""
        self.decodes += 1
        self.damaged_packets = 0
        degrees, mirrored = self.info.rotation_degrees, self.info.mirrored
        size: tuple[int, int] | None = None
        count = 0
        with opened(self.path) as container:
            stream = video_stream(container, self.path)
            stream.codec_context.thread_count = 1  # on two cores more were never faster, from 160x160 to 1920x1080
            for frame in self._survivors(container, stream):
                if size is None:
                    size = frame.width, frame.height
                elif size != (frame.width, frame.height):
                    raise MediaError(
                        "size-changes",
                        f"{self.path}: picture {count} is {frame.width}x{frame.height} after {size[0]}x{size[1]}; "
                        "re-encode the file to one size",
                    )
                count += 1
                yield turned(frame, degrees, mirrored=mirrored) if degrees or mirrored else frame
        self._decoded_count = count
        if not count:
            raise MediaError("no-frames", f"{self.path}: none of its pictures can be decoded; write the file again")

    def _survivors(self, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        """The pictures that come out, counting what is damaged."""
        counted = container.format.name == COUNTED and self.info.has_timestamps
        numbers: deque[int] = deque()  # of the chunks whose pictures are still to come; these come in order
        first = round(self.info.start_seconds / float(stream.time_base or 1))
        for packet in itertools.chain(packets(container, stream), [None]):
            damaged = self.damaged_packets
            frames = self._decode(stream, packet)
            if counted and packet is not None and packet.dts is not None and self.damaged_packets == damaged:
                numbers.append(max(packet.dts, first))
            for frame in frames:
                if numbers:
                    frame.pts = numbers.popleft()
                yield frame

    def _decode(self, stream: av.VideoStream, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        try:
            frames = stream.decode(packet)
        except av.error.FFmpegError:
            self.damaged_packets += 1
            return []
        self.damaged_packets += sum(frame.is_corrupt for frame in frames)
        if packet is None and stream.time_base is not None:
            for frame in frames:
                frame.time_base = stream.time_base  # PyAV leaves it out on those that the end of the stream brings
        return frames


def read_video(path: Path | str) -> np.ndarray:
    """The whole video as (T, height, width, 3) uint8 RGB at 25 frames/s: frame k is shown k/25 s after the first.

    Every picture is held in memory, 3 bytes a pixel. See ``VideoReader`` for what is converted.

    Raises
    ------
    MediaError
        As ``VideoReader.frames``.
    """
    return np.concatenate([frames.rgb for frames in VideoReader(Path(path), budget_bytes=0).frames()])


def write_video(
    path: Path | str,
    frames: Iterable[np.ndarray],
    frames_per_second: float | Fraction = FRAMES_PER_SECOND,
    samples: np.ndarray | None = None,
    sample_rate: int = SAMPLE_RATE,
    codec: str = "libx264",
    crf: int = 18,
    audio_codec: str = "aac",
) -> None:
    """Encode frames, and sound if given, to a file whose container follows from the suffix of ``path``.

    The same frames give the same bytes: one encoding thread, no dates or version strings. The file appears under its
    name only when it is complete.

    Parameters
    ----------
    frames : iterable of (height, width, 3) uint8 RGB
        All of one size. Even sizes are stored as yuv420p, which every player reads; odd ones as yuv444p, because 4:2:0
        has no odd sizes in H.264 and a padded picture would no longer fit its face boxes.
    samples : (N,) int16, optional
        Mono sound that begins with the first frame.
    codec, audio_codec : str
        FFmpeg encoders, ``libx264``, ``libx265`` or ``libvpx-vp9`` for the pictures (they know ``crf``).
    crf : int
        Constant rate factor; 18 is visually near lossless, 0 is lossless in libx264 (of the YUV picture).

    Raises
    ------
    MediaError
        ``no-frames`` if there are none.
    TlbenchError
        If the file can't be written or the encoder refuses.
    """
    path = Path(path)
    rate = Fraction(frames_per_second).limit_denominator(1001)
    try:
        with atomic_path(path, keep_suffix=True) as temporary, _created(temporary, path) as container:
            _encode(container, path, iter(frames), rate, samples, sample_rate, codec, crf, audio_codec)
    except (av.error.FFmpegError, OSError) as error:
        raise TlbenchError(
            f"{path}: can't write the video ({error.strerror}); check the folder, its permissions and free space"
        ) from error


def _created(partial: Path, path: Path) -> OutputContainer:
    try:
        return av.open("file:" + os.path.abspath(partial), "w", options={"fflags": "+bitexact"})
    except av.error.FFmpegError:
        raise
    except ValueError:
        raise TlbenchError(f"{path}: {path.suffix!r} is no video container that FFmpeg writes; use .mp4") from None


def _encode(
    container: OutputContainer,
    path: Path,
    frames: Iterator[np.ndarray],
    rate: Fraction,
    samples: np.ndarray | None,
    sample_rate: int,
    codec: str,
    crf: int,
    audio_codec: str,
) -> None:
    first = next(frames, None)
    if first is None:
        raise MediaError("no-frames", f"{path}: no frames to write; give at least one")
    height, width = first.shape[:2]
    pixel_format = "yuv420p" if height % 2 == 0 and width % 2 == 0 else "yuv444p"
    options = {"crf": str(crf), "flags": "+bitexact"}
    if codec == "libx264" and platform.machine() in X86_64:
        options["x264-params"] = f"asm={X264_INSTRUCTIONS}"
    if codec == "libx265":
        options["x265-params"] = "log-level=none"  # it would print to stderr past FFmpeg's log
    video = container.add_stream(codec, rate=rate, options=options)
    if not isinstance(video, av.VideoStream):
        raise TlbenchError(f"{codec} encodes no pictures; use libx264")
    video.width, video.height, video.pix_fmt = width, height, pixel_format
    video.codec_context.thread_count = 1
    sound: av.AudioStream | None = None
    if samples is not None:
        added = container.add_stream(audio_codec, rate=sample_rate, layout="mono", options={"flags": "+bitexact"})
        if not isinstance(added, av.AudioStream):
            raise TlbenchError(f"{audio_codec} encodes no sound; use aac")
        sound = added
    written = 0  # samples, kept level with the pictures so that the file can be streamed
    reformatter = VideoReformatter()
    for number, rgb in enumerate(itertools.chain([first], frames)):
        if rgb.shape != (height, width, 3) or rgb.dtype != np.uint8:
            raise ValueError(f"frame {number} is {rgb.shape} {rgb.dtype}; expected ({height}, {width}, 3) uint8")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame = reformatter.reformat(frame, format=pixel_format, interpolation=Interpolation.BICUBIC, threads=1)
        frame.pts, frame.time_base = number, 1 / rate
        container.mux(video.encode(frame))
        if sound is not None and samples is not None:
            due = int((number + 1) * sample_rate / rate)
            _encode_samples(container, sound, samples, written, due, sample_rate)
            written = due
    container.mux(video.encode())
    if sound is not None and samples is not None:
        _encode_samples(container, sound, samples, written, len(samples), sample_rate)
        container.mux(sound.encode())


def _encode_samples(
    container: OutputContainer, stream: av.AudioStream, samples: np.ndarray, begin: int, end: int, sample_rate: int
) -> None:
    block = np.ascontiguousarray(samples[begin:end], np.int16)
    if not len(block):
        return
    frame = av.AudioFrame.from_ndarray(block[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = sample_rate, begin, Fraction(1, sample_rate)
    container.mux(stream.encode(frame))


def turned(frame: av.VideoFrame, clockwise_degrees: int, *, mirrored: bool = False) -> av.VideoFrame:
    """The frame turned by 0, 90, 180 or 270 degrees, then mirrored, in its own layout if that is exact, else as BGR24.

    Either way its RGB is the turned RGB of the original, to the bit.
    """
    name = frame.format.name
    even = frame.width % 2 == 0 and frame.height % 2 == 0
    quarter_turns = -clockwise_degrees // 90  # numpy turns counter-clockwise
    if name in TURNED_BY_PLANE or (name in TURNED_BY_PLANE_IF_EVEN and even):
        planes = [_turned_array(plane, quarter_turns, mirrored) for plane in _planes(frame)]
        height, width = planes[0].shape
        array: np.ndarray
        packed = np.concatenate([plane.reshape(-1) for plane in planes])
        if name == "gray":
            array = packed.reshape(height, width)
        elif name in TURNED_BY_PLANE:
            array = packed.reshape(3, height, width)
        else:
            array = packed.reshape(height * 3 // 2, width)
        upright = av.VideoFrame.from_ndarray(array, format=name)
        upright.colorspace, upright.color_range = frame.colorspace, frame.color_range
    else:
        bgr = _turned_array(_bgr(VideoReformatter(), frame), quarter_turns, mirrored)
        upright = av.VideoFrame.from_ndarray(np.ascontiguousarray(bgr), format="bgr24")
    upright.pts = frame.pts
    if frame.time_base is not None:
        upright.time_base = frame.time_base
    return upright


def _turned_array(array: np.ndarray, quarter_turns: int, mirrored: bool) -> np.ndarray:
    upright = np.rot90(array, quarter_turns)
    return upright[:, ::-1] if mirrored else upright


def _planes(frame: av.VideoFrame) -> Iterator[np.ndarray]:
    """The planes of an 8-bit planar frame, each (height, width) uint8, without the padding of their lines."""
    for plane in frame.planes:
        lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        yield lines[: plane.height, : plane.width]


def _bgr(reformatter: VideoReformatter, frame: av.VideoFrame) -> np.ndarray:
    converted = reformatter.reformat(frame, format="bgr24", interpolation=Interpolation.BICUBIC, threads=1)
    return converted.to_ndarray()


def _size_bytes(native: av.VideoFrame) -> int:
    return sum(plane.buffer_size for plane in native.planes) + 3 * native.width * native.height


def _read_ahead(chunks: Generator[FrameChunk, None, None]) -> Iterator[FrameChunk]:
    """The same runs, each decoded and made RGB by a thread while the one before it is looked at.

    The first is begun at once, so that two videos to be looked at side by side are decoded side by side.
    """
    reader = ThreadPoolExecutor(1, thread_name_prefix="decode")
    return _handed_over(reader, reader.submit(_next_in_rgb, chunks), chunks)


def _handed_over(
    reader: ThreadPoolExecutor, upcoming: Future[FrameChunk | None], chunks: Generator[FrameChunk, None, None]
) -> Iterator[FrameChunk]:
    with reader:
        try:
            while (frames := upcoming.result()) is not None:
                upcoming = reader.submit(_next_in_rgb, chunks)
                yield frames
        finally:  # whoever stops looking early leaves a run under way; the file is closed after it
            wait([upcoming])
            chunks.close()


def _next_in_rgb(chunks: Iterator[FrameChunk]) -> FrameChunk | None:
    frames = next(chunks, None)
    if frames is not None:
        frames.rgb  # noqa: B018 computed here, kept by the property
    return frames


def _in_chunks(natives: Iterable[av.VideoFrame], chunk_frames: int) -> Generator[FrameChunk, None, None]:
    gathered: list[av.VideoFrame] = []
    start = 0
    for native in natives:
        gathered.append(native)
        if len(gathered) == chunk_frames:
            yield FrameChunk(start, tuple(gathered))
            start += chunk_frames
            gathered = []
    if gathered:
        yield FrameChunk(start, tuple(gathered))
