"""Engines: the order of the clips, few of them in flight, and workers that say what happens to them."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories.media_factory import write_clip
from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError
from tlbench.media.box_files import write_boxes
from tlbench.media.faces import Boxes
from tlbench.observing import local_workers
from tlbench.observing.engines import batches, even_batch, observe
from tlbench.observing.evidence import Observation
from tlbench.observing.face_boxes import BoxRule
from tlbench.observing.kept import Kept
from tlbench.observing.local_workers import LocalWorkers
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.runner import ObserverRunner

CLIPS = 5


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("clips")
    made = []
    for number in range(CLIPS):
        boxes = folder / f"{number}.npy"
        write_boxes(boxes, Boxes(np.tile([4, 4, 60, 44], (3 + number, 1)), 0, "given"))
        generated = write_clip(folder / f"g{number}.mp4", frames=3 + number)
        made.append(
            Clip(f"c{number}", write_clip(folder / f"r{number}.mp4", frames=3 + number), generated, boxes=boxes)
        )
    made[2].generated.write_text("no video")  # type: ignore[union-attr]
    return made


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan((ObserverPlan("pixels", ("face",)),), BoxRule(), tmp_path / "cache")


def test_clips_come_in_lists_of_one_size_and_a_shorter_last_one(clips: list[Clip]) -> None:
    assert [[clip.id for clip in batch] for batch in batches(iter(clips), 2)] == [["c0", "c1"], ["c2", "c3"], ["c4"]]
    assert list(batches([], 3)) == []


def as_text(seen: Iterator[Observation]) -> list[tuple[str, str, str]]:
    return [
        (one.clip.id, str([e.to_json() for e in one.evidence.values()]), str([str(f) for f in one.failures.values()]))
        for one in seen
    ]


def test_two_workers_say_what_one_says_in_the_same_order_and_pass_warnings_on(plan: Plan, clips: list[Clip]) -> None:
    one = as_text(observe(plan, clips))
    assert [name for name, *_ in one] == [clip.id for clip in clips]
    (damaged, *_) = (plan.cache / "evidence").rglob("*.json")
    damaged.write_text("{")
    with pytest.warns(UserWarning, match=f"{damaged.name} is damaged"):
        assert as_text(observe(plan, clips, workers=2)) == one


def test_one_batch_needs_no_worker_beside_this_process(
    plan: Plan, clips: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(LocalWorkers, "observe", refuse)
    assert len(list(observe(plan, clips[:1], workers=2))) == 1
    assert list(observe(plan, [], workers=2)) == []
    monkeypatch.setattr(ObserverRunner, "clips_per_batch", 4)
    assert len(list(observe(plan, clips[1:], workers=2))) == 4


@given(st.integers(1, 10_000), st.integers(1, 64), st.integers(1, 32))
def test_batches_are_no_smaller_than_is_needed_for_all_workers_to_end_together(
    clips: int, workers: int, largest: int
) -> None:
    size = even_batch(clips, workers, largest)
    assert 1 <= size <= largest
    rounds = math.ceil(clips / (workers * largest))  # with the largest batches
    assert size * workers * rounds >= clips
    assert (size - 1) * workers * rounds < clips


def children() -> set[int]:
    return {child.pid for child in multiprocessing.active_children() if child.pid}


def test_workers_are_kept_for_the_next_plan_and_end_with_the_block(plan: Plan, clips: list[Clip]) -> None:
    """As a system and its controls have: started once, each plan is obeyed, and no number is another."""
    other = replace(plan, cache=plan.cache / "other", excused=frozenset(["unreadable"]))
    alone = [as_text(observe(one, clips)) for one in (plan, other)]
    again = [replace(one, cache=one.cache / "again") for one in (plan, other)]
    with Kept() as kept:
        with kept:  # as when a command scores several times
            assert as_text(observe(again[0], clips, workers=2, kept=kept)) == alone[0]
            first = children()
        assert as_text(observe(again[1], clips, workers=2, kept=kept)) == alone[1]
        assert children() == first
        assert len(first) == 2
        assert not kept.workers.running(plan, 3)
    assert children() == set()
    list(observe(replace(plan, cache=plan.cache / "outside"), clips, workers=2, kept=kept))
    assert children() == set()


def test_a_process_without_the_plan_gets_it(plan: Plan, clips: list[Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that had none of the first batches, which bring the plan, as others were quicker."""
    monkeypatch.setattr(local_workers, "_latest", None)
    assert local_workers._observe_batch(1, None, clips[:2]) is None
    seen = local_workers._observe_batch(1, plan, clips[:2])
    assert seen is not None
    assert [one.clip.id for one in seen[0]] == ["c0", "c1"]
    assert local_workers._observe_batch(1, None, clips[2:]) is not None
    assert local_workers._observe_batch(2, None, clips[2:]) is None  # no batch is observed by another plan


def test_after_an_error_workers_are_started_anew(plan: Plan, clips: list[Clip]) -> None:
    with Kept() as kept:
        seen = observe(plan, clips * 10, workers=2, kept=kept)
        next(seen)
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(TlbenchError, match="a worker process was killed"):
            list(seen)
        assert children() == set()
        assert len(list(observe(plan, clips, workers=2, kept=kept))) == len(clips)


def test_no_process_starts_for_clips_that_the_cache_has(
    plan: Plan, clips: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only from the first clip on that it does not have; what can't be read needs no process to say so."""
    one = as_text(observe(plan, clips))
    handed: list[list[str]] = []

    def in_processes(
        _: LocalWorkers, plan: Plan, rest: Iterator[Clip], *_numbers: int, keep: bool
    ) -> Iterator[Observation]:
        waiting = list(rest)
        handed.append([clip.id for clip in waiting])
        return observe(plan, waiting)

    monkeypatch.setattr(LocalWorkers, "observe", in_processes)
    assert as_text(observe(plan, clips, workers=2)) == one
    assert handed == []
    opened = ObserverRunner(plan)._open(clips[1])
    assert opened.keys == {}
    for entry in (plan.cache / "evidence").rglob("*.json"):
        if json.loads(entry.read_text())["key"]["generated"] == opened.generated_sha256:
            entry.unlink()
    assert as_text(observe(plan, clips, workers=2)) == one
    assert handed == [["c1", "c2", "c3", "c4"]]


def test_clips_with_checks_still_to_make_are_not_recalled(plan: Plan, clips: list[Clip]) -> None:
    runner = ObserverRunner(plan)
    assert runner.recall(clips[0]) is None
    list(observe(plan, clips[:1]))
    assert runner.recall(clips[0]) is not None
    for kept in (plan.cache / "checks").rglob("*.json"):
        kept.unlink()
    assert runner.recall(clips[0]) is None


def test_only_a_few_clips_are_in_flight(plan: Plan, clips: list[Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips are taken as results are, so that memory doesn't hang on how many there are."""
    taken: list[str] = []

    class Listing(Sequence[Clip]):
        def __len__(self) -> int:
            return 1000

        def __getitem__(self, index: object) -> Clip:  # type: ignore[override]
            assert isinstance(index, int)
            if index >= 1000:
                raise IndexError
            taken.append(str(index))
            return replace(clips[0], id=f"c{index}")

    seen = observe(plan, Listing(), workers=2)
    next(seen)
    assert len(taken) <= 10
    seen.close()  # type: ignore[attr-defined]


def test_without_ray_its_engine_says_how_to_get_it(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(TlbenchError, match=r"pip install 'tlbench\[ray\]'"):
        observe(plan, [Clip("a")], engine="ray")


def test_a_run_that_is_left_early_ends_its_workers(plan: Plan, clips: list[Clip]) -> None:
    seen = observe(plan, clips, workers=2)
    next(seen)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen.close()  # type: ignore[attr-defined]
    assert children() == set()
