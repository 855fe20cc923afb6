"""The speech in the form that a generator asks for."""

from __future__ import annotations

import numpy as np
import pytest

from tests.factories.media_factory import tone
from tlbench.errors import ClipError
from tlbench.generation.generator import GeneratorNeeds, SoundForm
from tlbench.generation.sound_features import sound_features
from tlbench.media.filterbank import stacked_filterbanks
from tlbench.media.mel import mel_segments, mel_spectrogram
from tlbench.talklip.generator import TalkLip, dims_for

FRAMES = 9


@pytest.mark.parametrize("sound", ["samples", "mel", "mel-windows", "filterbank"])
@pytest.mark.parametrize("silent", [False, True])
def test_features_have_their_shape_and_are_finite_for_silence_too(sound: SoundForm, silent: bool) -> None:
    samples = np.zeros(FRAMES * 640, np.int16) if silent else tone(FRAMES / 25)[:, 0]
    features = sound_features(GeneratorNeeds(sound), samples, FRAMES)
    assert features is not None
    shapes = {
        "samples": samples.shape,
        "mel": mel_spectrogram(samples).shape,
        "mel-windows": (FRAMES, 1, 80, 16),
        "filterbank": (FRAMES, 104),
    }
    assert features.shape == shapes[sound]
    assert np.isfinite(features).all()


def test_features_are_those_of_the_original_front_ends() -> None:
    samples = tone(FRAMES / 25)[:, 0]
    windows = sound_features(GeneratorNeeds("mel-windows", 2), samples, FRAMES)
    np.testing.assert_array_equal(windows, mel_segments(mel_spectrogram(samples), FRAMES, 2))
    network = TalkLip(dims_for("tiny", "local", 0, 0))
    np.testing.assert_array_equal(windows, network.audio_features(samples, FRAMES))
    filterbank = sound_features(GeneratorNeeds("filterbank"), samples, FRAMES)
    np.testing.assert_array_equal(filterbank, stacked_filterbanks(samples, FRAMES))


def test_a_generator_that_needs_no_sound_gets_none_and_empty_sound_is_refused() -> None:
    assert sound_features(GeneratorNeeds("none"), None, FRAMES) is None
    with pytest.raises(ClipError) as error:
        sound_features(GeneratorNeeds("mel"), np.zeros(0, np.int16), FRAMES)
    assert error.value.code == "no-audio"
    with pytest.raises(ValueError, match="is for mel-windows, not for mel"):
        GeneratorNeeds("mel", 2)
