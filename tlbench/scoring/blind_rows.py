"""Rows of blind readers, which guess without looking, and which systems are read better than by guessing.

By a metric a system counts as read if it is better than the best blind reader: if the whole 95 % interval of their
paired difference, over the clips that both have, is on the better side of 0. The run's units (clips, speakers) are
resampled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import isclose
from typing import Any, Literal, cast, get_args

from tlbench.errors import quoted
from tlbench.json_fields import count, entries_of, fields_of, finite, name_text, optional_finite, text, truth
from tlbench.metrics.blind import BlindReading
from tlbench.metrics.metric import Metric
from tlbench.observing.clip_info import ClipInfo
from tlbench.preflight.findings import Finding, finding
from tlbench.scoring.aggregation import make_intervals
from tlbench.scoring.differences import Difference, paired_differences
from tlbench.scoring.result import ClipScore, Result, total_value
from tlbench.scoring.result_notes import UNREAD

LEVEL = 0.95  # of the paired interval
MOST_SOURCES = 1_000
BLIND_MEANS = "blind: the score of guessing without looking, from"  # and where the guesses come from
ProbeSource = Literal["probe", "ground-truth"]


@dataclass(frozen=True)
class Verdict:
    """One metric of a system compared with the best blind reader, in the unit of the metric.

    Attributes
    ----------
    blind : str
        Name of the best blind reader.
    value, blind_value : float
        Of the system and of the blind reader, over the clips that both have.
    delta : float or None
        ``value - blind_value``.
    low, high : float or None
        Ends of its paired interval; None if there is none, as for a single clip.
    clips : int
        Number of clips that both have.
    read : bool
        Whether the whole interval is on the better side of 0.
    """

    blind: str
    value: float
    blind_value: float
    delta: float | None
    low: float | None
    high: float | None
    clips: int
    read: bool


@dataclass(frozen=True)
class Probe:
    """Whether the run's lip readers can read real clips of this data set.

    Attributes
    ----------
    source : "probe" or "ground-truth"
        Which real clips were read: a few, chosen by the seed, or all, as a control.
    verdicts : mapping of metric key to Verdict
    unreadable : mapping of observer name to tuple of metric keys
        Observers that are not better than blind readers, and in which metrics.
    """

    source: ProbeSource
    verdicts: Mapping[str, Verdict]
    unreadable: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Blind:
    """What a result keeps about blind readers.

    Attributes
    ----------
    learned_from : tuple of str
        Where the guesses come from.
    rows : tuple of Result
        One for each way of guessing, with the role ``blind``, over the same clips as the result.
    verdicts : mapping of metric key to Verdict
    probe : Probe or None
        None if no real clip was read.
    """

    learned_from: tuple[str, ...]
    rows: tuple[Result, ...]
    verdicts: Mapping[str, Verdict]
    probe: Probe | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object, which :func:`tlbench.scoring.result_file.parse_result` reads."""
        probe = self.probe
        return {
            "learned_from": list(self.learned_from),
            "rows": [{"name": row.name, "metrics": row.to_json()["metrics"]} for row in self.rows],
            "verdicts": {key: asdict(verdict) for key, verdict in self.verdicts.items()},
            "probe": None
            if probe is None
            else {
                "source": probe.source,
                "verdicts": {key: asdict(verdict) for key, verdict in probe.verdicts.items()},
                "unreadable": {name: list(keys) for name, keys in probe.unreadable.items()},
            },
        }


def with_blind(
    result: Result, readings: Sequence[BlindReading], learned_from: Sequence[str], probe: Probe | None = None
) -> Result:
    """The result with rows of blind readers and a verdict for each of their metrics; unchanged if there are none."""
    rows = tuple(row for reading in readings if (row := _row(result, reading)) is not None)
    if not rows:
        return result
    return replace(result, blind=Blind(tuple(learned_from), rows, make_verdicts(result, rows), probe))


def with_blind_rows_of(before: Result, result: Result) -> Result:
    """A result that was made again from the same records, with the blind rows that ``before`` had for its metrics."""
    if before.blind is None:
        return result
    keys = {metric.key for metric in result.metrics}
    readings = [
        BlindReading(
            row.name,
            {
                metric.key: {clip.id: clip.tallies[metric.key] for clip in row.clips if metric.key in clip.tallies}
                for metric in row.metrics
                if metric.key in keys
            },
        )
        for row in before.blind.rows
    ]
    return with_blind(result, readings, before.blind.learned_from, before.blind.probe)


def make_verdicts(result: Result, rows: Sequence[Result]) -> dict[str, Verdict]:
    """A verdict by metric key, for each metric for which some blind reader has clips in common with the result."""
    chosen: dict[str, list[tuple[Metric, _Values]]] = {}  # by name of the best blind reader
    for metric in result.metrics:
        compared = [(row, _common(result, row, metric.key)) for row in rows if metric.key in row.protocols]
        shared = [(row, values) for row, values in compared if values is not None]
        if shared:
            best, values = (min if metric.better == "lower" else max)(shared, key=lambda pair: pair[1].blind)
            chosen.setdefault(best.name, []).append((metric, values))
    found: dict[str, Verdict] = {}
    for row in rows:
        own = chosen.get(row.name, [])
        ids = [clip.id for clip in result.clips if clip.id in row.by_id]
        differences = paired_differences(
            result, row, [metric for metric, _ in own], ids, replace(result.interval, level=LEVEL)
        )
        found |= {metric.key: _verdict(row.name, metric, values, differences[metric.key]) for metric, values in own}
    return {metric.key: found[metric.key] for metric in result.metrics if metric.key in found}


def probe_of(ground_truth: Result, source: ProbeSource) -> Probe | None:
    """Which observers the verdicts on real clips show to be unable to read them; None if there are no verdicts.

    An observer's headline metrics decide, if it has any.
    """
    if ground_truth.blind is None:
        return None
    verdicts = ground_truth.blind.verdicts
    unreadable: dict[str, tuple[str, ...]] = {}
    for name in dict.fromkeys(metric.observer for metric in ground_truth.metrics):
        own = [metric for metric in ground_truth.metrics if metric.observer == name and metric.key in verdicts]
        deciding = [metric for metric in own if metric.headline] or own
        failed = tuple(m.key for m in deciding if not verdicts[m.key].read and verdicts[m.key].low is not None)
        if failed:
            unreadable[name] = failed
    return Probe(source, verdicts, unreadable)


def probe_findings(probe: Probe) -> Iterator[Finding]:
    """``cannot-read`` for each observer that reads real clips no better than by guessing; about the whole run."""
    for name, keys in probe.unreadable.items():
        compared = "; ".join(_compared(key, probe.verdicts[key]) for key in keys)
        yield finding("cannot-read", None, f"observer {name!r} can't read these faces: on real clips {compared}")


def cannot_read(results: Iterable[Result]) -> list[str]:
    """A line for each observer that can't read the real videos either, for the top of a table or page."""
    probes = (result.blind.probe for result in results if result.blind is not None and result.blind.probe is not None)
    return list(dict.fromkeys(f"{found.message} ({found.fix})." for probe in probes for found in probe_findings(probe)))


def verdict_of(result: Result, key: str) -> Verdict | None:
    """The verdict on one metric; None if no blind reader has it."""
    return None if result.blind is None else result.blind.verdicts.get(key)


def unread_mark(result: Result, key: str) -> str:
    """The mark :data:`tlbench.scoring.result_notes.UNREAD` behind a number that is no reading, else nothing."""
    verdict = verdict_of(result, key)
    return UNREAD if verdict is not None and not verdict.read else ""


def _compared(key: str, verdict: Verdict) -> str:
    """``wer1/sound 77.0 against 80.1 blind (most frequent sentence), difference [-12.0, 4.0], 20 clips``."""
    ends = "no interval" if verdict.low is None or verdict.high is None else f"[{verdict.low:.1f}, {verdict.high:.1f}]"
    return (
        f"{key} {verdict.value:.1f} against {verdict.blind_value:.1f} blind ({verdict.blind}), difference {ends}, "
        f"{verdict.clips:,} clip{'' if verdict.clips == 1 else 's'}"
    )


def read_blind(data: Mapping[str, Any], result: Result, rows: Sequence[Result]) -> Blind:
    """The inverse of :meth:`Blind.to_json`, with rows that were read already.

    Raises KeyError, TypeError or ValueError if it is malformed, or a verdict's values do not follow from the tallies.
    """
    verdicts = {key: _read_verdict(key, item) for key, item in fields_of(data["verdicts"], "verdicts").items()}
    names = {row.name: row for row in rows}
    for key, verdict in verdicts.items():
        if key not in result.protocols or verdict.blind not in names:
            raise ValueError(f"a blind verdict on {quoted(key)} against {quoted(verdict.blind)}, which has no row")
        values = _common(result, names[verdict.blind], key)
        if values is None or not (_same(values.system, verdict.value) and _same(values.blind, verdict.blind_value)):
            raise ValueError(f"the blind verdict on {key} states other values than its tallies give")
    probe = data["probe"]
    sources = entries_of(data["learned_from"], "learned_from", most=MOST_SOURCES)
    return Blind(
        tuple(text(source, "learned_from") for source in sources),
        tuple(rows),
        verdicts,
        None if probe is None else _read_probe(probe),
    )


def _read_probe(data: Mapping[str, Any]) -> Probe:
    if data["source"] not in get_args(ProbeSource):
        raise ValueError(f"probe source {quoted(data['source'])} is none of {', '.join(get_args(ProbeSource))}")
    verdicts = {
        name_text(key, "metric"): _read_verdict(key, item)
        for key, item in fields_of(data["verdicts"], "verdicts").items()
    }
    unreadable = {
        name_text(name, "observer"): tuple(
            name_text(key, "metric") for key in entries_of(keys, "unreadable", most=MOST_SOURCES)
        )
        for name, keys in fields_of(data["unreadable"], "unreadable").items()
    }
    for keys in unreadable.values():
        if not set(keys) <= verdicts.keys():
            raise ValueError(f"the probe has no verdict on {quoted(min(set(keys) - verdicts.keys()))}")
    return Probe(
        cast(ProbeSource, data["source"]),
        verdicts,
        unreadable,
    )


def _read_verdict(key: str, item: Mapping[str, Any]) -> Verdict:
    of = f"of the blind verdict on {key}"
    low, high = (optional_finite(item[name], f"{name} {of}") for name in ("low", "high"))
    if (low is None) != (high is None) or (low is not None and high is not None and low > high):
        raise ValueError(f"the interval {of} runs from {low} to {high}")
    return Verdict(
        blind=name_text(item["blind"], "blind"),
        value=finite(item["value"], f"value {of}"),
        blind_value=finite(item["blind_value"], f"blind_value {of}"),
        delta=optional_finite(item["delta"], f"delta {of}"),
        low=low,
        high=high,
        clips=count(item["clips"], "clips"),
        read=truth(item["read"], f"read {of}"),
    )


def _same(computed: float, stored: float) -> bool:
    return isclose(computed, stored, rel_tol=1e-9, abs_tol=1e-12)  # the order of a sum moves the last digits


def _row(result: Result, reading: BlindReading) -> Result | None:
    """A blind reader as a result over the same clips; None if it has none of the result's metrics."""
    metrics = tuple(metric for metric in result.metrics if reading.tallies.get(metric.key))
    if not metrics:
        return None
    clips = tuple(
        ClipScore(
            ClipInfo(clip.id, clip.info.speaker, clip.info.word),
            tallies={m.key: own[clip.id] for m in metrics if clip.id in (own := reading.tallies[m.key])},
        )
        for clip in result.clips
    )
    if not any(clip.tallies for clip in clips):
        return None
    return replace(
        result,
        name=reading.name,
        role="blind",
        metrics=metrics,
        protocols={metric.key: result.protocols[metric.key] for metric in metrics},
        clips=clips,
        intervals=make_intervals(clips, metrics, result.interval),
        provenance={},
        trained_with=(),
        remarks=(),
        blind=None,
        sets=(),
    )


@dataclass(frozen=True)
class _Values:
    """A metric of the system and of the blind reader, over the clips that both have."""

    system: float
    blind: float
    clips: int


def _common(result: Result, row: Result, key: str) -> _Values | None:
    """None if no clip has both, or nothing was counted in those that do."""
    blind = {clip.id: clip for clip in row.clips if key in clip.tallies}
    clips = [clip for clip in result.clips if key in clip.tallies and clip.id in blind]
    value, count = total_value(result.metric(key), clips)
    blind_value, _ = total_value(result.metric(key), (blind[clip.id] for clip in clips))
    return None if value is None or blind_value is None else _Values(value, blind_value, count)


def _verdict(blind: str, metric: Metric, values: _Values, difference: Difference) -> Verdict:
    low, high = difference.low, difference.high
    end = high if metric.better == "lower" else low
    read = end is not None and (end < 0 if metric.better == "lower" else end > 0)
    return Verdict(blind, values.system, values.blind, difference.delta, low, high, values.clips, read)
