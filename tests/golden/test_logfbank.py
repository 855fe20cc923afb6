"""What AV-HuBERT hears, equal to the original's loader: filterbanks, stacking, alignment with the video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tlbench.errors import ClipError
from tlbench.media.filterbank import (
    log_filterbanks,
    normalised_rows,
    stack_filterbanks,
    stacked_filterbanks,
)
from tlbench.media.rates import SAMPLE_RATE

GOLDEN = np.load(Path(__file__).with_name("avhubert_encoder") / "sound.npz")


def sound(count: int) -> np.ndarray:
    seconds = np.arange(count) / SAMPLE_RATE
    wave = 6000 * np.sin(2 * np.pi * 220 * seconds) + 3000 * np.sin(2 * np.pi * (500 + 300 * seconds) * seconds)
    noise = 1000 * np.random.RandomState(7).standard_normal(count)
    return np.clip(np.round(wave + noise), -32768, 32767).astype(np.int16)


@pytest.mark.parametrize(("name", "count"), [("1s", 16000), ("short", 4000), ("odd", 17333), ("tiny399", 399)])
def test_filterbanks_of_any_length_are_the_originals(name: str, count: int) -> None:
    filterbanks = log_filterbanks(sound(count))
    np.testing.assert_array_equal(filterbanks, GOLDEN[f"wav_{name}_logfbank"])
    np.testing.assert_array_equal(stack_filterbanks(filterbanks), GOLDEN[f"wav_{name}_stacked"])
    rows = normalised_rows(stack_filterbanks(filterbanks))
    np.testing.assert_allclose(rows, GOLDEN[f"wav_{name}_layernorm"], rtol=0, atol=2e-6)  # one float32 step of 10


@pytest.mark.parametrize("frames", [20, 25, 30])
def test_sound_is_cut_or_filled_at_the_end_before_it_is_normalised(frames: int) -> None:
    plain = stacked_filterbanks(sound(16000), frames, normalise=False)
    np.testing.assert_array_equal(plain, GOLDEN[f"align_T{frames}_audio"])
    heard = stacked_filterbanks(sound(16000), frames)
    np.testing.assert_allclose(heard, GOLDEN[f"align_T{frames}_audio_ln"], rtol=0, atol=2e-6)
    assert heard.dtype == np.float32


def test_no_sound_is_a_reason() -> None:
    with pytest.raises(ClipError, match="no samples"):
        log_filterbanks(np.empty(0, np.int16))
