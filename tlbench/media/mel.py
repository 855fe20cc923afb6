"""Wav2Lip's mel spectrogram, and its segments of 0.2 s for each video frame.

After Rudrabha/Wav2Lip ``audio.py`` and ``hparams.py``, which use librosa: pre-emphasis 0.97, windows of 50 ms
(800 samples, Hann) every 12.5 ms, 80 mel bands from 55 to 7600 Hz, decibels below 20 dB, scaled to -4..4.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np

from tlbench.media.container import MediaError
from tlbench.media.filterbank import PREEMPHASIS
from tlbench.media.rates import SAMPLE_RATE

FFT_SIZE, HOP = 800, 200  # samples; n_fft and win_size, hop_size
MEL_BANDS = 80  # num_mels
LOWEST_HERTZ, HIGHEST_HERTZ = 55.0, 7600.0  # fmin, fmax
REFERENCE_DB, RANGE_DB = 20.0, 100.0  # ref_level_db, -min_level_db
FULL_SCALE = 4.0  # max_abs_value, symmetric
QUIETEST = 1e-5  # min_level_db as an amplitude
SEGMENT_STEPS = 16  # mel_step_size: 0.2 s
STEPS_PER_SECOND = 80  # SAMPLE_RATE / HOP
INT16_SCALE = 32768  # librosa.load's
WINDOWS_AT_ONCE = 64  # their samples and spectra fit into a processor's cache
BANDS_AT_ONCE = 10


def mel_spectrogram(samples: np.ndarray, edges: Literal["reflect", "constant"] = "reflect") -> np.ndarray:
    """(80, 1 + N // 200) float32 between -4 and 4.

    Parameters
    ----------
    samples : (N,) int16 or float
        Mono sound at 16 kHz; int16 is scaled to -1..1, floats are not scaled.
    edges : "reflect" or "constant"
        Padding at both ends: the mirrored sound, as in librosa 0.7.0, which Wav2Lip's authors pinned; or silence, as
        since librosa 0.9. The first and last two columns differ by up to 1.8.

    Raises
    ------
    MediaError
        ``no-audio`` if there are no samples.
    """
    if samples.ndim != 1:
        raise ValueError(f"samples have shape {samples.shape}; expected (N,): mix the channels first")
    if not len(samples):
        raise MediaError("no-audio", "no samples to compute a mel spectrogram of; the sound track is empty")
    sound = samples.astype(np.float64) / (INT16_SCALE if samples.dtype == np.int16 else 1)
    sound[1:] -= PREEMPHASIS * sound[:-1]
    if edges == "reflect" and len(sound) <= FFT_SIZE // 2:  # too short to be mirrored
        sound = np.pad(sound, (0, FFT_SIZE // 2 + 1 - len(sound)))
    padded = np.pad(sound, FFT_SIZE // 2, mode=edges)
    windows = np.lib.stride_tricks.sliding_window_view(padded, FFT_SIZE)[::HOP]  # (steps, 800)
    mel = np.empty((len(windows), MEL_BANDS))
    tapered = np.empty((WINDOWS_AT_ONCE, FFT_SIZE))
    for start in range(0, len(windows), WINDOWS_AT_ONCE):
        some = windows[start : start + WINDOWS_AT_ONCE]
        np.multiply(some, _taper(), out=tapered[: len(some)])
        amplitude = np.abs(np.fft.rfft(tapered[: len(some)]))  # (n, 401)
        for bands, bins, filters in _filter_groups():
            np.matmul(amplitude[:, bins], filters, out=mel[start : start + len(some), bands])
    np.maximum(mel, QUIETEST, out=mel)
    np.log10(mel, out=mel)
    decibels = 20 * mel - REFERENCE_DB
    scaled = 2 * FULL_SCALE * (decibels + RANGE_DB) / RANGE_DB - FULL_SCALE
    spectrogram: np.ndarray = np.clip(scaled, -FULL_SCALE, FULL_SCALE).T.astype(np.float32)
    return spectrogram


def mel_segments(mel: np.ndarray, frames: int, ahead_frames: int = 0) -> np.ndarray:
    """Segments of 0.2 s of an (80, S) spectrogram, one for each frame at 25 frames/s: (frames, 1, 80, 16).

    A segment begins with its frame, at column ``int(3.2 * frame)``, as in Wav2Lip's ``inference.py``, or
    ``ahead_frames`` earlier. Segments are moved to stay inside the sound; sound shorter than a segment is padded with
    silence.

    Parameters
    ----------
    ahead_frames : int
        2 puts the frame in the middle of its segment.
    """
    if mel.shape[1] < SEGMENT_STEPS:
        silence = ((0, 0), (0, SEGMENT_STEPS - mel.shape[1]))
        mel = np.pad(mel, silence, constant_values=-FULL_SCALE)
    starts = (np.arange(frames) - ahead_frames) * STEPS_PER_SECOND / 25
    columns = np.clip(np.trunc(starts).astype(np.int64), 0, mel.shape[1] - SEGMENT_STEPS)
    windows = np.lib.stride_tricks.sliding_window_view(mel, SEGMENT_STEPS, axis=1)  # (80, S - 15, 16)
    segments: np.ndarray = windows.transpose(1, 0, 2)[columns, None]
    return segments


@cache
def _taper() -> np.ndarray:
    """(800,): Hann's window, periodic."""
    window: np.ndarray = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT_SIZE) / FFT_SIZE)
    return window


@cache
def _filter_groups() -> tuple[tuple[slice, slice, np.ndarray], ...]:
    """The mel filters in groups: (bands, bins, weights) of each, with weights of shape (bins, bands).

    Only 2 % of the filters' weights are not zero, and those of neighbouring filters are in neighbouring bins.
    """
    filters = _mel_filters()
    groups = []
    for start in range(0, MEL_BANDS, BANDS_AT_ONCE):
        bands = slice(start, start + BANDS_AT_ONCE)
        (used,) = np.nonzero(filters[bands].any(axis=0))
        bins = slice(int(used[0]), int(used[-1]) + 1)
        groups.append((bands, bins, np.ascontiguousarray(filters[bands, bins].T)))
    return tuple(groups)


@cache
def _mel_filters() -> np.ndarray:
    """(80, 401): triangles of equal area, evenly spaced on Slaney's mel scale, as in ``librosa.filters.mel``."""
    corners = _hertz(np.linspace(_mel(LOWEST_HERTZ), _mel(HIGHEST_HERTZ), MEL_BANDS + 2))  # (82,)
    bins = np.linspace(0, SAMPLE_RATE / 2, FFT_SIZE // 2 + 1)
    rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    area = 2 / (corners[2:] - corners[:-2])
    filters: np.ndarray = np.maximum(np.minimum(rising, falling), 0) * area[:, None]
    return filters


# Slaney's Auditory Toolbox: 3 mel for every 200 Hz up to 1 kHz, above it 27 for every factor of 6.4.
_LINEAR_HERTZ, _LINEAR_MEL, _LOG_STEP = 1000.0, 15.0, float(np.log(6.4)) / 27


def _mel(hertz: float) -> float:
    if hertz < _LINEAR_HERTZ:
        return 3 * hertz / 200
    return float(_LINEAR_MEL + np.log(hertz / _LINEAR_HERTZ) / _LOG_STEP)


def _hertz(mels: np.ndarray) -> np.ndarray:
    above = _LINEAR_HERTZ * np.exp(_LOG_STEP * (np.maximum(mels, _LINEAR_MEL) - _LINEAR_MEL))
    hertz: np.ndarray = np.where(mels < _LINEAR_MEL, 200 * mels / 3, above)
    return hertz
