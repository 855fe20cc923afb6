"""Notices that a generator's training has gone off, so that it can go back to where it was still well.

The original's discriminator now and then runs away: its losses jump to about 100, which is where binary cross-entropy
ends (torch clamps the logarithm at -100), and never come back. TalkLip's README tells the reader to watch for it, stop,
and resume from an older checkpoint by hand. Here the guard watches.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import TYPE_CHECKING

from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DivergenceGuardConfig:
    """What counts as gone off.

    Attributes
    ----------
    limit : float
        Nats. A discriminator that is merely winning costs the generator less than 10; one that has run away, 100.
    window : int
        Steps whose median is compared with the limit, so that an odd batch is forgiven.
    patience : int
        Times a training goes back to the same state before it gives up.
    """

    limit: float = 30.0
    window: int = 10
    patience: int = 5


class DivergenceGuard:
    """Looks at each step's losses.

    Parameters
    ----------
    rule : DivergenceGuardConfig
    watched : iterable of str
        Names of the adversarial losses; every loss must be a finite number, these must be small as well.
    """

    def __init__(self, rule: DivergenceGuardConfig, watched: Iterable[str]) -> None:
        self.rule = rule
        self._recent: dict[str, deque[float]] = {name: deque(maxlen=rule.window) for name in watched}
        self._tries = 0

    def look(self, losses: Mapping[str, float]) -> str | None:
        """Why this step's losses show that the training has gone off; None if they don't."""
        for name, value in losses.items():
            if not math.isfinite(value):
                return f"{name} is {value}"
        for name, recent in self._recent.items():
            if name in losses:
                recent.append(losses[name])
            usual = median_low(recent) if len(recent) == self.rule.window else 0.0
            if usual > self.rule.limit:
                return f"{name} is {usual:.1f} over {self.rule.window} steps: the discriminator has run away"
        return None

    @property
    def calm(self) -> bool:
        """Whether the present state is worth going back to: no adversarial loss is on its way up to the limit."""
        return all(value <= self.rule.limit for recent in self._recent.values() for value in recent)

    def went_back(self, reason: str, step: int) -> None:
        """Begin anew after a return to ``step``.

        Raises TlbenchError if the same state has been returned to too often.
        """
        for recent in self._recent.values():
            recent.clear()
        self._tries += 1
        if self._tries > self.rule.patience:
            raise TlbenchError(
                f"the training went off {self._tries} times after step {step} ({reason}); go on from there with a "
                "lower learning rate in another folder"
            )

    def went_on(self) -> None:
        """A new state is kept: what happened before it no longer counts."""
        self._tries = 0


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Name of the first floating-point tensor that holds an infinity or no number; None if all are well."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            return name
    return None
