"""The moments of a set of features: the sums from which mean and covariance follow, added and never averaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class MomentTally:
    """Number, sum and outer products of feature vectors. Adding two adds the fields.

    A sum of floats depends on its order in the last digits, so callers add the clips sorted by id, whatever process or
    shard made their features.

    Attributes
    ----------
    count : int
        Number of feature vectors, n.
    total : (d,) float64
        Their sum.
    outer : (d, d) float64
        The sum of ``x x^T``; 34 MB for the 2,048 features of Inception.
    """

    count: int
    total: np.ndarray
    outer: np.ndarray

    def __post_init__(self) -> None:
        dims = len(self.total)
        if self.count < 0 or self.outer.shape != (dims, dims):
            raise ValueError(f"MomentTally: {self.count} vectors of {dims} features with {self.outer.shape} products")
        if self.count == 0 and (self.total.any() or self.outer.any()):
            raise ValueError("MomentTally: a sum of no vectors is not 0")
        if not (np.isfinite(self.total).all() and np.isfinite(self.outer).all()):
            raise ValueError("MomentTally: a sum is NaN or infinite")

    @classmethod
    def of(cls, features: np.ndarray) -> MomentTally:
        """The moments of (n, d) features of any float type, which are summed in float64."""
        rows = np.asarray(features, dtype=np.float64)
        return cls(len(rows), rows.sum(axis=0), rows.T @ rows)

    @classmethod
    def empty(cls, dims: int) -> MomentTally:
        """The moments of no features."""
        return cls(0, np.zeros(dims), np.zeros((dims, dims)))

    def __add__(self, other: MomentTally) -> MomentTally:
        if not isinstance(other, MomentTally):
            return NotImplemented
        if len(other.total) != len(self.total):
            raise ValueError(f"MomentTally: {len(self.total)} features can't be added to {len(other.total)}")
        return MomentTally(self.count + other.count, self.total + other.total, self.outer + other.outer)

    def __radd__(self, other: int) -> MomentTally:  # so that sum() works
        if other != 0:
            return NotImplemented
        return self

    def less(self, part: MomentTally) -> MomentTally:
        """The moments without those of a part of the vectors."""
        if not part.count:
            return self
        return MomentTally(self.count - part.count, self.total - part.total, self.outer - part.outer)

    @property
    def mean(self) -> np.ndarray | None:
        """(d,) float64; None for an empty tally."""
        return self.total / self.count if self.count else None

    @property
    def covariance(self) -> np.ndarray | None:
        """(d, d) float64, divided by n - 1 as :func:`numpy.cov` does; None for fewer than two vectors."""
        if self.count < 2:
            return None
        return (self.outer - np.outer(self.total, self.total / self.count)) / (self.count - 1)


class MomentSum:
    """Adds tallies up in place, with the numbers of :class:`MomentTally`'s addition and without its copies."""

    def __init__(self) -> None:
        self._count = 0
        self._total: np.ndarray | None = None
        self._outer: np.ndarray | None = None

    def add(self, own: MomentTally) -> None:
        """Raises ValueError if the number of features is another."""
        self._count += own.count
        if self._total is None or self._outer is None:
            self._total, self._outer = own.total.copy(), own.outer.copy()
            return
        if len(own.total) != len(self._total):
            raise ValueError(f"MomentSum: {len(own.total)} features can't be added to {len(self._total)}")
        self._total += own.total
        self._outer += own.outer

    def tally(self) -> MomentTally:
        """The sum, which must not be added to any more; that of nothing has one feature."""
        if self._total is None or self._outer is None:
            return MomentTally.empty(1)
        return MomentTally(self._count, self._total, self._outer)
