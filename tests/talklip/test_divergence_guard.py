"""What counts as a training that has gone off."""

from __future__ import annotations

import json
import math
import random

import pytest
import torch

from tlbench.errors import TlbenchError
from tlbench.talklip.divergence_guard import DivergenceGuard, DivergenceGuardConfig, first_tensor_not_finite

RULE = DivergenceGuardConfig(limit=30.0, window=3, patience=2)


def make_guard() -> DivergenceGuard:
    return DivergenceGuard(RULE, ("real", "fake"))


def test_losses_of_a_healthy_training_pass() -> None:
    guard = make_guard()
    assert all(guard.check({"l1": 0.1, "real": 0.7, "fake": value}) is None for value in (0.7, 3.0, 9.0, 12.0))
    assert guard.is_calm


def test_a_discriminator_that_stays_above_the_limit_has_diverged() -> None:
    guard = make_guard()
    reasons = [guard.check({"real": 0.0, "fake": value}) for value in (0.7, 100.0, 0.5, 98.5, 100.0)]
    assert reasons[:4] == [None, None, None, "fake is 98.5 over 3 steps: the discriminator has diverged"]


def test_a_single_batch_above_the_limit_is_tolerated_but_no_state_is_saved_then() -> None:
    guard = make_guard()
    for value in (0.7, 0.7, 80.0):
        assert guard.check({"real": 0.7, "fake": value}) is None
    assert not guard.is_calm
    for _ in range(3):
        guard.check({"real": 0.7, "fake": 0.7})
    assert guard.is_calm


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_divergence(value: float) -> None:
    assert make_guard().check({"l1": value}) == f"l1 is {value}"


def test_steps_without_a_discriminator_pass() -> None:
    guard = make_guard()
    assert all(guard.check({"l1": 0.2}) is None for _ in range(9))
    assert guard.is_calm


def test_rollbacks_to_the_same_state_are_limited() -> None:
    guard = make_guard()
    guard.note_rollback("fake is 100.0", 500)
    guard.note_rollback("fake is 100.0", 500)
    with pytest.raises(
        TlbenchError, match=r"diverged 3 times after step 500 \(fake is 100.0\); .* lower learning rate"
    ):
        guard.note_rollback("fake is 100.0", 500)


def test_a_saved_state_resets_the_count_and_a_rollback_forgets_recent_losses() -> None:
    guard = make_guard()
    for _ in range(4):
        guard.check({"fake": 90.0})
        guard.note_rollback("fake is 90.0", 0)
        guard.note_later_state()
    assert guard.is_calm


def test_the_first_tensor_that_is_not_finite_is_named() -> None:
    tensors = {"steps": torch.tensor([1]), "a": torch.zeros(2), "b": torch.tensor([1.0, math.nan])}
    assert first_tensor_not_finite(tensors) == "b"
    assert first_tensor_not_finite({"a": torch.ones(3)}) is None


@pytest.mark.parametrize("seed", range(10))
def test_a_guard_that_is_restored_says_what_the_one_before_would_have_said(seed: int) -> None:
    rng = random.Random(seed)
    whole, saved = make_guard(), make_guard()
    for _ in range(rng.randint(0, 6)):
        losses = {"l1": 0.1, "real": rng.choice((0.5, 90.0)), "fake": rng.choice((0.5, 90.0))}
        whole.check(losses), saved.check(losses)
    if rng.random() < 0.5:
        whole.note_rollback("why", 3), saved.note_rollback("why", 3)
    resumed = make_guard()
    resumed.restore(json.loads(json.dumps(saved.to_json())))
    assert resumed.is_calm == whole.is_calm
    for _ in range(6):
        losses = {"real": rng.choice((0.5, 90.0)), "fake": rng.choice((0.5, 90.0))}
        assert resumed.check(losses) == whole.check(losses)
    assert resumed.to_json() == whole.to_json()


@pytest.mark.parametrize(
    "kept",
    [{"recent": {"real": ["x"]}}, {"rollbacks": "y"}, {"rollbacks": -1}, {"recent": {"real": [None]}}, {"recent": []}],
)
def test_what_is_no_guard_is_refused(kept: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError)):
        make_guard().restore(kept)
