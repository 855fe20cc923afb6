"""Results: the numbers of one system, made from records without a model, and the file they are kept in.

A result file holds every clip's tallies, so whoever gets one can check the numbers, compare two systems clip by clip
and group them anew. Tallies are stored in columns, one array a field, because 25,000 clips times 16 metrics as objects
would be ten times the size.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.files import write_text_atomically
from tlbench.metrics.metric import Metric
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.tally import Tally
from tlbench.preflight.findings import LEVELS, Finding, count_clips, is_of_dataset, worst_first
from tlbench.scoring.record import Failure
from tlbench.statistics import Interval, IntervalSettings

if TYPE_CHECKING:
    import pandas as pd

    from tlbench.scoring.blind_rows import Blind

SCHEMA = "tlbench.result/1"
FILE_NAME = "result.json"


Role = Literal["system", "control", "blind"]


@dataclass(frozen=True)
class ClipScore:
    """One clip in a result.

    Attributes
    ----------
    id, speaker, generated_sha256, reference_sha256, frames, notes, word, frames_expected, findings
        As on :class:`ClipRecord`.
    tallies : mapping of metric key to Tally
        A metric that had nothing to count in this clip is not in it.
    failures : mapping of observer name (or metric key) to Failure
    """

    id: str
    speaker: str | None = None
    generated_sha256: str | None = None
    reference_sha256: str | None = None
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    frames: int | None = None
    word: str | None = None
    frames_expected: int | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Row:
    """One number of a result as it may be quoted, in the unit of its metric.

    Attributes
    ----------
    metric : Metric
    protocol : Protocol
    value : float or None
        None if no clip was scored.
    low, high : float or None
        Confidence interval; None where there is none.
    scored, expected : int
        Clips that entered, and clips there should have been.
    unit : str or None
        What was resampled: ``clips``, ``speakers``, ``programmes``.
    clusters : int or None
        How many of them.
    """

    metric: Metric
    protocol: Protocol
    value: float | None
    low: float | None
    high: float | None
    scored: int
    expected: int
    unit: str | None
    clusters: int | None


@dataclass(frozen=True)
class Result:
    """What one system scored on one data set.

    Attributes
    ----------
    name : str
        Of the system.
    dataset, split : str
    metrics : tuple of Metric
    protocols : mapping of metric key to Protocol
    clips : tuple of ClipScore
    expected : int
        How many clips the split, or the part of it that was asked for, has.
    intervals : mapping of metric key to Interval or None
    interval : IntervalSettings
        How they were made.
    selection : str or None
        Which part of the split, as in the protocols; None for all of it.
    role : "system", "control" or "blind"
        Controls (ground truth, frozen mouth) stand apart in tables. ``blind`` is a row of another result's ``blind``.
    provenance : mapping
        Versions, weights, command: see :func:`tlbench.scoring.provenance.make_provenance`.
    trained_with : tuple of str
        Names of the checkpoints the system was trained with, as its owner declares them.
    remarks : tuple of str
        What a reader must know of the run as a whole, such as an observer that is a relative of the training expert.
    findings : tuple of Finding
        Of the folder as a whole: copies, files that belong to no clip. Those of a clip are on the clip.
    not_checked : tuple of str
        What the checks of the run did not look at.
    strict : bool
        Whether warnings make the result incomplete, as its user asked.
    blind : Blind or None
        What readers get who do not look, and by which metrics the system is not read better; None where nothing was
        read, and in results written before there were such rows.

    Raises
    ------
    TlbenchError
        If a clip is there twice, there are more than expected, or a metric has no protocol.
    """

    name: str
    dataset: str
    split: str
    metrics: tuple[Metric, ...]
    protocols: Mapping[str, Protocol]
    clips: tuple[ClipScore, ...]
    expected: int
    intervals: Mapping[str, Interval | None]
    interval: IntervalSettings
    selection: str | None = None
    role: Role = "system"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    trained_with: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    not_checked: tuple[str, ...] = ()
    strict: bool = False
    blind: Blind | None = None

    def __post_init__(self) -> None:
        if len(self.by_id) != len(self.clips):
            twice = Counter(clip.id for clip in self.clips).most_common(1)[0][0]
            raise TlbenchError(f"result {self.name!r}: clip {twice} is there twice; score into a fresh folder")
        if len(self.clips) > self.expected:
            raise TlbenchError(f"result {self.name!r}: {len(self.clips)} clips, but only {self.expected} are expected")
        for metric in self.metrics:
            if metric.key not in self.protocols:
                raise TlbenchError(f"result {self.name!r}: metric {metric.key} has no protocol")

    @cached_property
    def by_id(self) -> dict[str, ClipScore]:
        """The clips by their id."""
        return {clip.id: clip for clip in self.clips}

    @cached_property
    def _totals(self) -> dict[str, tuple[float | None, int]]:
        """Value and number of clips scored by metric key."""
        return {metric.key: total_value(metric, self.clips) for metric in self.metrics}

    @property
    def complete(self) -> bool:
        """Whether all expected clips are there and nothing kept an observer from any of them.

        What is wrong with the data set's own files alone does not count: it is the same for every system.
        """
        return (
            len(self.clips) == self.expected
            and not self.clips_in_error
            and not any(map(self._counts_as_error, self.findings))
        )

    @cached_property
    def all_findings(self) -> tuple[Finding, ...]:
        """Findings of the folder and of all clips, the worst first."""
        return tuple(worst_first([*self.findings, *(found for clip in self.clips for found in clip.findings)]))

    @cached_property
    def clips_in_error(self) -> tuple[str, ...]:
        """Ids of the clips that leave the result incomplete."""
        return tuple(
            clip.id
            for clip in self.clips
            if any(not is_of_dataset(why.code) for why in clip.failures.values())
            or any(self._counts_as_error(found) for found in clip.findings)
        )

    def _counts_as_error(self, found: Finding) -> bool:
        if self.strict and found.level == "warning":
            return True
        return found.level == "error" and not is_of_dataset(found.code)

    @cached_property
    def frame_counts(self) -> tuple[int, int] | None:
        """Frames that were scored and frames there should be, over all clips; None if that is not known of every clip.

        A clip that was not scored at all has none of its frames.
        """
        pairs = [(clip.frames or 0, clip.frames_expected) for clip in self.clips]
        if not pairs or any(expected is None for _, expected in pairs):
            return None
        return sum(min(frames, expected or 0) for frames, expected in pairs), sum(
            expected or 0 for _, expected in pairs
        )

    @property
    def failure_counts(self) -> dict[str, int]:
        """In how many clips each kind of trouble occurred, the most frequent first."""
        codes = Counter(code for clip in self.clips for code in {why.code for why in clip.failures.values()})
        return dict(codes.most_common())

    def metric(self, key: str) -> Metric:
        """The metric of a key. Raises TlbenchError naming those there are."""
        for metric in self.metrics:
            if metric.key == key:
                return metric
        raise TlbenchError(
            f"result {self.name!r} has no metric {key!r}; it has {', '.join(m.key for m in self.metrics)}"
        )

    def row(self, key: str) -> Row:
        """The number of one metric. Raises TlbenchError naming the metrics there are."""
        metric = self.metric(key)
        value, scored = self._totals[key]
        interval = self.intervals.get(key)
        return Row(
            metric=metric,
            protocol=self.protocols[key],
            value=value,
            low=interval.low if interval else None,
            high=interval.high if interval else None,
            scored=scored,
            expected=self.expected,
            unit=interval.unit if interval else None,
            clusters=interval.units if interval else None,
        )

    def rows(self) -> list[Row]:
        """The numbers of all metrics, in the order of ``metrics``."""
        return [self.row(metric.key) for metric in self.metrics]

    def as_dicts(self) -> list[dict[str, Any]]:
        """One flat mapping a metric: what tables for programs hold."""
        found = finding_columns(self.all_findings)
        frames, frames_expected = self.frame_counts or (None, None)
        return [
            {
                "system": self.name,
                "role": self.role,
                "dataset": self.dataset,
                "split": self.split,
                "selection": self.selection,
                "metric": row.metric.key,
                "label": row.metric.label,
                "arithmetic": row.metric.arithmetic,
                "unit": row.metric.unit,
                "better": row.metric.better,
                "value": row.value,
                "low": row.low,
                "high": row.high,
                "scored": row.scored,
                "expected": row.expected,
                "resampled": row.unit,
                "clusters": row.clusters,
                "protocol": row.protocol.id,
                "complete": self.complete,
                "frames": frames,
                "frames_expected": frames_expected,
                **found,
            }
            for row in self.rows()
        ]

    def by_word(self, key: str) -> dict[str, tuple[float | None, int]]:
        """Value and number of clips scored of one metric for each word, in the order of the alphabet.

        Clips without a word label are left out. Raises TlbenchError naming the metrics there are.
        """
        metric = self.metric(key)
        words: dict[str, list[ClipScore]] = {}
        for clip in self.clips:
            if clip.word is not None:
                words.setdefault(clip.word, []).append(clip)
        return {word: total_value(metric, words[word]) for word in sorted(words)}

    def to_dataframe(self) -> pd.DataFrame:
        """One line a metric."""
        import pandas as pd

        return pd.DataFrame(self.as_dicts())

    def clips_dataframe(self) -> pd.DataFrame:
        """One line a clip, one column a metric, and what failed."""
        import pandas as pd

        table: dict[str, list[Any]] = {
            "clip": [clip.id for clip in self.clips],
            "speaker": [clip.speaker for clip in self.clips],
            "frames": [clip.frames for clip in self.clips],
            "frames_expected": [clip.frames_expected for clip in self.clips],
            "word": [clip.word for clip in self.clips],
        }
        for metric in self.metrics:
            table[metric.key] = [clip_value(metric, clip) for clip in self.clips]
        table["failures"] = [
            "; ".join(f"{who}: {why.code}" for who, why in clip.failures.items()) for clip in self.clips
        ]
        table["findings"] = [
            "; ".join(f"{found.level}: {found.code}" for found in worst_first(clip.findings)) for clip in self.clips
        ]
        table["notes"] = ["; ".join(clip.notes) for clip in self.clips]
        return pd.DataFrame(table)

    def __repr__(self) -> str:
        """One line, however many clips: what stands in logs, tracebacks and at the end of a notebook's cell."""
        place = f"{self.dataset}:{self.split}" + (f"#{self.selection}" if self.selection else "")
        rows = [row for row in self.rows() if row.value is not None]
        numbers = ", ".join(f"{row.metric.key}={row.value:.{row.metric.digits}f}" for row in rows)
        clips = f"{len(self.clips)} of {self.expected} clips" + ("" if self.complete else ", incomplete")
        return f"<Result {self.name!r} on {place}, {clips}: {numbers}>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from tlbench.tables.notebook import result_html  # it stands on tables, which stand on results

        return result_html(self)

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object: numbers first, then the clips they were made of."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "role": self.role,
            "dataset": self.dataset,
            "split": self.split,
            "selection": self.selection,
            "expected": self.expected,
            "complete": self.complete,
            "interval": asdict(self.interval),
            "trained_with": list(self.trained_with),
            "remarks": list(self.remarks),
            **({"findings": [found.to_json() for found in self.findings]} if self.findings else {}),
            **({"not_checked": list(self.not_checked)} if self.not_checked else {}),
            **({"strict": True} if self.strict else {}),
            "provenance": dict(self.provenance),
            **({} if self.blind is None else {"blind": self.blind.to_json()}),
            "metrics": {row.metric.key: self._metric_json(row) for row in self.rows()},
            "clips": {
                "id": [clip.id for clip in self.clips],
                "speaker": [clip.speaker for clip in self.clips],
                "generated_sha256": [clip.generated_sha256 for clip in self.clips],
                "reference_sha256": [clip.reference_sha256 for clip in self.clips],
                "frames": [clip.frames for clip in self.clips],
                "word": [clip.word for clip in self.clips],
                "failures": {
                    str(i): {who: [why.code, why.message] for who, why in clip.failures.items()}
                    for i, clip in enumerate(self.clips)
                    if clip.failures
                },
                "notes": {str(i): list(clip.notes) for i, clip in enumerate(self.clips) if clip.notes},
                **self._findings_json(),
            },
        }

    def _findings_json(self) -> dict[str, Any]:
        """What clips of results from before there were findings do not have."""
        data: dict[str, Any] = {}
        if any(clip.frames_expected is not None for clip in self.clips):
            data["frames_expected"] = [clip.frames_expected for clip in self.clips]
        if any(clip.findings for clip in self.clips):
            data["findings"] = {
                str(i): [replace(found, clip=None).to_json() for found in clip.findings]
                for i, clip in enumerate(self.clips)
                if clip.findings
            }
        return data

    def _metric_json(self, row: Row) -> dict[str, Any]:
        metric = row.metric
        tallies = [clip.tallies.get(metric.key) for clip in self.clips]
        kind = next((type(tally) for tally in tallies if tally is not None), None)
        return {
            "label": metric.label,
            "unit": metric.unit,
            "better": metric.better,
            "version": metric.version,
            "arithmetic": metric.arithmetic,
            "aggregation": metric.aggregation,
            "description": metric.description,
            "protocol": row.protocol.id,
            "value": json_number(row.value),
            "low": row.low,
            "high": row.high,
            "resampled": row.unit,
            "clusters": row.clusters,
            "scored": row.scored,
            "tally": kind.__name__ if kind else None,
            "fields": {
                f.name: [None if tally is None else _exact(f.type, getattr(tally, f.name)) for tally in tallies]
                for f in (fields(kind) if kind else ())
            },
        }

    def write(self, path: Path) -> None:
        """Write the result to a file, whole or not at all. Raises TlbenchError if it can't be written."""
        write_text_atomically(path, result_text(self.to_json()) + "\n")


def result_text(data: Mapping[str, Any]) -> str:
    """What :meth:`Result.to_json` gave as strict JSON, one entry a line: people can look at its head and diff two."""
    inner = dict(data)
    metrics = ",\n".join(f"{dumps(key)}:{dumps(value)}" for key, value in inner.pop("metrics").items())
    clips = dumps(inner.pop("clips"))
    head = ",\n".join(f"{dumps(key)}:{dumps(value)}" for key, value in inner.items())
    return f'{{\n{head},\n"metrics":{{\n{metrics}\n}},\n"clips":{clips}\n}}'


def finding_columns(findings: Iterable[Finding]) -> dict[str, str]:
    """``errors``, ``warnings`` and ``info`` for tables of programs: codes with their number of clips."""
    counts = count_clips(findings)
    levels = {level: [(code, n) for (of, code), n in counts.items() if of == level] for level in LEVELS}
    return {f"{level}s" if level != "info" else level: _listed(codes) for level, codes in levels.items()}


def _listed(codes: Iterable[tuple[str, int]]) -> str:
    """``few-frames 3; damaged 1``: codes of findings with their number of clips, the worst first."""
    return "; ".join(f"{code} {count}" for code, count in codes)


def dumps(value: Any) -> str:
    """Strict JSON without spaces."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _exact(kind: Any, value: Any) -> int | float:
    """A tally's field as a plain number, whatever NumPy type it was counted in."""
    return int(value) if kind in (int, "int") else float(value)


def json_number(value: float | None) -> float | str | None:
    """Infinity, which pooled PSNR reaches for identical videos, is not JSON: it becomes a text."""
    return value if value is None or isfinite(value) else repr(value)


def json_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table for JSON: floats by :func:`json_number`."""
    return {name: json_number(value) if isinstance(value, float) else value for name, value in row.items()}


def clip_value(metric: Metric, clip: ClipScore) -> float | None:
    """A metric's number for one clip; None if it did not score the clip."""
    tally = clip.tallies.get(metric.key)
    if tally is None:
        return None
    with np.errstate(divide="ignore"):
        return metric.value(tally)


def total_value(metric: Metric, clips: Iterable[ClipScore]) -> tuple[float | None, int]:
    """A metric's number over clips, and how many entered it.

    The tallies are added field by field, floats by ``fsum``: exact, so in any order of the clips the same.
    """
    key = metric.key
    tallies = [clip.tallies[key] for clip in clips if key in clip.tallies]
    if not tallies:
        return None, 0
    kind = type(tallies[0])
    columns = {f.name: _exact(f.type, math.fsum(getattr(tally, f.name) for tally in tallies)) for f in fields(kind)}
    total = kind(**columns)
    with np.errstate(divide="ignore"):
        return metric.value(total), len(tallies)
