"""What MVM's ears are given in training: a log mel spectrum, four steps a frame. Reading lips needs none.

``src/data/vid_aud_lrw.py`` (ms-dot-k/Multi-head-Visual-Audio-Memory): torchaudio's spectrum of 400 samples under a Hann
window, every 160 samples of 16 kHz and mirrored at both ends; its 80 triangular mel bands (HTK's scale, sides straight
in hertz); decibels; each band brought to zero mean and unit deviation over the clip. There the middle of the sound is
laid upon the middle of the video; here both begin together, as they do in the file: what an encoder adds stands at the
end.
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


def spectrum(samples: np.ndarray, frames: int) -> np.ndarray:
    """(80, 4 frames) float32 of (N,) int16 at 16 kHz; zeros after the end of the sound."""
    whole = np.zeros((FILTERBANKS, STEPS_A_FRAME * frames), np.float32)
    if len(samples) <= WINDOW // 2:  # too short to be mirrored
        return whole
    sound = np.pad(samples[: frames * STEPS_A_FRAME * STEP] / 32768.0, WINDOW // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::STEP] * np.hanning(WINDOW + 1)[:-1]
    power = np.abs(np.fft.rfft(windows, axis=1)) ** 2 / (np.hanning(WINDOW + 1)[:-1] ** 2).sum()  # (n, 201)
    decibels = 10 * np.log10(np.maximum(power @ _mel_bands(), QUIETEST)).T  # (80, n)
    heard = (decibels - decibels.mean(1, keepdims=True)) / (decibels.std(1, ddof=1, keepdims=True) + EPSILON)
    count = min(heard.shape[1], whole.shape[1])
    whole[:, :count] = heard[:, :count]
    return whole


@cache
def _mel_bands() -> np.ndarray:
    """(201, 80) float64."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, highest, FILTERBANKS + 2) / 2595) - 1)  # hertz
    left, middle, right = corners[:-2], corners[1:-1], corners[2:]
    hertz = np.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)[:, None]
    bands: np.ndarray = np.minimum((hertz - left) / (middle - left), (right - hertz) / (right - middle)).clip(0)
    return bands
