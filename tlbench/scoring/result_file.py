"""Reading result files: every number in them must follow from the tallies of their clips."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from tlbench.arguments import AnyPath
from tlbench.errors import TlbenchError, quoted, shortened
from tlbench.files import RESULT, read_outside
from tlbench.json_fields import (
    LARGEST,
    clip_id,
    count,
    entries_of,
    fields_of,
    finite,
    name_text,
    optional_count,
    optional_name,
    text,
    truth,
)
from tlbench.json_input import parse_json
from tlbench.metrics.catalogue import all_metrics
from tlbench.metrics.metric import Direction, Metric
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.tally import Tally
from tlbench.observing.clip_info import ClipInfo
from tlbench.preflight.findings import Finding
from tlbench.scoring.blind_rows import read_blind
from tlbench.scoring.record import read_failures
from tlbench.scoring.result import FILE_NAME, ClipScore, Result, Role, Row
from tlbench.scoring.result_json import SCHEMA, json_number
from tlbench.scoring.set_file import read_sets
from tlbench.statistics import Interval, IntervalSettings

RECORD_SCHEMA = "tlbench.leaderboard/"  # of a record on a leaderboard, which has the whole result
VERSION_DIGITS = 9
MOST_CLIPS = 10**6
MOST_TEXTS = 1_000  # remarks, names of checkpoints, notes and findings of one clip
MOST_BLIND_ROWS = 20  # there are three ways of guessing
BEYOND = 1e-5  # of a bound; a cosine in float32 may be a little more than 1
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
        data = parse_json(read_outside(file, RESULT))
    except FileNotFoundError as error:
        raise TlbenchError(f"{file}: there is no such file; `tlbench score` writes it") from error
    except OSError as error:
        raise TlbenchError(f"{file}: can't be read ({error.strerror}); pass the {FILE_NAME} of a run") from error
    except ValueError as error:
        raise TlbenchError(f"{file}: not a JSON file ({error}); pass the {FILE_NAME} of a run") from error
    if not isinstance(data, dict):
        raise TlbenchError(f"{file}: not a tlbench result; pass the {FILE_NAME} of a run")
    within = data.get("result")  # of a leaderboard's record of a computed system
    return within if isinstance(within, dict) and str(data.get("schema")).startswith(RECORD_SCHEMA) else data


def _other_schema(schema: Any) -> str:
    family, _, own = SCHEMA.partition("/")
    name, _, version = str(schema).partition("/")
    if name != family or not version.isdecimal() or len(version) > VERSION_DIGITS:
        return f"not a tlbench result (schema {quoted(schema)}); pass the {FILE_NAME} of a run"
    age = "a newer" if int(version) > int(own) else "an older"
    remedy = (
        "update tlbench" if int(version) > int(own) else "score the same folder again (the cache has what was observed)"
    )
    return f"written by {age} tlbench: schema {quoted(schema)}, this one reads {SCHEMA!r}; {remedy}"


def _from_json(
    data: Mapping[str, Any], known: Mapping[str, Metric], roles: tuple[Role, ...] = ("system", "control")
) -> Result:
    clips = fields_of(data["clips"], "clips")
    clip_count = len(entries_of(clips["id"], "clips.id", most=MOST_CLIPS))
    metrics, protocols, intervals = [], {}, {}
    tallies: list[dict[str, Tally]] = [{} for _ in range(clip_count)]
    for key, item in fields_of(data["metrics"], "metrics").items():
        metric = known.get(key)
        if metric is None:
            raise TlbenchError(
                f"metric {quoted(key)} is not known to this tlbench; update it, or install what provides it"
            )
        protocols[key] = Protocol.parse(text(item["protocol"], "protocol"))
        if metric.version != item["version"]:
            metric = _of_version(metric, item, protocols[key])
        if truth(item.get("promoted", False), f"{key} promoted"):
            metric = replace(metric, headline=True, promoted=True)
        metrics.append(metric)
        if (protocols[key].metric, protocols[key].arithmetic) != (metric.name, metric.arithmetic):
            raise ValueError(f"the protocol of {key} is that of another metric")
        intervals[key] = _read_interval(key, item)
        found = _read_tallies(key, item, clip_count)
        _check_values(metric, [tally for _, tally in found])
        for i, tally in found:
            tallies[i][key] = tally
    if data["role"] not in roles:
        raise ValueError(f"role {quoted(data['role'])} is neither system nor control")
    if not isinstance(data["provenance"], dict):
        raise ValueError("provenance is not an object")
    result = Result(
        name=name_text(data["name"], "name"),
        dataset=name_text(data["dataset"], "dataset"),
        split=name_text(data["split"], "split"),
        metrics=tuple(metrics),
        protocols=protocols,
        clips=_read_clips(clips, tallies),
        expected=count(data["expected"], "expected"),
        intervals=intervals,
        interval=_read_settings(data["interval"]),
        selection=optional_name(data["selection"], "selection"),
        role=cast(Role, data["role"]),
        provenance=data["provenance"],
        trained_with=_names(data, "trained_with"),
        remarks=tuple(
            text(remark, "remark") for remark in entries_of(data.get("remarks", []), "remarks", most=MOST_TEXTS)
        ),
        findings=tuple(map(Finding.from_json, entries_of(data.get("findings", []), "findings", most=MOST_CLIPS))),
        not_checked=_names(data, "not_checked"),
        strict=truth(data.get("strict", False), "strict"),
        sets=read_sets(data.get("sets", {}), count(data["expected"], "expected")),
    )
    for row in result.rows():
        _check_row(row, data["metrics"][row.metric.key])
    if data.get("blind") is None:
        return result
    blind = fields_of(data["blind"], "blind")
    rows = [_blind_row(row, data, known) for row in entries_of(blind["rows"], "blind.rows", most=MOST_BLIND_ROWS)]
    return replace(result, blind=read_blind(blind, result, rows))


def _names(data: Mapping[str, Any], field: str) -> tuple[str, ...]:
    """A list of names, which files of before may lack."""
    return tuple(name_text(name, field) for name in entries_of(data.get(field, []), field, most=MOST_TEXTS))


def _read_clips(clips: Mapping[str, Any], tallies: Sequence[Mapping[str, Tally]]) -> tuple[ClipScore, ...]:
    """The clips of a result, from its columns and the tallies of each clip."""
    total = len(tallies)

    def column(name: str) -> list[Any]:
        return entries_of(clips[name], f"clips.{name}", length=total)

    absent = [None] * total
    columns = [column(name) for name in ("id", "speaker", "generated_sha256", "reference_sha256", "frames")]
    columns += [column(name) if name in clips else absent for name in ("word", "frames_expected")]
    failures, notes, findings = (_by_clip(clips, name, total) for name in ("failures", "notes", "findings"))
    return tuple(
        ClipScore(
            ClipInfo(
                id=(own := clip_id(identity, "clip id")),
                speaker=optional_name(speaker, "speaker"),
                word=optional_name(word, "word"),
                generated_sha256=optional_name(generated, "generated_sha256"),
                reference_sha256=optional_name(reference, "reference_sha256"),
                frames=optional_count(frames, "frames"),
                frames_expected=optional_count(frames_expected, "frames_expected"),
            ),
            tallies=tallies[i],
            failures=read_failures(failures.get(str(i), {})),
            notes=tuple(text(note, "note") for note in entries_of(notes.get(str(i), []), "notes", most=MOST_TEXTS)),
            findings=tuple(
                replace(Finding.from_json(item), clip=own)
                for item in entries_of(findings.get(str(i), []), "findings", most=MOST_TEXTS)
            ),
        )
        for i, (identity, speaker, generated, reference, frames, word, frames_expected) in enumerate(
            zip(*columns, strict=True)
        )
    )


def _by_clip(clips: Mapping[str, Any], field: str, total: int) -> Mapping[str, Any]:
    """A field that few clips have, by their place as a text. Raises ValueError for a place without a clip."""
    found = fields_of(clips.get(field, {}), f"clips.{field}")
    for place in found:
        if not (place.isascii() and place.isdecimal() and len(place) < VERSION_DIGITS and int(place) < total):
            raise ValueError(f"clips.{field} has {quoted(place)}, but there are {total:,} clips")
    return found


def _blind_row(row: Mapping[str, Any], data: Mapping[str, Any], known: Mapping[str, Metric]) -> Result:
    """A row of ``blind``: its own name and metrics, with the clips of the result."""
    count_of = len(data["clips"]["id"])
    nothing = dict.fromkeys(("generated_sha256", "reference_sha256", "frames"), [None] * count_of)
    clips = {**data["clips"], **nothing, "failures": {}, "notes": {}}
    about = {"name": row["name"], "role": "blind", "metrics": row["metrics"], "clips": clips, "blind": None, "sets": {}}
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
        raise ValueError(f"{metric.key} is of version {version}, but its protocol is {shortened(protocol.id)}")
    if item["better"] not in get_args(Direction) or not isinstance(item["unit"], str):
        raise ValueError(f"{metric.key}: better is {quoted(item['better'])}, its unit {quoted(item['unit'])}")
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


def _check_values(metric: Metric, tallies: Sequence[Tally]) -> None:
    """Raises ValueError if a clip has a value that can't be."""
    ratios = np.array([ratio for tally in tallies if (ratio := tally.value) is not None], dtype=np.float64)
    with np.errstate(invalid="ignore"):
        values = metric.finish(ratios) * metric.scale
    wrong = ~((values >= metric.lowest - BEYOND) & (values <= metric.highest + BEYOND))
    if wrong.any():
        raise ValueError(
            f"a clip has {values[wrong][0]:g} of {metric.key}, which is from {metric.lowest:g} to {metric.highest:g}"
        )


def _check_row(row: Row, item: Mapping[str, Any]) -> None:
    stored = item["value"]
    if stored is None or row.value is None or isinstance(stored, str):
        same = stored == json_number(row.value) and stored != "nan"
    else:
        same = math.isclose(finite(stored, "value"), row.value, rel_tol=AGREEMENT, abs_tol=1e-12)
    if not same or item["scored"] != row.scored:
        raise TlbenchError(
            f"metric {row.metric.key} states {_plain(stored)} over {_plain(item['scored'])} clips, but its tallies "
            f"give {row.value} over {row.scored}; the file was changed after it was written, score again"
        )


def _plain(value: Any) -> str:
    return shortened(value) if isinstance(value, str) else quoted(value)


def _read_settings(item: Mapping[str, Any]) -> IntervalSettings:
    return IntervalSettings(
        level=finite(item["level"], "level"),
        resamples=count(item["resamples"], "resamples"),
        seed=count(item["seed"], "seed", most=2**63),
        cluster=optional_name(item["cluster"], "cluster"),
    )


def _read_interval(key: str, item: Mapping[str, Any]) -> Interval | None:
    if item["low"] is None and item["high"] is None:
        return None
    low, high = finite(item["low"], f"{key} low"), finite(item["high"], f"{key} high")
    if low > high:
        raise ValueError(f"the interval of {key} runs from {low} to {high}")
    unit, units = name_text(item["resampled"], "resampled"), count(item["clusters"], "clusters")
    if units > count(item["scored"], "scored"):
        raise ValueError(f"the interval of {key} resamples {units} {unit}, but {item['scored']} clips were scored")
    return Interval(low, high, unit, units)


def _read_tallies(key: str, item: Mapping[str, Any], clip_count: int) -> list[tuple[int, Tally]]:
    """The tallies of one metric, each with the index of its clip."""
    if item["tally"] is None:
        return []
    kinds = {kind.__name__: kind for kind in Tally.__subclasses__()}
    if item["tally"] not in kinds:
        raise ValueError(f"{key}: there is no tally {quoted(item['tally'])}; there are {', '.join(kinds)}")
    kind = kinds[item["tally"]]
    columns = []
    for f in fields(kind):
        column = entries_of(item["fields"][f.name], f"{key}: {f.name}")
        kinds_of_number = {int} if f.type in (int, "int") else {int, float}
        if len(column) != clip_count:
            raise ValueError(f"{key}: {len(column)} values of {f.name} for {clip_count} clips")
        if not {type(value) for value in column} <= kinds_of_number | {type(None)}:
            raise ValueError(f"{key}: {f.name} has a value that is not a number")
        if any(value is not None and abs(value) > LARGEST for value in column):
            raise ValueError(f"{key}: {f.name} has a value beyond {LARGEST:g}")
        columns.append(column)
    read = []
    for i, values in enumerate(zip(*columns, strict=True)):
        if None not in values:
            read.append((i, kind(*values)))  # a tally checks its numbers itself
        elif values.count(None) < len(values):
            raise ValueError(f"{key}: an incomplete tally, {values}")
    return read
