"""What there is to know about a metric, for lists: what it needs of a clip, and what it is blind to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from tlbench.metrics.metric import Metric
from tlbench.metrics.sets import SetMetric
from tlbench.observing.registry import observer_class

# What an observer may need, in the words of the list.
_NEEDS = {
    "reference": "reference video",
    "audio": "sound",
    "transcript": "transcript",
    "word": "word label",
    "boxes": "face boxes",
    "placements": "mouth landmarks",
    "weights": "checkpoint",
}
_NOT_MEASURED = "not calibrated"
SET_NEEDS = ("real videos", "checkpoint")  # of a number of the whole set


def needs_of(metric: Metric) -> list[str]:
    """What has to be there for the metric, with the observer's usual view unless the metric has its own."""
    kind = observer_class(metric.observer)
    needs = kind.needs_for((metric.view or kind.default_view,), (metric.mode,) if metric.mode else ())
    return [words for name, words in _NEEDS.items() if getattr(needs, name)]


def blind_spots(metric: Metric) -> dict[str, dict[str, list[str]]]:
    """By data set of a calibration: faults that the metric is ``blind`` to, and that it sees ``in_part``.

    Empty if it was not calibrated. The faults are those of ``docs/calibration``.
    """
    return {dataset: dict(own[metric.key]) for dataset, own in _calibrated().items() if metric.key in own}


def sheet(metric: Metric) -> dict[str, Any]:
    """JSON of all that a list shows of one metric."""
    return {
        "key": metric.key,
        "name": metric.name,
        "arithmetic": metric.arithmetic,
        "label": metric.label,
        "unit": metric.unit or None,
        "better": metric.better,
        "aggregation": metric.aggregation,
        "version": metric.version,
        "headline": metric.headline,
        "observer": metric.observer,
        "view": metric.view or None,
        "mode": metric.mode or None,
        "needs": needs_of(metric),
        "blind_spots": blind_spots(metric),
        "description": metric.description,
    }


def set_sheet(metric: SetMetric) -> dict[str, Any]:
    """The same of a number of the whole set."""
    return {
        "key": metric.key,
        "name": metric.name,
        "arithmetic": metric.arithmetic,
        "label": metric.label,
        "unit": metric.unit or None,
        "better": metric.better,
        "aggregation": metric.aggregation,
        "version": metric.version,
        "headline": False,  # not measured unless it is asked for
        "observer": metric.observer,
        "view": None,
        "mode": None,
        "needs": list(SET_NEEDS),
        "blind_spots": {},
        "description": metric.description,
    }


@cache
def _calibrated() -> Mapping[str, Mapping[str, Mapping[str, list[str]]]]:
    """By data set and metric key. Copied from the pages by ``scripts/blind_spots.py``."""
    found: dict[str, dict[str, dict[str, list[str]]]] = json.loads(
        (files(__package__) / "blind_spots.json").read_text("utf-8")
    )
    return found


def shown_blind_spots(metric: Metric) -> list[str]:
    """One line for each data set: ``grid: blind to blur, other sound; sees in part compression (from 43 CRF)``."""
    lines = []
    for dataset, own in blind_spots(metric).items():
        parts = [f"blind to {', '.join(own['blind'])}"] if own["blind"] else []
        parts += [f"sees in part {', '.join(own['in_part'])}"] if own["in_part"] else []
        lines.append(f"{dataset}: {'; '.join(parts) or 'blind to none of the faults'}")
    return lines or [_NOT_MEASURED]
