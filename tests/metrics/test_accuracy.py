"""What counts as a hit of the word classifier."""

from __future__ import annotations

import numpy as np
import pytest

from tlbench.metrics.catalogue import find_metric
from tlbench.metrics.tally import HitTally
from tlbench.observing.evidence import Evidence


def hit(key: str, rank: int, rank_plain: int) -> bool:
    tally = find_metric(key).tally(Evidence("mvm", {"rank": rank, "rank_plain": rank_plain}))
    assert isinstance(tally, HitTally)
    assert tally.trials == 1
    return tally.hits == 1


@pytest.mark.parametrize(
    ("rank", "first", "five"), [(0, True, True), (1, False, True), (4, False, True), (5, False, False)]
)
def test_a_rank_counts_within_the_first_places(rank: int, first: bool, five: bool) -> None:
    assert hit("acc/paper", rank, 499) == hit("acc/sound", rank, 499) == first
    assert hit("acc5/sound", rank, 499) == five


def test_only_the_plain_accuracy_is_without_the_mirror_image() -> None:
    assert hit("acc/paper", 0, 7)
    assert not hit("acc_plain/sound", 0, 7)
    assert hit("acc_plain/sound", 7, 0)


def test_words_of_sentences_count_one_by_one() -> None:
    metric = find_metric("acc_aligned/sound")
    tallies = [metric.tally(Evidence("mvm-aligned", {"ranks": np.array(ranks)})) for ranks in ((0, 1, 0), (7,), (0, 0))]
    assert tallies == [HitTally(2, 3), HitTally(0, 1), HitTally(2, 2)]
    assert metric.value(sum(tallies[1:], tallies[0])) == pytest.approx(100 * 4 / 6)


def test_accuracy_is_the_percentage_of_clips() -> None:
    metric = find_metric("acc/paper")
    ranks = (0, 3, 0, 0)
    tallies = [metric.tally(Evidence("mvm", {"rank": rank, "rank_plain": rank})) for rank in ranks]
    assert metric.value(sum(tallies[1:], tallies[0])) == 75.0
