"""How fast long work goes, and how long the rest of it will take."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """The mean pace since the work began.

    rich's own estimate looks back 30 seconds: clips that come in batches, a minute apart, then look endless or done.
    And clips whose evidence is in the cache take no time, so they say nothing about those that are left.

    Parameters
    ----------
    things : str
        What is counted, in the plural.
    clock : callable
        Gives the time in seconds.
    """

    def __init__(self, things: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._things = things
        self._clock = clock
        self._began = self._latest = clock()

    def begin(self) -> None:
        """Begin anew, now."""
        self._began = self._latest = self._clock()

    def begin_after_latest(self) -> None:
        """Begin anew, at the time of the latest figures: what is done next has been worked on since then."""
        self._began = self._latest

    def figures(self, done: int, total: int | None, instant: int = 0) -> str:
        """``0.6 clips/s, 2:10 left``; empty before the first one is done.

        Parameters
        ----------
        done : int
        total : int or None
            None if it is not known how many there are; then no time left is given.
        instant : int
            How many of those done took no time. The rest is taken to take time.
        """
        self._latest = self._clock()
        seconds = self._latest - self._began
        worked = done - instant or done  # if nothing took time, that is the pace
        if worked <= 0 or seconds <= 0:
            return ""
        rate = f"{_rate(worked / seconds)} {self._things}/s"
        if total is None or done >= total:
            return rate
        return f"{rate}, {_clock_time((total - done) * seconds / worked)} left"


def _rate(a_second: float) -> str:
    """Two digits: ``12``, ``1.2``, ``0.12``; ``0.0012`` has more zeros."""
    return f"{a_second:.0f}" if a_second >= 10 else f"{a_second:.2g}"


def _clock_time(seconds: float) -> str:
    """``0:07``, ``12:30``, ``1:02:03``: minutes, or hours and minutes, and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
