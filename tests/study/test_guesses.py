"""Wrong codes: how many are looked up, from whom, and that nobody who is in is put out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tlbench.study.guesses import FREE_GUESSES, REMEMBERED, SECONDS_A_GUESS, Guesses


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 30), max_size=200))
def test_in_any_time_only_so_many_wrong_codes_are_looked_up(pauses: list[float]) -> None:
    now = 0.0
    guesses = Guesses(lambda: now)
    looked_up = []
    for pause in pauses:
        now += pause
        if guesses.may_try("a", "wrong"):
            guesses.count("a", "wrong", False)
            looked_up.append(now)
    for first in range(len(looked_up)):
        for last in range(first, len(looked_up)):
            allowed = FREE_GUESSES + (looked_up[last] - looked_up[first]) / SECONDS_A_GUESS
            assert last - first + 1 <= allowed + 1


def test_others_and_who_is_in_already_are_not_disturbed_and_waiting_helps() -> None:
    now = 0.0
    guesses = Guesses(lambda: now)
    guesses.count("lab", "RIGHT", True)
    for _ in range(FREE_GUESSES + 5):
        guesses.count("lab", "wrong", False)
    assert not guesses.may_try("lab", "OTHER")
    assert guesses.may_try("lab", "RIGHT")
    assert guesses.may_try("elsewhere", "OTHER")
    now += 7 * SECONDS_A_GUESS
    assert guesses.may_try("lab", "OTHER")


def test_memory_is_bounded() -> None:
    guesses = Guesses(lambda: 0.0)
    for number in range(REMEMBERED + 100):
        guesses.count(f"network {number}", "wrong", False)
        guesses.count("one", f"code {number}", True)
    assert len(guesses._paid_until) == len(guesses._let_in) == REMEMBERED
