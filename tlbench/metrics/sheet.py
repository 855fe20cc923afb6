"""What there is to know about a metric, for lists: what it needs of a clip, and what it is blind to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from inspect import getdoc
from typing import Any

from tlbench.checkpoints.catalogue import observer_cards
from tlbench.checkpoints.weights import here
from tlbench.metrics.catalogue import all_metrics
from tlbench.metrics.metric import Metric
from tlbench.metrics.presets import Preset, presets_of
from tlbench.metrics.sets import SetMetric
from tlbench.observing.observer import Needs
from tlbench.observing.registry import observer_class

# What an observer may need, in the words of the list.
_NEEDS = {
    "reference": "reference video",
    "audio": "sound",
    "transcript": "transcript",
    "word": "word label",
    "word_times": "word times",
    "boxes": "face boxes",
    "placements": "mouth landmarks",
    "weights": "checkpoint",
    "source": "source picture",
}
_NOT_MEASURED = "not calibrated"
SET_NEEDS = ("real videos", "checkpoint")  # of a number of the whole set


def needs_of(metric: Metric) -> list[str]:
    """What has to be there for the metric, with the observer's usual view unless the metric has its own."""
    kind = observer_class(metric.observer)
    return _in_words(kind.needs_for((metric.view or kind.default_view,), (metric.mode,) if metric.mode else ()))


def _in_words(needs: Needs) -> list[str]:
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
        "presets": [] if metric.parts else presets_of(metric.name, metric.key),
        "observer": metric.observer,
        "view": metric.view or None,
        "mode": metric.mode or None,
        "needs": needs_of(metric),
        "blind_spots": blind_spots(metric),
        "ends": metric.ends or None,
        "description": metric.description,
    }


def observer_sheet(name: str) -> dict[str, Any]:
    """JSON of all that a list shows of one observer. Raises TlbenchError if there is none of this name."""
    kind = observer_class(name)
    views = (kind.default_view,) if kind.default_view else ()
    return {
        "name": name,
        "version": kind.version,
        "description": (getdoc(kind) or "").partition("\n")[0],
        "views": dict(kind.views),
        "default_view": kind.default_view or None,
        "modes": list(kind.modes),
        "needs": _in_words(kind.needs_for(views, ())),
        "half_precision": kind.has_half,
        "trainable": bool(kind.trainable),
        "checkpoints": {card.name: here(card) is not None for card in observer_cards(name)},
        "metrics": [metric.key for metric in all_metrics() if metric.observer == name],
    }


def shown_observer(own: Mapping[str, Any]) -> list[str]:
    """A few lines about an observer, from its sheet."""
    usual = own["default_view"]
    views = [f"{view} ({view_id}{', default' if view == usual else ''})" for view, view_id in own["views"].items()]
    cards = [f"{name} ({'here' if there else 'not here'})" for name, there in own["checkpoints"].items()]
    lines = [own["name"], f"  {own['description']}", f"  views: {', '.join(views)}"]
    lines += [f"  needs: {', '.join(own['needs']) or 'nothing but the video'}"]
    lines += [f"  checkpoints: {', '.join(cards)}"] if cards else []
    lines += [f"  metrics: {', '.join(own['metrics'])}"] if own["metrics"] else []
    return lines


def preset_sheet(preset: Preset, keys: Iterable[str]) -> dict[str, Any]:
    """JSON of a preset: which of the metrics with these keys it selects, and what it wants besides."""
    known = list(keys)
    return {
        "name": preset.name,
        "description": preset.description,
        "metrics": preset.keys_among(known),
        "absent": preset.absent(known),
    }


def shown_preset(preset: Preset, keys: Iterable[str]) -> list[str]:
    """A few lines about a preset."""
    known = list(keys)
    lines = [preset.name, f"  {preset.description}"]
    if preset.wants:
        lines.append(f"  {', '.join(preset.keys_among(known))}")
    if absent := preset.absent(known):
        lines.append(f"  not in this installation: {', '.join(absent)}")
    return lines


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
        "presets": presets_of(metric.name, metric.key),
        "observer": metric.observer,
        "view": None,
        "mode": None,
        "needs": list(SET_NEEDS),
        "blind_spots": {},
        "ends": None,
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
    """One line for each data set: ``grid: blind to blur, other sound; sees in part compression (from 43 CRF)``.

    Of a metric of a drive its ends.
    """
    lines = [metric.ends] if metric.ends else []
    for dataset, own in blind_spots(metric).items():
        parts = [f"blind to {', '.join(own['blind'])}"] if own["blind"] else []
        parts += [f"sees in part {', '.join(own['in_part'])}"] if own["in_part"] else []
        lines.append(f"{dataset}: {'; '.join(parts) or 'blind to none of the faults'}")
    return lines or [_NOT_MEASURED]
