"""Reading result files: every number in them must follow from the tallies of their clips."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from math import isfinite
from pathlib import Path
from typing import Any, cast, get_args

from tlbench.arguments import AnyPath
from tlbench.errors import TlbenchError
from tlbench.files import JSON, read_outside
from tlbench.metrics.catalogue import all_metrics
from tlbench.metrics.metric import Direction, Metric
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.tally import Tally
from tlbench.observing.clip_info import ClipInfo
from tlbench.preflight.findings import Finding
from tlbench.scoring.blind_rows import read_blind
from tlbench.scoring.record import Failure, count, optional_count, optional_text, refuse_constant, text
from tlbench.scoring.result import FILE_NAME, ClipScore, Result, Role, Row
from tlbench.scoring.result_json import SCHEMA
from tlbench.statistics import Interval, IntervalSettings

MAX_BYTES = 2**30  # a hundred times the size of LRW's 25,000 clips; reading more could exhaust memory
AGREEMENT = 1e-9  # relative; the order of a sum moves the last digits of stored and recomputed values


def load_result(path: AnyPath, metrics: Iterable[Metric] | None = None) -> Result:
    """Read a result file and check that its values follow from its tallies.

    A number made by an older version of its metric is kept with its own protocol id. Its metric is marked as
    ``outdated``, and tables and comparisons keep it apart from numbers of the current version.

    Parameters
    ----------
    path : path
        ``result.json``, or its folder.
    metrics : iterable of Metric, optional
        Metrics that the file may have; all known ones if not given.

    Raises
    ------
    TlbenchError
        In one line: no such file, not a result, of a newer version, malformed, or values that do not follow from the
        tallies.
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
    """The inverse of :meth:`Result.to_json`, with the checks of :func:`load_result`; errors name no file."""
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
    """The result files of a path: the file itself, the one of a run's folder, or all below a folder of runs.

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
            raise TlbenchError(f"{file}: {size / 2**30:.1f} GiB is larger than any result; is it another file?")
        data = json.loads(read_outside(file, JSON), parse_constant=refuse_constant)
    except FileNotFoundError as error:
        raise TlbenchError(f"{file}: there is no such file; `tlbench score` writes it") from error
    except OSError as error:
        raise TlbenchError(f"{file}: can't be read ({error.strerror}); pass the {FILE_NAME} of a run") from error
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
        "update tlbench" if int(version) > int(own) else "score the same folder again (the cache has what was observed)"
    )
    return f"written by {age} tlbench: schema {schema!r}, this one reads {SCHEMA!r}; {remedy}"


def _from_json(
    data: Mapping[str, Any], known: Mapping[str, Metric], roles: tuple[Role, ...] = ("system", "control")
) -> Result:
    clips = data["clips"]
    clip_count = len(clips["id"])
    metrics, protocols, intervals = [], {}, {}
    tallies: list[dict[str, Tally]] = [{} for _ in range(clip_count)]
    for key, item in data["metrics"].items():
        metric = known.get(key)
        if metric is None:
            raise TlbenchError(f"metric {key!r} is not known to this tlbench; update it, or install what provides it")
        protocols[key] = Protocol.parse(item["protocol"])
        if metric.version != item["version"]:
            metric = _of_version(metric, item, protocols[key])
        metrics.append(metric)
        if (protocols[key].metric, protocols[key].arithmetic) != (metric.name, metric.arithmetic):
            raise ValueError(f"the protocol of {key} is that of another metric")
        intervals[key] = _read_interval(key, item)
        for i, tally in _read_tallies(key, item, clip_count):
            tallies[i][key] = tally
    if data["role"] not in roles:
        raise ValueError(f"role {data['role']!r:.60} is neither system nor control")
    if not isinstance(data["provenance"], dict):
        raise ValueError("provenance is not an object")
    result = Result(
        name=text(data["name"], "name"),
        dataset=text(data["dataset"], "dataset"),
        split=text(data["split"], "split"),
        metrics=tuple(metrics),
        protocols=protocols,
        clips=_read_clips(clips, tallies),
        expected=count(data["expected"], "expected"),
        intervals=intervals,
        interval=_read_settings(data["interval"]),
        selection=optional_text(data["selection"], "selection"),
        role=cast(Role, data["role"]),
        provenance=data["provenance"],
        trained_with=tuple(text(name, "trained_with") for name in data.get("trained_with", ())),
        remarks=tuple(text(remark, "remark") for remark in data.get("remarks", ())),
        findings=tuple(Finding.from_json(item) for item in data.get("findings", ())),
        not_checked=tuple(text(part, "not_checked") for part in data.get("not_checked", ())),
        strict=data.get("strict", False) is True,
    )
    for row in result.rows():
        _check_row(row, data["metrics"][row.metric.key])
    if data.get("blind") is None:
        return result
    rows = [_blind_row(row, data, known) for row in data["blind"]["rows"]]
    return replace(result, blind=read_blind(data["blind"], result, rows))


def _read_clips(clips: Mapping[str, Any], tallies: Sequence[Mapping[str, Tally]]) -> tuple[ClipScore, ...]:
    """The clips of a result, from its columns and the tallies of each clip."""
    columns = [clips[name] for name in ("id", "speaker", "generated_sha256", "reference_sha256", "frames")]
    columns.append(clips.get("word", [None] * len(tallies)))
    frames_expected = clips.get("frames_expected", [None] * len(tallies))
    return tuple(
        ClipScore(
            ClipInfo(
                id=text(clip_id, "clip id"),
                speaker=optional_text(speaker, "speaker"),
                word=optional_text(word, "word"),
                generated_sha256=optional_text(generated, "generated_sha256"),
                reference_sha256=optional_text(reference, "reference_sha256"),
                frames=optional_count(frames, "frames"),
                frames_expected=optional_count(frames_expected[i], "frames_expected"),
            ),
            tallies=tallies[i],
            failures={
                who: Failure(text(code, "failure code"), text(message, "failure message"))
                for who, (code, message) in clips["failures"].get(str(i), {}).items()
            },
            notes=tuple(text(note, "note") for note in clips["notes"].get(str(i), ())),
            findings=tuple(
                replace(Finding.from_json(item), clip=clip_id) for item in clips.get("findings", {}).get(str(i), ())
            ),
        )
        for i, (clip_id, speaker, generated, reference, frames, word) in enumerate(zip(*columns, strict=True))
    )


def _blind_row(row: Mapping[str, Any], data: Mapping[str, Any], known: Mapping[str, Metric]) -> Result:
    """A row of ``blind``: its own name and metrics, with the clips of the result."""
    count_of = len(data["clips"]["id"])
    nothing = dict.fromkeys(("generated_sha256", "reference_sha256", "frames"), [None] * count_of)
    clips = {**data["clips"], **nothing, "failures": {}, "notes": {}}
    about = {"name": row["name"], "role": "blind", "metrics": row["metrics"], "clips": clips, "blind": None}
    return _from_json({**data, **about, "provenance": {}, "trained_with": [], "remarks": []}, known, ("blind",))


def _of_version(metric: Metric, item: Mapping[str, Any], protocol: Protocol) -> Metric:
    """A metric of an older version: with the texts and the protocol of the file, its value from its tallies.

    Raises TlbenchError for a newer version, ValueError for a version that can't be.
    """
    version = count(item["version"], "version")
    if version > metric.version:
        raise TlbenchError(
            f"metric {metric.key} was made by its version {version}, this tlbench has version {metric.version}; "
            "update tlbench"
        )
    if protocol.version != version:
        raise ValueError(f"{metric.key} is of version {version}, but its protocol is {protocol.id}")
    if item["better"] not in get_args(Direction) or not isinstance(item["unit"], str):
        raise ValueError(f"{metric.key}: better is {item['better']!r:.60}, its unit {item['unit']!r:.60}")
    return replace(
        metric,
        version=version,
        label=text(item["label"], "label"),
        unit=item["unit"],
        better=item["better"],
        aggregation=text(item["aggregation"], "aggregation"),
        description=text(item["description"], "description"),
        rule=protocol.rule or "",
        note="",
        outdated=True,
    )


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
    """The tallies of one metric, each with the index of its clip."""
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
            raise ValueError(f"{key}: {f.name} has a value that is not a number")
        columns.append(column)
    read = []
    for i, values in enumerate(zip(*columns, strict=True)):
        if None not in values:
            read.append((i, kind(*values)))  # a tally checks its numbers itself
        elif values.count(None) < len(values):
            raise ValueError(f"{key}: an incomplete tally, {values}")
    return read


def _finite(value: Any, name: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r:.60}")
    return float(value)
