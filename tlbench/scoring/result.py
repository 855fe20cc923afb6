"""Results: the numbers of one system, with the tallies of every clip they are made of.

The numbers can be checked, compared clip by clip with another system's and grouped in other ways.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tlbench.document import counted
from tlbench.errors import TlbenchError, quoted, shortened
from tlbench.files import write_text_atomically
from tlbench.metrics.catalogue import nearest_column
from tlbench.metrics.metric import Metric
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.sets import AnyMetric, SetMetric
from tlbench.metrics.tally import Tally
from tlbench.observing.clip_info import ClipInfo
from tlbench.preflight.findings import LEVELS, Finding, count_clips, is_of_dataset, worst_first
from tlbench.scoring.notebook import result_html
from tlbench.scoring.record import Failure
from tlbench.scoring.result_json import exact_number, result_json, result_text
from tlbench.statistics import Interval, IntervalSettings

if TYPE_CHECKING:
    import pandas as pd

    from tlbench.scoring.blind_rows import Blind
    from tlbench.scoring.set_scores import SetScore

FILE_NAME = "result.json"


Role = Literal["system", "control", "blind"]


@dataclass(frozen=True)
class ClipScore:
    """One clip in a result.

    Attributes
    ----------
    info : ClipInfo
        Its facts, but for ``pictures_sha256``, which result files do not keep.
    tallies : mapping of metric key to Tally
        Without the metrics that had nothing to count in this clip.
    failures : mapping of observer name (or metric key) to Failure
    notes : tuple of str
        As on :class:`tlbench.scoring.record.ClipRecord`.
    findings : tuple of Finding
    """

    info: ClipInfo
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def id(self) -> str:
        """The clip's id."""
        return self.info.id


@dataclass(frozen=True)
class Row:
    """One number of a result, ready to be quoted, in the unit of its metric.

    Attributes
    ----------
    metric : Metric
    protocol : Protocol
    value : float or None
        None if no clip was scored.
    low, high : float or None
        Ends of the confidence interval; None if there is none.
    scored, expected : int
        Number of clips in the value, and number of clips there should be.
    unit : str or None
        What was resampled for the interval: ``clips``, ``speakers``, ``programmes``.
    clusters : int or None
        Number of those units.
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
class SetRow:
    """One number of the whole set, as :class:`Row`; how its interval is made is said by a note."""

    metric: SetMetric
    protocol: Protocol
    value: float | None
    low: float | None
    high: float | None
    scored: int
    expected: int
    unit: None = None
    clusters: None = None


AnyRow = Row | SetRow


@dataclass(frozen=True)
class Result:
    """What one system scored on one data set.

    Attributes
    ----------
    name : str
        The name of the system.
    dataset, split : str
    metrics : tuple of Metric
    protocols : mapping of metric key to Protocol
    clips : tuple of ClipScore
    expected : int
        Number of clips in the split, or in the part of it that was asked for.
    intervals : mapping of metric key to Interval or None
    interval : IntervalSettings
        How the intervals were made.
    selection : str or None
        Which part of the split, as in the protocols; None for all of it.
    role : "system", "control" or "blind"
        Controls (ground truth, frozen mouth) are listed below the systems in tables. ``blind`` is a row of another
        result's ``blind``.
    provenance : mapping
        Versions, weights, command: see :func:`tlbench.scoring.provenance.make_provenance`.
    trained_with : tuple of str
        Names of the checkpoints the system was trained with, as declared.
    remarks : tuple of str
        What a reader of the numbers must know, such as an observer that is related to the training expert.
    findings : tuple of Finding
        Of the whole folder: copies, files that belong to no clip. Findings of one clip are on the clip.
    not_checked : tuple of str
        What the run did not check.
    strict : bool
        Whether warnings make the result incomplete, as the user asked.
    blind : Blind or None
        What blind readers score, and in which metrics the system is not better; None if nothing was read, and in
        results written before there were such rows.
    sets : tuple of SetScore
        Numbers of the whole set, such as FID, which follow from no tallies.

    Raises
    ------
    TlbenchError
        If a clip occurs twice, there are more clips than expected, or a metric has no protocol.
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
    sets: tuple[SetScore, ...] = ()

    def __post_init__(self) -> None:
        if len(self.by_id) != len(self.clips):
            twice = Counter(clip.id for clip in self.clips).most_common(1)[0][0]
            raise TlbenchError(
                f"result {quoted(self.name)}: clip {shortened(twice)} occurs twice; score into a new folder"
            )
        if len(self.clips) > self.expected:
            raise TlbenchError(
                f"result {quoted(self.name)}: {len(self.clips)} clips, but only {self.expected} are expected"
            )
        for metric in self.metrics:
            if metric.key not in self.protocols:
                raise TlbenchError(f"result {quoted(self.name)}: metric {metric.key} has no protocol")

    @cached_property
    def by_id(self) -> dict[str, ClipScore]:
        """The clips by their id."""
        return {clip.id: clip for clip in self.clips}

    @cached_property
    def _totals(self) -> dict[str, tuple[float | None, int]]:
        """Value and number of scored clips, by metric key."""
        return {metric.key: total_value(metric, self.clips) for metric in self.metrics}

    @property
    def complete(self) -> bool:
        """Whether every expected clip is there and scored, without an error.

        Errors of the data set's own files do not count: they are the same for every system.
        """
        return (
            len(self.clips) == self.expected
            and not self.clips_in_error
            and not any(map(self._counts_as_error, self.findings))
        )

    @cached_property
    def all_findings(self) -> tuple[Finding, ...]:
        """Findings of the folder and of all clips, worst first."""
        return tuple(worst_first([*self.findings, *(found for clip in self.clips for found in clip.findings)]))

    @cached_property
    def clips_in_error(self) -> tuple[str, ...]:
        """Ids of the clips with an error, which make the result incomplete."""
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
        """Frames scored and frames there should be, over all clips; None unless both are known for every clip.

        A clip that was not scored counts with 0 scored frames.
        """
        pairs = [(clip.info.frames or 0, clip.info.frames_expected) for clip in self.clips]
        if not pairs or any(expected is None for _, expected in pairs):
            return None
        return sum(min(frames, expected or 0) for frames, expected in pairs), sum(
            expected or 0 for _, expected in pairs
        )

    @property
    def failure_counts(self) -> dict[str, int]:
        """Number of clips with each code of failure, the most frequent first."""
        codes = Counter(code for clip in self.clips for code in {why.code for why in clip.failures.values()})
        return dict(codes.most_common())

    def metric(self, key: str) -> Metric:
        """The metric with this key. Raises TlbenchError, which names the keys there are."""
        for metric in self.metrics:
            if metric.key == key:
                return metric
        own: list[AnyMetric] = [*self.metrics, *(score.metric for score in self.sets)]
        raise TlbenchError(
            f"result {quoted(self.name)} has no metric {quoted(key)}{nearest_column(key, own)}; it has "
            f"{', '.join(one.key for one in own)}"
        )

    def row(self, key: str) -> Row:
        """The number of one metric. Raises TlbenchError, which names the keys there are."""
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

    def all_rows(self) -> list[AnyRow]:
        """The numbers of the metrics of clips, then those of the whole set."""
        of_set = (
            SetRow(own.metric, own.protocol, own.value, own.low, own.high, own.clips, self.expected)
            for own in self.sets
        )
        return [*self.rows(), *of_set]

    def as_dicts(self) -> list[dict[str, Any]]:
        """One flat mapping for each metric, for CSV, JSON and DataFrames."""
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
            for row in self.all_rows()
        ]

    def by_word(self, key: str) -> dict[str, tuple[float | None, int]]:
        """Value and number of scored clips of one metric for each word, in alphabetical order.

        Clips without a word label are left out. Raises TlbenchError, which names the keys there are.
        """
        metric = self.metric(key)
        words: dict[str, list[ClipScore]] = {}
        for clip in self.clips:
            if clip.info.word is not None:
                words.setdefault(clip.info.word, []).append(clip)
        return {word: total_value(metric, words[word]) for word in sorted(words)}

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each metric."""
        import pandas as pd

        return pd.DataFrame(self.as_dicts())

    def clips_dataframe(self) -> pd.DataFrame:
        """One row for each clip, one column for each metric, and what failed."""
        import pandas as pd

        table: dict[str, list[Any]] = {
            "clip": [clip.id for clip in self.clips],
            "speaker": [clip.info.speaker for clip in self.clips],
            "frames": [clip.info.frames for clip in self.clips],
            "frames_expected": [clip.info.frames_expected for clip in self.clips],
            "word": [clip.info.word for clip in self.clips],
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
        """One line, for logs and tracebacks."""
        place = f"{self.dataset}:{self.split}" + (f"#{self.selection}" if self.selection else "")
        rows = [row for row in self.all_rows() if row.value is not None]
        numbers = ", ".join(f"{row.metric.key}={row.value:.{row.metric.digits}f}" for row in rows)
        clips = f"{len(self.clips)} of {counted(self.expected, 'clip')}" + ("" if self.complete else ", incomplete")
        return f"<Result {self.name!r} on {place}, {clips}: {numbers}>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return result_html(self)

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object; see :func:`tlbench.scoring.result_json.result_json`."""
        return result_json(self)

    def write(self, path: Path) -> None:
        """Write the result to a file, atomically. Raises TlbenchError if it can't be written."""
        write_text_atomically(path, result_text(self.to_json()) + "\n")


def finding_columns(findings: Iterable[Finding]) -> dict[str, str]:
    """Columns ``errors``, ``warnings`` and ``info``: codes of findings with their number of clips."""
    counts = count_clips(findings)
    levels = {level: [(code, n) for (of, code), n in counts.items() if of == level] for level in LEVELS}
    return {f"{level}s" if level != "info" else level: _listed(codes) for level, codes in levels.items()}


def _listed(codes: Iterable[tuple[str, int]]) -> str:
    """Codes of findings with their number of clips, worst first: ``few-frames 3; damaged 1``."""
    return "; ".join(f"{code} {count}" for code, count in codes)


def clip_value(metric: Metric, clip: ClipScore) -> float | None:
    """A metric's number for one clip; None if it did not score the clip."""
    tally = clip.tallies.get(metric.key)
    if tally is None:
        return None
    with np.errstate(divide="ignore"):
        return metric.value(tally)


def total_value(metric: Metric, clips: Iterable[ClipScore]) -> tuple[float | None, int]:
    """A metric's number over clips, and the number of clips in it.

    Tallies are added field by field with ``fsum``, which is exact, so the order of the clips does not matter.
    """
    key = metric.key
    tallies = [clip.tallies[key] for clip in clips if key in clip.tallies]
    if not tallies:
        return None, 0
    kind = type(tallies[0])
    columns = {
        f.name: exact_number(f.type, math.fsum(getattr(tally, f.name) for tally in tallies)) for f in fields(kind)
    }
    total = kind(**columns)
    with np.errstate(divide="ignore"):
        return metric.value(total), len(tallies)
