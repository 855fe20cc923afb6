"""What counts as a training that has gone off."""

from __future__ import annotations

import math

import pytest
import torch

from tlbench.errors import TlbenchError
from tlbench.talklip.divergence_guard import DivergenceGuard, DivergenceGuardConfig, first_not_finite

RULE = DivergenceGuardConfig(limit=30.0, window=3, patience=2)


def guard() -> DivergenceGuard:
    return DivergenceGuard(RULE, ("real", "fake"))


def test_losses_of_a_healthy_training_pass() -> None:
    watching = guard()
    assert all(watching.check({"l1": 0.1, "real": 0.7, "fake": value}) is None for value in (0.7, 3.0, 9.0, 12.0))
    assert watching.is_calm


def test_a_discriminator_at_the_end_of_its_scale_is_noticed_once_it_stays_there() -> None:
    watching = guard()
    said = [watching.check({"real": 0.0, "fake": value}) for value in (0.7, 100.0, 0.5, 98.5, 100.0)]
    assert said[:4] == [None, None, None, "fake is 98.5 over 3 steps: the discriminator has diverged"]


def test_one_odd_batch_is_forgiven_but_no_state_is_kept_then() -> None:
    watching = guard()
    for value in (0.7, 0.7, 80.0):
        assert watching.check({"real": 0.7, "fake": value}) is None
    assert not watching.is_calm
    for _ in range(3):
        watching.check({"real": 0.7, "fake": 0.7})
    assert watching.is_calm


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_noticed_at_once(value: float) -> None:
    assert guard().check({"l1": value}) == f"l1 is {value}"


def test_steps_without_a_discriminator_do_not_trouble_it() -> None:
    watching = guard()
    assert all(watching.check({"l1": 0.2}) is None for _ in range(9))
    assert watching.is_calm


def test_rollbacks_to_the_same_state_are_limited() -> None:
    watching = guard()
    watching.rolled_back("fake is 100.0", 500)
    watching.rolled_back("fake is 100.0", 500)
    with pytest.raises(
        TlbenchError, match=r"diverged 3 times after step 500 \(fake is 100.0\); .* lower learning rate"
    ):
        watching.rolled_back("fake is 100.0", 500)


def test_a_new_state_begins_the_count_anew_and_going_back_forgets_what_was_seen() -> None:
    watching = guard()
    for _ in range(4):
        watching.check({"fake": 90.0})
        watching.rolled_back("fake is 90.0", 0)
        watching.state_saved()
    assert watching.is_calm


def test_the_first_tensor_that_is_not_finite_is_named() -> None:
    tensors = {"steps": torch.tensor([1]), "a": torch.zeros(2), "b": torch.tensor([1.0, math.nan])}
    assert first_not_finite(tensors) == "b"
    assert first_not_finite({"a": torch.ones(3)}) is None
