"""Mel filterbank energies, the basis of SyncNet's MFCCs and AV-HuBERT's filterbank features."""

from __future__ import annotations

import numpy as np

from tlbench.media.container import MediaError
from tlbench.media.rates import SAMPLE_RATE

# python_speech_features/base.py at 0.6 (jameslyons), the defaults of ``mfcc`` and ``logfbank``.
WINDOW_SECONDS = 0.025
STEP_SECONDS = 0.01
MEL_FILTERS = 26
PREEMPHASIS = 0.97
EPSILON = float(np.finfo(float).eps)  # replaces zero energy before the logarithm
WINDOWS_AT_ONCE = 4096  # about 35 MB of memory for a sound of any length

STACKED = 4  # filterbank steps per video frame (av_hubert avhubert/hubert_dataset.py, stack_order_audio)
LAYER_NORM_EPSILON = 1e-5  # the default of torch's F.layer_norm, used by AV-HuBERT's loader


def mel_energies(samples: np.ndarray, sample_rate: int = SAMPLE_RATE) -> tuple[np.ndarray, np.ndarray]:
    """Energy in each mel band and in total, one row per 10 ms: (F, 26) and (F,) float64, none of them zero.

    Windows of 25 ms every 10 ms without a window function, the last one padded with zeros; pre-emphasis 0.97; 26
    triangular mel filters up to half the sample rate. int16 samples are not scaled. Equal to
    ``python_speech_features.fbank``.

    Parameters
    ----------
    samples : (N,) int16 or float
        Mono sound. At most one window of samples gives one row.

    Raises
    ------
    MediaError
        ``no-audio`` if there are no samples.
    """
    if samples.ndim != 1:
        raise ValueError(f"samples have shape {samples.shape}; expected (N,): mix the channels first")
    if not len(samples):
        raise MediaError("no-audio", "no samples to compute features of; the sound track is empty")
    window = _round_half_up(WINDOW_SECONDS * sample_rate)
    step = _round_half_up(STEP_SECONDS * sample_rate)
    fft_size = 1 << (window - 1).bit_length()
    count = 1 if len(samples) <= window else 1 + -(-(len(samples) - window) // step)
    filters = _mel_filters(fft_size, sample_rate)  # (26, fft_size // 2 + 1)
    mel = np.empty((count, MEL_FILTERS))
    energy = np.empty(count)
    for begin in range(0, count, WINDOWS_AT_ONCE):
        end = min(begin + WINDOWS_AT_ONCE, count)
        windows = _windows(samples, begin, end, window, step)  # (n, window)
        power = np.abs(np.fft.rfft(windows, fft_size)) ** 2 / fft_size  # (n, fft_size // 2 + 1)
        energy[begin:end] = power.sum(axis=1)
        mel[begin:end] = power @ filters.T
    return np.where(mel == 0, EPSILON, mel), np.where(energy == 0, EPSILON, energy)


def log_filterbanks(samples: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """(F, 26) float32: logarithms of :func:`mel_energies`; equal to ``python_speech_features.logfbank``."""
    logs: np.ndarray = np.log(mel_energies(samples, sample_rate)[0]).astype(np.float32)
    return logs


def stack_filterbanks(filterbanks: np.ndarray) -> np.ndarray:
    """(F, 26) to (ceil(F / 4), 104): the four steps of a video frame in one row, padded with zeros."""
    missing = -len(filterbanks) % STACKED
    padded = np.pad(filterbanks, ((0, missing), (0, 0)))
    return padded.reshape(-1, STACKED * filterbanks.shape[1])


def stacked_filterbanks(
    samples: np.ndarray, frames: int, sample_rate: int = SAMPLE_RATE, *, normalise: bool = True
) -> np.ndarray:
    """AV-HuBERT's audio features for ``frames`` video frames: (frames, 104) float32.

    The features are cut or padded with zeros to ``frames`` rows, and then each row is normalised to zero mean and unit
    variance, so a row of zeros stays zero (av_hubert ``hubert_dataset.py``, ``load_feature`` and ``__getitem__``).
    """
    stacked = stack_filterbanks(log_filterbanks(samples, sample_rate))[:frames]
    stacked = np.pad(stacked, ((0, frames - len(stacked)), (0, 0)))
    return normalised_rows(stacked) if normalise else stacked


def normalised_rows(rows: np.ndarray) -> np.ndarray:
    """(T, C) float32 with zero mean and unit variance in each row: a layer norm without weights."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    normalised: np.ndarray = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + LAYER_NORM_EPSILON)
    return normalised.astype(np.float32)


def _windows(samples: np.ndarray, begin: int, end: int, window: int, step: int) -> np.ndarray:
    """Windows ``begin`` to ``end`` of the pre-emphasised sound, padded with zeros: (end - begin, window) float64."""
    first, last = begin * step, (end - 1) * step + window
    part = samples[max(first - 1, 0) : last].astype(np.float64)
    before = part[:-1] if first else np.concatenate([[0.0], part[:-1]])  # the sample ahead of each
    sound = part[-len(before) :] - PREEMPHASIS * before
    sound = np.concatenate([sound, np.zeros(last - first - len(sound))])
    return np.lib.stride_tricks.sliding_window_view(sound, window)[::step]


def _mel_filters(fft_size: int, sample_rate: int) -> np.ndarray:
    """(26, bins): triangles evenly spaced in mel from 0 to half the sample rate, with corners rounded down to bins."""
    highest_mel = 2595 * np.log10(1 + sample_rate / 2 / 700)
    corners_hertz = 700 * (10 ** (np.linspace(0, highest_mel, MEL_FILTERS + 2) / 2595) - 1)
    corners = np.floor((fft_size + 1) * corners_hertz / sample_rate)
    bins = np.arange(fft_size // 2 + 1)
    left, middle, right = (corners[i : i + MEL_FILTERS, None] for i in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):  # a side without width has no bins
        rising = np.where((bins >= left) & (bins < middle), (bins - left) / (middle - left), 0.0)
        falling = np.where((bins >= middle) & (bins < right), (right - bins) / (right - middle), 0.0)
    return rising + falling


def _round_half_up(value: float) -> int:
    return int(np.floor(value + 0.5))
