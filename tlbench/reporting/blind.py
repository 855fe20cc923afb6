"""The table of blind readers: their numbers on the same clips, and by how much the run is better."""

from __future__ import annotations

from typing import Any

from tlbench.metrics.metric import Metric
from tlbench.reporting.numbers import ends, head, shown_number
from tlbench.scoring.blind_rows import BLIND_MEANS, LEVEL, Blind, verdict_of
from tlbench.scoring.result import Result


def blind_table(result: Result) -> dict[str, Any] | None:
    """One line a metric, one column a blind reader; None if the result has no blind rows."""
    blind = result.blind
    if blind is None:
        return None
    metrics = [metric for metric in result.metrics if any(metric.key in row.protocols for row in blind.rows)]
    return {
        "system": result.name,
        "readers": [row.name for row in blind.rows],
        "rows": [_line(result, blind, metric) for metric in metrics],
        "level": f"{100 * LEVEL:g}",
        "source": f"{BLIND_MEANS} {'; '.join(blind.learned_from)}." if blind.learned_from else "",
    }


def _line(result: Result, blind: Blind, metric: Metric) -> dict[str, Any]:
    verdict, digits = verdict_of(result, metric.key), metric.digits
    values = []
    for reader in blind.rows:
        row = reader.row(metric.key) if metric.key in reader.protocols else None
        values.append(
            {
                "value": "-" if row is None else shown_number(row.value, digits),
                "ends": "" if row is None else ends(row.low, row.high, digits),
                "best": verdict is not None and verdict.blind == reader.name,
            }
        )
    line = {
        **head(metric),
        "arithmetic": metric.arithmetic,
        "own": shown_number(result.row(metric.key).value, digits),
        "values": values,
    }
    if verdict is None:
        return line | {"delta": "-", "ends": "", "clips": "0", "read": None}
    return line | {
        "delta": shown_number(verdict.delta, digits, sign=True),
        "ends": ends(verdict.low, verdict.high, digits),
        "clips": f"{verdict.clips:,}",
        "read": verdict.read,
    }
