"""MFCC against python_speech_features."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.live.packages import need
from tlbench.media.audio import mfcc

features = need("python_speech_features", "python_speech_features")


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 9000), st.sampled_from([1, 90, 9000, 32767]), st.integers(0, 2**31))
def test_mfcc_is_the_packages(samples: int, loudness: int, seed: int) -> None:
    sound = np.random.default_rng(seed).integers(-loudness, loudness + 1, samples).astype(np.int16)
    expected = features.mfcc(sound, 16000)
    assert mfcc(sound).shape == expected.shape
    np.testing.assert_allclose(mfcc(sound), expected, rtol=1e-9, atol=1e-9)
