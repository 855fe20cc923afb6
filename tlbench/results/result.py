"""Results: the numbers of one system, made from records without a model, and the file they are kept in.

A result file holds every clip's tallies, so whoever gets one can check the numbers, compare two systems clip by clip
and group them anew. Tallies are stored in columns, one array a field, because 25,000 clips times 16 metrics as objects
would be ten times the size.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from tlbench.errors import ClipError, TlbenchError
from tlbench.metrics.catalogue import all_metrics
from tlbench.metrics.metric import Metric
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.tally import Tally
from tlbench.observing.cache import write_text_atomically
from tlbench.results.record import ClipRecord, Failure, count, optional_count, optional_text, refuse_constant, text
from tlbench.results.statistics import Interval, IntervalSettings, Ratio, Units, bootstrap_intervals, group_units

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "tlbench.result/1"
FILE_NAME = "result.json"
MAX_BYTES = 2**30  # a hundred times LRW's 25,000 clips; beyond it reading would take the machine down
AGREEMENT = 1e-9  # relative: stored and recomputed values differ by the order of a sum, not more

Role = Literal["system", "control"]


@dataclass(frozen=True)
class ClipScore:
    """One clip in a result.

    Attributes
    ----------
    id, speaker, generated_sha256, reference_sha256, frames, notes, word
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
    role : "system" or "control"
        Controls (ground truth, frozen mouth) stand apart in tables.
    provenance : mapping
        Versions, weights, command: see :func:`tlbench.results.provenance.make_provenance`.
    trained_with : tuple of str
        Names of the checkpoints the system was trained with, as its owner declares them.
    remarks : tuple of str
        What a reader must know of the run as a whole, such as an observer that is a relative of the training expert.

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
        """Whether all expected clips are there and every observer asked for had something to say of each."""
        return len(self.clips) == self.expected and not any(clip.failures for clip in self.clips)

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
            "word": [clip.word for clip in self.clips],
        }
        for metric in self.metrics:
            table[metric.key] = [_clip_value(metric, clip) for clip in self.clips]
        table["failures"] = [
            "; ".join(f"{who}: {why.code}" for who, why in clip.failures.items()) for clip in self.clips
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
        from tlbench.results.notebook import result_html  # it stands on tables, which stand on results

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
            "provenance": dict(self.provenance),
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
            },
        }

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
        data = self.to_json()
        metrics = ",\n".join(f"{_dumps(key)}:{_dumps(value)}" for key, value in data.pop("metrics").items())
        clips = _dumps(data.pop("clips"))
        head = ",\n".join(f"{_dumps(key)}:{_dumps(value)}" for key, value in data.items())
        # One entry a line: a person can look at the head of a file of megabytes, and diff two of them.
        write_text_atomically(path, f'{{\n{head},\n"metrics":{{\n{metrics}\n}},\n"clips":{clips}\n}}\n')


def _dumps(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _exact(kind: Any, value: Any) -> int | float:
    """A tally's field as a plain number, whatever NumPy type it was counted in."""
    return int(value) if kind in (int, "int") else float(value)


def json_number(value: float | None) -> float | str | None:
    """Infinity, which pooled PSNR reaches for identical videos, is not JSON: it becomes a text."""
    return value if value is None or isfinite(value) else repr(value)


def _clip_value(metric: Metric, clip: ClipScore) -> float | None:
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
) -> Result:
    """Records to a result, without any model. Records are taken one at a time; only their tallies are kept.

    Raises
    ------
    TlbenchError
        If a record holds neither evidence nor failure of an observer a metric reads, or evidence without what the
        metric reads; if a clip is there twice; if a value is not a number.
    """
    clips = tuple(_score(record, metrics) for record in records)
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
    )
    for row in result.rows():
        if row.value is not None and math.isnan(row.value):
            raise TlbenchError(f"metric {row.metric.key}: its value is not a number; this is a fault of the metric")
    return result


def _score(record: ClipRecord, metrics: Sequence[Metric]) -> ClipScore:
    tallies: dict[str, Tally] = {}
    failures = dict(record.failures)
    for metric in metrics:
        evidence = record.evidence.get(metric.observer)
        if evidence is None:
            if metric.observer not in record.failures:
                raise TlbenchError(
                    f"clip {record.id}: its record holds nothing of observer {metric.observer!r}, which {metric.key} "
                    "reads; score again with it, or leave the metric out"
                )
            continue
        try:
            tally = metric.tally(evidence)
        except ClipError as error:
            failures[metric.key] = Failure(error.code, error.message)
            continue
        except KeyError as error:
            raise TlbenchError(
                f"clip {record.id}: the evidence of {metric.observer} lacks {error}, which {metric.key} reads; "
                "score again with this metric"
            ) from error
        if tally.numerator or tally.denominator or metric.scores_empty:
            tallies[metric.key] = tally
    return ClipScore(
        id=record.id,
        speaker=record.speaker,
        generated_sha256=record.generated_sha256,
        reference_sha256=record.reference_sha256,
        tallies=tallies,
        failures=failures,
        notes=record.notes,
        frames=record.frames,
        word=record.word,
    )


def make_intervals(
    clips: Sequence[ClipScore], metrics: Sequence[Metric], settings: IntervalSettings
) -> dict[str, Interval | None]:
    """Confidence intervals by metric key, each over the clips its metric scored."""
    clips = sorted(clips, key=lambda clip: clip.id)  # sums of floats hang on their order in the last digit
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
    """What is resampled of some clips: whole ``cluster`` s, which are words or what the data set calls its speakers."""
    labels = [clip.word if cluster == "word" else clip.speaker for clip in clips]
    return group_units([clip.id for clip in clips], labels, cluster)


def load_result(path: Path | str, metrics: Iterable[Metric] | None = None) -> Result:
    """Read a result file and check it: its values must follow from its tallies.

    Parameters
    ----------
    path : path
        ``result.json``, or the folder it lies in.
    metrics : iterable of Metric, optional
        Metrics the file may hold; all known ones if not given.

    Raises
    ------
    TlbenchError
        One line: not there, not a result, of another version, malformed, or with values that its tallies don't give.
    """
    file = Path(path)
    if file.is_dir():
        file = file / FILE_NAME
    data = _read_json(file)
    try:
        return parse_result(data, metrics)
    except TlbenchError as error:
        raise TlbenchError(f"{file}: {error}") from error


def parse_result(data: Mapping[str, Any], metrics: Iterable[Metric] | None = None) -> Result:
    """A result from what :meth:`Result.to_json` gave, checked as by :func:`load_result`; errors name no file."""
    schema = data.get("schema")
    if schema != SCHEMA:
        raise TlbenchError(_other_schema(schema))
    try:
        return _from_json(data, {metric.key: metric for metric in (all_metrics() if metrics is None else metrics)})
    except KeyError as error:
        raise TlbenchError(f"damaged result: field {error} is missing; score again") from error
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise TlbenchError(f"damaged result: {error}; score again") from error


def result_files(path: Path) -> list[Path]:
    """The result files a path stands for: itself, the one in a run's folder, or all of those below a folder of runs.

    Raises TlbenchError if there is none.
    """
    if not path.is_dir():
        return [path]
    if (path / FILE_NAME).is_file():
        return [path / FILE_NAME]
    found = sorted(path.rglob(FILE_NAME))
    if not found:
        raise TlbenchError(f"{path}: there is no {FILE_NAME} in this folder or below it; `tlbench score` writes it")
    return found


def _read_json(file: Path) -> dict[str, Any]:
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise TlbenchError(f"{file}: {size / 2**30:.1f} GiB is more than any result; is it another file?")
        data = json.loads(file.read_bytes(), parse_constant=refuse_constant)
    except FileNotFoundError as error:
        raise TlbenchError(f"{file}: there is no such file; `tlbench score` writes it") from error
    except OSError as error:
        raise TlbenchError(f"{file}: can't be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise TlbenchError(f"{file}: not a JSON file ({error}); pass the {FILE_NAME} of a run") from error
    if not isinstance(data, dict):
        raise TlbenchError(f"{file}: not a tlbench result; pass the {FILE_NAME} of a run")
    return data


def _other_schema(schema: Any) -> str:
    family, _, own = SCHEMA.partition("/")
    name, _, version = str(schema).partition("/")
    if name != family or not version.isdecimal():
        return f"not a tlbench result (schema {schema!r:.60}); pass the {FILE_NAME} of a run"
    age = "a newer" if int(version) > int(own) else "an older"
    remedy = (
        "update tlbench"
        if int(version) > int(own)
        else "score the same folder again (what was observed is in the cache)"
    )
    return f"written by {age} tlbench: schema {schema!r}, this one reads {SCHEMA!r}; {remedy}"


def _from_json(data: Mapping[str, Any], known: Mapping[str, Metric]) -> Result:
    clips = data["clips"]
    clip_count = len(clips["id"])
    metrics, protocols, intervals = [], {}, {}
    tallies: list[dict[str, Tally]] = [{} for _ in range(clip_count)]
    for key, item in data["metrics"].items():
        metric = known.get(key)
        if metric is None:
            raise TlbenchError(f"metric {key!r} is not known to this tlbench; update it, or install what provides it")
        if metric.version != item["version"]:
            raise TlbenchError(
                f"metric {key} was made by its version {item['version']}, this tlbench has version {metric.version}; "
                "score the same folder again (what was observed is in the cache)"
            )
        metrics.append(metric)
        protocols[key] = Protocol.parse(item["protocol"])
        if (protocols[key].metric, protocols[key].arithmetic) != (metric.name, metric.arithmetic):
            raise ValueError(f"the protocol of {key} is that of another metric")
        intervals[key] = _read_interval(key, item)
        for i, tally in _read_tallies(key, item, clip_count):
            tallies[i][key] = tally
    columns = [clips[name] for name in ("id", "speaker", "generated_sha256", "reference_sha256", "frames")]
    columns.append(clips.get("word", [None] * clip_count))
    scores = tuple(
        ClipScore(
            id=text(clip_id, "clip id"),
            speaker=optional_text(speaker, "speaker"),
            generated_sha256=optional_text(generated, "generated_sha256"),
            reference_sha256=optional_text(reference, "reference_sha256"),
            tallies=tallies[i],
            failures={
                who: Failure(text(code, "failure code"), text(message, "failure message"))
                for who, (code, message) in clips["failures"].get(str(i), {}).items()
            },
            notes=tuple(text(note, "note") for note in clips["notes"].get(str(i), ())),
            frames=optional_count(frames, "frames"),
            word=optional_text(word, "word"),
        )
        for i, (clip_id, speaker, generated, reference, frames, word) in enumerate(zip(*columns, strict=True))
    )
    if data["role"] not in ("system", "control"):
        raise ValueError(f"role {data['role']!r:.60} is neither system nor control")
    if not isinstance(data["provenance"], dict):
        raise ValueError("provenance is not an object")
    result = Result(
        name=text(data["name"], "name"),
        dataset=text(data["dataset"], "dataset"),
        split=text(data["split"], "split"),
        metrics=tuple(metrics),
        protocols=protocols,
        clips=scores,
        expected=count(data["expected"], "expected"),
        intervals=intervals,
        interval=_read_settings(data["interval"]),
        selection=optional_text(data["selection"], "selection"),
        role=cast(Role, data["role"]),
        provenance=data["provenance"],
        trained_with=tuple(text(name, "trained_with") for name in data.get("trained_with", ())),
        remarks=tuple(text(remark, "remark") for remark in data.get("remarks", ())),
    )
    for row in result.rows():
        _check_row(row, data["metrics"][row.metric.key])
    return result


def _check_row(row: Row, item: Mapping[str, Any]) -> None:
    stored = item["value"] if item["value"] is None else float(item["value"])
    if stored is None or row.value is None:
        same = stored is row.value
    else:
        same = math.isclose(stored, row.value, rel_tol=AGREEMENT, abs_tol=1e-12)
    if not same or item["scored"] != row.scored:
        raise TlbenchError(
            f"metric {row.metric.key} states {item['value']} over {item['scored']} clips, but its tallies give "
            f"{row.value} over {row.scored}; the file was changed after it was written, score again"
        )


def _read_settings(item: Mapping[str, Any]) -> IntervalSettings:
    return IntervalSettings(
        level=_finite(item["level"], "level"),
        resamples=count(item["resamples"], "resamples"),
        seed=count(item["seed"], "seed"),
        cluster=optional_text(item["cluster"], "cluster"),
    )


def _read_interval(key: str, item: Mapping[str, Any]) -> Interval | None:
    if item["low"] is None:
        return None
    low, high = _finite(item["low"], f"{key} low"), _finite(item["high"], f"{key} high")
    if low > high:
        raise ValueError(f"the interval of {key} runs from {low} to {high}")
    return Interval(low, high, text(item["resampled"], "resampled"), count(item["clusters"], "clusters"))


def _read_tallies(key: str, item: Mapping[str, Any], clip_count: int) -> list[tuple[int, Tally]]:
    """The tallies of one metric with the index of their clip."""
    if item["tally"] is None:
        return []
    kinds = {kind.__name__: kind for kind in Tally.__subclasses__()}
    if item["tally"] not in kinds:
        raise ValueError(f"{key}: there is no tally {item['tally']!r:.60}; there are {', '.join(kinds)}")
    kind = kinds[item["tally"]]
    columns = []
    for f in fields(kind):
        column = item["fields"][f.name]
        kinds_of_number = {int} if f.type in (int, "int") else {int, float}
        if len(column) != clip_count:
            raise ValueError(f"{key}: {len(column)} values of {f.name} for {clip_count} clips")
        if not {type(value) for value in column} <= kinds_of_number | {type(None)}:
            raise ValueError(f"{key}: {f.name} holds something that is not a number")
        columns.append(column)
    read = []
    for i, values in enumerate(zip(*columns, strict=True)):
        if None not in values:
            read.append((i, kind(*values)))  # a tally checks its numbers itself
        elif values.count(None) < len(values):
            raise ValueError(f"{key}: half a tally, {values}")
    return read


def _finite(value: Any, name: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r:.60}")
    return float(value)
