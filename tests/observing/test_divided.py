"""A clip that one process decodes and another computes for, as workers of a cluster do it, without a cluster."""

from __future__ import annotations

import importlib
import pickle
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.factories.media_factory import write_clip
from tests.factories.observer_factory import use_observers
from tests.factories.plugin_factory import write_plugin
from tlbench.datasets.clip import Clip
from tlbench.observers.pixels.observer import Pixels
from tlbench.observing.evidence import Observation
from tlbench.observing.face_boxes import BoxRule
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.ray_workers import ComputeWorker, DecodeWorker, Worker


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Clips, and an observer that can be divided next to one that needs no network."""
    monkeypatch.setenv("SLOW_LOG", str(tmp_path))
    monkeypatch.setenv("SLOW_SECONDS", "0")
    monkeypatch.syspath_prepend(str(write_plugin(tmp_path / "plugin")))
    slow = importlib.import_module("slow_plugin.observer").Slow
    use_observers(monkeypatch, {"slow": slow, "pixels": Pixels}.__getitem__)
    for name in ("r", "g"):
        write_clip(tmp_path / f"{name}.mp4", frames=5)
    np.save(tmp_path / "boxes.npy", np.tile([4, 4, 60, 44], (5, 1)))
    (tmp_path / "broken.mp4").write_text("no video")
    return tmp_path


def clips(desk: Path) -> list[Clip]:
    real, boxes = desk / "r.mp4", desk / "boxes.npy"
    return [
        Clip("a", real, desk / "g.mp4", "WORDS", boxes=boxes),
        Clip("b", real, desk / "broken.mp4", "WORDS", boxes=boxes),
        Clip("c", desk / "none.mp4", desk / "g.mp4", "WORDS", boxes=boxes),  # only one of the observers needs it
    ]


def plan(desk: Path, cache: str) -> Plan:
    observers = (ObserverPlan("slow", ("all",)), ObserverPlan("pixels", ("face",)))
    return Plan(observers, BoxRule(), desk / cache)


def divided(desk: Path, cache: str) -> list[Observation]:
    decoding, computing = DecodeWorker(plan(desk, cache), "nowhere"), ComputeWorker(plan(desk, cache), "nowhere")
    (seen, messages), jobs = decoding.decode(clips(desk))
    assert messages == []
    if seen is None:
        seen, messages = computing.compute(pickle.loads(pickle.dumps(jobs)))
        assert messages == []
    assert seen is not None
    return seen


def as_text(seen: list[Observation]) -> list[str]:
    return [
        f"{one.info} {[e.to_json() for e in one.evidence.values()]} {[*map(str, one.failures.values())]} {one.findings}"
        for one in seen
    ]


def test_two_processes_give_what_one_gives_and_fill_the_same_cache(desk: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole, _ = Worker(plan(desk, "one"), "nowhere").observe(clips(desk))
        parts = divided(desk, "two")
    assert whole is not None
    assert as_text(parts) == as_text(whole)
    assert [sorted(one.evidence) for one in parts] == [["pixels", "slow"], [], ["slow"]]
    caches = [{p.relative_to(desk / name) for p in (desk / name).rglob("*.json")} for name in ("one", "two")]
    assert caches[0] == caches[1]
    again = divided(desk, "two")
    assert as_text(again) == as_text(whole)
    assert [one.cached for one in again] == [2, 0, 1]
    assert [one.processor for one in again] == [""] * 3  # nothing was left to compute


def test_an_observer_without_a_network_computes_where_it_is_decoded(desk: Path) -> None:
    decoding = DecodeWorker(plan(desk, "cache"), "nowhere")
    (seen, _), jobs = decoding.decode(clips(desk)[:1])
    assert seen is None
    assert [sorted(job.evidence) for job in jobs] == [["pixels"]]
    assert [sorted(job.states) for job in jobs] == [["slow"]]
    assert list(desk.glob("cropped-*"))


def test_real_videos_of_a_set_are_divided_like_their_clips(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = importlib.import_module("slow_plugin.observer").Slow
    monkeypatch.setattr(slow, "of_sets", True)
    (clip, *_) = clips(desk)
    own = replace(clip, generated=desk / "third.mp4")
    write_clip(desk / "third.mp4", frames=4)
    real = {clip.id: replace(clip, generated=clip.reference)}
    whole, _ = Worker(replace(plan(desk, "one"), real=real), "nowhere").observe([own])
    assert whole is not None
    both = replace(plan(desk, "two"), real=real)
    (seen, _), jobs = DecodeWorker(both, "nowhere").decode([own])
    assert seen is None
    parts, _ = ComputeWorker(both, "nowhere").compute(pickle.loads(pickle.dumps(jobs)))
    assert parts is not None
    assert as_text(parts) == as_text(whole)
    of_set = [one.real for one in (*whole, *parts) if one.real is not None]
    assert [sorted(one.evidence) for one in of_set] == [["slow"], ["slow"]]
    assert as_text(of_set[1:]) == as_text(of_set[:1])
    assert of_set[0].info.generated_sha256 == of_set[0].info.reference_sha256
