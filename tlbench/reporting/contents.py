"""The data of the page: a result as compact columns, and the choice of clips shown in pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from math import isfinite
from typing import Any

from tlbench.metrics.metric import Metric
from tlbench.preflight.findings import worst_first
from tlbench.reporting.details import CHARTS, Detail
from tlbench.reporting.films import Film
from tlbench.reporting.pictures import Picture
from tlbench.scoring.result import ClipScore, Result, clip_value

EXTRA_DIGITS = 1  # decimals of a clip's number beyond those of the table, so that fewer clips tie


@dataclass(frozen=True)
class ReportRun:
    """One run on the page.

    Attributes
    ----------
    result : Result
    details : mapping of clip id to Detail
        Empty without records.
    pictures : mapping of clip id to Picture
    missing : tuple of str
        What the page can't show, with the way out, one line each.
    """

    result: Result
    details: Mapping[str, Detail] = field(default_factory=dict)
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opening:
    """The clips at the top of the page.

    Attributes
    ----------
    metric : Metric
        By which they were chosen.
    clips : mapping of str to str
        Ids by ``best``, ``median`` and ``worst``, or ``only``.
    films : mapping of clip id to Film or str
        A line instead of a film says why there is none.
    missing : str
        Why there are no real videos; "" if there are some.
    """

    metric: Metric
    clips: Mapping[str, str]
    films: Mapping[str, Film | str]
    missing: str = ""


def ranking_metrics(result: Result) -> list[Metric]:
    """Metrics that rank clips: headline metrics with a direction, or any metric with one."""
    directed = [metric for metric in result.metrics if metric.better != "none"]
    return [metric for metric in directed if metric.headline] or directed


def reading_metric(result: Result) -> Metric | None:
    """The metric that the page opens with: what a lip reader reads, corrected arithmetic first; else the first one."""
    ranking = ranking_metrics(result)
    free = [metric for metric in ranking if metric.reads in ("sentence", "word", "words")]
    reading = free or [metric for metric in ranking if metric.reads]
    return next((m for m in reading if m.arithmetic == "sound"), next(iter(reading or ranking), None))


def opening_clips(result: Result, metric: Metric, ids: Iterable[str]) -> dict[str, str]:
    """The best, the median and the worst clip by a metric: ids by ``best``, ``median`` and ``worst``.

    Only those of ``ids`` that have a number. Of equal clips the first id is taken. A single clip is called ``only``.
    """
    sign = 1.0 if metric.better == "lower" else -1.0
    values = {i: clip_value(metric, result.by_id[i]) for i in ids if i in result.by_id}
    ranked = [clip_id for _, clip_id in sorted((sign * value, i) for i, value in values.items() if value is not None)]
    if not ranked:
        return {}
    if len(ranked) == 1:
        return {"only": ranked[0]}
    if len(ranked) == 2:
        return {"best": ranked[0], "worst": ranked[1]}
    best, median = ranked[0], ranked[len(ranked) // 2]
    worst = min(i for i in ranked if values[i] == values[ranked[-1]] and i not in (best, median))
    return {"best": best, "median": median, "worst": worst}


def notable_clips(result: Result, other: Result | None, count: int) -> list[str]:
    """Ids of at most ``count`` clips to show: worst and best by each ranking metric, or with two runs the most changed.

    The first clips of all metrics come first, so that a small count has some of each.
    """
    orders = []
    for metric in ranking_metrics(result):
        values = {clip.id: clip_value(metric, clip) for clip in result.clips}
        if other is not None:
            if metric.key not in other.protocols:
                continue
            others = {clip.id: clip_value(metric, clip) for clip in other.clips}
            ranked = _by_value(
                (clip_id, _change(value, others[clip_id])) for clip_id, value in values.items() if clip_id in others
            )[::-1]
            orders.append(ranked)
            continue
        ranked = _by_value(values.items())
        worst_first = ranked if metric.better == "higher" else ranked[::-1]
        orders += [worst_first, worst_first[::-1]]
    in_turn = chain.from_iterable(zip_longest(*orders))
    everything = chain(in_turn, (clip.id for clip in result.clips))
    return list(dict.fromkeys(clip_id for clip_id in everything if clip_id is not None))[:count]


def _by_value(values: Iterable[tuple[str, float | None]]) -> list[str]:
    known = [(value, clip_id) for clip_id, value in values if value is not None]
    return [clip_id for _, clip_id in sorted(known)]


def _change(a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return None
    if a == b:  # also if both are infinite
        return 0.0
    return abs(a - b)


def side_json(side: ReportRun, shown: Sequence[str] | None = None) -> dict[str, Any]:
    """A run for the script of the page: one array a column, and details of the clips that have any.

    Parameters
    ----------
    side : ReportRun
    shown : sequence of str, optional
        Ids of the clips to include; all if not given.
    """
    result = side.result
    clips = result.clips if shown is None else [result.by_id[i] for i in shown if i in result.by_id]
    places = {chart.name: place for place, chart in enumerate(CHARTS)}
    return {
        "name": result.name,
        "metrics": [
            {
                "key": metric.key,
                "label": metric.label,
                "unit": metric.unit,
                "better": metric.better,
                "digits": metric.digits,
                "headline": metric.headline,
                "description": metric.description,
                "values": [_rounded(clip_value(metric, clip), metric.digits) for clip in clips],
            }
            for metric in result.metrics
        ],
        "ids": [clip.id for clip in clips],
        "speakers": _column([clip.info.speaker for clip in clips]),
        "words": _column([clip.info.word for clip in clips]),
        "frames": _column([clip.info.frames for clip in clips]),
        "notes": _sparse([[*_finding_lines(clip), *clip.notes] for clip in clips]),
        "failures": _sparse([[[who, f.code, f.message] for who, f in clip.failures.items()] for clip in clips]),
        "readings": _sparse(
            [[[r.observer, r.way, r.steps] for r in _detail(side, clip).readings] for clip in clips],
        ),
        "curves": _sparse(
            [{str(places[name]): curve for name, curve in _detail(side, clip).curves.items()} for clip in clips],
        ),
        "pictures": _sparse(
            [side.pictures[clip.id].to_json() if clip.id in side.pictures else {} for clip in clips],
        ),
    }


def _finding_lines(clip: ClipScore) -> list[str]:
    """The findings of a clip as lines, the worst first, without those that are listed as failures."""
    failed = {why.code for why in clip.failures.values()}
    return [f"{f.level}, {f.code}: {f.message}" for f in worst_first(clip.findings) if f.code not in failed]


_NOTHING = Detail()


def _detail(side: ReportRun, clip: ClipScore) -> Detail:
    return side.details.get(clip.id, _NOTHING)


def _rounded(value: float | None, digits: int) -> float | str | None:
    """The value with few decimals. Infinity becomes a text, since JSON has none."""
    if value is None or not isfinite(value):
        return value if value is None else repr(value)
    return round(value, digits + EXTRA_DIGITS)


def _column(values: Sequence[Any]) -> Sequence[Any] | None:
    """The values, or None if all are None."""
    return values if any(value is not None for value in values) else None


def _sparse(values: Sequence[Any]) -> dict[str, Any]:
    """The values that are not empty, by their index."""
    return {str(place): value for place, value in enumerate(values) if value}
