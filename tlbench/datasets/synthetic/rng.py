"""Chance that is the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

_Anything = TypeVar("_Anything")


class StableRng:
    """Draws that follow from a key, such as ``("sentences", "test", 12)``, and from nothing else.

    Only ``Random.random`` is used, whose sequence Python promises to keep ("Notes on Reproducibility" of its manual);
    ``choice`` and the like may change from version to version.
    """

    def __init__(self, *key: str | int) -> None:
        self._random = Random("/".join(map(str, key)))

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def below(self, count: int) -> int:
        """0 to ``count - 1``, each as likely."""
        return int(self._random.random() * count)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random.random()

    def pick(self, things: Sequence[_Anything]) -> _Anything:
        return things[self.below(len(things))]
