"""Writing wav files, which every script and player reads."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from tlbench.media.rates import SAMPLE_RATE


def write_wav(path: Path, samples: np.ndarray) -> None:
    """Write (N,) int16 samples at 16 kHz as a mono wav file. Raises OSError if it can't be written."""
    # Opened here: given a path that can't be opened, wave raises a second error in its destructor.
    with path.open("wb") as opened, wave.open(opened, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())
