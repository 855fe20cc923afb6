"""Sound files to samples, and samples to MFCCs."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias, cast

import av
import numpy as np
from av.filter import Graph

from tlbench.media.container import MediaError, opened, sound_stream
from tlbench.media.filterbank import MEL_FILTERS, mel_energies
from tlbench.media.rates import SAMPLE_RATE
from tlbench.media.sound_track import LONGEST_HOLE_SECONDS, SoundLoss, SoundTrack, too_long_a_hole
from tlbench.media.timeline import timeline

FINE_SECONDS = 1e-5  # half a sample at 48 kHz
# Called with each decoded block of sound and its time in seconds after the first picture.
OnBlock: TypeAlias = Callable[[av.AudioFrame, Fraction], None]
OnLoss: TypeAlias = Callable[[SoundLoss], None]

FULL_SCALE = 32768.0  # of int16
NOISE_FLOOR = 1e-3  # of full scale, -60 dB: digital silence stays below this after any codec
# SyncNet's shortest input is 5 frames. A clip with less sound than that, such as a single click, has no speech.
LEAST_SOUND_SECONDS = 0.2
FULL_SCALE = 32768.0  # of int16
HOPS_PER_SECOND = 100  # 10 ms: fine enough to tell one frame (40 ms) from two

# python_speech_features/base.py at 0.6 (jameslyons), the defaults of ``mfcc``, which SyncNet was trained on.
COEFFICIENTS = 13
LIFTER = 22


def read_audio(
    path: Path | str,
    rate: int = SAMPLE_RATE,
    *,
    from_file_start: bool = False,
    on_block: OnBlock | None = None,
    on_loss: OnLoss | None = None,
) -> np.ndarray:
    """The sound of a file as (N,) int16 mono samples at ``rate``: sample n is played n/rate s after the first picture.

    Sound before the first picture is cut off; if the sound starts later, silence is put before it. A file without
    pictures begins with its first sample. See :mod:`tlbench.media.timeline`. Of several tracks the default one is
    read, else the one with the most channels.

    In all else it is equal to ``ffmpeg -i FILE -async 1 -ac 1 -ar 16000 -acodec pcm_s16le``, which SyncNet's scoring
    scripts use (joonson/syncnet_python SyncNetInstance.py): gaps of more than 0.1 s are filled with silence, channels
    are mixed with FFmpeg's weights. ``-async 1`` is the filter ``aresample=async=1:first_pts=0``
    (fftools/ffmpeg_filter.c).

    Sound that can't be decoded is left out, and becomes silence if it is longer than 0.1 s.

    Parameters
    ----------
    path : Path or str
    rate : int
        Samples per second.
    from_file_start : bool
        Count time from the start of the file, as that command does. It differs if sound and pictures do not start
        together.
    on_block : callable, optional
        Called with each decoded block of sound, also of sound before the first picture, and its time in seconds after
        the first picture.
    on_loss : callable, optional
        Called at the end with how much of the announced sound is not there.

    Raises
    ------
    MediaError
        ``no-audio`` if the file has no sound stream, none of it can be decoded, or it ends before the first picture;
        and the codes of ``SoundTrack.blocks`` and ``container.opened``.
    """
    path = Path(path)
    samples = bytearray()
    begin = timeline(path)
    origin = begin.file_start if from_file_start else begin.origin
    decoded = False
    with opened(path) as container:
        track = SoundTrack(container, path)
        resampler: _Resampler | None = None
        for frame in track.blocks():
            decoded = True
            if on_block is not None:
                on_block(frame, _start(frame, track.time_base) - begin.origin)
            if resampler is None and _ends_before(frame, track.time_base, origin):
                continue
            if resampler is None or not resampler.takes(frame):
                if resampler is not None:
                    samples += resampler.push(None)
                shift = _start(frame, track.time_base) - origin
                if resampler is None and shift > LONGEST_HOLE_SECONDS:
                    raise too_long_a_hole(path, float(shift))
                fine = resampler is None and begin.is_off(shift)
                resampler = _Resampler(frame, track.time_base, rate, origin, len(samples) // 2, fine=fine)
            samples += resampler.push(frame)
        if on_loss is not None:
            on_loss(track.loss)
        if resampler is not None:
            samples += resampler.push(None)
    if not decoded:
        raise MediaError("no-audio", f"{path}: none of its sound can be decoded; re-encode the file")
    if not samples:
        raise MediaError("no-audio", f"{path}: its sound ends before its first picture; mux them in step")
    return np.frombuffer(samples, np.int16)


def read_whole_audio(path: Path | str, rate: int = SAMPLE_RATE) -> np.ndarray:
    """:func:`read_audio` where all of the sound is needed, as by a generator that is driven by it.

    Raises
    ------
    MediaError
        As :func:`read_audio`, and ``sound-lost`` if more than 0.2 s and more than 2 % of the announced sound is lost.
    """
    losses: list[SoundLoss] = []
    samples = read_audio(path, rate, on_loss=losses.append)
    if losses[0].much:
        raise MediaError("sound-lost", f"{path}: {losses[0]}; copy the file or write its sound again")
    return samples


def sounding_seconds(samples: np.ndarray, rate: int) -> float:
    """How long the sound is audible: the blocks of 10 ms with an amplitude of at least `NOISE_FLOOR`, in seconds.

    The amplitude is half the difference of the largest and the smallest sample, so a constant offset is silence.

    Parameters
    ----------
    samples : (N,) float
        With full scale 1.
    rate : int
        In Hz.
    """
    edges = hop_edges(len(samples), rate)
    if len(edges) < 2:
        return 0.0
    whole, starts = samples[: edges[-1]], edges[:-1]
    swings = (np.maximum.reduceat(whole, starts) - np.minimum.reduceat(whole, starts)) / 2  # (hops,)
    return int((swings >= NOISE_FLOOR).sum()) / HOPS_PER_SECOND


def why_silent(samples: np.ndarray) -> str | None:
    """What is wrong with a speech of which less than 0.2 s are audible, for a message; None for another.

    Parameters
    ----------
    samples : (N,) int16
        At 16 kHz.
    """
    audible = sounding_seconds(samples / FULL_SCALE, SAMPLE_RATE)
    if audible >= LEAST_SOUND_SECONDS:
        return None
    return f"{audible:.2f} s of its sound are audible, at least {LEAST_SOUND_SECONDS:g} s are needed"


def hop_edges(count: int, rate: int) -> np.ndarray:
    """Start of each whole block of 10 ms of ``count`` samples, and the end of the last one: (blocks + 1,) int64.

    At rates such as 11,025 Hz blocks differ by one sample.
    """
    edges: np.ndarray = np.arange(count * HOPS_PER_SECOND // rate + 1) * rate // HOPS_PER_SECOND
    return edges


def sound_form(path: Path) -> tuple[int, int]:
    """Sample rate in Hz and number of channels of the file's sound.

    Raises MediaError ``no-audio`` if there is none, and the codes of ``container.opened``.
    """
    with opened(path) as container:
        stream = sound_stream(container)
        if stream is None:
            raise MediaError("no-audio", f"{path}: no sound that can be read in it; give a file with a sound track")
        return stream.codec_context.sample_rate, stream.codec_context.channels


def _start(frame: av.AudioFrame, time_base: Fraction) -> Fraction:
    """The time of a block of sound, in seconds on the file's clock."""
    return (frame.pts or 0) * time_base


def _ends_before(frame: av.AudioFrame, time_base: Fraction, origin: Fraction) -> bool:
    """Whether a block of sound ends before ``origin``."""
    return frame.pts is not None and _start(frame, time_base) + Fraction(frame.samples, frame.sample_rate) <= origin


class _Resampler:
    """FFmpeg's filter chain from one input format to mono int16; a new one is made if the input format changes.

    Parameters
    ----------
    origin : Fraction
        The time that becomes sample 0, in seconds on the file's clock.
    given : int
        Samples that were given out before.
    fine : bool
        Pad or cut the beginning even if it is off by less than a millisecond, FFmpeg's usual threshold.
    """

    def __init__(
        self,
        frame: av.AudioFrame,
        time_base: Fraction,
        rate: int,
        origin: Fraction,
        given: int,
        *,
        fine: bool,
    ) -> None:
        self.time_base = time_base
        self.origin_seconds = float(origin)
        self.input_format = _format(frame)
        graph = Graph()
        source = graph.add(
            "abuffer",
            f"sample_rate={frame.sample_rate}:sample_fmt={frame.format.name}"
            f":channel_layout={frame.layout.name}:time_base=1/{frame.sample_rate}",
        )
        first_place = given * frame.sample_rate // rate  # libswresample counts first_pts in input samples
        self.expected = first_place  # position of the next frame, in input samples
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
            place = self.expected
            if frame.pts is not None:
                place = round((float(frame.pts * self.time_base) - self.origin_seconds) * frame.sample_rate)
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


def mfcc(samples: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Mel-frequency cepstral coefficients, one row per 10 ms: (frames, 13) float64.

    Equal to ``python_speech_features.mfcc(samples, sample_rate)`` with its defaults: windows of 25 ms every 10 ms
    without a window function, the last one padded with zeros; pre-emphasis 0.97; 26 triangular mel filters up to half
    the sample rate; an orthonormal cosine transform, of which 13 coefficients are kept and liftered by 22; the first is
    replaced by the logarithm of the window's energy. int16 samples are not scaled.

    Parameters
    ----------
    samples : (N,) int16 or float
        Mono sound. At most one window of samples gives one row.

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
