"""Tallies: frozen sums that can only be added, so that rates are never averaged by mistake.

The mean of rates is not a rate, but a sum of tallies is a tally: aggregating clips is ``sum(tallies)`` for every
metric. An empty tally has the value None, not 0 (after MeetEval's ``ErrorRate``). Every tally is a ratio of two sums,
``numerator / denominator``, which is all the bootstrap needs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite
from typing import TypeVar

T = TypeVar("T", bound="Tally")


class NotFiniteError(ValueError):
    """A number of a tally is NaN or infinite: of one clip, or the sum of several."""


@dataclass(frozen=True)
class Tally:
    """Base of all tallies: the fields are numbers, and adding tallies adds the fields."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isfinite(value):
                raise NotFiniteError(f"{type(self).__name__}.{field.name} must be finite, got {value}")

    def __add__(self: T, other: T) -> T:
        if type(other) is not type(self):
            return NotImplemented
        return type(self)(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __radd__(self: T, other: int) -> T:  # so that sum() works
        if other != 0:
            return NotImplemented
        return self

    @property
    def numerator(self) -> float:
        raise NotImplementedError

    @property
    def denominator(self) -> float:
        raise NotImplementedError

    @property
    def value(self) -> float | None:
        """The ratio, or None for an empty tally."""
        return self.numerator / self.denominator if self.denominator else None


@dataclass(frozen=True)
class MeanTally(Tally):
    """For a mean: the sum and the number of items."""

    total: float = 0.0
    count: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count < 0 or (self.count == 0 and self.total != 0):
            raise ValueError(f"MeanTally: total {self.total} of {self.count} items is impossible")

    @property
    def numerator(self) -> float:
        return self.total

    @property
    def denominator(self) -> float:
        return self.count


@dataclass(frozen=True)
class HitTally(Tally):
    """For an accuracy or a share: hits among trials."""

    hits: int = 0
    trials: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.hits <= self.trials:
            raise ValueError(f"HitTally: {self.hits} hits of {self.trials} trials is impossible")

    @property
    def numerator(self) -> float:
        return self.hits

    @property
    def denominator(self) -> float:
        return self.trials


@dataclass(frozen=True)
class ErrorTally(Tally):
    """For a word or character error rate: the edits and the length of the reference. May exceed 1."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    reference_length: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.substitutions, self.deletions, self.insertions, self.reference_length) < 0:
            raise ValueError(f"ErrorTally: a count is negative in {self}")
        if self.substitutions + self.deletions > self.reference_length:
            raise ValueError(f"ErrorTally: more words substituted and deleted than the reference has in {self}")

    @property
    def numerator(self) -> float:
        return self.substitutions + self.deletions + self.insertions

    @property
    def denominator(self) -> float:
        return self.reference_length
