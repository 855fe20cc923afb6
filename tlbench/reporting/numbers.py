"""Numbers and labels of metrics in the tables of the page."""

from __future__ import annotations

from math import isfinite

from tlbench.document import interval_cell, label_with_arrow, number_text
from tlbench.metrics.sets import AnyMetric

_DIRECTIONS = {"higher": "higher is better", "lower": "lower is better", "none": "no direction"}


def shown_number(value: float | None, digits: int, *, sign: bool = False) -> str:
    """As :func:`tlbench.document.number_text`, with a plus before positive numbers if ``sign`` is set."""
    text = number_text(value, digits)
    positive = value is not None and isfinite(value) and float(text) > 0
    return f"+{text}" if sign and positive else text


def ends(low: float | None, high: float | None, digits: int) -> str:
    """``[low, high]``, or "" without an interval."""
    return interval_cell("", low, high, digits).detail


def head(metric: AnyMetric) -> dict[str, str]:
    """The label of a metric with its unit, direction and description."""
    return {
        "key": metric.key,
        "label": label_with_arrow(metric.label, metric.better),
        "unit": metric.unit,
        "direction": _DIRECTIONS[metric.better],
        "description": metric.description,
    }
