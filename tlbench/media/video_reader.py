"""Video files to frames at 25 frames/s. Every observer gets its frames from here."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from tlbench.media.container import MediaError, opened, packets
from tlbench.media.orientation import to_bgr, turned
from tlbench.media.probe import VideoInfo, probe, tick_at_25, video_stream
from tlbench.media.rates import FRAMES_PER_SECOND
from tlbench.media.timeline import COUNTED, decoding_key

# 25 frames/s by nearest time, upright, RGB as OpenCV 4 decodes it. Part of protocol ids and of cache keys: change it
# whenever the same file would give other frames.
DECODING = "pyav-25fps@1"
CHUNK_FRAMES = 32
CHUNK_BYTES = 64 * 2**20
KEPT_VIDEO_BYTES = 96 * 2**20  # a video this small is decoded once even if boxes have to be found first


@dataclass(frozen=True)
class FrameChunk:
    """Consecutive frames of one video.

    Attributes
    ----------
    start : int
        Index of the first frame.
    native : tuple of av.VideoFrame
        As the decoder gave them (usually planar YUV), for steps that must not go through RGB. A frame that the
        conversion to 25 frames/s repeats is the same object twice.
    sample_aspect : Fraction or None
        Width of a pixel by its height; None if the file does not say.
    """

    start: int
    native: tuple[av.VideoFrame, ...]
    sample_aspect: Fraction | None = None

    def __len__(self) -> int:
        return len(self.native)

    def before(self, end: int | None) -> FrameChunk | None:
        """The frames of this chunk before index ``end``, all of them if it is None; None if there are none."""
        if end is None or self.start + len(self) <= end:
            return self
        return replace(self, native=self.native[: end - self.start]) if end > self.start else None

    @cached_property
    def rgb(self) -> np.ndarray:
        """(n, height, width, 3) uint8 RGB, converted once for all observers.

        Bit for bit what ``cv2.VideoCapture`` gives, with BGR as RGB: OpenCV asks FFmpeg's scaler for BGR24 with
        bicubic chroma (modules/videoio/src/cap_ffmpeg_impl.hpp), so this asks for the same. RGB24 is not always equal
        (4:2:2 of odd height, 10 bit), nor is PyAV's default bilinear chroma (4:2:0 of odd height).
        """
        reformatter = VideoReformatter()  # one for all: it keeps its tables from frame to frame
        rgb = np.empty((len(self.native), self.native[0].height, self.native[0].width, 3), np.uint8)
        for i, frame in enumerate(self.native):
            if i and frame is self.native[i - 1]:
                rgb[i] = rgb[i - 1]
            else:
                cv2.cvtColor(to_bgr(reformatter, frame), cv2.COLOR_BGR2RGB, dst=rgb[i])
        return rgb


class VideoReader:
    """One video file as frames at 25 frames/s, decoded once.

    A file with evenly spaced pictures at 25 frames/s (``VideoInfo.even_at_25``) gives its pictures one for one. Any
    other file is converted: frame n is the last picture with a time, counted from the first picture, that rounds to
    n/25 s or earlier, as FFmpeg's ``fps=25`` filter does. Gaps left by lost pictures are filled the same way, with the
    picture before the gap, so that sound and pictures stay in sync. An AVI has no timestamps: its pictures are evenly
    spaced at the rate in its header, and an empty chunk repeats the picture before it.

    Pictures are rotated and mirrored by their display matrix, as the ffmpeg program does.

    A coded picture that can't be decoded is left out and reading goes on, as in FFmpeg's own programs.

    Parameters
    ----------
    path : Path
    budget_bytes : int
        Frames (decoder's layout and RGB) are kept for the next pass if all of them fit into so many bytes. A longer
        video is decoded again on each pass, and only one chunk is in memory.
    every_frame : bool
        Give each decoded picture, without conversion to 25 frames/s, like a loop over ``cv2.VideoCapture.read``.

    Attributes
    ----------
    decodes : int
        How many times decoding was started.
    damaged_packets : int
        In the latest pass: packets that FFmpeg could not decode, and those that it or its decoder marked as corrupt.
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
        """What the file's headers and packets say. Raises the errors of :func:`tlbench.media.probe.probe`."""
        return probe(self.path)

    @cached_property
    def decoding(self) -> str:
        """:data:`DECODING`, with a mark if an older version of tlbench read this file with another start of time."""
        return DECODING + decoding_key(self.path)

    @property
    def conversions(self) -> tuple[str, ...]:
        """How the pictures were converted, in words, for the record; empty for a plain 25 frames/s file."""
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
        """Number of pictures of the latest complete pass; None before the first one."""
        return self._decoded_count

    @property
    def chunk_frames(self) -> int:
        """Frames of one chunk: 32, or fewer for large pictures, so that a chunk stays below 64 MiB."""
        frame_bytes = self.info.width * self.info.height * 9 // 2  # 4:2:0 and RGB
        return max(1, min(CHUNK_FRAMES, CHUNK_BYTES // max(1, frame_bytes)))

    def frames(self, chunk_frames: int | None = None) -> Iterator[FrameChunk]:
        """The video in chunks of so many frames (:attr:`chunk_frames` if not given), the last one shorter.

        Raises
        ------
        MediaError
            The errors of ``probe``; ``unreadable`` if FFmpeg can't convert the colours to RGB (YCgCo and the like);
            ``no-frames`` if nothing can be decoded, ``size-changes`` if the picture size
            changes within the video, ``timestamps`` if there is a gap of more than a minute between two pictures,
            or gaps of more than ten minutes in all.
        """
        if self._kept is None:
            return self._keeping(_read_ahead(self._chunks(chunk_frames), self.path), chunk_frames)
        count = self._frames_of_chunk(chunk_frames)
        if count != self._kept_chunk_frames:
            natives = [native for frames in self._kept for native in frames.native]
            self._kept, self._kept_chunk_frames = tuple(self._in_chunks(natives, count)), count
        return iter(self._kept)

    def _chunks(self, chunk_frames: int | None) -> Generator[FrameChunk, None, None]:
        """The video in chunks, from the file. The headers are read here too: in the thread that decodes."""
        yield from self._in_chunks(self._paced(), self._frames_of_chunk(chunk_frames))

    def _frames_of_chunk(self, asked: int | None) -> int:
        return self.chunk_frames if asked is None else asked

    def _keeping(self, chunks: Iterator[FrameChunk], chunk_frames: int | None) -> Iterator[FrameChunk]:
        """The same chunks, kept for the next pass if all of them fit."""
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
            self._kept, self._kept_chunk_frames = tuple(kept), self._frames_of_chunk(chunk_frames)

    def _in_chunks(self, natives: Iterable[av.VideoFrame], chunk_frames: int) -> Generator[FrameChunk, None, None]:
        gathered: list[av.VideoFrame] = []
        start = 0
        for native in natives:
            gathered.append(native)
            if len(gathered) == chunk_frames:
                yield FrameChunk(start, tuple(gathered), self.info.sample_aspect)
                start += chunk_frames
                gathered = []
        if gathered:
            yield FrameChunk(start, tuple(gathered), self.info.sample_aspect)

    def _paced(self) -> Iterator[av.VideoFrame]:
        """The decoded pictures, converted to 25 frames/s."""
        if self.every_frame or self.info.even_at_25:
            yield from self._decoded()
            return
        if self.info.broken_times:
            raise MediaError("timestamps", f"{self.path}: {self.info.broken_times}; re-encode the file")
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
        """Every decoded picture, upright and of one size."""
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
                if degrees or mirrored:
                    with _in_rgb(self.path):
                        frame = turned(frame, degrees, mirrored=mirrored)
                yield frame
        self._decoded_count = count
        if not count:
            raise MediaError("no-frames", f"{self.path}: none of its pictures can be decoded; write the file again")

    def _survivors(self, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        """The pictures that can be decoded; damaged ones are counted."""
        counted = container.format.name == COUNTED and self.info.has_timestamps
        numbers: deque[int] = deque()  # of AVI chunks with a picture that is still in the decoder, in order
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
        marked = packet is not None and packet.is_corrupt  # by the container: a part of it is missing
        self.damaged_packets += max(marked, sum(frame.is_corrupt for frame in frames))
        if packet is None and stream.time_base is not None:
            for frame in frames:
                frame.time_base = stream.time_base  # PyAV does not set it on frames flushed at the end of the stream
        return frames


def read_video(path: Path | str) -> np.ndarray:
    """The whole video as (T, height, width, 3) uint8 RGB at 25 frames/s: frame k is shown k/25 s after the first.

    All frames are in memory, 3 bytes a pixel. See ``VideoReader`` for how other frame rates are converted.

    Raises
    ------
    MediaError
        As ``VideoReader.frames``.
    """
    return np.concatenate([frames.rgb for frames in VideoReader(Path(path), budget_bytes=0).frames()])


def _size_bytes(native: av.VideoFrame) -> int:
    return sum(plane.buffer_size for plane in native.planes) + 3 * native.width * native.height


def _read_ahead(chunks: Generator[FrameChunk, None, None], path: Path) -> Iterator[FrameChunk]:
    """The same chunks in RGB, each decoded and converted by a thread while the caller works on the one before.

    Decoding of the first chunk starts at once, so that two videos can be decoded in parallel. In a process that may use
    one thread (OpenCV's number, which a run's engine limits) the caller decodes: it computes on that processor, and
    with as many processes as processors these threads cost a fifth of the time of PSNR and SSIM.
    """
    if cv2.getNumThreads() <= 1:
        return _in_turn(chunks, path)
    reader = ThreadPoolExecutor(1, thread_name_prefix="decode")
    return _handed_over(reader, reader.submit(_next_in_rgb, chunks, path), chunks, path)


def _in_turn(chunks: Generator[FrameChunk, None, None], path: Path) -> Iterator[FrameChunk]:
    with closing(chunks):
        while (frames := _next_in_rgb(chunks, path)) is not None:
            yield frames


def _handed_over(
    reader: ThreadPoolExecutor,
    upcoming: Future[FrameChunk | None],
    chunks: Generator[FrameChunk, None, None],
    path: Path,
) -> Iterator[FrameChunk]:
    with reader:
        try:
            while (frames := upcoming.result()) is not None:
                upcoming = reader.submit(_next_in_rgb, chunks, path)
                yield frames
        finally:  # a caller that stops early leaves a chunk being decoded; the file is closed after it
            wait([upcoming])
            chunks.close()


def _next_in_rgb(chunks: Iterator[FrameChunk], path: Path) -> FrameChunk | None:
    frames = next(chunks, None)
    if frames is not None:
        with _in_rgb(path):
            frames.rgb  # noqa: B018 computed here, kept by the property
    return frames


@contextmanager
def _in_rgb(path: Path) -> Iterator[None]:
    """A conversion to RGB. Raises MediaError ``unreadable`` if FFmpeg has none for the colours of the file."""
    try:
        yield
    except av.error.MemoryError:
        raise  # the machine's fault, not the file's
    except av.error.FFmpegError as error:
        raise MediaError(
            "unreadable", f"{path}: FFmpeg can't convert its colours to RGB ({error.strerror}); re-encode the file"
        ) from error
