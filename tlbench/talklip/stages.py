"""When a training of the reference generator changes its lessons: three stages, by patience or by the clock of steps.

TalkLip is trained in stages (Sxjdwang/TalkLip ``train.py``, ``status_manager`` and ``train``): first the pictures alone
while the audio encoder stands still, then its last blocks learn too, then the lip reader speaks up. The original goes
on when the validation part's L1 has not fallen for more than five judgements in a row; the best of all stages counts,
not of each. A miniature that has an afternoon gives each stage a number of steps instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlbench.errors import TlbenchError

FROZEN, LISTENING, READING, DONE = range(4)
NAMES = ("audio frozen", "audio learns", "lips are read", "done")
PATIENCE = 5  # train.py: status_manager(5)
STAGES = 3


@dataclass(frozen=True)
class StageSchedule:
    """What ends a stage.

    Attributes
    ----------
    steps : tuple of int or None
        Updates of each of the three stages; None for patience.
    patience : int
        So many judgements in a row may pass without a new best; the next one ends the stage (``train.py`` compares with
        ``>``).
    idle : tuple of int
        Stages that change nothing for this training, such as an audio encoder's that has no blocks to tune: under
        patience they are passed over. Under fixed steps they are not, so that all variants learn equally long.
    """

    steps: tuple[int, int, int] | None = None
    patience: int = PATIENCE
    idle: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.steps is not None and (min(self.steps) < 0 or sum(self.steps) < 1):
            raise TlbenchError(
                f"stages of {self.steps} steps: give three numbers that are not negative, such as 1000,500,500 "
                "(--stage-steps)"
            )
        if self.patience < 1:
            raise TlbenchError(f"patience {self.patience}: must be at least 1 (--patience)")

    @property
    def total(self) -> int | None:
        """Updates in all; None if patience decides."""
        return None if self.steps is None else sum(self.steps)


class Stages:
    """Where a training stands among its stages.

    Parameters
    ----------
    rule : StageSchedule

    Attributes
    ----------
    stage : int
        ``FROZEN``, ``LISTENING``, ``READING`` or ``DONE``.
    best : float or None
        The lowest L1 judged so far.
    waited : int
        Judgements since then, or since the stage began if that was later.
    """

    def __init__(self, rule: StageSchedule) -> None:
        self.rule = rule
        self.stage = FROZEN
        self.best: float | None = None
        self.waited = 0
        self._pass_idle()

    def at_step(self, step: int) -> bool:
        """Tell how many updates are done; True if another stage has begun. Only fixed steps listen to it."""
        if self.rule.steps is None:
            return False
        ends = (sum(self.rule.steps[: stage + 1]) for stage in range(STAGES))
        before, self.stage = self.stage, sum(step >= end for end in ends)
        return self.stage != before

    def judged(self, l1: float) -> bool:
        """Tell the validation part's L1; True if another stage has begun. Only patience listens to it."""
        if self.best is None or l1 < self.best:
            self.best, self.waited = l1, 0
        else:
            self.waited += 1
        if self.rule.steps is not None or self.waited <= self.rule.patience:
            return False
        self.stage, self.waited = self.stage + 1, 0
        self._pass_idle()
        return True

    def _pass_idle(self) -> None:
        while self.rule.steps is None and self.stage in self.rule.idle:
            self.stage += 1

    def to_json(self) -> dict[str, Any]:
        """What a state keeps."""
        return {"stage": self.stage, "best": self.best, "waited": self.waited}

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Go on from :meth:`to_json`. Raises KeyError if that is not what it is."""
        self.stage, self.best, self.waited = kept["stage"], kept["best"], kept["waited"]
