"""Doubles speak when the clip speaks, and say something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import load_dataset
from tlbench.errors import ClipError
from tlbench.generation.other_clips import read_speech
from tlbench.generation.stand_ins import BAND_FRAMES, envelope, match_stand_ins, warp

FRAMES = 60


def curve(begin: float, syllables: float, frames: int = FRAMES) -> np.ndarray:
    time = np.linspace(0, 1, frames)
    values = np.where((time > begin) & (time < begin + 0.6), 1.5 + np.sin(2 * np.pi * syllables * (time - begin)), 0)
    return np.asarray((values - values.mean()) / values.std())


def clip(name: str, text: str, speaker: str | None = "s1") -> Clip:
    return Clip(name, transcript=text, speaker=speaker)


def test_loudness_follows_the_frames_and_is_standardised() -> None:
    samples = np.zeros(20 * 640, np.int16)
    samples[8 * 640 : 12 * 640] = 5000
    loud = envelope(samples)
    assert len(loud) == 20
    assert (loud.mean(), loud.std()) == (pytest.approx(0), pytest.approx(1))
    assert loud[8:12].min() > loud[[0, 5, 15, 19]].max()


def test_a_last_part_of_a_frame_counts_and_volume_does_not() -> None:
    samples = (3000 * np.sin(np.arange(5000) / 5) * (np.arange(5000) > 2000)).astype(np.int16)
    assert len(envelope(samples)) == 8
    louder = envelope(samples * 5)
    assert np.corrcoef(envelope(samples), louder)[0, 1] > 0.99


@pytest.mark.parametrize("samples", [np.zeros(6400, np.int16), np.zeros(0, np.int16)])
def test_silence_is_nobodys_double(samples: np.ndarray) -> None:
    with pytest.raises(ClipError) as error:
        envelope(samples)
    assert error.value.code == "silent"


def test_a_curve_is_warped_to_itself_frame_by_frame() -> None:
    np.testing.assert_array_equal(warp(curve(0.2, 5), curve(0.2, 5)), np.arange(FRAMES))


def test_a_later_begin_is_warped_away() -> None:
    own, other = curve(0.2, 3), curve(0.28, 3)
    followed = other[warp(own, other)]
    assert np.corrcoef(own, followed)[0, 1] > 0.97
    assert np.corrcoef(own, other)[0, 1] < 0.8


finite = st.floats(-3, 3, width=32)


@settings(max_examples=25, deadline=None)
@given(arrays(np.float64, st.integers(2, 30), elements=finite), arrays(np.float64, st.integers(2, 30), elements=finite))
def test_a_warp_never_runs_backwards_and_stays_near(own: np.ndarray, other: np.ndarray) -> None:
    place = warp(own, other)
    assert len(place) == len(own)
    assert (np.diff(place) >= 0).all()
    assert place.min() >= 0
    assert place.max() < len(other)
    straight = np.linspace(0, len(other) - 1, len(own))
    assert np.abs(place - straight).max() <= BAND_FRAMES + np.ceil(len(other) / len(own)) + 1


def test_the_double_is_the_one_as_loud_at_the_same_times_who_shares_no_word_in_its_place() -> None:
    clips = [
        clip("own", "bin blue at f"),
        clip("like, one word shared", "bin red by g"),
        clip("like", "set red by g"),
        clip("unlike", "lay white in k"),
        clip("same text", "Bin blue at f"),
    ]
    envelopes = {
        "own": curve(0.2, 4),
        "like, one word shared": curve(0.2, 4),
        "like": curve(0.22, 4),
        "unlike": curve(0.35, 1),
        "same text": curve(0.2, 4),
    }
    pairs = match_stand_ins(clips, envelopes, "same speaker")
    assert pairs["own"].id == "like"
    assert pairs["own"].likeness > 0.95
    assert set(pairs) == set(envelopes)
    assert match_stand_ins(clips[::-1], envelopes, "same speaker")["own"].id == "like"  # whatever the order


def test_speakers_are_kept_apart_as_asked() -> None:
    clips = [clip("a", "x", "s1"), clip("b", "y", "s2"), clip("c", "z", "s1"), clip("nobody", "w", None)]
    envelopes = {name: curve(0.2, 4) for name in ("a", "b", "c", "nobody")}
    same, other = (match_stand_ins(clips, envelopes, kind) for kind in ("same speaker", "another speaker"))
    assert {own: pair.id for own, pair in same.items()} == {"a": "c", "c": "a"}
    assert {own: pair.id for own, pair in other.items()} == {"a": "b", "b": "a", "c": "b"}


def test_one_speaker_alone_has_no_double_of_another() -> None:
    clips = [clip("a", "x"), clip("b", "y")]
    assert match_stand_ins(clips, {"a": curve(0.2, 4), "b": curve(0.2, 4)}, "another speaker") == {}


def test_words_of_word_clips_differ_too() -> None:
    clips = [Clip("a", word="ABOUT", speaker="s"), Clip("b", word="ABOUT", speaker="s")]
    assert match_stand_ins(clips, {"a": curve(0.2, 4), "b": curve(0.2, 4)}, "same speaker") == {}


@pytest.mark.slow
def test_real_speech_finds_doubles_that_are_loud_together(shared: Path) -> None:
    """GRID's sentences have six words at like times; whoever stands in must be far better in step than just anyone."""
    clips = load_dataset("grid", shared / "data" / "grid", split="val", limit=12).clips
    envelopes = {clip.id: envelope(read_speech(clip)) for clip in clips}
    pairs = match_stand_ins(clips, envelopes, "same speaker")
    assert len(pairs) == len(clips)
    texts = {clip.id: (clip.transcript or "").split() for clip in clips}
    for own, pair in pairs.items():
        other = envelopes[pair.id]
        before = np.corrcoef(envelopes[own], np.resize(other, len(envelopes[own])))[0, 1]
        assert pair.likeness > max(0.8, before)
        assert sum(a == b for a, b in zip(texts[own], texts[pair.id], strict=True)) <= 2
