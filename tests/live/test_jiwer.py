"""Word errors and alignments against jiwer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.live.packages import need
from tlbench.metrics.text import align_words, count_errors, count_word_errors

jiwer = need("jiwer", "jiwer")

TEXTS = st.lists(st.sampled_from(["bin", "blue", "at", "f", "two", "now", "ä", "it's"]), min_size=1, max_size=9)


@settings(max_examples=1000, deadline=None)
@given(TEXTS, st.one_of(TEXTS, st.just([])))
def test_words_are_counted_and_aligned_as_by_jiwer(said: list[str], read: list[str]) -> None:
    """Phonemes and tokens, which jiwer does not take, are counted by the same rule: shown here on words."""
    found = jiwer.process_words(" ".join(said), " ".join(read))
    expected = (found.substitutions, found.deletions, found.insertions)
    for tally in (count_word_errors(said, read), count_errors(said, read)):
        assert (tally.substitutions, tally.deletions, tally.insertions) == expected
        assert tally.numerator / tally.denominator == pytest.approx(found.wer)
    steps = [step.operation for step in align_words(said, read)]
    assert (steps.count("substitute"), steps.count("delete"), steps.count("insert")) == expected
