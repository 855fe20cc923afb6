"""A limit on wrong codes: who guesses them soon waits, while those who are in already are not disturbed.

A code is one of 8.5e11 (31 characters, 8 of them). With 100 participants and a guess every six seconds from one
network, a right one is found once in 1,600 years.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

FREE_GUESSES = 30  # wrong codes at once: a room of people who mistype
SECONDS_A_GUESS = 6.0  # after which a network may give one more wrong code
REMEMBERED = 10_000  # networks, and participants with their networks; older ones are forgotten
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Guesses:
    """Counts the wrong codes of each network. Several threads may use it.

    Parameters
    ----------
    clock : () -> seconds
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._paid_until: OrderedDict[str, float] = OrderedDict()  # when all wrong codes are forgotten
        self._let_in: OrderedDict[tuple[str, str], None] = OrderedDict()

    def may_try(self, network: str, code: str) -> bool:
        """Whether a code is looked up: one that was right before from this network always is."""
        with self._lock:
            waits = self._paid_until.get(network, 0.0) - self._clock()
            return (network, code) in self._let_in or waits <= (FREE_GUESSES - 1) * SECONDS_A_GUESS

    def count(self, network: str, code: str, right: bool) -> None:
        """Take note of a code that was looked up."""
        with self._lock:
            if right:
                _remember(self._let_in, (network, code), None)
            else:
                now = self._clock()
                paid_until = max(now, self._paid_until.get(network, now)) + SECONDS_A_GUESS
                _remember(self._paid_until, network, paid_until)


def _remember(entries: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    entries[key] = value
    entries.move_to_end(key)
    if len(entries) > REMEMBERED:
        entries.popitem(last=False)
