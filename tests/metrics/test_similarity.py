"""Likeness of features, clip by clip."""

from __future__ import annotations

import pytest

from tlbench.metrics.catalogue import find_metric
from tlbench.metrics.similarity import METRICS
from tlbench.observing.evidence import Evidence

ALIKE = {"avs_u": 0.2, "avs_m": 0.5, "avs_v": -0.1}


@pytest.mark.parametrize("name", sorted(ALIKE))
def test_each_similarity_is_its_own_finding(name: str) -> None:
    metric = find_metric(f"{name}/sound")
    assert metric.value(metric.tally(Evidence("avhubert", ALIKE))) == pytest.approx(ALIKE[name])


def test_similarities_are_means_over_clips() -> None:
    metric = find_metric("avs_u/sound")
    total = sum(
        (metric.tally(Evidence("avhubert", {"avs_u": likeness})) for likeness in (0.7, 0.1)),
        metric.tally(Evidence("avhubert", ALIKE)),
    )
    assert metric.value(total) == pytest.approx(1.0 / 3)


def test_they_are_asked_for_and_cost_extra() -> None:
    assert all(metric.mode == "similarity" and not metric.headline for metric in METRICS)
