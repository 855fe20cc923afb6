"""The three stages of TalkLip's training, and when one ends.

TalkLip is trained in stages (Sxjdwang/TalkLip ``train.py``, ``status_manager`` and ``train``): first with the audio
encoder frozen, then the encoder's last blocks are trained too, then the expert's losses are added. The original goes on
when the L1 of the validation set has not fallen for more than five validations in a row, compared with the best of all
stages. A fixed number of steps for each stage is the alternative, for small trainings.

Stages are numbered from 0 here, in states and in logs, and shown to people from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlbench.errors import TlbenchError
from tlbench.training.run_folder import check_progress

AUDIO_FROZEN, AUDIO_TRAINED, EXPERT_USED, DONE = range(4)
NAMES = (
    "pictures only, a pre-trained audio encoder is frozen",
    "the last blocks of the audio encoder are trained too",
    "the expert's losses are added",
)
PATIENCE = 5  # train.py: status_manager(5)
STAGES = 3


@dataclass(frozen=True)
class StageSchedule:
    """What ends a stage.

    Attributes
    ----------
    steps : tuple of int or None
        Steps of each of the three stages; None for patience.
    patience : int
        Validations in a row without a new best that are tolerated; the next one ends the stage (``train.py`` compares
        with ``>``).
    idle : tuple of int
        Stages that change nothing for this variant, such as the second for a local audio encoder. Patience skips them;
        fixed steps do not, so that all variants are trained equally long.
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
            raise TlbenchError(f"patience {self.patience}: must be at least 1 (patience)")

    @property
    def total(self) -> int | None:
        """Steps of all stages; None if patience decides."""
        return None if self.steps is None else sum(self.steps)


class Stages:
    """The stage that a training is in.

    Parameters
    ----------
    schedule : StageSchedule

    Attributes
    ----------
    stage : int
        ``AUDIO_FROZEN``, ``AUDIO_TRAINED``, ``EXPERT_USED`` or ``DONE``.
    best : float or None
        The lowest validation L1 so far.
    waited : int
        Validations since then, or since the stage began if that was later.
    """

    def __init__(self, schedule: StageSchedule) -> None:
        self.schedule = schedule
        self.stage = AUDIO_FROZEN
        self.best: float | None = None
        self.waited = 0
        self._skip_idle()

    def at_step(self, step: int) -> bool:
        """Report the number of steps done; True if a stage ended. Changes nothing under patience."""
        if self.schedule.steps is None:
            return False
        ends = (sum(self.schedule.steps[: stage + 1]) for stage in range(STAGES))
        before, self.stage = self.stage, sum(step >= end for end in ends)
        return self.stage != before

    def validated(self, l1: float) -> bool:
        """Report the validation L1; True if a stage ended. Under fixed steps only ``best`` and ``waited`` change."""
        if self.best is None or l1 < self.best:
            self.best, self.waited = l1, 0
        else:
            self.waited += 1
        if self.schedule.steps is not None or self.waited <= self.schedule.patience:
            return False
        self.stage, self.waited = self.stage + 1, 0
        self._skip_idle()
        return True

    def _skip_idle(self) -> None:
        while self.schedule.steps is None and self.stage in self.schedule.idle:
            self.stage += 1

    def to_json(self) -> dict[str, Any]:
        """What a state keeps."""
        return {"stage": self.stage, "best": self.best, "waited": self.waited}

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Continue from :meth:`to_json`. Raises KeyError if a name is missing, ValueError if there is no such stage."""
        check_progress((kept["stage"], kept["waited"]), kept["best"])
        if kept["stage"] > DONE:
            raise ValueError(f"it has a stage {kept['stage']} of {STAGES}")
        self.stage, self.best, self.waited = kept["stage"], kept["best"], kept["waited"]


def described(stage: int) -> str:
    """A stage as it is shown to people: ``stage 1 of 3: ...``."""
    return "all stages done" if stage == DONE else f"stage {stage + 1} of {STAGES}: {NAMES[stage]}"
