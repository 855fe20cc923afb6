"""Sound files to samples, and samples to MFCCs."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.filter import Graph

from tlbench.media.container import MediaError, opened, packets

SAMPLE_RATE = 16000  # what every observer listens at
LONGEST_GAP_SECONDS = 600.0  # a longer hole is a broken timestamp, which would be filled with silence

# python_speech_features/base.py at 0.6 (jameslyons), the defaults of ``mfcc``, which SyncNet was trained on.
WINDOW_SECONDS = 0.025
STEP_SECONDS = 0.01
COEFFICIENTS = 13
MEL_FILTERS = 26
PREEMPHASIS = 0.97
LIFTER = 22
EPSILON = float(np.finfo(float).eps)  # stands for zero energy under the logarithm
WINDOWS_AT_ONCE = 4096  # about 35 MB of work space however long the sound is


def read_audio(path: Path, rate: int = SAMPLE_RATE) -> np.ndarray:
    """The first sound stream as (N,) int16 mono samples at ``rate``, aligned with the file's clock.

    What ``ffmpeg -i FILE -async 1 -ac 1 -ar 16000 -acodec pcm_s16le`` gives, which is how SyncNet's scoring scripts
    extract sound (joonson/syncnet_python SyncNetInstance.py): the first sample belongs to the file's start time, a
    later begin of the sound and holes of more than 0.1 s are filled with silence, channels are mixed with FFmpeg's
    weights. ``-async 1`` is spelt out as the filter ``aresample=async=1:first_pts=0`` (fftools/ffmpeg_filter.c).

    A stretch that can't be decoded is left out and, if longer than 0.1 s, becomes silence.

    Raises
    ------
    MediaError
        ``no-audio`` if the file has no sound stream or none of it can be decoded, ``timestamps`` if a hole of more
        than ten minutes would have to be filled, and the codes of ``container.opened``.
    """
    samples = bytearray()
    with opened(path) as container:
        stream = next(iter(container.streams.audio), None)
        if stream is None or stream.codec_context is None:
            raise MediaError("no-audio", f"{path}: no sound that can be read in it; give a file with a sound track")
        stream.codec_context.thread_count = 1
        origin_seconds = (container.start_time or 0) / 1_000_000  # FFmpeg's AV_TIME_BASE
        time_base = stream.time_base or Fraction(1, stream.codec_context.sample_rate)
        resampler: _Resampler | None = None
        for packet in itertools.chain(packets(container, stream), [None]):
            for frame in _decode(stream, packet):
                if resampler is None or not resampler.takes(frame):
                    if resampler is not None:
                        samples += resampler.push(None)
                    resampler = _Resampler(path, frame, time_base, rate, origin_seconds, len(samples) // 2)
                samples += resampler.push(frame)
        if resampler is not None:
            samples += resampler.push(None)
    if not samples:
        raise MediaError("no-audio", f"{path}: none of its sound can be decoded; re-encode the file")
    return np.frombuffer(samples, np.int16)


class _Resampler:
    """FFmpeg's filter chain from one input format to mono int16; a new one is made if the input format changes."""

    def __init__(
        self, path: Path, frame: av.AudioFrame, time_base: Fraction, rate: int, origin_seconds: float, given: int
    ) -> None:
        self.path = path
        self.time_base = time_base
        self.origin_seconds = origin_seconds
        self.input_format = _format(frame)
        self.expected: int | None = None  # the next frame's place, in input samples
        graph = Graph()
        source = graph.add(
            "abuffer",
            f"sample_rate={frame.sample_rate}:sample_fmt={frame.format.name}"
            f":channel_layout={frame.layout.name}:time_base=1/{frame.sample_rate}",
        )
        first_place = given * frame.sample_rate // rate  # libswresample counts first_pts in input samples
        fill = graph.add("aresample", f"async=1:first_pts={first_place}")
        mono = graph.add("aformat", f"sample_fmts=s16:sample_rates={rate}:channel_layouts=mono")
        sink = graph.add("abuffersink")
        source.link_to(fill)
        fill.link_to(mono)
        mono.link_to(sink)
        graph.configure()
        self.graph, self.source, self.sink = graph, source, sink

    def takes(self, frame: av.AudioFrame) -> bool:
        return _format(frame) == self.input_format

    def push(self, frame: av.AudioFrame | None) -> bytes:
        """The samples that are ready after ``frame``; None flushes."""
        if frame is not None:
            place = self.expected or 0
            if frame.pts is not None:
                place = round((float(frame.pts * self.time_base) - self.origin_seconds) * frame.sample_rate)
            gap_seconds = (place - (self.expected or 0)) / frame.sample_rate
            if gap_seconds > LONGEST_GAP_SECONDS:
                raise MediaError(
                    "timestamps", f"{self.path}: a hole of {gap_seconds:.0f} s in its sound; re-encode the file"
                )
            self.expected = place + frame.samples
            frame.pts, frame.time_base = place, Fraction(1, frame.sample_rate)
        self.source.push(frame)
        ready = bytearray()
        while True:
            try:
                out = cast(av.AudioFrame, self.sink.pull())
            except (av.error.BlockingIOError, av.error.EOFError):
                return bytes(ready)
            ready += out.to_ndarray().tobytes()


def _format(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.format.name, frame.layout.name


def _decode(stream: av.AudioStream, packet: av.Packet[Any] | None) -> list[av.AudioFrame]:
    try:
        return stream.decode(packet)
    except av.error.FFmpegError:  # a damaged packet; its time is filled with silence
        return []


def mfcc(samples: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Mel-frequency cepstral coefficients, one row per 10 ms: (frames, 13) float64.

    Equal to ``python_speech_features.mfcc(samples, sample_rate)`` with its defaults: windows of 25 ms every 10 ms
    without a taper, the last one padded with zeros; pre-emphasis 0.97; 26 triangular mel filters up to half the sample
    rate; an orthonormal cosine transform, of which 13 coefficients are kept and liftered by 22; the first replaced by
    the logarithm of the window's energy. int16 samples are not scaled.

    Parameters
    ----------
    samples : (N,) int16 or float
        Mono sound. Up to one window gives one row.

    Raises
    ------
    MediaError
        ``no-audio`` if there are no samples.
    """
    if samples.ndim != 1:
        raise ValueError(f"samples have shape {samples.shape}; expected (N,): mix the channels first")
    if not len(samples):
        raise MediaError("no-audio", "no samples to compute MFCCs of; the sound track is empty")
    window = _round_half_up(WINDOW_SECONDS * sample_rate)
    step = _round_half_up(STEP_SECONDS * sample_rate)
    fft_size = 1 << (window - 1).bit_length()
    count = 1 if len(samples) <= window else 1 + -(-(len(samples) - window) // step)
    filters = _mel_filters(fft_size, sample_rate)  # (26, fft_size // 2 + 1)
    transform = _cosine_transform() * (1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER))[:, None]
    features = np.empty((count, COEFFICIENTS))
    for begin in range(0, count, WINDOWS_AT_ONCE):
        end = min(begin + WINDOWS_AT_ONCE, count)
        windows = _windows(samples, begin, end, window, step)  # (n, window)
        power = np.abs(np.fft.rfft(windows, fft_size)) ** 2 / fft_size  # (n, fft_size // 2 + 1)
        energy = power.sum(axis=1)
        mel = power @ filters.T  # (n, 26)
        features[begin:end] = np.log(np.where(mel == 0, EPSILON, mel)) @ transform.T
        features[begin:end, 0] = np.log(np.where(energy == 0, EPSILON, energy))
    return features


def _windows(samples: np.ndarray, begin: int, end: int, window: int, step: int) -> np.ndarray:
    """Windows ``begin`` to ``end`` of the pre-emphasised sound, padded with zeros: (end - begin, window) float64."""
    first, last = begin * step, (end - 1) * step + window
    part = samples[max(first - 1, 0) : last].astype(np.float64)
    before = part[:-1] if first else np.concatenate([[0.0], part[:-1]])  # the sample ahead of each
    sound = part[-len(before) :] - PREEMPHASIS * before
    sound = np.concatenate([sound, np.zeros(last - first - len(sound))])
    return np.lib.stride_tricks.sliding_window_view(sound, window)[::step]


def _mel_filters(fft_size: int, sample_rate: int) -> np.ndarray:
    """Triangles evenly spaced in mel from 0 to half the sample rate, corners cut down to whole bins: (26, bins)."""
    highest_mel = 2595 * np.log10(1 + sample_rate / 2 / 700)
    corners_hertz = 700 * (10 ** (np.linspace(0, highest_mel, MEL_FILTERS + 2) / 2595) - 1)
    corners = np.floor((fft_size + 1) * corners_hertz / sample_rate)
    bins = np.arange(fft_size // 2 + 1)
    left, middle, right = (corners[i : i + MEL_FILTERS, None] for i in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):  # a side of no width holds no bins
        rising = np.where((bins >= left) & (bins < middle), (bins - left) / (middle - left), 0.0)
        falling = np.where((bins >= middle) & (bins < right), (right - bins) / (right - middle), 0.0)
    return rising + falling


def _cosine_transform() -> np.ndarray:
    """The first 13 rows of the orthonormal DCT-II of 26 values."""
    order = np.arange(COEFFICIENTS)[:, None]
    rows: np.ndarray = np.cos(np.pi * order * (2 * np.arange(MEL_FILTERS) + 1) / (2 * MEL_FILTERS)) * np.sqrt(
        2 / MEL_FILTERS
    )
    rows[0] /= np.sqrt(2)
    return rows


def _round_half_up(value: float) -> int:
    return int(np.floor(value + 0.5))
