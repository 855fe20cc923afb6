"""The benchmark of a first run: what it times is there, and a part inside another counts for itself alone."""

from __future__ import annotations

import time

from benchmarks.cold_run import Parts, timed_parts


def test_every_function_that_is_timed_is_there() -> None:
    assert [name for owner, name, _ in timed_parts() if not callable(getattr(owner, name, None))] == []


class _Work:
    def whole(self) -> None:
        self.inner()

    def inner(self) -> None:
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass


def test_a_part_inside_another_counts_for_itself_alone() -> None:
    parts = Parts()
    parts.time(_Work, "whole", "whole")
    parts.time(_Work, "inner", lambda work: type(work).__name__)
    _Work().whole()
    assert parts.seconds["_Work"] >= 0.05
    assert parts.seconds["whole"] < 0.02
