"""Wav2Lip's mel spectrogram at its edges; that it equals the original stands in tests/golden/test_wav2lip.py."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from tlbench.media.container import MediaError
from tlbench.media.mel import mel_segments, mel_spectrogram


def test_int16_is_scaled_to_one() -> None:
    samples = np.random.default_rng(0).integers(-9000, 9000, 4000).astype(np.int16)
    np.testing.assert_array_equal(mel_spectrogram(samples), mel_spectrogram(samples / 32768))


def test_a_high_tone_lies_above_a_low_one() -> None:
    time = np.arange(8000) / 16000
    low, high = (mel_spectrogram(0.5 * np.sin(2 * np.pi * hertz * time))[:, 20].argmax() for hertz in (200, 4000))
    assert low < 10 < 50 < high


def test_silence_is_the_floor() -> None:
    assert (mel_spectrogram(np.zeros(3200, np.int16)) == -4).all()


@pytest.mark.parametrize("edges", ["reflect", "constant"])
@pytest.mark.parametrize("length", [1, 399, 400, 401, 640])
def test_sound_of_any_length_has_a_spectrogram(length: int, edges: Literal["reflect", "constant"]) -> None:
    found = mel_spectrogram(np.full(length, 1000, np.int16), edges)
    assert found.shape[0] == 80
    assert found.shape[1] >= 1 + length // 200
    assert np.isfinite(found).all()
    assert mel_segments(found, 3).shape == (3, 1, 80, 16)


def test_no_sound_has_none() -> None:
    with pytest.raises(MediaError, match="sound track is empty"):
        mel_spectrogram(np.zeros(0, np.int16))


def test_two_channels_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="mix the channels"):
        mel_spectrogram(np.zeros((2, 800), np.int16))


def test_segments_keep_within_the_sound() -> None:
    numbered = np.tile(np.arange(40, dtype=np.float32), (80, 1))
    starts = mel_segments(numbered, 12, ahead_frames=2)[:, 0, 0, 0]
    assert starts.tolist() == [0, 0, 0, 3, 6, 9, 12, 16, 19, 22, 24, 24]


def test_a_short_sound_is_followed_by_silence() -> None:
    segment = mel_segments(np.ones((80, 5), np.float32), 1)[0, 0]
    assert (segment[:, :5] == 1).all()
    assert (segment[:, 5:] == -4).all()
