"""Which utterances are decoded together: as few batches as their caches allow, of nearly equal size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories.observer_weights import TINY
from tlbench.observers.avhubert.inference import cache_bytes, even_runs


@pytest.mark.parametrize(
    ("needed", "limit", "most", "runs"),
    [
        ([], 10, 8, []),
        ([3, 3, 3], 10, 8, [(0, 3)]),
        ([3, 3, 3, 3], 10, 8, [(0, 2), (2, 4)]),  # not 3 and 1
        ([3, 3, 3], 10, 1, [(0, 1), (1, 2), (2, 3)]),
        ([99], 10, 8, [(0, 1)]),
        ([1, 1, 99], 10, 8, [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_runs_are_few_and_even(needed: list[int], limit: int, most: int, runs: list[tuple[int, int]]) -> None:
    assert even_runs(needed, limit, most) == runs


@given(needed=st.lists(st.integers(1, 50), max_size=12), limit=st.integers(1, 100), most=st.integers(1, 12))
def test_every_utterance_is_in_one_run_that_fits_or_has_it_alone(needed: list[int], limit: int, most: int) -> None:
    runs = even_runs(needed, limit, most)
    assert [index for start, end in runs for index in range(start, end)] == list(range(len(needed)))
    for start, end in runs:
        assert end - start <= most
        assert end - start == 1 or sum(needed[start:end]) <= limit


def test_hypotheses_are_taken_to_share_their_past() -> None:
    """Ten times as many frames need less than ten times as much, as long utterances share more."""
    short, long = (cache_bytes(TINY, frames, 50) for frames in (40, 400))
    assert short < long < 10 * short
    assert cache_bytes(TINY, 3, 50) < cache_bytes(TINY, 8, 50)
