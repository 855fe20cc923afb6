"""What the metrics of readers count, clip by clip."""

from __future__ import annotations

import numpy as np
import pytest

from tlbench.metrics.catalogue import find_metric
from tlbench.metrics.tally import ErrorTally, HitTally, Tally
from tlbench.observing.evidence import Evidence, Value


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
    assert tallied("unseeable/sound", reference="pat fat", hypothesis="bat sat") == HitTally(1, 2)
    assert tallied("unseeable/sound", reference="pat", hypothesis="pat").value is None


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


def test_reading_freely_is_counted_apart_from_being_told() -> None:
    ids = np.array([4])
    values: dict[str, Value] = {"reference": "A B", "free_hypothesis": "A", "ctc_hypothesis": ""}
    assert tallied("wer2_free/sound", reference_ids=ids, forced_ids=ids, **values).value == 0.5
    assert tallied("wer2_ctc/sound", reference_ids=ids, forced_ids=ids, **values).value == 1.0


@pytest.mark.parametrize(("rank", "first", "five"), [(0, 1, 1), (4, 0, 1), (5, 0, 0)])
def test_a_rank_counts_within_the_first_places(rank: int, first: int, five: int) -> None:
    assert tallied("acc/paper", rank=rank) == HitTally(first, 1)
    assert tallied("acc5/sound", rank=rank) == HitTally(five, 1)


def test_the_published_accuracy_is_with_the_mirror_image() -> None:
    assert tallied("acc/paper", rank=0, rank_plain=3).value == 1.0
    assert tallied("acc_plain/sound", rank=0, rank_plain=3).value == 0.0


def test_similarities_are_means_over_clips() -> None:
    total = tallied("avs_u/sound", avs_u=0.5) + tallied("avs_u/sound", avs_u=0.7)
    assert total.value == pytest.approx(0.6)
