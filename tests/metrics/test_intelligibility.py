"""What the metrics of sentence readers count, clip by clip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlbench.metrics.catalogue import find_metric
from tlbench.metrics.tally import ErrorTally, HitTally, Tally
from tlbench.observing.evidence import Evidence, Value

sentences = st.lists(st.sampled_from(["pat", "bat", "fat", "see", "zee", "zzyx", "7"]), min_size=1, max_size=5).map(
    " ".join
)


def tallied(key: str, **values: Value) -> Tally:
    metric = find_metric(key)
    return metric.tally(Evidence(metric.observer, values))


def test_counts_of_each_kind_of_error_are_kept() -> None:
    tally = tallied("wer1/paper", reference="A B C D E", hypothesis="a x d e f")
    assert tally == ErrorTally(1, 1, 1, 5)


def test_wer_over_a_hundred_percent_is_shown_as_it_is() -> None:
    metric = find_metric("wer1/sound")
    assert metric.value(tallied("wer1/sound", reference="yes", hypothesis="no not at all")) == 400.0


def test_punctuation_counts_in_the_published_number_only() -> None:
    assert tallied("wer1/paper", reference="Well, yes", hypothesis="well yes").numerator == 1
    assert tallied("wer1/sound", reference="Well, yes", hypothesis="well yes").numerator == 0


def test_an_error_inside_a_viseme_is_no_viseme_error() -> None:
    assert tallied("ver/sound", reference="pat", hypothesis="bat").numerator == 0
    assert tallied("ver/sound", reference="pat", hypothesis="fat").numerator == 1


def test_errors_that_could_not_be_seen_are_told_from_those_that_could() -> None:
    assert tallied("within_viseme/sound", reference="pat fat", hypothesis="bat sat") == HitTally(1, 2)
    assert tallied("within_viseme/sound", reference="pat", hypothesis="pat").value is None


@given(sentences, sentences)
def test_no_text_has_more_viseme_errors_than_phoneme_errors_and_the_rest_is_within_visemes(
    said: str, read: str
) -> None:
    share = tallied("within_viseme/sound", reference=said, hypothesis=read)
    across = tallied("ver/sound", reference=said, hypothesis=read)
    assert isinstance(share, HitTally)
    assert share.trials - share.hits == across.numerator <= share.trials


def test_a_double_space_in_the_reference_is_a_word_that_can_not_be_got_right() -> None:
    ids = np.array([4, 1, 1, 5])  # "T", nothing, "A"
    paper = tallied("wer2/paper", reference_ids=ids, forced_ids=ids)
    sound = tallied("wer2/sound", reference_ids=ids, forced_ids=ids)
    assert paper.value == pytest.approx(1 / 3)
    assert sound.value == 0.0


def test_an_end_mark_in_the_middle_is_a_character_in_the_published_number_only() -> None:
    said, read = np.array([4, 5, 6, 1, 7]), np.array([4, 39, 6, 1, 7])
    assert tallied("wer2/paper", reference_ids=said, forced_ids=read).value == pytest.approx(0.5)
    assert tallied("cer2/paper", reference_ids=said, forced_ids=read).value == pytest.approx(0.2)
    assert tallied("wer2/sound", reference_ids=said, forced_ids=np.array([4, 5, 6, 1, 39])).numerator == 1


def test_blanks_and_end_marks_are_no_part_of_a_word_in_the_sound_number() -> None:
    said, read = np.array([4, 5, 1, 7]), np.array([4, 5, 39, 1, 0, 7])
    assert tallied("wer2/sound", reference_ids=said, forced_ids=read) == ErrorTally(0, 0, 0, 2)


@pytest.mark.parametrize("key", ["wer2/paper", "cer2/paper", "wer2/sound"])
def test_an_utterance_without_text_has_no_rate(key: str) -> None:
    nothing = np.array([], np.int64)
    assert tallied(key, reference_ids=nothing, forced_ids=nothing).value is None


def test_the_published_rate_weighs_utterances_alike_and_the_sound_one_words() -> None:
    short, long = np.array([4]), np.array([4, 1, 5, 1, 6])  # "T"; "T A O"
    clips = [{"reference_ids": short, "forced_ids": np.array([5])}, {"reference_ids": long, "forced_ids": long}]
    for key, value in (("wer2/paper", 50.0), ("wer2/sound", 25.0)):
        first, second = (tallied(key, **clip) for clip in clips)
        assert find_metric(key).value(first + second) == pytest.approx(value)


def test_character_errors_count_spaces() -> None:
    assert tallied("cer1/sound", reference="AB CD", hypothesis="abcd") == ErrorTally(0, 1, 0, 5)


def test_reading_freely_is_counted_apart_from_being_told() -> None:
    ids = np.array([4])
    values: dict[str, Value] = {"reference": "A B", "free_hypothesis": "A", "ctc_hypothesis": ""}
    assert tallied("wer2_free/sound", reference_ids=ids, forced_ids=ids, **values).value == 0.5
    assert tallied("wer2_ctc/sound", reference_ids=ids, forced_ids=ids, **values).value == 1.0
