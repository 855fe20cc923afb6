"""Compares two systems on the same clips and tests which differences are real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from tlbench.arguments import AnyNames, AnyPath, as_names
from tlbench.comparison.comparison_table import comparison_document
from tlbench.comparison.references import same_reference
from tlbench.comparison.set_differences import set_difference, why_not_compared
from tlbench.document import counted, document_html
from tlbench.errors import TlbenchError, quoted, shortened
from tlbench.metrics.metric import Metric
from tlbench.metrics.protocol import Protocol, differing_fields
from tlbench.metrics.sets import SET_METRICS, AnyMetric
from tlbench.preflight.findings import Finding, worst_first
from tlbench.scoring.blind_rows import cannot_read
from tlbench.scoring.differences import Difference, paired_differences
from tlbench.scoring.result import Result, finding_columns
from tlbench.scoring.result_file import load_result
from tlbench.scoring.set_scores import SetScore
from tlbench.statistics import holm

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["a better", "b better", "a and b differ", "no difference shown", "can't be told"]


@dataclass(frozen=True)
class MetricComparison:
    """One metric of a comparison.

    Attributes
    ----------
    metric : Metric or SetMetric
    protocol : Protocol
        The protocol of both systems.
    difference : Difference
        Over the common clips, so its values may differ from those of the two results.
    p_adjusted : float or None
        Corrected by Holm for all metrics of the comparison.
    verdict : str
        ``a better``, ``b better``, ``a and b differ`` (a metric without a direction), ``no difference shown``,
        ``can't be told`` (an infinite value, such as the pooled PSNR of identical videos).
    """

    metric: AnyMetric
    protocol: Protocol
    difference: Difference
    p_adjusted: float | None
    verdict: Verdict


@dataclass(frozen=True)
class NotComparable:
    """A metric that was left out, with its protocol id in each result; None if a result lacks the metric.

    ``reason`` says why if the ids are equal.
    """

    key: str
    a: str | None
    b: str | None
    reason: str = ""


@dataclass(frozen=True)
class SystemStatus:
    """What a reader has to know of one of the two systems before quoting its numbers.

    Attributes
    ----------
    complete : bool
        Whether its result is complete: every expected clip was scored without an error.
    strict : bool
        Whether warnings count as errors in its result (``--strict``).
    expected, in_error, absent : int
        Clips that are expected, that have an error, and that were not observed at all.
    findings : tuple of Finding
        Findings of the run and of the compared clips, the worst first.
    cannot_read : tuple of str
        Observers that read the real videos no better than a blind reader, one line each.
    """

    complete: bool
    strict: bool
    expected: int
    in_error: int
    absent: int
    findings: tuple[Finding, ...]
    cannot_read: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """The comparison of systems a and b.

    Attributes
    ----------
    a, b : str
        Names of the systems.
    level : float
        Confidence level of the intervals, and 1 minus the significance level of the corrected p values.
    rows : tuple of MetricComparison
    not_comparable : tuple of NotComparable
    clips : int
        Clips in both results with the same real video.
    only_a, only_b : int
        Clips left out because the other result does not have them.
    other_reference : int
        Clips left out because the same id has different real videos.
    status_a, status_b : SystemStatus
    not_read : tuple of (str, str)
        Name of a system and key of a metric by which it is read no better than by the best blind reader.
    """

    a: str
    b: str
    level: float
    rows: tuple[MetricComparison, ...]
    not_comparable: tuple[NotComparable, ...]
    clips: int
    only_a: int
    only_b: int
    other_reference: int
    status_a: SystemStatus
    status_b: SystemStatus
    not_read: tuple[tuple[str, str], ...] = ()

    def as_dicts(self) -> list[dict[str, Any]]:
        """One flat mapping a metric, for CSV and JSON."""
        sides = {"a": self.status_a, "b": self.status_b}
        status = {f"complete_{side}": of.complete for side, of in sides.items()} | {
            f"{level}_{side}": listed
            for side, of in sides.items()
            for level, listed in finding_columns(of.findings).items()
        }
        return [
            {
                "metric": row.metric.key,
                "label": row.metric.label,
                "arithmetic": row.metric.arithmetic,
                "unit": row.metric.unit,
                "better": row.metric.better,
                "a": row.difference.a,
                "b": row.difference.b,
                "delta": row.difference.delta,
                "low": row.difference.low,
                "high": row.difference.high,
                "probability_of_improvement": row.difference.probability_of_improvement,
                "p_value": row.difference.p_value,
                "p_adjusted": row.p_adjusted,
                "verdict": row.verdict,
                "clips": row.difference.clips,
                "resampled": row.difference.unit,
                "clusters": row.difference.units,
                "protocol": row.protocol.id,
                **status,
            }
            for row in self.rows
        ]

    def to_dataframe(self) -> pd.DataFrame:
        """A data frame with one row a metric."""
        import pandas as pd

        return pd.DataFrame(self.as_dicts())

    def _repr_html_(self) -> str:
        """The table and its notes as HTML for a notebook."""
        return document_html(comparison_document(self))


def compare(
    a: Result | AnyPath, b: Result | AnyPath, *, level: float = 0.95, metrics: AnyNames | None = None
) -> Comparison:
    """Compare two results clip by clip.

    Only metrics with equal protocol ids are compared, on the clips that both scored. The p values are corrected over
    all compared metrics (Holm), so that more metrics do not find more differences by chance.

    Parameters
    ----------
    a, b : Result or path
        Results, or their files or folders. Resamples, seed and cluster are taken from ``a.interval``.
    level : float
        At 0.95 a difference is real if its corrected p is below 0.05.
    metrics : str or sequence of str, optional
        Keys of the metrics to compare; the headline metrics of both if not given.

    Raises
    ------
    TlbenchError
        If there is no common clip or no comparable metric.
    """
    a, b = (given if isinstance(given, Result) else load_result(given) for given in (a, b))
    settings = replace(a.interval, level=level)
    common = [clip.id for clip in a.clips if clip.id in b.by_id]
    if not common:
        raise TlbenchError(
            f"{quoted(a.name)} and {quoted(b.name)} have no clip in common ({_example(a)} against {_example(b)}); "
            "compare results of the same data set"
        )
    same = [clip_id for clip_id in common if same_reference(a, b, clip_id)]
    if not same:
        raise TlbenchError(
            f"{quoted(a.name)} and {quoted(b.name)} were scored against different reference videos: clip "
            f"{shortened(common[0])} and {counted(len(common) - 1, 'other has', 'others have')} another SHA-256; "
            "score both with the same data"
        )
    keys = as_names(metrics)
    of_sets = {metric.key for metric in SET_METRICS}
    compared, left_out = _comparable(a, b, None if keys is None else [key for key in keys if key not in of_sets])
    sets, sets_left_out = _comparable_sets(a, b, keys, whole=len(same) == len(a.clips) == len(b.clips))
    left_out += sets_left_out
    if not compared and not sets:
        raise TlbenchError(
            f"{quoted(a.name)} and {quoted(b.name)} have no metric with the same "
            f"protocol{_first_reason(a, b, left_out)}"
        )
    differences = paired_differences(a, b, compared, same, settings)
    differences |= {x.metric.key: set_difference(x, y, level) for x, y in sets}
    p_values = {key: d.p_value for key, d in differences.items() if d.p_value is not None}
    adjusted = holm(p_values)
    rows = tuple(
        MetricComparison(
            metric,
            a.protocols[metric.key],
            differences[metric.key],
            adjusted.get(metric.key),
            _verdict(metric, differences[metric.key], adjusted.get(metric.key), level),
        )
        for metric in compared
    ) + tuple(
        MetricComparison(
            x.metric,
            x.protocol,
            differences[x.metric.key],
            adjusted.get(x.metric.key),
            _verdict(x.metric, differences[x.metric.key], adjusted.get(x.metric.key), level),
        )
        for x, _ in sets
    )
    return Comparison(
        a=a.name,
        b=b.name,
        level=level,
        rows=rows,
        not_comparable=tuple(left_out),
        clips=len(same),
        only_a=len(a.clips) - len(common),
        only_b=len(b.clips) - len(common),
        other_reference=len(common) - len(same),
        status_a=_status(a, same),
        status_b=_status(b, same),
        not_read=tuple(
            (of.name, metric.key)
            for of in (a, b)
            for metric in compared
            if of.blind is not None and metric.key in of.blind.verdicts and not of.blind.verdicts[metric.key].read
        ),
    )


def _status(result: Result, compared: Sequence[str]) -> SystemStatus:
    findings = [found for clip_id in compared for found in result.by_id[clip_id].findings]
    return SystemStatus(
        result.complete,
        result.strict,
        result.expected,
        len(result.clips_in_error),
        result.expected - len(result.clips),
        tuple(worst_first([*result.findings, *findings])),
        tuple(cannot_read([result])),
    )


def _example(result: Result) -> str:
    return result.clips[0].id if result.clips else "no clips"


def _comparable(a: Result, b: Result, keys: Sequence[str] | None) -> tuple[list[Metric], list[NotComparable]]:
    """The metrics with equal protocols in the order of ``a``, and the other ones."""
    if keys is None:
        wanted = {m.key: m for m in (*a.metrics, *b.metrics) if m.headline}
    else:
        wanted = {key: a.metric(key) for key in keys}
    compared, left_out = [], []
    for key, metric in wanted.items():
        x, y = a.protocols.get(key), b.protocols.get(key)
        if x is not None and x == y:
            compared.append(metric)
        else:
            left_out.append(NotComparable(key, x.id if x else None, y.id if y else None))
    return compared, left_out


def _comparable_sets(
    a: Result, b: Result, keys: Sequence[str] | None, *, whole: bool
) -> tuple[list[tuple[SetScore, SetScore]], list[NotComparable]]:
    """The numbers of the set in both that can be compared, and the other ones. ``whole``: all clips are common."""
    own, other = ({score.metric.key: score for score in result.sets} for result in (a, b))
    compared, left_out = [], []
    for key in dict.fromkeys([*own, *other]):
        if keys is not None and key not in keys:
            continue
        x, y = own.get(key), other.get(key)
        if x is None or y is None or x.protocol != y.protocol:
            left_out.append(NotComparable(key, x.protocol.id if x else None, y.protocol.id if y else None))
            continue
        reason = why_not_compared(x, y) or ("" if whole else "a or b has clips or real videos that the other has not")
        if reason:
            left_out.append(NotComparable(key, x.protocol.id, y.protocol.id, reason))
        else:
            compared.append((x, y))
    return compared, left_out


def _protocol(result: Result, key: str) -> Protocol | None:
    """Of a metric or of a number of the set; None if the result has none."""
    of_sets = {score.metric.key: score.protocol for score in result.sets}
    return result.protocols.get(key) or of_sets.get(key)


def _first_reason(a: Result, b: Result, left_out: Sequence[NotComparable]) -> str:
    for item in left_out:
        if item.reason:
            return f": {item.key}: {item.reason}"
        x, y = (_protocol(result, item.key) for result in (a, b))
        if x is not None and y is not None:
            fields = (f"{f} ({getattr(x, f) or 'none'}, {getattr(y, f) or 'none'})" for f in differing_fields([x, y]))
            return f": {item.key} differs in {', '.join(fields)}; score both with the same settings"
    return "; score both with the same metrics"


def _verdict(metric: AnyMetric, difference: Difference, p_adjusted: float | None, level: float) -> Verdict:
    if p_adjusted is None or difference.delta is None:
        return "can't be told"
    if p_adjusted >= 1 - level:
        return "no difference shown"
    if metric.better == "none":
        return "a and b differ"
    return "a better" if (difference.delta > 0) == (metric.better == "higher") else "b better"
