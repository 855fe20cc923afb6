"""Random numbers that are the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

_Anything = TypeVar("_Anything")


class StableRng:
    """A random generator seeded by a key such as ``("sentences", "test", 12)``.

    It uses only ``Random.random``, whose sequence Python guarantees ("Notes on Reproducibility" of its manual);
    ``choice`` and others may change between versions.
    """

    def __init__(self, *key: str | int) -> None:
        self._random = Random("/".join(map(str, key)))

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def below(self, count: int) -> int:
        """A number from 0 to ``count - 1``, all equally likely."""
        return int(self._random.random() * count)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random.random()

    def pick(self, things: Sequence[_Anything]) -> _Anything:
        return things[self.below(len(things))]
