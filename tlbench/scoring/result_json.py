"""A result as JSON: numbers first, then the clips they are made of, in columns.

Tallies are stored as one array for each field: as objects, 25,000 clips with 16 metrics would take ten times the space.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlbench.metrics.metric import Metric
    from tlbench.scoring.result import Result
    from tlbench.scoring.set_scores import SetScore

SCHEMA = "tlbench.result/1"
# The fields of a number of a set that are plain numbers and texts.
SET_FIELDS = (
    *("value", "low", "high", "clips", "generated", "real", "unit", "groups_sha256", "features_sha256", "ceiling"),
    *("reason", "of_halves"),
)


def result_json(result: Result) -> dict[str, Any]:
    """The result as a JSON object: numbers first, then the clips they are made of."""
    return {
        "schema": SCHEMA,
        "name": result.name,
        "role": result.role,
        "dataset": result.dataset,
        "split": result.split,
        "selection": result.selection,
        "expected": result.expected,
        "complete": result.complete,
        "interval": asdict(result.interval),
        "trained_with": list(result.trained_with),
        "remarks": list(result.remarks),
        **({"findings": [found.to_json() for found in result.findings]} if result.findings else {}),
        **({"not_checked": list(result.not_checked)} if result.not_checked else {}),
        **({"strict": True} if result.strict else {}),
        "provenance": dict(result.provenance),
        **({} if result.blind is None else {"blind": result.blind.to_json()}),
        **({"sets": {score.metric.key: _set_json(score) for score in result.sets}} if result.sets else {}),
        "metrics": {metric.key: _metric_json(result, metric) for metric in result.metrics},
        "clips": {
            "id": [clip.id for clip in result.clips],
            "speaker": [clip.info.speaker for clip in result.clips],
            "generated_sha256": [clip.info.generated_sha256 for clip in result.clips],
            "reference_sha256": [clip.info.reference_sha256 for clip in result.clips],
            "frames": [clip.info.frames for clip in result.clips],
            "word": [clip.info.word for clip in result.clips],
            "failures": {
                str(i): {who: [why.code, why.message] for who, why in clip.failures.items()}
                for i, clip in enumerate(result.clips)
                if clip.failures
            },
            "notes": {str(i): list(clip.notes) for i, clip in enumerate(result.clips) if clip.notes},
            **_findings_json(result),
        },
    }


def _findings_json(result: Result) -> dict[str, Any]:
    """The fields that results written before there were findings do not have."""
    data: dict[str, Any] = {}
    if any(clip.info.frames_expected is not None for clip in result.clips):
        data["frames_expected"] = [clip.info.frames_expected for clip in result.clips]
    if any(clip.findings for clip in result.clips):
        data["findings"] = {
            str(i): [replace(found, clip=None).to_json() for found in clip.findings]
            for i, clip in enumerate(result.clips)
            if clip.findings
        }
    return data


def _set_json(score: SetScore) -> dict[str, Any]:
    metric = score.metric
    return {
        "label": metric.label,
        "unit": metric.unit,
        "better": metric.better,
        "version": metric.version,
        "arithmetic": metric.arithmetic,
        "description": metric.description,
        "protocol": score.protocol.id,
        **{name: getattr(score, name) for name in SET_FIELDS},
        "without_each": list(score.without_each),
        "group_sizes": list(score.group_sizes),
    }


def _metric_json(result: Result, metric: Metric) -> dict[str, Any]:
    row = result.row(metric.key)
    tallies = [clip.tallies.get(metric.key) for clip in result.clips]
    kind = next((type(tally) for tally in tallies if tally is not None), None)
    return {
        "label": metric.label,
        "unit": metric.unit,
        "better": metric.better,
        "version": metric.version,
        "arithmetic": metric.arithmetic,
        "aggregation": metric.aggregation,
        **({"promoted": True} if metric.promoted else {}),
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
            f.name: [None if tally is None else exact_number(f.type, getattr(tally, f.name)) for tally in tallies]
            for f in (fields(kind) if kind else ())
        },
    }


def result_text(data: Mapping[str, Any]) -> str:
    """A result as strict JSON, one entry on each line, so that files can be diffed.

    ``data`` is what :meth:`tlbench.scoring.result.Result.to_json` gives.
    """
    inner = dict(data)
    metrics = ",\n".join(f"{dumps(key)}:{dumps(value)}" for key, value in inner.pop("metrics").items())
    clips = dumps(inner.pop("clips"))
    head = ",\n".join(f"{dumps(key)}:{dumps(value)}" for key, value in inner.items())
    return f'{{\n{head},\n"metrics":{{\n{metrics}\n}},\n"clips":{clips}\n}}'


def dumps(value: Any) -> str:
    """Strict JSON without spaces."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def exact_number(kind: Any, value: Any) -> int | float:
    """A tally's field as a Python number, whatever its NumPy type."""
    return int(value) if kind in (int, "int") else float(value)


def json_number(value: float | None) -> float | str | None:
    """A number for JSON. Infinity, the PSNR of identical videos, becomes a text."""
    return value if value is None or isfinite(value) else repr(value)
