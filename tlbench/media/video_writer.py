"""Frames and sound to video files."""

from __future__ import annotations

import itertools
import os
import platform
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import Interpolation, VideoReformatter

from tlbench.errors import TlbenchError
from tlbench.files import atomic_path
from tlbench.media.container import MediaError
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE

# x264's AVX-512 code reads uninitialised memory (build 165, seen at 160x128): the same frames gave other bytes from one
# call to the next. Its SSE4.2 code does not, gives the same output as its AVX2 code, and runs on every x86-64 machine
# that NumPy 2 supports. Measured: 5 % slower than with all instructions.
X86_64 = ("x86_64", "AMD64")
X264_INSTRUCTIONS = "MMX2,SSE2Fast,SSSE3,SSE4.2"


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
    """Encode frames, and sound if given. The suffix of ``path`` decides the container.

    The same frames give the same bytes: one encoding thread, no dates or version strings. The file gets its name only
    when it is complete.

    Parameters
    ----------
    frames : iterable of (height, width, 3) uint8 RGB
        All of one size. Even sizes are stored as yuv420p, which every player reads; odd sizes as yuv444p, because
        H.264 has no odd sizes in 4:2:0 and a padded picture would no longer fit its face boxes.
    samples : (N,) int16, optional
        Mono sound that begins with the first frame.
    codec, audio_codec : str
        FFmpeg's encoders. For the pictures ``libx264``, ``libx265`` or ``libvpx-vp9``, which take a ``crf``.
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
    written = 0  # samples; written together with the pictures so that the file can be streamed
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
