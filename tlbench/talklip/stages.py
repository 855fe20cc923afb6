"""The three stages of TalkLip's training, and when one ends.

TalkLip is trained in stages (Sxjdwang/TalkLip ``train.py``, ``status_manager`` and ``train``): first with the audio
encoder frozen, then the encoder's last blocks are trained too, then the expert's losses are added. The original goes on
when the L1 of the validation set has not fallen for more than five validations in a row, compared with the best of all
stages. A fixed number of steps for each stage is the alternative, for small trainings.

Stages are numbered from 0 here, in states and in logs, and shown to people from 1.

Wav2Lip has two stages (Rudrabha/Wav2Lip ``hq_wav2lip_train.py``): the sync loss is added once its mean over the
validation set is below 0.75. Faceformer has one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
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

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"stage_steps": None if self.steps is None else list(self.steps), "patience": self.patience}


@dataclass(frozen=True)
class SwitchSchedule:
    """What ends the training of a generator without TalkLip's stages.

    Attributes
    ----------
    steps : int or None
        Steps of the whole training; None for patience.
    patience : int
        Validations in a row without a new best L1 that are tolerated; the next one ends the training. The count starts
        again when the expert's loss is added.
    below : float or None
        The expert's loss is added once its mean over the validation set is below this; None if the generator is trained
        with all losses from the first step. Follows from the losses of the generator.
    """

    steps: int | None = None
    patience: int = PATIENCE
    below: float | None = None

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise TlbenchError(f"a training of {self.steps} steps: give at least 1 (--steps)")
        if self.patience < 1:
            raise TlbenchError(f"patience {self.patience}: must be at least 1 (patience)")
        if self.below is not None and self.below <= 0:
            raise TlbenchError(f"a sync loss below {self.below}: no loss is; give more than 0 (--sync-below)")

    @property
    def total(self) -> int | None:
        """As of :class:`StageSchedule`."""
        return self.steps

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"steps": self.steps, "patience": self.patience}


class Progress(ABC):
    """The stage that a training is in, as the loop sees it.

    Attributes
    ----------
    stage : int
        Numbered from 0.
    best : float or None
        The lowest validation L1 so far.
    waited : int
        Validations since then, or since the stage began if that was later.
    """

    stage: int
    best: float | None
    waited: int

    def __init__(self) -> None:
        self.stage, self.best, self.waited = 0, None, 0

    @property
    @abstractmethod
    def total(self) -> int | None:
        """Steps of all stages; None if patience decides."""

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """Whether the training is done."""

    @property
    @abstractmethod
    def train_audio(self) -> bool:
        """Whether this stage trains a pre-trained audio encoder."""

    @property
    @abstractmethod
    def use_expert(self) -> bool:
        """Whether this stage uses the expert's losses."""

    @property
    def is_idle(self) -> bool:
        """Whether this stage changes nothing."""
        return False

    @abstractmethod
    def described(self) -> str:
        """The stage as it is shown to people."""

    @abstractmethod
    def at_step(self, step: int) -> bool:
        """Report the number of steps done; True if a stage ended."""

    @abstractmethod
    def validated(self, l1: float, losses: Mapping[str, float] = MappingProxyType({})) -> bool:
        """Report the validation L1 and all validation losses; True if a stage ended."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """What a state keeps."""

    @abstractmethod
    def restore(self, kept: Mapping[str, Any]) -> None:
        """Continue from :meth:`to_json`. Raises KeyError if a name is missing, ValueError if there is no such stage."""

    def _note_l1(self, l1: float) -> None:
        if self.best is None or l1 < self.best:
            self.best, self.waited = l1, 0
        else:
            self.waited += 1


class Stages(Progress):
    """The stage that a training of TalkLip is in.

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
        super().__init__()
        self.schedule = schedule
        self._skip_idle()

    @property
    def total(self) -> int | None:
        return self.schedule.total

    @property
    def is_over(self) -> bool:
        return self.stage == DONE

    @property
    def train_audio(self) -> bool:
        return self.stage >= AUDIO_TRAINED

    @property
    def use_expert(self) -> bool:
        return self.stage >= EXPERT_USED

    @property
    def is_idle(self) -> bool:
        return self.stage in self.schedule.idle

    def described(self) -> str:
        """``stage 1 of 3: ...``."""
        return "all stages done" if self.is_over else f"stage {self.stage + 1} of {STAGES}: {NAMES[self.stage]}"

    def at_step(self, step: int) -> bool:
        """Report the number of steps done; True if a stage ended. Changes nothing under patience."""
        if self.schedule.steps is None:
            return False
        ends = (sum(self.schedule.steps[: stage + 1]) for stage in range(STAGES))
        before, self.stage = self.stage, sum(step >= end for end in ends)
        return self.stage != before

    def validated(self, l1: float, losses: Mapping[str, float] = MappingProxyType({})) -> bool:
        """Report the validation L1; True if a stage ended. Under fixed steps only ``best`` and ``waited`` change."""
        self._note_l1(l1)
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


class SwitchedStages(Progress):
    """Whether a training of Wav2Lip uses the sync loss already; a training of Faceformer is in its one stage.

    Parameters
    ----------
    schedule : SwitchSchedule
    name : str
        Of the loss that is added, among the validation losses.
    """

    def __init__(self, schedule: SwitchSchedule, name: str = "sync") -> None:
        super().__init__()
        self.schedule = schedule
        self._name = name
        self._is_over = False

    @property
    def total(self) -> int | None:
        return self.schedule.total

    @property
    def is_over(self) -> bool:
        return self._is_over

    @property
    def train_audio(self) -> bool:
        return True

    @property
    def use_expert(self) -> bool:
        return self.schedule.below is None or self.stage > 0

    def described(self) -> str:
        below = self.schedule.below
        if self.is_over:
            added = "" if self.use_expert else f"; the {self._name} loss was never below {below:g} and never added"
            return f"training done{added}"
        if below is None:
            return "all losses from the first step"
        if self.use_expert:
            return f"stage 2 of 2: the {self._name} loss is added"
        return f"stage 1 of 2: without the {self._name} loss, until it is below {below:g} on the validation set"

    def at_step(self, step: int) -> bool:
        before = self._is_over
        if self.schedule.steps is not None:
            self._is_over = step >= self.schedule.steps
        return self._is_over != before

    def validated(self, l1: float, losses: Mapping[str, float] = MappingProxyType({})) -> bool:
        self._note_l1(l1)
        below = self.schedule.below
        if below is not None and not self.use_expert and losses[self._name] < below:
            self.stage, self.waited = 1, 0
            return True
        if self.schedule.steps is not None or self.waited <= self.schedule.patience:
            return False
        self._is_over = True
        return True

    def to_json(self) -> dict[str, Any]:
        return {"stage": self.stage, "best": self.best, "waited": self.waited, "over": self._is_over}

    def restore(self, kept: Mapping[str, Any]) -> None:
        check_progress((kept["stage"], kept["waited"]), kept["best"])
        if kept["stage"] > 1 or type(kept["over"]) is not bool:
            raise ValueError(f"it has a stage {kept['stage']} of 2")
        self.stage, self.best, self.waited = kept["stage"], kept["best"], kept["waited"]
        self._is_over = kept["over"]
