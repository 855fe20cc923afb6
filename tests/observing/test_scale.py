"""What an engine costs itself, in small; ``benchmarks/scale.py`` has the 25,000 clips."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from benchmarks.scale import costs, descriptions, measure
from tlbench.observing.engines import observe
from tlbench.observing.face_boxes import BoxRule
from tlbench.observing.plan import ObserverPlan, Plan

MOST_MS = 2.0  # of processor time a clip, by the project's own goal
MOST_GROWTH_MIB = 24.0  # an allocator's, not one that grows with the clips: 4,000 observations take twice as much


@pytest.mark.parametrize("engine", ["one", "local"])
def test_an_engine_costs_little_and_keeps_nothing(engine: str) -> None:
    _, processor, grown = measure(engine, 2_000, 2)
    assert processor < MOST_MS
    assert grown < MOST_GROWTH_MIB


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_ray_costs_little_and_keeps_nothing() -> None:
    ray = pytest.importorskip("ray", reason="Ray has no wheel for this Python")
    try:
        _, processor, grown = measure("ray", 2_000, 2)
    finally:
        ray.shutdown()
    assert processor < MOST_MS
    assert grown < MOST_GROWTH_MIB


@pytest.mark.slow
def test_a_clip_costs_the_same_among_more_clips() -> None:
    """Processor time in turns, medians of three."""
    (_, few), (_, many) = costs("one", 1, 3)
    assert many < 1.05 * few


def test_the_garbage_collector_leaves_the_list_of_clips_alone_while_clips_are_observed(tmp_path: Path) -> None:
    """Looking at it was what made a clip among many cost more, see docs/scale.md."""
    seen = [
        observe(Plan((ObserverPlan("pixels", ("face",)),), BoxRule(), tmp_path), descriptions(3, tmp_path / "none"))
        for _ in range(2)
    ]
    first = [next(one).clip.id for one in seen]
    assert first == ["first", "first"]
    assert gc.get_freeze_count() > 0
    assert [one.clip.id for one in seen[1]] == ["s1/00001", "s2/00002"]
    assert gc.get_freeze_count() > 0  # it is the other one's
    seen[0].close()  # type: ignore[attr-defined]
    assert gc.get_freeze_count() == 0
