"""Sound files to samples, and samples to MFCCs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias, cast

import av
import numpy as np
from av.filter import Graph

from tlbench.media.container import MediaError, opened, packets, sound_stream
from tlbench.media.filterbank import MEL_FILTERS, mel_energies
from tlbench.media.rates import SAMPLE_RATE
from tlbench.media.timeline import timeline

LONGEST_GAP_SECONDS = 600.0  # a longer hole is a broken timestamp, which would be filled with silence
FINE_SECONDS = 1e-5  # half a sample at 48 kHz
# Is shown each block of sound as it is decoded, and when it is played, in seconds after the first picture.
Listener: TypeAlias = Callable[[av.AudioFrame, Fraction], None]

FULL_SCALE = 32768.0  # of int16
NOISE_FLOOR = 1e-3  # of full scale, -60 dB: what a codec makes of digital silence stays below
# SyncNet's window of 5 frames is the least that it hears at once: a clip in which less than that can be heard, such as
# one click, has no speech.
LEAST_SOUND_SECONDS = 0.2
HOPS_PER_SECOND = 100  # 10 ms: fine enough to tell one frame (40 ms) from two

# python_speech_features/base.py at 0.6 (jameslyons), the defaults of ``mfcc``, which SyncNet was trained on.
COEFFICIENTS = 13
LIFTER = 22


def read_audio(path: Path | str, rate: int = SAMPLE_RATE, *, from_file_start: bool = False) -> np.ndarray:
    """The sound of a file as (N,) int16 mono samples at ``rate``: sample n is played n/rate s after the first picture.

    Sound from before the first picture is cut off; where it starts later, silence comes before it. A file without
    pictures begins with its first sample. See :mod:`tlbench.media.timeline`. The default track is read, else the one
    with the most channels.

    For the rest it is what ``ffmpeg -i FILE -async 1 -ac 1 -ar 16000 -acodec pcm_s16le`` gives, which is how SyncNet's
    scoring scripts extract sound (joonson/syncnet_python SyncNetInstance.py): holes of more than 0.1 s are filled with
    silence, channels are mixed with FFmpeg's weights. ``-async 1`` is spelt out as the filter
    ``aresample=async=1:first_pts=0`` (fftools/ffmpeg_filter.c).

    A stretch that can't be decoded is left out and, if longer than 0.1 s, becomes silence.

    Parameters
    ----------
    path : Path or str
    rate : int
        Samples a second.
    from_file_start : bool
        Count from the start of the file, as that command does, which differs where sound or pictures start first.

    Raises
    ------
    MediaError
        ``no-audio`` if the file has no sound stream or none of it can be decoded or lasts until the first picture,
        ``timestamps`` if a hole of more than ten minutes would have to be filled, and the codes of
        ``container.opened``.
    """
    return _read(Path(path), rate, from_file_start, None)


def read_heard(path: Path, listener: Listener) -> np.ndarray:
    """As :func:`read_audio`. All that is decoded is shown to ``listener``, also what comes before the first picture."""
    return _read(path, SAMPLE_RATE, False, listener)


def _read(path: Path, rate: int, from_file_start: bool, listener: Listener | None) -> np.ndarray:
    samples = bytearray()
    begin = timeline(path)
    origin = begin.file_start if from_file_start else begin.origin
    heard = False
    with opened(path) as container:
        stream = sound_stream(container)
        if stream is None:
            raise MediaError("no-audio", f"{path}: no sound that can be read in it; give a file with a sound track")
        stream.codec_context.thread_count = 1
        time_base = stream.time_base or Fraction(1, stream.codec_context.sample_rate)
        resampler: _Resampler | None = None
        for packet in itertools.chain(packets(container, stream), [None]):
            for frame in _decode(stream, packet):
                heard = True
                if listener is not None:
                    listener(frame, _start(frame, time_base) - begin.origin)
                if resampler is None and _ends_before(frame, time_base, origin):
                    continue
                if resampler is None or not resampler.takes(frame):
                    if resampler is not None:
                        samples += resampler.push(None)
                    shift = _start(frame, time_base) - origin
                    fine = resampler is None and begin.is_off(shift)
                    resampler = _Resampler(path, frame, time_base, rate, origin, len(samples) // 2, fine=fine)
                samples += resampler.push(frame)
        if resampler is not None:
            samples += resampler.push(None)
    if not heard:
        raise MediaError("no-audio", f"{path}: none of its sound can be decoded; re-encode the file")
    if not samples:
        raise MediaError("no-audio", f"{path}: its sound ends before its first picture; mux them in step")
    return np.frombuffer(samples, np.int16)


def sounding_seconds(samples: np.ndarray, rate: int) -> float:
    """For how long a sound can be heard: all its 10 ms that swing by `NOISE_FLOOR` or more, added up.

    Half the way from the least to the greatest sample counts, so a constant offset is silence too.

    Parameters
    ----------
    samples : (N,) float
        Of full scale 1.
    rate : int
        In Hz.
    """
    edges = hop_edges(len(samples), rate)
    if len(edges) < 2:
        return 0.0
    whole, starts = samples[: edges[-1]], edges[:-1]
    swings = (np.maximum.reduceat(whole, starts) - np.minimum.reduceat(whole, starts)) / 2  # (hops,)
    return int((swings >= NOISE_FLOOR).sum()) / HOPS_PER_SECOND


def hop_edges(count: int, rate: int) -> np.ndarray:
    """Where each whole 10 ms of ``count`` samples begins, and where the last ends: (hops + 1,) int64.

    At 11,025 Hz and the like hops differ by one sample.
    """
    edges: np.ndarray = np.arange(count * HOPS_PER_SECOND // rate + 1) * rate // HOPS_PER_SECOND
    return edges


def sound_form(path: Path) -> tuple[int, int]:
    """Rate in Hz and number of channels of the sound that is read, as they are in the file.

    Raises MediaError ``no-audio`` if there is none, and the codes of ``container.opened``.
    """
    with opened(path) as container:
        stream = sound_stream(container)
        if stream is None:
            raise MediaError("no-audio", f"{path}: no sound that can be read in it; give a file with a sound track")
        return stream.codec_context.sample_rate, stream.codec_context.channels


def _start(frame: av.AudioFrame, time_base: Fraction) -> Fraction:
    """When a block of sound is played, in seconds on the file's clock."""
    return (frame.pts or 0) * time_base


def _ends_before(frame: av.AudioFrame, time_base: Fraction, origin: Fraction) -> bool:
    """Whether nothing of a block of sound is played after ``origin``."""
    return frame.pts is not None and _start(frame, time_base) + Fraction(frame.samples, frame.sample_rate) <= origin


class _Resampler:
    """FFmpeg's filter chain from one input format to mono int16; a new one is made if the input format changes.

    Parameters
    ----------
    origin : Fraction
        The time that becomes sample 0, in seconds on the file's clock.
    given : int
        Samples that were put out before.
    fine : bool
        Fill or cut the beginning even if it is off by less than the filter's millisecond.
    """

    def __init__(
        self,
        path: Path,
        frame: av.AudioFrame,
        time_base: Fraction,
        rate: int,
        origin: Fraction,
        given: int,
        *,
        fine: bool,
    ) -> None:
        self.path = path
        self.time_base = time_base
        self.origin_seconds = float(origin)
        self.input_format = _format(frame)
        self.expected: int | None = None  # the next frame's place, in input samples
        graph = Graph()
        source = graph.add(
            "abuffer",
            f"sample_rate={frame.sample_rate}:sample_fmt={frame.format.name}"
            f":channel_layout={frame.layout.name}:time_base=1/{frame.sample_rate}",
        )
        first_place = given * frame.sample_rate // rate  # libswresample counts first_pts in input samples
        least = f":min_comp={FINE_SECONDS}" if fine else ""
        fill = graph.add("aresample", f"async=1{least}:first_pts={first_place}")
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
    mel, energy = mel_energies(samples, sample_rate)
    transform = _cosine_transform() * (1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER))[:, None]
    features: np.ndarray = np.log(mel) @ transform.T
    features[:, 0] = np.log(energy)
    return features


def _cosine_transform() -> np.ndarray:
    """The first 13 rows of the orthonormal DCT-II of 26 values."""
    order = np.arange(COEFFICIENTS)[:, None]
    rows: np.ndarray = np.cos(np.pi * order * (2 * np.arange(MEL_FILTERS) + 1) / (2 * MEL_FILTERS)) * np.sqrt(
        2 / MEL_FILTERS
    )
    rows[0] /= np.sqrt(2)
    return rows
