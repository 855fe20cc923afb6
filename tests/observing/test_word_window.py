"""The window around a word: which frames it has, and what is there where the video has none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlbench.datasets.clip import Clip, Span
from tlbench.errors import ClipError
from tlbench.observing.word_window import cut_window, timed_words, window_start

TIMES = (Span(0.2, 0.4, "bin"), Span(0.4, 0.8, "blue"))


@given(st.integers(0, 75_000), st.integers(0, 25_000), st.sampled_from((1, 5, 29)))
def test_the_middle_frame_shows_the_middle_of_the_word(begin: int, length: int, frames: int) -> None:
    """In thousandths of a frame, as GRID's alignments count."""
    start = window_start(Span(begin / 1000 / 25, (begin + length) / 1000 / 25, "a"), frames)
    assert start + frames // 2 == (2 * begin + length) // 2000


@pytest.mark.parametrize(
    ("begin", "end", "start"), [(0.52, 0.6, 0), (0.48, 0.6, -1), (0.0, 0.02, -14), (1.1, 1.18, 14)]
)
def test_a_window_begins_14_frames_before_the_middle(begin: float, end: float, start: int) -> None:
    """0.56 s is frame 14 exactly, though 0.56 in binary is a little less."""
    assert window_start(Span(begin, end, "a"), 29) == start


def test_what_a_video_does_not_have_is_zero() -> None:
    rows = np.arange(1, 11, dtype=np.int16).reshape(5, 2)
    assert cut_window(rows, 1, 3).tolist() == rows[1:4].tolist()
    assert cut_window(rows, -2, 4).tolist() == [[0, 0], [0, 0], [1, 2], [3, 4]]
    assert cut_window(rows, 4, 3).tolist() == [[9, 10], [0, 0], [0, 0]]
    assert cut_window(rows, -1, 7).tolist() == [[0, 0], *rows.tolist(), [0, 0]]
    for outside in (-9, 5, 90):
        assert not cut_window(rows, outside, 3).any()
    assert cut_window(rows, 0, 3).dtype == np.int16


def test_the_times_must_be_those_of_the_transcript() -> None:
    assert timed_words(Clip("s1/a", transcript="Bin BLUE", word_times=TIMES)) == TIMES
    with pytest.raises(ClipError, match="clip s1/a: the times of its words are not known") as unknown:
        timed_words(Clip("s1/a", transcript="bin blue"))
    with pytest.raises(ClipError, match="word times are of 'BIN BLUE', its transcript is 'BIN BLUE AT'") as other:
        timed_words(Clip("s1/a", transcript="bin blue at", word_times=TIMES))
    assert unknown.value.code == other.value.code == "no-word-times"
    assert "\n" not in str(other.value)
