"""One system trained with several seeds: the mean of its results, with an interval over seeds and clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlbench.arguments import AnyPath
from tlbench.document import Cell, Document, Table, clean, counted, interval_cell, label_with_arrow, number_text
from tlbench.errors import TlbenchError
from tlbench.metrics.metric import Metric
from tlbench.scoring.aggregation import units_of
from tlbench.scoring.result import Result
from tlbench.scoring.result_file import load_result
from tlbench.scoring.result_notes import TITLES
from tlbench.statistics import Interval, Ratio, seed_interval


@dataclass(frozen=True)
class SeedRow:
    """One metric of several seeds.

    Attributes
    ----------
    metric : Metric
    values : tuple of float
        Of each seed, over the clips that all seeds have scored, in the unit of the metric.
    mean : float
    interval : Interval or None
    clips : int
        How many all seeds have scored.
    """

    metric: Metric
    values: tuple[float, ...]
    mean: float
    interval: Interval | None
    clips: int


@dataclass(frozen=True)
class SeedTable:
    """The results of several seeds.

    Attributes
    ----------
    names : tuple of str
        Of the results.
    expected : int
        Clips there should be.
    level : float
        Confidence level of the intervals.
    rows : tuple of SeedRow
        Of the metrics that all results have with the same protocol.
    left_out : tuple of str
        Keys of the other metrics.
    """

    names: tuple[str, ...]
    expected: int
    level: float
    rows: tuple[SeedRow, ...]
    left_out: tuple[str, ...]

    def as_dicts(self) -> list[dict[str, Any]]:
        """One flat mapping for each metric, for CSV and JSON."""
        return [
            {
                "metric": row.metric.key,
                "unit": row.metric.unit,
                "mean": row.mean,
                "low": None if row.interval is None else row.interval.low,
                "high": None if row.interval is None else row.interval.high,
                "lowest": min(row.values),
                "highest": max(row.values),
                "seeds": len(row.values),
                "clips": row.clips,
            }
            for row in self.rows
        ]

    def document(self, *, intervals: bool = True) -> Document:
        """A table with one line a metric."""
        tables = []
        for arithmetic, title in TITLES.items():
            lines = tuple(_line(row, intervals) for row in self.rows if row.metric.arithmetic == arithmetic)
            if lines:
                head = (Cell("metric"), Cell("mean"), Cell("lowest"), Cell("highest"), Cell("clips"))
                tables.append(Table(title, head, (("", lines),), kept=(0,), left=(0,), counts=(4,)))
        notes = [
            f"Mean over {counted(len(self.names), 'seed')}, with its {100 * self.level:g} % bootstrap interval: seeds "
            "are drawn, and clips, the same for all seeds drawn."
        ]
        if len(self.names) < 5:
            notes.append(f"{len(self.names)} seeds are few: their interval is too narrow.")
        if self.left_out:
            notes.append(f"Not in all results with one protocol: {', '.join(self.left_out)}.")
        return Document(f"seeds: {', '.join(map(clean, self.names))}", tuple(tables), tuple(notes))


def aggregate_seeds(runs: Sequence[AnyPath]) -> SeedTable:
    """The mean of one system's results with several seeds.

    Parameters
    ----------
    runs : sequence of path
        Result files or folders of runs, one for each seed, of the same clips.

    Raises
    ------
    TlbenchError
        If there are fewer than two, or they are of other clips, or have no metric with one protocol.
    """
    if len(runs) < 2:
        raise TlbenchError("the mean of seeds needs at least two results; give their folders (--seeds)")
    results = [load_result(run) for run in runs]
    first = results[0]
    for result in results[1:]:
        if (result.dataset, result.split, result.selection) != (first.dataset, first.split, first.selection):
            raise TlbenchError(
                f"{clean(result.name)} is of {clean(result.dataset)}, {clean(result.split)}, {clean(first.name)} of "
                f"{clean(first.dataset)}, {clean(first.split)}, or of other clips of it; seeds need the same clips"
            )
    shared = [metric for metric in first.metrics if _has_one_protocol(metric.key, results)]
    keys = dict.fromkeys(metric.key for result in results for metric in result.metrics)
    rows = [row for row in (_row(metric, results) for metric in shared) if row is not None]
    if not rows:
        raise TlbenchError("these results have no metric with one protocol and clips that all have scored")
    made = {row.metric.key for row in rows}
    names = tuple(result.name for result in results)
    left_out = tuple(key for key in keys if key not in made)
    return SeedTable(names, first.expected, first.interval.level, tuple(rows), left_out)


def _has_one_protocol(key: str, results: Sequence[Result]) -> bool:
    protocols: set[str] = set()
    for result in results:
        if key not in result.protocols:
            return False
        protocols.add(result.protocols[key].id)
    return len(protocols) == 1


def _row(metric: Metric, results: Sequence[Result]) -> SeedRow | None:
    """The row of a metric; None if no clip was scored by all."""
    by_id: list[Mapping[str, Any]] = [result.by_id for result in results]
    ids = sorted(set.intersection(*({id for id, clip in own.items() if metric.key in clip.tallies} for own in by_id)))
    if not ids:
        return None
    settings = results[0].interval
    units = units_of([by_id[0][id] for id in ids], metric.cluster or settings.cluster)
    ratios = []
    for own in by_id:
        tallies = [own[id].tallies[metric.key] for id in ids]
        sums = units.sums(np.array([(t.numerator, t.denominator) for t in tallies], dtype=np.float64))
        ratios.append(Ratio(sums[:, 0], sums[:, 1], metric.finish, metric.scale))
    values = tuple(ratio.total for ratio in ratios)
    if not np.isfinite(values).all():
        return None
    return SeedRow(metric, values, float(np.mean(values)), seed_interval(ratios, settings), len(ids))


def _line(row: SeedRow, intervals: bool) -> tuple[Cell, ...]:
    digits, interval = row.metric.digits, row.interval if intervals else None
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    name = Cell(clean(label_with_arrow(row.metric.label, row.metric.better)), clean(row.metric.unit))
    others = (number_text(min(row.values), digits), number_text(max(row.values), digits), str(row.clips))
    return (name, interval_cell(number_text(row.mean, digits), low, high, digits), *map(Cell, others))
