"""The log mel spectrogram of MVM's audio front end, four steps per frame; only training uses it.

As in ``src/data/vid_aud_lrw.py`` (ms-dot-k/Multi-head-Visual-Audio-Memory): torchaudio's spectrogram with a Hann window
of 400 samples every 160 samples at 16 kHz, with reflected ends; 80 triangular mel bands (HTK's scale, triangles linear
in hertz); decibels; each band normalised to zero mean and unit deviation over the clip. The original aligns the middles
of audio and video; here both start together, as in the file, because encoders add their padding at the end.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from tlbench.media.rates import SAMPLE_RATE

from .model import FILTERBANKS

WINDOW, STEP = 400, 160  # samples
STEPS_A_FRAME = 4
QUIETEST = 1e-10  # AmplitudeToDB's
EPSILON = 1e-10  # of the deviation


def mel_spectrogram(samples: np.ndarray, frames: int) -> np.ndarray:
    """The (80, 4 frames) float32 spectrogram of (N,) int16 at 16 kHz; zeros after the end of the audio."""
    whole = np.zeros((FILTERBANKS, STEPS_A_FRAME * frames), np.float32)
    if len(samples) <= WINDOW // 2:  # too short to be reflected
        return whole
    sound = np.pad(samples[: frames * STEPS_A_FRAME * STEP] / 32768.0, WINDOW // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::STEP] * np.hanning(WINDOW + 1)[:-1]
    power = np.abs(np.fft.rfft(windows, axis=1)) ** 2 / (np.hanning(WINDOW + 1)[:-1] ** 2).sum()  # (n, 201)
    decibels = 10 * np.log10(np.maximum(power @ _mel_bands(), QUIETEST)).T  # (80, n)
    normalised = (decibels - decibels.mean(1, keepdims=True)) / (decibels.std(1, ddof=1, keepdims=True) + EPSILON)
    count = min(normalised.shape[1], whole.shape[1])
    whole[:, :count] = normalised[:, :count]
    return whole


@cache
def _mel_bands() -> np.ndarray:
    """The (201, 80) float64 weights of the mel bands."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, highest, FILTERBANKS + 2) / 2595) - 1)  # hertz
    left, middle, right = corners[:-2], corners[1:-1], corners[2:]
    hertz = np.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)[:, None]
    bands: np.ndarray = np.minimum((hertz - left) / (middle - left), (right - hertz) / (right - middle)).clip(0)
    return bands
