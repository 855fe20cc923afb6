"""Wav2Lip's mel spectrogram against the original's steps, which call librosa.

    python -m benchmarks.mel [--seconds 3 10] [--threads N] [--repeats N]

The baseline does what ``melspectrogram`` of audio.py of Rudrabha/Wav2Lip does, with librosa of the newest release in
place of 0.7.0 (so sound is padded with silence in both): pre-emphasis by scipy's ``lfilter``, ``librosa.stft``, the
product with ``librosa.filters.mel``, which is kept from call to call, decibels, and scaling to -4..4. Both start from
float32 samples and must give the same numbers within 1e-5, which is checked. Needs ``pip install librosa``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import cache

import librosa
import numpy as np
from scipy.signal import lfilter
from threadpoolctl import threadpool_limits

from tlbench.media.mel import mel_spectrogram

TOLERANCE = 1e-5  # docs/precision.md


@cache
def mel_basis() -> np.ndarray:
    return np.asarray(librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600))


def original_step_by_step(samples: np.ndarray) -> np.ndarray:
    emphasised = lfilter([1, -0.97], [1], samples)
    spectrum = librosa.stft(y=emphasised, n_fft=800, hop_length=200, win_length=800)
    mel = np.dot(mel_basis(), np.abs(spectrum))
    decibels = 20 * np.log10(np.maximum(np.exp(-100 / 20 * np.log(10)), mel)) - 20
    return np.clip(8 * ((decibels + 100) / 100) - 4, -4, 4)


def ours(samples: np.ndarray) -> np.ndarray:
    return mel_spectrogram(samples, edges="constant")


def seconds_of(work: Callable[[np.ndarray], object], samples: np.ndarray, calls: int) -> tuple[float, float]:
    """Wall and processor seconds of one of ``calls``."""
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(calls):
        work(samples)
    return (time.perf_counter() - wall) / calls, (time.process_time() - processor) / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[3.0, 10.0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1, help="of the matrix library; with more it mostly waits")
    parser.add_argument("--calls", type=int, default=20, help="in each repeat")
    options = parser.parse_args()
    threadpool_limits(options.threads)
    for length in options.seconds:
        noise = np.random.default_rng(0).normal(0, 0.1, round(16000 * length))
        samples = (noise * np.abs(np.sin(np.arange(len(noise)) / 4000))).astype(np.float32)
        jobs = {"original, librosa": original_step_by_step, "ours": ours}
        np.testing.assert_allclose(ours(samples), original_step_by_step(samples), rtol=0, atol=TOLERANCE)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
        for _ in range(options.repeats):  # in turn, so that a slow moment of the machine hits both
            for name, job in jobs.items():
                taken[name].append(seconds_of(job, samples, options.calls))
        baseline = taken["original, librosa"]
        for name, times in taken.items():
            wall, processor = (statistics.median(one[kind] for one in times) for kind in (0, 1))
            ratios = [
                statistics.median(one[kind] / other[kind] for one, other in zip(baseline, times, strict=True))
                for kind in (0, 1)
            ]
            print(
                f"{length:4.0f} s of sound, {name:18s} {1e3 * wall:6.2f} ms, {1e3 * processor:6.2f} ms of processors: "
                f"{ratios[0]:5.2f} x the original's speed, {ratios[1]:5.2f} x by processor time"
            )


if __name__ == "__main__":
    main()
