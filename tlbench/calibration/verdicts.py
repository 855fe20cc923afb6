"""How a metric changes as a fault grows: curves, rank correlations and a verdict, from results alone.

Rules:

* Every size is paired with the same clips without the fault, which were encoded in the same way.
* A metric **sees** a fault at a size if the whole paired interval of the difference is on the worse side of zero.
  Intervals are not corrected for the number of sizes, since a verdict needs several of them.
* Each side of no fault (early and late pictures, for example) has its own verdict.
* The rank correlation (Spearman) is taken within each clip, between the rank of the size and the clip's value, and
  then averaged over clips, so that a clip that is hard to read even without the fault hides nothing. Its sign is such
  that +1 means worse with every step. A clip with constant values has correlation 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.stats import rankdata

from tlbench.errors import TlbenchError, quoted
from tlbench.files import write_text_atomically
from tlbench.generation.faults import Fault
from tlbench.metrics.metric import Metric
from tlbench.metrics.sets import AnyMetric
from tlbench.scoring.differences import paired_differences
from tlbench.scoring.result import Result, clip_value
from tlbench.scoring.result_json import json_number
from tlbench.statistics import IntervalSettings, Ratio, bootstrap_intervals, group_units

SCHEMA = "tlbench.calibration/1"
FILE_NAME = "calibration.json"

Mark = Literal["worse", "better", "same", "unknown", "none"]
Verdict = Literal["sees", "sees from", "sees up to", "blind", "prefers", "unknown"]


@dataclass(frozen=True)
class FaultPoint:
    """One metric at one size of a fault, in the unit of the metric.

    Attributes
    ----------
    size : float
    value, low, high : float or None
        The number over all scored clips, and its interval.
    delta, delta_low, delta_high : float or None
        The difference from the same clips without the fault, and its paired interval.
    clips : int
        The number of clips in the difference.
    mark : str
        ``worse`` or ``better`` than no fault, ``same`` if neither is shown, ``unknown`` without an interval, ``none``
        for no fault itself. For a metric without a direction, more is ``worse``.
    """

    size: float
    value: float | None
    low: float | None
    high: float | None
    delta: float | None
    delta_low: float | None
    delta_high: float | None
    clips: int
    mark: Mark


@dataclass(frozen=True)
class FaultSide:
    """One metric on one side of no fault.

    Attributes
    ----------
    name : str
        ``late``, ``damped``; "" if the fault has only one side.
    sizes : tuple of float
        From the smallest fault to the largest.
    correlation, low, high : float or None
        Spearman's correlation, where +1 means worse with every step, and its interval over clips (or speakers).
    clips : int
        The number of clips in the correlation: those scored at every size. Of a number of a whole set: its clips, and
        the correlation is over the sizes, without an interval.
    verdict : str
        ``sees``: worse at every size. ``sees from``: worse from the size ``since`` up to the largest. ``sees up to``:
        worse at some sizes, the last of which is ``since``, but not at the largest. ``prefers``: better at the largest.
        ``blind``: none of these. ``unknown``: no interval at the largest size.
    since : float or None
    """

    name: str
    sizes: tuple[float, ...]
    correlation: float | None
    low: float | None
    high: float | None
    clips: int
    verdict: Verdict
    since: float | None


@dataclass(frozen=True)
class Curve:
    """One metric along one fault: ``points`` in the order of growing size, and one or two ``sides``."""

    fault: str
    metric: AnyMetric
    protocol: str
    points: tuple[FaultPoint, ...]
    sides: tuple[FaultSide, ...]


@dataclass(frozen=True)
class Calibration:
    """All curves of a run.

    Attributes
    ----------
    dataset, split : str
    selection : str or None
        The part of the split; None for all of it.
    clips : int
        The number of clips asked for.
    faults : tuple of Fault
    metrics : tuple of Metric or SetMetric
    curves : tuple of Curve
        By fault, then by metric.
    interval : IntervalSettings
    records : mapping of fault and size to path
        Where the records are, relative to the file: ``{"blur": {"0.5": "points/blur/0.5/records.jsonl"}}``.
    failures : mapping of fault and size to {code: clips}
        Only sizes with failures.
    stand_ins : mapping of kind to {clip id: (id of the stand-in, likeness)}
        Clips whose faces were used for other clips. The key in files is ``doubles``.
    left_out : tuple of str
        Faults and metrics that could not be tried, with the reason, one line each.
    provenance : mapping
    """

    dataset: str
    split: str
    selection: str | None
    clips: int
    faults: tuple[Fault, ...]
    metrics: tuple[AnyMetric, ...]
    curves: tuple[Curve, ...]
    interval: IntervalSettings
    records: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    failures: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    stand_ins: Mapping[str, Mapping[str, tuple[str, float]]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every clip was scored at every size."""
        return not self.failures

    def curve(self, fault: str, metric: str) -> Curve:
        """The curve of a fault's name and a metric's key. Raises TlbenchError if there is none."""
        for curve in self.curves:
            if curve.fault == fault and curve.metric.key == metric:
                return curve
        raise TlbenchError(
            f"no curve of {quoted(metric)} along {quoted(fault)}; there are {', '.join(f.name for f in self.faults)} "
            "and "
            f"{', '.join(m.key for m in self.metrics)}"
        )

    def to_json(self) -> str:
        """The calibration as strict JSON with all digits."""
        data = {
            "schema": SCHEMA,
            "dataset": self.dataset,
            "split": self.split,
            "selection": self.selection,
            "clips": self.clips,
            "interval": asdict(self.interval),
            "faults": [_fault_json(fault) for fault in self.faults],
            "metrics": [
                {
                    "metric": metric.key,
                    "label": metric.label,
                    "unit": metric.unit,
                    "better": metric.better,
                    "version": metric.version,
                    "description": metric.description,
                }
                for metric in self.metrics
            ],
            "curves": [_curve_json(curve) for curve in self.curves],
            "records": self.records,
            "failures": self.failures,
            "doubles": self.stand_ins,
            "left_out": self.left_out,
            "provenance": self.provenance,
        }
        return json.dumps(data, indent=1, allow_nan=False) + "\n"

    def write(self, path: Path) -> None:
        """Write the JSON file. Raises TlbenchError if it can't be written."""
        write_text_atomically(path, self.to_json())


def _fault_json(fault: Fault) -> dict[str, Any]:
    return {
        "fault": fault.name,
        "label": fault.label,
        "unit": fault.unit,
        "none": fault.none,
        "sizes": fault.sizes,
        "sides": {name or "all": sizes for name, sizes in fault.sides},
        "description": fault.description,
        "controls": {f"{size:g}": fault.control(size).name for size in fault.sizes},
    }


def _curve_json(curve: Curve) -> dict[str, Any]:
    points = [asdict(point) for point in curve.points]
    for point in points:
        for name in ("value", "delta"):
            point[name] = json_number(point[name])
    return {
        "fault": curve.fault,
        "metric": curve.metric.key,
        "protocol": curve.protocol,
        "points": points,
        "sides": [asdict(side) for side in curve.sides],
    }


def make_curves(fault: Fault, none: Result, grown: Mapping[float, Result], settings: IntervalSettings) -> list[Curve]:
    """The curves of all metrics along one fault.

    Parameters
    ----------
    fault : Fault
    none : Result
        The result of the clips without the fault.
    grown : mapping of size to Result
        The results of the same clips with the fault, for the same metrics.
    settings : IntervalSettings
    """
    metrics = none.metrics
    points: dict[str, list[FaultPoint]] = {metric.key: [] for metric in metrics}
    for size in fault.sizes:
        result = none if size == fault.none else grown[size]
        ids = [clip.id for clip in result.clips if clip.id in none.by_id]
        differences = paired_differences(result, none, metrics, ids, settings)
        for metric in metrics:
            row, difference = result.row(metric.key), differences[metric.key]
            low, high = difference.low, difference.high
            points[metric.key].append(
                FaultPoint(
                    size=size,
                    value=row.value,
                    low=row.low,
                    high=row.high,
                    delta=difference.delta,
                    delta_low=low,
                    delta_high=high,
                    clips=difference.clips,
                    mark="none" if result is none else mark_of(metric, low, high, difference.units),
                )
            )
    return [
        Curve(
            fault.name,
            metric,
            none.protocols[metric.key].id,
            tuple(points[metric.key]),
            tuple(_side(name, sizes, metric, points[metric.key], none, grown, settings) for name, sizes in fault.sides),
        )
        for metric in metrics
    ]


def mark_of(metric: AnyMetric, low: float | None, high: float | None, units: int) -> Mark:
    """The direction of a difference by its paired interval over ``units`` (clips or speakers); see FaultPoint."""
    if low is None or high is None or units < 2:
        return "unknown"
    if low <= 0 <= high:
        return "same"
    return "worse" if (low > 0) == (metric.better != "higher") else "better"


def decide_verdict(sizes: Sequence[float], marks: Sequence[Mark]) -> tuple[Verdict, float | None]:
    """The verdict on one side from its sizes and marks, the smallest fault first; see :class:`FaultSide`."""
    last = marks[-1]
    if last == "unknown":
        return "unknown", None
    if last == "better":
        return "prefers", None
    worse = [place for place, mark in enumerate(marks) if mark == "worse"]
    if last != "worse":
        return ("sees up to", sizes[worse[-1]]) if worse else ("blind", None)
    others = [place for place, mark in enumerate(marks) if mark != "worse"]
    return ("sees from", sizes[others[-1] + 1]) if others else ("sees", None)


def _side(
    name: str,
    sizes: tuple[float, ...],
    metric: Metric,
    points: Iterable[FaultPoint],
    none: Result,
    grown: Mapping[float, Result],
    settings: IntervalSettings,
) -> FaultSide:
    marks = {point.size: point.mark for point in points}
    verdict, since = decide_verdict(sizes, [marks[size] for size in sizes])
    results = [none, *(grown[size] for size in sizes)]
    ids = sorted(
        clip.id
        for clip in none.clips
        if all(clip.id in r.by_id and metric.key in r.by_id[clip.id].tallies for r in results)
    )
    correlations = np.array([_clip_correlation(metric, clip_id, results) for clip_id in ids])
    scored = ~np.isnan(correlations)
    ids = [clip_id for clip_id, there in zip(ids, scored, strict=True) if there]
    correlations = correlations[scored]
    if not ids:
        return FaultSide(name, sizes, None, None, None, 0, verdict, since)
    units = group_units(ids, [none.by_id[clip_id].info.speaker for clip_id in ids], settings.cluster)
    sums = units.sums(np.stack([correlations, np.ones(len(ids))], axis=1))
    ratio = Ratio(sums[:, 0], sums[:, 1], lambda mean: mean, 1.0)
    interval = bootstrap_intervals([ratio], units.name, settings)[0]
    low, high = (interval.low, interval.high) if interval is not None else (None, None)
    return FaultSide(name, sizes, ratio.total, low, high, len(ids), verdict, since)


def _clip_correlation(metric: Metric, clip_id: str, results: Sequence[Result]) -> float:
    """Spearman's correlation of a growing fault and a worse value within one clip; nan if the clip has no value."""
    values = []
    for result in results:
        value = clip_value(metric, result.by_id[clip_id])
        if value is None:
            return float("nan")
        values.append(value)
    return spearman(values) * (-1 if metric.better == "higher" else 1)


def spearman(values: Sequence[float]) -> float:
    """Spearman's rank correlation of values with their order. Ties get their mean rank; constant values give 0."""
    ranks = rankdata(_rounded(values))
    if np.ptp(ranks) == 0:
        return 0.0
    places = np.arange(len(values), dtype=np.float64)
    return float(np.corrcoef(places, ranks)[0, 1])


def _rounded(values: Sequence[float]) -> np.ndarray:
    """The values rounded to 1e-12 of the largest, so that values that differ by rounding only are ties."""
    array = np.asarray(values, np.float64)
    finite = np.abs(array[np.isfinite(array)])
    step = 1e-12 * finite.max() if finite.size and finite.max() > 0 else 0.0
    if not step:
        return array
    return np.array([round(value / step) * step if isfinite(value) else value for value in values])
