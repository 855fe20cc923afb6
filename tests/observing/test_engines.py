"""Engines: the order of the clips, few of them in flight, and workers that say what happens to them."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.factories.media_factory import write_clip
from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError
from tlbench.media.box_files import write_boxes
from tlbench.media.faces import Boxes
from tlbench.observing import engines
from tlbench.observing.engines import batches, observe
from tlbench.observing.evidence import Observation
from tlbench.observing.face_boxes import BoxRule
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


def test_one_clip_needs_no_worker_beside_this_process(
    plan: Plan, clips: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(engines, "_in_processes", refuse)
    assert len(list(observe(plan, clips[:1], workers=2))) == 1
    assert list(observe(plan, [], workers=2)) == []


def test_no_process_starts_for_clips_that_the_cache_has(
    plan: Plan, clips: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only from the first clip on that it does not have; what can't be read needs no process to say so."""
    one = as_text(observe(plan, clips))
    handed: list[list[str]] = []

    def in_processes(plan: Plan, rest: Iterator[Clip], workers: int) -> Iterator[Observation]:
        rest = list(rest)  # type: ignore[assignment]
        handed.append([clip.id for clip in rest])
        return observe(plan, rest)  # type: ignore[arg-type]

    monkeypatch.setattr(engines, "_in_processes", in_processes)
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
    import multiprocessing

    seen = observe(plan, clips, workers=2)
    next(seen)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []
