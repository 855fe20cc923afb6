"""How far the metrics agree with people: rank correlations of a study's answers with results on the same videos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from tlbench.errors import TlbenchError, quoted, shortened
from tlbench.metrics.opinion import Measure
from tlbench.scoring.result import Result, clip_value
from tlbench.statistics import (
    IntervalSettings,
    resampled_sums,
)
from tlbench.study.answers import Answers, answer_sums

MIN_PAIRED = 3  # points below which a correlation says nothing at all
Level = Literal["videos", "methods"]  # what is a point of a correlation


@dataclass(frozen=True)
class Correlation:
    """Spearman's correlation of the answers of people with a metric on the same videos.

    Attributes
    ----------
    measure, metric : str
    better : str
        Direction of the metric: ``higher``, ``lower`` or ``none``.
    headline : bool
        Whether tables show the metric by default.
    level : "videos" or "methods"
        Whether a point is one clip by one method, or one method.
    value : float
    low, high : float or None
        Bootstrap interval over clips; None for methods, which are too few.
    points : int
    """

    measure: str
    metric: str
    better: str
    headline: bool
    level: Level
    value: float
    low: float | None
    high: float | None
    points: int


def check_same_videos(answers: Answers, condition: str, result: Result) -> None:
    """Raises TlbenchError unless the result was scored on the videos that the study shows under this condition."""
    if condition not in answers.conditions:
        raise TlbenchError(
            f"result {quoted(result.name)} belongs to no method of this study ({', '.join(answers.conditions)}); "
            "name it: --with METHOD=result.json"
        )
    if (result.dataset, result.split) != (answers.dataset, answers.split):
        raise TlbenchError(
            f"result {quoted(result.name)} is of {result.dataset}:{result.split}, the study of "
            f"{answers.dataset}:{answers.split}; score the folder that the study was made from"
        )
    for (shown_as, clip_id), sha256 in answers.sources.items():
        if shown_as != condition or clip_id not in result.by_id:
            continue
        scored = result.by_id[clip_id].info.generated_sha256
        if scored is not None and scored != sha256:
            raise TlbenchError(
                f"result {quoted(result.name)}: its clip {shortened(clip_id)} is another file than the one people saw "
                f"as {condition}; "
                "score the folder that the study was made from"
            )


def correlations_of(
    answers: Answers, measures: Sequence[Measure], results: Mapping[str, Result], settings: IntervalSettings
) -> tuple[Correlation, ...]:
    """The correlations of each measure with each metric that has the same protocol in all given results."""
    if not results:
        return ()
    first = next(iter(results.values()))
    shared = [
        m for m in first.metrics if all(r.protocols.get(m.key) == first.protocols[m.key] for r in results.values())
    ]
    videos: dict[tuple[str, str, str], np.ndarray] = defaultdict(lambda: np.zeros(2))
    methods: dict[tuple[str, str], np.ndarray] = defaultdict(lambda: np.zeros(2))
    for _, condition, clip, measure_key, numerator, denominator in answer_sums(answers):
        if condition in results and denominator:
            videos[measure_key, condition, clip] += (numerator, denominator)
            methods[measure_key, condition] += (numerator, denominator)
    found = []
    for metric in shared:
        clip_values = {
            (condition, clip.id): clip_value(metric, clip)
            for condition, result in results.items()
            for clip in result.clips
        }
        for measure in measures:
            points = [
                _Point(clip, sums[0] / sums[1], said)
                for (key, condition, clip), sums in sorted(videos.items())
                if key == measure.key and (said := clip_values.get((condition, clip))) is not None
            ]
            whole = [
                _Point(condition, sums[0] / sums[1], said)
                for (key, condition), sums in sorted(methods.items())
                if key == measure.key and (said := results[condition].row(metric.key).value) is not None
            ]
            levels: dict[Level, list[_Point]] = {"videos": points, "methods": whole}
            for level, of in levels.items():
                value = spearman([p.rated for p in of], [p.measured for p in of])
                if value is None:
                    continue
                low, high = (_spearman_interval(of, settings) if level == "videos" else None) or (None, None)
                what = (measure.key, metric.key, metric.better, metric.headline)
                found.append(Correlation(*what, level, value, low, high, len(of)))
    return tuple(found)


@dataclass(frozen=True)
class _Point:
    """A point: the clip (resampled as a unit), the mean answer of people, the value of the metric."""

    unit: str
    rated: float
    measured: float


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Rank correlation with mean ranks for ties; None for fewer than three points or constant values."""
    if len(x) < MIN_PAIRED or min(x) == max(x) or min(y) == max(y):
        return None
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def _spearman_interval(points: Sequence[_Point], settings: IntervalSettings) -> tuple[float, float] | None:
    """Percentile bootstrap over clips. Resamples keep the ranks of the whole sample, which is faster than new ranks."""
    units = {name: i for i, name in enumerate(sorted({point.unit for point in points}))}
    if len(units) < MIN_PAIRED:
        return None
    index = [units[point.unit] for point in points]
    x, y = rankdata([point.rated for point in points]), rankdata([point.measured for point in points])
    columns = np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)
    sums = np.stack([np.bincount(index, weights=column, minlength=len(units)) for column in columns.T], axis=1)
    n, sx, sy, sxx, syy, sxy = resampled_sums(sums, settings.resamples, settings.seed).T
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = (n * sxy - sx * sy) / np.sqrt((n * sxx - sx * sx) * (n * syy - sy * sy))
    drawn = drawn[np.isfinite(drawn)]  # a resample of one value has no correlation
    if not len(drawn):
        return None
    low, high = np.clip(np.quantile(drawn, [(1 - settings.level) / 2, (1 + settings.level) / 2]), -1, 1)
    return float(low), float(high)
