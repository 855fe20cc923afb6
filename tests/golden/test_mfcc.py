"""Samples and MFCCs equal those of the original SyncNet scoring (ffmpeg 5.1 and python_speech_features 0.6)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tlbench.media.audio import mfcc, read_audio

HERE = Path(__file__).parent / "media"
STORED_AS_FLOAT32 = 1e-7  # the golden values carry 24 bits; ours against the package itself: 1e-12, tests/unit


def check(clip: Path, golden: Path, most_steps: int, most_share: float) -> None:
    with np.load(golden) as stored:
        expected_audio, expected_mfcc = stored["audio"], stored["mfcc"]
    samples = read_audio(clip)
    assert samples.dtype == np.int16
    assert samples.shape == expected_audio.shape
    difference = np.abs(samples.astype(int) - expected_audio)
    assert difference.max() <= most_steps
    assert (difference > 0).mean() <= most_share
    computed = mfcc(expected_audio)
    assert computed.shape == expected_mfcc.shape
    scale = np.abs(expected_mfcc).max()
    assert np.abs(computed - expected_mfcc).max() <= STORED_AS_FLOAT32 * scale


def test_sound_and_mfcc_of_the_clip_that_comes_with_the_tests():
    check(HERE / "clip_c.mp4", HERE / "clip_c_sound.npz", most_steps=1, most_share=0.001)


CLIPS = ["clip_a", "clip_a_pert", "clip_b", "clip_b_pert", "clip_c", "clip_c_pert", "clip_c256", "clip_c256_pert"]
GRID = ["grid_s1", "grid_s1_pert", "grid_s2", "grid_s2_pert"]


@pytest.mark.parametrize("name", CLIPS + GRID)
def test_aac_at_16_khz_differs_by_at_most_one_step_in_one_sample_of_a_thousand(shared, name):
    clip = shared / f"golden/clips/{name}.mp4"
    check(clip, shared / f"golden/syncnet/clip_{name}.npz", most_steps=1, most_share=0.001)


def test_resampled_44_khz_mp2_differs_by_at_most_four_steps(shared):
    # 25 % of the samples differ: ffmpeg 5.1's resampler and the newer one inside PyAV round differently.
    clip = shared / "golden/clips/grid_s1_raw.mpg"
    check(clip, shared / "golden/syncnet/clip_grid_s1_raw.mpg.npz", most_steps=4, most_share=0.3)
