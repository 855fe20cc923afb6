"""The Conformer's characters: texts that can and can't be spelled, and the frames that a text needs."""

from __future__ import annotations

import string
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlbench.errors import ClipError
from tlbench.observers.conformer.tokenizer import BLANK, EOS, IDS, VOCABULARY, ids_of, required_frames, text_of
from tlbench.preflight.texts import ALPHABET


def test_every_number_but_blank_and_the_end_mark_is_one_character() -> None:
    assert sorted(IDS.values()) == list(range(1, 39))
    assert set(IDS) == set(string.ascii_uppercase + string.digits + " '") == ALPHABET
    assert (BLANK, EOS, VOCABULARY) == (0, 39, 40)


@given(st.text(sorted(IDS), min_size=1).filter(lambda text: text.strip(" '")))
def test_a_text_comes_back_from_its_numbers(text: str) -> None:
    ids = ids_of(text, "a/b")
    assert ids.dtype == np.int64
    assert text_of(ids.tolist()) == text


def test_lower_case_is_spelt_in_upper_case() -> None:
    assert ids_of("see 2", "a").tolist() == ids_of("SEE 2", "a").tolist()


def test_blanks_and_end_marks_have_no_character() -> None:
    assert text_of([EOS, 9, BLANK, 6, EOS]) == "HI"


def test_characters_that_cannot_be_spelt_are_named_with_the_clip() -> None:
    with pytest.raises(ClipError) as caught:
        ids_of("SMØRREBRØD, ДА", "main/7")
    assert caught.value.code == "characters"
    assert "clip main/7: the transcript has 'Ø', 'А', 'Д', which" in caught.value.message


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("WELL-KNOWN, CAFÉ", "WELL KNOWN CAFE"),
        ("don’t", "DON'T"),
        ("don＇t “stop”—now…", "DON'T STOP NOW"),
        ("ｆｕｌｌ\u00a0width", "FULL WIDTH"),
        ("ca\u0301t", "CAT"),
        ("so\u00adft\u200b hy\u200dphen\ufeff", "SOFT HYPHEN"),
        ("a  b", "A  B"),  # what the alphabet spells is left as it is, as published
    ],
)
def test_what_the_alphabet_lacks_is_respelt(text: str, spelt: str) -> None:
    assert text_of(ids_of(text, "a").tolist()) == spelt


@pytest.mark.parametrize("text", ["", " ", "\t", "...", "[music]", "(laughs) - (LAUGHS)", "♪", "\u200b", "'"])
def test_a_text_without_a_word_is_refused(text: str) -> None:
    with pytest.raises(ClipError, match=r"transcript (is empty|.* has no word)") as caught:
        ids_of(text, "a")
    assert caught.value.code == "empty-transcript"


@given(st.lists(st.integers(1, 38), min_size=1))
def test_ctc_can_spell_a_text_in_the_frames_it_requires_and_not_in_fewer(ids: list[int]) -> None:
    path = [ids[0]]  # the shortest: a blank only where it keeps two equal characters apart
    for one, other in pairwise(ids):
        path += [BLANK, other] if one == other else [other]
    assert required_frames(ids) == len(path)
