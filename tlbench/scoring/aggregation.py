"""Records to a result: metrics make tallies, tallies are summed, intervals resample whole speakers. No model needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tlbench.errors import ClipError, TlbenchError, quoted, shortened
from tlbench.media.rates import FRAMES_PER_SECOND
from tlbench.metrics.metric import Metric
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.tally import NotFiniteError, Tally
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import NOT_FINITE, Evidence, check_finite
from tlbench.preflight.findings import Finding, is_of_dataset, of_failure
from tlbench.preflight.folder import COPIES, Content, check_copies, check_ground_truth, check_lengths
from tlbench.scoring.record import ClipRecord, Failure
from tlbench.scoring.result import ClipScore, Result, Role
from tlbench.scoring.set_scores import SetScore
from tlbench.statistics import Interval, IntervalSettings, Ratio, Units, bootstrap_intervals, group_units

# Of one clip; a network's float32 ends at 3.4e38. Sums over clips, and their squares in intervals, stay finite.
LARGEST_SUM = 1e100
# Findings about all records together: they are computed whenever records are aggregated.
FROM_RECORDS = frozenset({"duplicate", "duplicate-pictures", "long-video", "ground-truth-as-system"})


def aggregate(
    records: Iterable[ClipRecord],
    metrics: Sequence[Metric],
    protocols: Mapping[str, Protocol],
    *,
    name: str,
    dataset: str,
    split: str,
    expected: int,
    selection: str | None = None,
    role: Role = "system",
    provenance: Mapping[str, Any] | None = None,
    interval: IntervalSettings | None = None,
    trained_with: Sequence[str] = (),
    remarks: Sequence[str] = (),
    findings: Sequence[Finding] = (),
    not_checked: Sequence[str] = (),
    strict: bool = False,
    sets: Sequence[SetScore] = (),
) -> Result:
    """Make a result from records. Records are read one at a time, and only their tallies are kept.

    Parameters
    ----------
    records : iterable of ClipRecord
    metrics, protocols
        The metrics of the result, and their protocols by metric key.
    expected : int
        Number of clips there should be.
    interval : IntervalSettings, optional
        How confidence intervals are made.
    name, dataset, split, selection, role, provenance, trained_with, remarks, findings, not_checked, strict, sets
        As on :class:`Result`.

    Raises
    ------
    TlbenchError
        If a record has neither evidence nor failure of an observer that a metric needs, or lacks a value that the
        metric needs; if a clip occurs twice; if a metric is NaN.
    """
    scores: list[ClipScore] = []
    contents: list[Content] = []
    for record in records:
        scores.append(_score(record, metrics))
        contents.append(_content(record.info))
    found = [*check_copies(contents), *_long_videos(scores)]
    ground_truth = check_ground_truth(len(scores), (found for clip in scores for found in clip.findings))
    if ground_truth is not None:
        found.append(ground_truth)
        scores = [_without_copies(clip) for clip in scores]
    clips = tuple(scores)
    settings = interval or IntervalSettings()
    result = Result(
        name=name,
        dataset=dataset,
        split=split,
        metrics=tuple(metrics),
        protocols={metric.key: protocols[metric.key] for metric in metrics if metric.key in protocols},
        clips=clips,
        expected=expected,
        intervals=make_intervals(clips, metrics, settings),
        interval=settings,
        selection=selection,
        role=role,
        provenance=provenance or {},
        trained_with=tuple(trained_with),
        remarks=tuple(remarks),
        findings=(*findings, *found),
        not_checked=tuple(not_checked),
        strict=strict,
        sets=tuple(sets),
    )
    for row in result.rows():
        if row.value is not None and math.isnan(row.value):
            raise TlbenchError(f"metric {row.metric.key}: its value is NaN; this is a bug of the metric")
    return result


def aggregate_like(outline: Result, records: Iterable[ClipRecord]) -> Result:
    """Records as a result that has everything but its clips from ``outline``; raises as :func:`aggregate`.

    Findings of ``outline`` that follow from records, as of copies, are made again. Rows of blind readers are left out.
    """
    return aggregate(
        records,
        outline.metrics,
        outline.protocols,
        name=outline.name,
        dataset=outline.dataset,
        split=outline.split,
        expected=outline.expected,
        selection=outline.selection,
        role=outline.role,
        provenance=outline.provenance,
        interval=outline.interval,
        trained_with=outline.trained_with,
        remarks=outline.remarks,
        findings=[found for found in outline.findings if found.code not in FROM_RECORDS],
        not_checked=outline.not_checked,
        strict=outline.strict,
        sets=outline.sets,
    )


def _content(info: ClipInfo) -> Content:
    return Content(info.id, info.generated_sha256, info.pictures_sha256, info.reference_sha256)


def _without_copies(clip: ClipScore) -> ClipScore:
    return replace(clip, findings=tuple(found for found in clip.findings if found.code not in COPIES))


def _long_videos(clips: Sequence[ClipScore]) -> list[Finding]:
    return check_lengths({clip.id: clip.info.frames / FRAMES_PER_SECOND for clip in clips if clip.info.frames})


def _score(record: ClipRecord, metrics: Sequence[Metric]) -> ClipScore:
    tallies: dict[str, Tally] = {}
    failures, findings = dict(record.failures), list(record.findings)
    # Errors of the real video make `sound` numbers of the clip worthless for every system.
    withheld = {name for found in record.findings if is_of_dataset(found.code) for name in found.observers}
    for metric in metrics:
        names = metric.evidence_names
        for name in names:
            if name not in record.evidence and name not in record.failures:
                raise TlbenchError(
                    f"clip {shortened(record.id)}: its record has nothing of observer {quoted(name)}, "
                    f"which {metric.key} "
                    "needs; score again with it, or leave the metric out"
                )
        if any(name not in record.evidence for name in names):
            continue
        if metric.arithmetic == "sound" and withheld.intersection(names):
            continue
        evidence = metric.of_parts(record.evidence)
        try:
            tally = _tally(metric, evidence, record.id)
        except ClipError as error:
            failures[metric.key] = Failure(error.code, error.message)
            if error.code not in {found.code for found in findings}:
                findings.append(of_failure(record.id, error.code, error.message, (metric.observer,)))
            continue
        except KeyError as error:
            raise TlbenchError(
                f"clip {shortened(record.id)}: the evidence of {metric.observer} lacks {error}, which {metric.key} "
                "needs; "
                "score again with this metric"
            ) from error
        except (ValueError, TypeError, IndexError, OverflowError) as error:
            raise TlbenchError(
                f"clip {shortened(record.id)}: the evidence of {metric.observer} is not what {metric.key} is made from "
                f"({shortened(str(error))}); score again"
            ) from error
        if tally.numerator or tally.denominator or metric.scores_empty:
            tallies[metric.key] = tally
    return ClipScore(
        info=replace(record.info, pictures_sha256=None),
        tallies=tallies,
        failures=failures,
        notes=record.notes,
        findings=tuple(findings),
    )


def _tally(metric: Metric, evidence: Evidence, clip_id: str) -> Tally:
    """The metric's tally of a clip. Raises ClipError if it has none, or one that is not finite; KeyError as ``tally``.

    The evidence may come from a file that anybody wrote.
    """
    check_finite(evidence, clip_id)
    try:
        with np.errstate(over="ignore"):  # what is beyond all numbers is infinite, and refused as such
            tally = metric.tally(evidence)
    except NotFiniteError as error:
        raise ClipError(
            NOT_FINITE, f"clip {clip_id}: {metric.key} is no finite number ({error}); leave this clip out"
        ) from error
    if max(abs(tally.numerator), abs(tally.denominator)) > LARGEST_SUM:
        raise ClipError(NOT_FINITE, f"clip {clip_id}: {metric.key} has a sum of {tally.numerator:g}; score it again")
    return tally


def with_outdated(result: Result, before: Result, outdated: Sequence[Metric]) -> Result:
    """A result with the numbers of ``before`` that are of older versions of metrics added, in the order of before."""
    clips = []
    for clip in result.clips:
        earlier = before.by_id.get(clip.id)
        if earlier is None or earlier.info.generated_sha256 != clip.info.generated_sha256:
            keys = ", ".join(metric.key for metric in outdated)
            raise TlbenchError(
                f"clip {shortened(clip.id)}: the earlier result has no {keys} of its video, and this tlbench has a "
                "newer version "
                "of them; name the other metrics (--metrics), or score again"
            )
        kept = {metric.key: earlier.tallies[metric.key] for metric in outdated if metric.key in earlier.tallies}
        clips.append(replace(clip, tallies={**clip.tallies, **kept}))
    own = {metric.key: metric for metric in (*outdated, *result.metrics)}
    metrics = tuple(own[metric.key] for metric in before.metrics)
    return replace(
        result,
        clips=tuple(clips),
        metrics=metrics,
        protocols={metric.key: before.protocols[metric.key] for metric in outdated} | dict(result.protocols),
        intervals=make_intervals(clips, metrics, result.interval),
    )


def make_intervals(
    clips: Sequence[ClipScore], metrics: Sequence[Metric], settings: IntervalSettings
) -> dict[str, Interval | None]:
    """Confidence intervals by metric key, each over the clips that its metric scored."""
    clips = sorted(clips, key=lambda clip: clip.id)  # the last digit of a float sum depends on the order
    groups: dict[tuple[str, tuple[int, ...]], list[Metric]] = {}
    for metric in metrics:
        key = metric.key
        scored = tuple(i for i, clip in enumerate(clips) if key in clip.tallies)
        groups.setdefault((metric.cluster, scored), []).append(metric)
    found: dict[str, Interval | None] = {}
    for (cluster, scored), members in groups.items():
        chosen = [clips[i] for i in scored]
        units = units_of(chosen, cluster or settings.cluster)
        ratios = []
        for metric in members:
            tallies = [clip.tallies[metric.key] for clip in chosen]
            sums = units.sums(
                np.array([(t.numerator, t.denominator) for t in tallies], dtype=np.float64).reshape(-1, 2)
            )
            ratios.append(Ratio(sums[:, 0], sums[:, 1], metric.finish, metric.scale))
        intervals = bootstrap_intervals(ratios, units.name, settings)
        found |= {metric.key: interval for metric, interval in zip(members, intervals, strict=True)}
    return {metric.key: found[metric.key] for metric in metrics}


def units_of(clips: Sequence[ClipScore], cluster: str | None) -> Units:
    """The units that are resampled: clips, or clusters of clips with the same word or speaker."""
    labels = [clip.info.word if cluster == "word" else clip.info.speaker for clip in clips]
    return group_units([clip.id for clip in clips], labels, cluster)
