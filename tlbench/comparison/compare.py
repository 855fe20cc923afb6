"""Two systems on the same clips: which differences are real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from tlbench.arguments import AnyNames, AnyPath, as_names
from tlbench.errors import TlbenchError
from tlbench.metrics.metric import Metric
from tlbench.metrics.protocol import Protocol, differing_fields
from tlbench.preflight.findings import Finding, worst_first
from tlbench.scoring.blind_rows import cannot_read
from tlbench.scoring.differences import Difference, paired_differences
from tlbench.scoring.result import Result, finding_columns
from tlbench.scoring.result_file import load_result
from tlbench.statistics import holm

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["a better", "b better", "a and b differ", "no difference shown", "can't be told"]


@dataclass(frozen=True)
class MetricComparison:
    """One metric of a comparison.

    Attributes
    ----------
    metric : Metric
    protocol : Protocol
        That of both.
    difference : Difference
        Its values are over the common clips, so they may differ from those of the two results.
    p_adjusted : float or None
        Corrected by Holm for all metrics of the comparison.
    verdict : str
        ``a better``, ``b better``, ``a and b differ`` (a metric without a direction), ``no difference shown``,
        ``can't be told`` (an infinite value, such as the pooled PSNR of identical videos).
    """

    metric: Metric
    protocol: Protocol
    difference: Difference
    p_adjusted: float | None
    verdict: Verdict


@dataclass(frozen=True)
class NotComparable:
    """A metric that was left out, with the protocol id on each side; None where a side lacks the metric."""

    key: str
    a: str | None
    b: str | None


@dataclass(frozen=True)
class SystemStatus:
    """What must be known of one of the two before its numbers are quoted.

    Attributes
    ----------
    complete : bool
        Whether its result is: every expected clip is there and has no error.
    strict : bool
        Whether warnings count as errors in it, as its user asked.
    expected, in_error, absent : int
        Clips that should be there, that leave it incomplete, and that were not observed at all.
    findings : tuple of Finding
        Of the run as a whole and of the clips compared, the worst first.
    cannot_read : tuple of str
        Observers that do not read the real videos any better than a reader that does not look, a line each.
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
    """System a beside system b.

    Attributes
    ----------
    a, b : str
        Names of the systems.
    level : float
        1 minus the level of significance, after correction; also of the intervals.
    rows : tuple of MetricComparison
    not_comparable : tuple of NotComparable
    clips : int
        In both results, with the same reference.
    only_a, only_b : int
        Clips left out because the other result has no such clip.
    other_reference : int
        Clips left out because the same id stands for different reference videos.
    standing_a, standing_b : SystemStatus
        What must be known of each.
    not_read : tuple of (str, str)
        Systems with metrics by which they are read no better than by a reader that does not look.
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
    standing_a: SystemStatus
    standing_b: SystemStatus
    not_read: tuple[tuple[str, str], ...] = ()

    def as_dicts(self) -> list[dict[str, Any]]:
        """One flat mapping a metric: what tables for programs hold."""
        sides = {"a": self.standing_a, "b": self.standing_b}
        told = {f"complete_{side}": of.complete for side, of in sides.items()} | {
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
                **told,
            }
            for row in self.rows
        ]

    def to_dataframe(self) -> pd.DataFrame:
        """One line a metric."""
        import pandas as pd

        return pd.DataFrame(self.as_dicts())

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from tlbench.tables.notebook import comparison_html  # it stands on tables, which stand on comparisons

        return comparison_html(self)


def compare(
    a: Result | AnyPath, b: Result | AnyPath, *, level: float = 0.95, metrics: AnyNames | None = None
) -> Comparison:
    """Compare two results clip by clip.

    Only metrics whose protocol ids are equal are compared, and only clips that both scored. The p values are corrected
    over all metrics compared (Holm), so that looking at more of them does not find more differences by chance.

    Parameters
    ----------
    a, b : Result or path
        Results, or the folders that they lie in. Resamples, seed and cluster are taken from ``a.interval``.
    level : float
        0.95 calls a difference real if its corrected p is below 0.05.
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
            f"{a.name!r} and {b.name!r} have no clip in common ({_example(a)} against {_example(b)}); "
            "compare results of the same data set"
        )
    same = [clip_id for clip_id in common if _same_reference(a, b, clip_id)]
    if not same:
        raise TlbenchError(
            f"{a.name!r} and {b.name!r} were scored against different reference videos: clip {common[0]} and "
            f"{len(common) - 1} others have another SHA-256; score both with the same data"
        )
    compared, left_out = _comparable(a, b, as_names(metrics))
    if not compared:
        raise TlbenchError(
            f"{a.name!r} and {b.name!r} have no metric made in the same way{_first_reason(a, b, left_out)}"
        )
    differences = paired_differences(a, b, compared, same, settings)
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
        standing_a=_standing(a, same),
        standing_b=_standing(b, same),
        not_read=tuple(
            (of.name, metric.key)
            for of in (a, b)
            for metric in compared
            if of.blind is not None and metric.key in of.blind.verdicts and not of.blind.verdicts[metric.key].read
        ),
    )


def _standing(result: Result, compared: Sequence[str]) -> SystemStatus:
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


def _same_reference(a: Result, b: Result, clip_id: str) -> bool:
    """Whether one id means one clip: in data sets of one's own, ``001`` may be anything."""
    x, y = a.by_id[clip_id].info.reference_sha256, b.by_id[clip_id].info.reference_sha256
    return x is None or y is None or x == y


def _comparable(a: Result, b: Result, keys: Sequence[str] | None) -> tuple[list[Metric], list[NotComparable]]:
    """Metrics of equal protocol, in a's order, and the others."""
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


def _first_reason(a: Result, b: Result, left_out: Sequence[NotComparable]) -> str:
    for item in left_out:
        if item.a is not None and item.b is not None:
            x, y = a.protocols[item.key], b.protocols[item.key]
            fields = (f"{f} ({getattr(x, f) or 'none'}, {getattr(y, f) or 'none'})" for f in differing_fields([x, y]))
            return f": {item.key} differs in {', '.join(fields)}; score both with the same settings"
    return "; score both with the same metrics"


def _verdict(metric: Metric, difference: Difference, p_adjusted: float | None, level: float) -> Verdict:
    if p_adjusted is None or difference.delta is None:
        return "can't be told"
    if p_adjusted >= 1 - level:
        return "no difference shown"
    if metric.better == "none":
        return "a and b differ"
    return "a better" if (difference.delta > 0) == (metric.better == "higher") else "b better"
