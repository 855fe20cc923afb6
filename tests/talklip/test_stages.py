"""When a stage of the reference generator's training ends."""

from __future__ import annotations

import json

import pytest

from tlbench.errors import TlbenchError
from tlbench.talklip.stages import AUDIO_FROZEN, AUDIO_TRAINED, DONE, EXPERT_USED, Stages, StageSchedule


def test_patience_tolerates_five_validations_and_the_sixth_ends_the_stage() -> None:
    stages = Stages(StageSchedule())
    assert [stages.validated(l1) for l1 in (0.5, 0.4, 0.41, 0.42, 0.43, 0.44, 0.45)] == [False] * 7
    assert stages.validated(0.46)
    assert (stages.stage, stages.waited) == (AUDIO_TRAINED, 0)


def test_the_best_of_all_stages_counts_not_of_each() -> None:
    stages = Stages(StageSchedule(patience=1))
    changed = [stages.validated(l1) for l1 in (0.2, 0.3, 0.3, 0.25, 0.24)]
    assert changed == [False, False, True, False, True]  # 0.25 is better than the stage's first, not than the best
    assert (stages.stage, stages.best) == (EXPERT_USED, 0.2)


def test_the_third_stages_end_is_the_training_s() -> None:
    stages = Stages(StageSchedule(patience=1))
    stages.validated(0.1)
    for _ in range(6):
        stages.validated(0.1)
    assert stages.stage == DONE


def test_patience_skips_idle_stages() -> None:
    assert Stages(StageSchedule(idle=(AUDIO_FROZEN,))).stage == AUDIO_TRAINED
    stages = Stages(StageSchedule(patience=1, idle=(AUDIO_FROZEN, EXPERT_USED)))
    assert stages.stage == AUDIO_TRAINED
    for l1 in (0.1, 0.2, 0.3):
        stages.validated(l1)
    assert stages.stage == DONE


def test_fixed_steps_end_stages_whatever_the_validation_loss() -> None:
    stages = Stages(StageSchedule((3, 2, 1), patience=1, idle=(AUDIO_FROZEN,)))
    assert stages.schedule.total == 6
    reached = []
    for step in range(7):
        stages.at_step(step)
        assert not stages.validated(1.0 + step)
        reached.append(stages.stage)
    assert reached == [0, 0, 0, 1, 1, 2, 3]


def test_a_stage_of_no_steps_is_skipped() -> None:
    stages = Stages(StageSchedule((0, 0, 4)))
    assert stages.at_step(0)
    assert stages.stage == EXPERT_USED


def test_a_saved_stage_is_restored() -> None:
    stages, again = Stages(StageSchedule()), Stages(StageSchedule())
    for l1 in (0.3, 0.2, 0.25):
        stages.validated(l1)
    again.restore(json.loads(json.dumps(stages.to_json())))
    assert (again.stage, again.best, again.waited) == (AUDIO_FROZEN, 0.2, 1)


@pytest.mark.parametrize("steps", [(0, 0, 0), (5, -1, 5)])
def test_stages_without_steps_are_refused(steps: tuple[int, int, int]) -> None:
    with pytest.raises(TlbenchError, match=r"give three numbers .* \(--stage-steps\)"):
        StageSchedule(steps)


def test_a_patience_of_0_is_refused() -> None:
    with pytest.raises(TlbenchError, match=r"patience 0: must be at least 1"):
        StageSchedule(patience=0)
