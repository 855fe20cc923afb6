"""The learning rate of each step and the clips of each batch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tlbench.training.schedule import BatchPlan, Schedule, epoch_batches

LENGTHS = st.lists(st.integers(1, 200), min_size=1, max_size=80)


def test_the_learning_rate_rises_linearly_and_falls_to_a_hundredth() -> None:
    schedule = Schedule(steps=1000, warmup=100, learning_rate=1e-3)
    assert schedule.learning_rate_at(0) == 1e-5
    assert schedule.learning_rate_at(49) == 5e-4
    assert schedule.learning_rate_at(100) == 1e-3
    rates = [schedule.learning_rate_at(step) for step in range(100, 1001)]
    assert rates == sorted(rates, reverse=True)
    assert abs(schedule.learning_rate_at(1000) - 1e-5) < 1e-12


@given(LENGTHS, st.integers(1, 1000), st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_has_every_clip_once_in_batches_that_fit(
    lengths: list[int], batch_frames: int, seed: int, epoch: int
) -> None:
    batches = epoch_batches(lengths, batch_frames, seed, epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = max(lengths[index] for index in batch) * len(batch)
        assert padded <= batch_frames or len(batch) == 1


@given(LENGTHS, st.integers(0, 60))
def test_a_batch_is_the_same_whenever_it_is_asked_for(lengths: list[int], number: int) -> None:
    straight = BatchPlan(lengths, 300, seed=1)
    in_order = [straight[n] for n in range(number + 1)]
    assert BatchPlan(lengths, 300, seed=1)[number] == in_order[number]
    assert straight[0] == in_order[0]  # also after it has gone on


def test_epochs_and_seeds_differ() -> None:
    lengths = [50] * 40
    assert epoch_batches(lengths, 100, 0, 0) != epoch_batches(lengths, 100, 0, 1)
    assert epoch_batches(lengths, 100, 0, 0) != epoch_batches(lengths, 100, 1, 0)


def test_a_plan_knows_the_epoch_of_a_batch() -> None:
    plan = BatchPlan([10, 10, 10, 10], 20, seed=0)  # two batches an epoch
    assert [plan.epoch_of(number) for number in range(5)] == [0, 0, 1, 1, 2]
