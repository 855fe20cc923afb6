"""What an engine costs itself, in small; ``benchmarks/scale.py`` has the 25,000 clips."""

from __future__ import annotations

import pytest

from benchmarks.scale import costs, measure

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
    """Processor time in turns, median of three: 5 % of the most that an engine may cost.

    What grows is Python's garbage collector, by 4 microseconds a clip from 1,000 to 10,000 clips (docs/scale.md).
    """
    few, many = costs("one", 1, 3)
    assert many - few < 0.05 * MOST_MS
