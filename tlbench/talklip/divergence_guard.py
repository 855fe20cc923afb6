"""Detects that a generator's training has diverged, so that it can go back to an earlier state.

Now and then the discriminator's losses jump to about 100, where binary cross-entropy ends (torch clamps the logarithm
at -100), and never fall again. TalkLip's README asks the reader to watch for it, to stop, and to resume from an older
checkpoint by hand.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import TYPE_CHECKING, Any

from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DivergenceGuardConfig:
    """What counts as diverged.

    Attributes
    ----------
    limit : float
        Of an adversarial loss, in nats. It stays below 10 in a training that goes well, even while the discriminator is
        never wrong, and is about 100 once the discriminator has diverged.
    window : int
        Steps whose median is compared with the limit, so that a single batch above it is tolerated.
    patience : int
        The number of rollbacks to the same state that are tolerated; at the next one the training is given up.
    """

    limit: float = 30.0
    window: int = 10
    patience: int = 5


class DivergenceGuard:
    """Checks the losses of every step, and counts the rollbacks.

    Parameters
    ----------
    config : DivergenceGuardConfig
    adversarial : iterable of str
        Names of the losses that are compared with the limit. Every loss must be finite.
    """

    def __init__(self, config: DivergenceGuardConfig, adversarial: Iterable[str]) -> None:
        self.config = config
        self._recent: dict[str, deque[float]] = {name: deque(maxlen=config.window) for name in adversarial}
        self._rollbacks = 0

    def check(self, losses: Mapping[str, float]) -> str | None:
        """Why the losses of this step show that the training has diverged; None if they don't.

        ``losses`` has those of one step by name; an adversarial loss that the step did not compute may be missing.
        """
        for name, value in losses.items():
            if not math.isfinite(value):
                return f"{name} is {value}"
        for name, recent in self._recent.items():
            if name in losses:
                recent.append(losses[name])
            median = median_low(recent) if len(recent) == self.config.window else 0.0
            if median > self.config.limit:
                return f"{name} is {median:.1f} over {self.config.window} steps: the discriminator has diverged"
        return None

    @property
    def is_calm(self) -> bool:
        """Whether no adversarial loss of the last ``window`` steps is above the limit, so the state may be saved."""
        return all(value <= self.config.limit for recent in self._recent.values() for value in recent)

    def note_rollback(self, reason: str, step: int) -> None:
        """Count a rollback to ``step``. Raises TlbenchError after too many to the same state."""
        for recent in self._recent.values():
            recent.clear()
        self._rollbacks += 1
        if self._rollbacks > self.config.patience:
            raise TlbenchError(
                f"the training diverged {self._rollbacks} times after step {step} ({reason}); start again in another "
                "folder with a lower learning rate (--learning-rate, --init-from)"
            )

    def to_json(self) -> dict[str, Any]:
        """What a state keeps."""
        return {"recent": {name: list(values) for name, values in self._recent.items()}, "rollbacks": self._rollbacks}

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Continue from :meth:`to_json`. Of a state that has nothing of it nothing is known, as in a new training.

        Raises ValueError, TypeError or AttributeError if it holds something else.
        """
        rollbacks = kept.get("rollbacks", 0)
        losses = [loss for name in self._recent for loss in kept.get("recent", {}).get(name, ())]
        if type(rollbacks) is not int or rollbacks < 0 or not all(type(loss) is float for loss in losses):
            raise ValueError("its guard against divergence holds no losses")
        for name, recent in self._recent.items():
            recent.clear()
            recent.extend(kept.get("recent", {}).get(name, ()))
        self._rollbacks = rollbacks

    def note_later_state(self) -> None:
        """Forget the rollbacks: a later state was saved, and they were to the one before."""
        self._rollbacks = 0


def first_tensor_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Name of the first floating-point tensor with an infinity or a NaN; None if there is none."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            return name
    return None
