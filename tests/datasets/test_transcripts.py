"""Texts as people write them: what is invisible, what is no word, and what an alphabet can spell of the rest."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlbench.datasets.clip import Clip
from tlbench.datasets.transcripts import (
    ALPHABET,
    _spoken_of_any,
    bracketed,
    has_words,
    spelled,
    spoken,
    strange_characters,
    visible,
)
from tlbench.errors import ClipError
from tlbench.metrics.catalogue import all_metrics, find_metric
from tlbench.metrics.tally import Tally
from tlbench.metrics.text import as_published
from tlbench.observers.conformer.tokenizer import ids_of
from tlbench.observing.evidence import Evidence, Value
from tlbench.preflight.texts import check_texts

INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff\u200e\u200f\u202a\u202c\u2066\u2069\ufe0e\ufe0f\u034f\u180e\U000e0100"
APOSTROPHES = "'’‘‛ʼ´`′＇ʻ"
plain = st.lists(st.sampled_from(["pat", "don't", "SEE", "7"]), min_size=1, max_size=4).map(" ".join)
invisible = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(INVISIBLE)), min_size=1, max_size=6)
wordless = st.lists(
    st.sampled_from(["...", "[music]", "(laughs)", "♪", "{NS}", "<noise>", "--", " ", "[[a (b)]]", "\u200b", "（笑）"]),
    min_size=1,
).map(" ".join)


def tallied(key: str, **values: Value) -> Tally:
    metric = find_metric(key)
    return metric.tally(Evidence(metric.observer, values))


def with_marks(text: str, marks: list[tuple[int, str]]) -> str:
    for place, mark in marks:
        text = text[: place % (len(text) + 1)] + mark + text[place % (len(text) + 1) :]
    return text


@given(plain, invisible)
def test_invisible_characters_are_no_part_of_a_text(text: str, marks: list[tuple[int, str]]) -> None:
    marked = with_marks(text, marks)
    assert visible(marked) == text
    assert spoken(marked) == spoken(text)
    assert as_published(marked) == as_published(text)
    assert ids_of(marked, "a").tolist() == ids_of(text, "a").tolist()
    for key in ("wer1/paper", "wer1/sound", "cer1/sound", "ver/sound", "wer2_free/sound"):
        reading = {"hypothesis": "pat see", "free_hypothesis": "pat see"}
        assert tallied(key, reference=marked, **reading) == tallied(key, reference=text, **reading)
    ids = ids_of(marked, "a")
    assert tallied("wer2/paper", reference=marked, reference_ids=ids, forced_ids=ids).value == 0
    same = [check_texts([Clip("a", transcript=said)], ALPHABET, None) for said in (marked, text)]
    assert same[0] == same[1]


@given(st.text(st.characters(max_codepoint=0x7F, exclude_categories=["Cc"])))
def test_plain_text_is_left_as_it_is(text: str) -> None:
    assert visible(text) == text
    assert spelled(text).split() == [word.upper() for word in spoken(text)]


@given(st.text() | st.text(st.sampled_from("abZ09  '-")))
def test_the_short_way_for_plain_text_gives_the_same_words(text: str) -> None:
    assert spoken(text) == _spoken_of_any(text)


@given(st.text())
def test_what_is_removed_has_no_shape(text: str) -> None:
    assert all(unicodedata.category(char) in ("Cf", "Cc", "Mn", "Lo", "Cn") for char in set(text) - set(visible(text)))
    assert visible(visible(text)) == visible(text)


def test_white_space_parts_words_and_is_kept() -> None:
    for space in " \t\n\r\u00a0\u2009\u3000\u2028\x85":
        assert spoken(f"one{space}two") == ["one", "two"]
        assert visible(f"one{space}two") == f"one{space}two"


@given(wordless)
def test_a_transcript_without_words_is_left_out_by_every_word_error_rate(text: str) -> None:
    assert not has_words(text)
    (found,) = check_texts([Clip("a", transcript=text)], ALPHABET, None)
    assert (found.code, found.clip) == ("empty-transcript", "a")
    with pytest.raises(ClipError) as caught:
        ids_of(text, "a")
    assert caught.value.code == "empty-transcript"
    values = {"reference": text, "hypothesis": "some words", "free_hypothesis": "some", "ctc_hypothesis": "some"}
    readers = [m for m in all_metrics() if m.name in ("wer1", "cer1", "ver", "within_viseme", "wer2_free", "wer2_ctc")]
    assert len(readers) == 7
    for metric in readers:
        with pytest.raises(ClipError) as caught:
            metric.tally(Evidence(metric.observer, values))
        assert caught.value.code == "empty-transcript"


@given(wordless, plain)
def test_brackets_beside_words_are_told_and_take_no_word_away(brackets: str, text: str) -> None:
    assert has_words(f"{brackets} {text}")
    found = check_texts([Clip("a", transcript=f"{brackets} {text}")], ALPHABET, None)
    assert ("annotation" in {one.code for one in found}) == bool(bracketed(brackets))


@pytest.mark.parametrize("typed", APOSTROPHES)
def test_one_apostrophe_of_another_kind_is_spelled_in_sound_and_stops_paper(typed: str) -> None:
    text = f"DON{typed}T STOP"
    ids = ids_of(text, "a")
    assert ids.tolist() == ids_of("DON'T STOP", "a").tolist()
    assert tallied("wer2/sound", reference=text, reference_ids=ids, forced_ids=ids).value == 0
    if typed == "'":
        assert tallied("wer2/paper", reference=text, reference_ids=ids, forced_ids=ids).value == 0
        return
    for key in ("wer2/paper", "cer2/paper"):
        with pytest.raises(ClipError) as caught:
            tallied(key, reference=text, reference_ids=ids, forced_ids=ids)
        assert caught.value.code == "characters"
    (found,) = check_texts([Clip("a", transcript=text)], ALPHABET, None)
    assert found.code == "characters"
    assert '"DON\'T STOP"' in found.message


def test_a_text_that_no_spelling_helps_says_so() -> None:
    (found,) = check_texts([Clip("a", transcript="SMØRREBRØD")], ALPHABET, None)
    assert "WER2 leaves the clip out" in found.message
    assert strange_characters(spelled("SMØRREBRØD")) == ["Ø"]


def test_numbers_in_digits_are_told() -> None:
    found = check_texts([Clip("a", transcript="AT 10 OR ELEVEN")], ALPHABET, None)
    assert [(one.code, one.level) for one in found] == [("digits", "info")]
    assert "'10'" in found[0].message


def test_a_published_number_needs_no_reference_that_the_evidence_lacks() -> None:
    ids = np.array([5, 6])
    assert tallied("wer2/paper", reference_ids=ids, forced_ids=ids).value == 0
