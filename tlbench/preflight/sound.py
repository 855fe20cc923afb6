"""Loudness curves of sounds, to check without a model whether a sound is the clip's own and starts in time.

Sound is decoded at its own rate and not resampled: the curves have one value every 10 ms, and resampling as for the
observers (:func:`tlbench.media.audio.read_audio`) takes longer than all other checks together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tlbench.media.audio import NOISE_FLOOR, hop_edges, sounding_seconds
from tlbench.media.container import MediaError, opened
from tlbench.media.sound_track import SoundLoss, SoundTrack
from tlbench.media.timeline import timeline

HOPS_PER_FRAME = 4
MAX_LAG_HOPS = 100  # one second in both directions; beyond it a clip of three seconds overlaps too little
# Re-encoded speech keeps a correlation above 0.99 (AAC at 32 kbit/s). Of twelve GRID sentences, read by one speaker in
# one rhythm and so more alike than other speech, no two reached more than 0.89.
SAME_SPEECH = 0.9
QUIET = 0.02  # of the clip's loud level, -34 dB: silence below it. Codec noise stays below, breath is above.
LOUD_PERCENTILE = 95
# FFmpeg's sample formats (libavutil/samplefmt.h)
SAMPLE_TYPES = {
    name: np.dtype(kind)
    for name, kind in {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}.items()
}
FLAT = 1e-9  # spread of a loudness curve below which it has no shape to compare


@dataclass(frozen=True)
class Sound:
    """Measurements of one sound.

    Attributes
    ----------
    seconds : float
        Length of the decoded sound.
    start_seconds : float
        Start after the first picture; negative if before it. 0 in a file without pictures.
    sounding_seconds : float
        How long it is audible, see :func:`tlbench.media.audio.sounding_seconds`.
    loudness : (N,) float64
        Root mean square of each 10 ms, as a share of full scale.
    loss : SoundLoss
        How much of the announced sound is not there.
    """

    seconds: float
    start_seconds: float
    sounding_seconds: float
    loudness: np.ndarray
    loss: SoundLoss


@dataclass(frozen=True)
class Likeness:
    """The lag at which two sounds fit best.

    Attributes
    ----------
    lag_frames : float
        How much later the first sound is than the second.
    correlation : float
        Of the loudness curves at that lag, 1 for the same sound.
    """

    lag_frames: float
    correlation: float


@dataclass
class SoundMeter:
    """Measures a sound from its blocks as they are decoded."""

    _blocks: list[np.ndarray] = field(default_factory=list)
    _rate: int = 0
    _start: Fraction = Fraction(0)
    _loss: SoundLoss | None = None

    def update(self, frame: av.AudioFrame, start: Fraction) -> None:
        """Take the next block; ``start`` is its time in seconds after the first picture."""
        if not self._blocks:
            self._rate, self._start = frame.sample_rate, start
        self._blocks.append(_mono(frame))

    def lose(self, loss: SoundLoss) -> None:
        """Take what is not there, after the last block."""
        self._loss = loss

    @property
    def sound(self) -> Sound | None:
        """The measurements; None if there was no block."""
        if not self._blocks:
            return None
        samples = np.concatenate(self._blocks)
        audible_seconds = sounding_seconds(samples, self._rate)
        seconds = len(samples) / self._rate
        curve = loudness(samples, self._rate)
        return Sound(seconds, float(self._start), audible_seconds, curve, self._loss or SoundLoss(0.0, seconds))


def measure_sound(path: Path) -> Sound:
    """Measure the whole sound of a file, including sound before the first picture.

    Raises
    ------
    MediaError
        ``no-audio`` if there is none or it can't be decoded; the codes of :meth:`SoundTrack.blocks` and of
        :func:`tlbench.media.container.opened`.
    """
    meter = SoundMeter()
    origin = timeline(path).origin
    with opened(path) as container:
        track = SoundTrack(container, path)
        for frame in track.blocks():
            meter.update(frame, (frame.pts or 0) * track.time_base - origin)
        meter.lose(track.loss)
    sound = meter.sound
    if sound is None:
        raise MediaError("no-audio", f"{path}: none of its sound decodes; write it again")
    return sound


def loudness(samples: np.ndarray, rate: int) -> np.ndarray:
    """Root mean square of each whole 10 ms of (N,) float samples: (M,) float64."""
    edges = hop_edges(len(samples), rate)
    if len(edges) < 2:
        return np.zeros(0)
    powers = np.add.reduceat(np.square(samples[: edges[-1]], dtype=np.float64), edges[:-1])
    return np.sqrt(powers / np.diff(edges))


def _mono(frame: av.AudioFrame) -> np.ndarray:
    """The mean of a frame's channels: (samples,) float32 with full scale 1."""
    kind = SAMPLE_TYPES[frame.format.name.removesuffix("p")]  # "p" is planar: a plane for each channel
    # Not frame.to_ndarray(): for blocks of 64 ms it takes longer than the decoder.
    planes = [np.frombuffer(memoryview(plane), kind) for plane in frame.planes]
    if frame.format.is_planar:
        channels = [plane[: frame.samples] for plane in planes]
    else:
        count = len(frame.layout.channels)
        channels = list(planes[0][: frame.samples * count].reshape(-1, count).T)
    mixed: np.ndarray = np.mean(channels, axis=0) if len(channels) > 1 else channels[0]
    if kind.kind == "f":
        return mixed.astype(np.float32)
    middle = 128.0 if kind.kind == "u" else 0.0  # 8-bit sound is unsigned
    return ((mixed - middle) / 2.0 ** (8 * kind.itemsize - 1)).astype(np.float32)


def silence_frames(curve: np.ndarray) -> float:
    """Length of the silence at the beginning of a loudness curve, in frames; the whole length if all is silent."""
    if not len(curve):
        return 0.0
    loud = np.flatnonzero(curve > max(QUIET * np.percentile(curve, LOUD_PERCENTILE), NOISE_FLOOR / 10))
    return float(loud[0] if len(loud) else len(curve)) / HOPS_PER_FRAME


def likeness(curve: np.ndarray, other: np.ndarray) -> Likeness | None:
    """The best fit of two loudness curves over all lags up to a second; None if either is too short or flat.

    The square roots are compared, because linear loudness is dominated by the loudest vowel. At each lag the
    overlapping part counts, which must be at least half of the shorter curve.
    """
    x, y = np.sqrt(curve), np.sqrt(other)  # (n,), (m,)
    least = min(len(x), len(y)) // 2
    if least < 2 * HOPS_PER_FRAME or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    lags = np.arange(-MAX_LAG_HOPS, MAX_LAG_HOPS + 1)
    begin_x, begin_y = np.maximum(lags, 0), np.maximum(-lags, 0)
    lengths = np.minimum(len(x) - begin_x, len(y) - begin_y)
    lags, begin_x, begin_y, lengths = (array[lengths >= least] for array in (lags, begin_x, begin_y, lengths))
    mean_x, variance_x = _moments(x, begin_x, lengths)
    mean_y, variance_y = _moments(y, begin_y, lengths)
    shared = np.correlate(x, y, mode="full")[lags + len(y) - 1] / lengths - mean_x * mean_y
    spread = np.sqrt(np.maximum(variance_x * variance_y, 0.0))
    correlations = np.where(spread > FLAT, shared / np.maximum(spread, FLAT), -1.0)
    equals = np.flatnonzero(correlations > correlations.max() - 1e-6)
    best = equals[np.abs(lags[equals]).argmin()]  # of equal correlations, the smallest lag
    return Likeness(float(lags[best]) / HOPS_PER_FRAME, float(correlations[best]))


def _moments(values: np.ndarray, begins: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of ``values[begin : begin + length]``, for each begin and length."""
    sums, squares = (np.concatenate([[0.0], np.cumsum(power)]) for power in (values, values * values))
    mean = (sums[begins + lengths] - sums[begins]) / lengths
    return mean, (squares[begins + lengths] - squares[begins]) / lengths - mean**2
