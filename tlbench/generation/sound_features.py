"""The speech of a clip in the form that a generator asks for."""

from __future__ import annotations

import numpy as np

from tlbench.generation.generator import GeneratorNeeds
from tlbench.media.filterbank import stacked_filterbanks
from tlbench.media.mel import mel_segments, mel_spectrogram


def sound_features(needs: GeneratorNeeds, samples: np.ndarray | None, frames: int) -> np.ndarray | None:
    """What :attr:`GeneratorNeeds.sound` asks for, of a video of so many frames; None if it asks for nothing.

    Parameters
    ----------
    needs : GeneratorNeeds
    samples : (N,) int16 at 16 kHz, or None without sound
        Only a generator that needs no sound may be given None.
    frames : int

    Raises
    ------
    MediaError
        ``no-audio`` if there are no samples.
    """
    if needs.sound == "none":
        return None
    assert samples is not None  # the writer refuses such a clip
    if needs.sound == "samples":
        return samples
    if needs.sound == "filterbank":
        return stacked_filterbanks(samples, frames)
    spectrogram = mel_spectrogram(samples)
    return mel_segments(spectrogram, frames, needs.ahead_frames) if needs.sound == "mel-windows" else spectrogram
