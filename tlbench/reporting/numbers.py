"""Numbers and heads of metrics as they stand in the tables of the page."""

from __future__ import annotations

from math import isfinite

from tlbench.metrics.metric import Metric

_ARROWS = {"higher": "↑", "lower": "↓", "none": ""}
_WAYS = {"higher": "higher is better", "lower": "lower is better", "none": "no direction"}


def shown_number(value: float | None, digits: int, *, sign: bool = False) -> str:
    """A number as people read it: ``-`` for none, the sign of infinity, no minus zero."""
    if value is None:
        return "-"
    if not isfinite(value):
        return "∞" if value > 0 else "-∞"
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        return text.removeprefix("-")
    return f"+{text}" if sign and value > 0 else text


def ends(low: float | None, high: float | None, digits: int) -> str:
    """``[low, high]``, or nothing where there is no interval."""
    return "" if low is None or high is None else f"[{shown_number(low, digits)}, {shown_number(high, digits)}]"


def head(metric: Metric) -> dict[str, str]:
    """What stands at the head of a metric's line."""
    return {
        "key": metric.key,
        "label": f"{metric.label} {_ARROWS[metric.better]}".strip(),
        "unit": metric.unit,
        "way": _WAYS[metric.better],
        "description": metric.description,
    }
