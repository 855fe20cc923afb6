"""Makes tiny videos for tests: any codec, size, rate, timestamps, rotation and sound, the same bytes each time.

Every picture carries its own number as a strip of eight black and white bars along its top, so that a test can read
from a decoded frame which one it is (``number_of``), whatever the codec did to the colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tlbench.media.audio import read_whole_audio
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.video_reader import read_video
from tlbench.media.video_writer import write_video

BARS = 8  # bits of the frame number


def picture(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """(height, width, 3) uint8 RGB: a slope that drifts with ``number``, which stands in bars along the top."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 60 + 120 * columns / max(width - 1, 1)
    green = 60 + 120 * rows / max(height - 1, 1)
    blue = 128 + 80 * np.sin((columns + rows) / 9 + number / 3)
    image = np.stack([red, green, blue], axis=-1)
    for bar in range(BARS):
        level = 235 if number >> bar & 1 else 20
        image[: height // 4, bar * width // BARS : (bar + 1) * width // BARS] = level
    return image.astype(np.uint8)


def number_of(rgb: np.ndarray) -> int:
    """Which ``picture`` a decoded (height, width, 3) frame shows, modulo 256."""
    height, width = rgb.shape[:2]
    number = 0
    for bar in range(BARS):
        middle = (2 * bar + 1) * width // (2 * BARS)
        patch = rgb[height // 16 : max(height // 5, height // 16 + 1), middle - 1 : middle + 2]
        number |= int(patch.mean() > 128) << bar
    return number


def tone(seconds: float, sample_rate: int = 16000, channels: int = 1, hertz: float = 440.0) -> np.ndarray:
    """(samples, channels) int16: a sine that swells twice a second, a little higher in each further channel."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 2 * time)
    voices = [8000 * swell * np.sin(2 * np.pi * (hertz + 60 * channel) * time) for channel in range(channels)]
    return np.stack(voices, axis=-1).astype(np.int16)


def write_clip(
    path: Path,
    *,
    frames: int = 10,
    width: int = 64,
    height: int = 48,
    frames_per_second: int | Fraction = 25,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    codec_options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    timestamps_ms: Sequence[int] | None = None,
    rotation_degrees: int = 0,
    colorspace: int | None = None,
    color_range: int | None = None,
    audio_codec: str | None = None,
    sample_rate: int = 16000,
    channels: int = 1,
    samples: np.ndarray | None = None,
    audio_start_seconds: float = 0.0,
) -> Path:
    """Write ``picture(0) ... picture(frames - 1)`` to ``path``; the suffix chooses the container. Returns ``path``.

    Parameters
    ----------
    container_options : dict, optional
        For the muxer, such as ``{"movflags": "faststart"}``, which puts the index of an mp4 before its pictures.
    timestamps_ms : sequence of int, optional
        When each frame is shown, for a variable frame rate (mp4, mov, mkv); otherwise frames are evenly spaced.
    rotation_degrees : 0, 90, 180 or 270
        Clockwise turn a player must apply, written to the track header (mp4 and mov only). ``width`` and ``height``
        are those of the stored picture.
    colorspace, color_range : int, optional
        Tags of the stream as FFmpeg numbers them (1 is BT.709; range 2 is full).
    audio_codec : str, optional
        ``aac``, ``mp2``, ``libopus``, ``pcm_s16le`` ... None leaves the sound out.
    samples : (N, channels) int16, optional
        The sound; by default a ``tone`` as long as the video.
    """
    with av.open(str(path), "w", options={"fflags": "+bitexact", **(container_options or {})}) as container:
        options = {"flags": "+bitexact", **(codec_options or {})}
        if codec == "libx265":
            options["x265-params"] = "log-level=none"
        stream = container.add_stream(codec, rate=frames_per_second, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.thread_count = 1
        if timestamps_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if colorspace is not None:
            stream.codec_context.colorspace = colorspace
        if color_range is not None:
            stream.codec_context.color_range = color_range
        sound = None
        if audio_codec is not None:
            sound = container.add_stream(audio_codec, rate=sample_rate, layout="mono" if channels == 1 else "stereo")
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number, width, height), format="rgb24")
            frame = frame.reformat(format=pixel_format, dst_colorspace=colorspace, dst_color_range=color_range)
            if timestamps_ms is None:
                frame.pts, frame.time_base = number, 1 / Fraction(frames_per_second)
            else:
                frame.pts, frame.time_base = timestamps_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            if samples is None:
                samples = tone(frames / float(frames_per_second), sample_rate, channels)
            _encode_sound(container, sound, samples, sample_rate, round(audio_start_seconds * sample_rate))
    if rotation_degrees:
        turn_by_header(path, rotation_degrees)
    return path


def write_second(source: Path, target: Path) -> None:
    """The first second of a video, where a whole clip would make a test of readers long."""
    samples = read_whole_audio(source)[:SAMPLE_RATE]
    write_video(target, read_video(source)[:FRAMES_PER_SECOND], samples=samples)


def write_sound(path: Path, samples: np.ndarray, sample_rate: int = 16000, codec: str = "pcm_s16le") -> Path:
    """Write (N, channels) int16 samples alone, for instance as ``.wav``. Returns ``path``."""
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        layout = "mono" if samples.shape[1] == 1 else "stereo"
        sound = container.add_stream(codec, rate=sample_rate, layout=layout)
        _encode_sound(container, sound, samples, sample_rate, 0)
    return path


def _encode_sound(
    container: av.container.OutputContainer,
    stream: av.AudioStream,
    samples: np.ndarray,
    sample_rate: int,
    start: int,
) -> None:
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    for begin in range(0, len(samples), 1024):
        block = np.ascontiguousarray(samples[begin : begin + 1024].reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = sample_rate, start + begin, Fraction(1, sample_rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def turn_by_header(path: Path, rotation_degrees: int) -> None:
    """Write a clockwise turn into the first ``tkhd`` box of an mp4 or mov file (ISO/IEC 14496-12, 8.3.2)."""
    cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[rotation_degrees]
    data = bytearray(path.read_bytes())
    box = data.index(b"tkhd") + 4
    matrix = box + (52 if data[box] == 1 else 40)  # version 1 has 64-bit times
    values = [cosine << 16, sine << 16, 0, -sine << 16, cosine << 16, 0, 0, 0, 1 << 30]
    data[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(data)
