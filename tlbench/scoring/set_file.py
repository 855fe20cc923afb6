"""Numbers of a set in a result file. They can't be computed again from it, so only their form is checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tlbench.errors import TlbenchError, quoted
from tlbench.json_fields import (
    count,
    entries_of,
    fields_of,
    finite,
    optional_count,
    optional_finite,
    optional_name,
    text,
    truth,
)
from tlbench.metrics.jackknife import MOST_GROUPS
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.sets import SET_METRICS
from tlbench.scoring.set_scores import SetScore


def read_sets(data: Any, expected: int) -> tuple[SetScore, ...]:
    """The numbers of a set of a result file with ``expected`` clips.

    Raises
    ------
    TlbenchError
        A metric, or a version of one, that this tlbench does not know.
    ValueError, TypeError, KeyError
        A field that is not of its form, or fields that do not fit each other.
    """
    known = {metric.key: metric for metric in SET_METRICS}
    found = []
    for key, item in fields_of(data, "sets").items():
        metric = known.get(key)
        if metric is None:
            raise TlbenchError(f"number of a set {quoted(key)} is not known to this tlbench; update it")
        own = fields_of(item, key)
        if own["version"] != metric.version:
            raise TlbenchError(
                f"{key} was made by its version {quoted(own['version'])}, this tlbench has version {metric.version}; "
                "score again"
            )
        protocol = Protocol.parse(text(own["protocol"], f"{key}: protocol"))
        if (protocol.metric, protocol.arithmetic, protocol.version) != (metric.name, metric.arithmetic, metric.version):
            raise ValueError(f"the protocol of {key} is that of another metric")
        found.append(_checked(SetScore(metric, protocol, **_numbers(key, own)), expected))
    return tuple(found)


def _numbers(key: str, own: Mapping[str, Any]) -> dict[str, Any]:
    reason = own["reason"]
    return {
        "value": optional_finite(own["value"], f"{key}: value"),
        "low": optional_finite(own["low"], f"{key}: low"),
        "high": optional_finite(own["high"], f"{key}: high"),
        "clips": count(own["clips"], f"{key}: clips"),
        "generated": count(own["generated"], f"{key}: generated"),
        "real": optional_count(own["real"], f"{key}: real"),
        "unit": optional_name(own["unit"], f"{key}: unit"),
        "without_each": tuple(
            finite(value, f"{key}: without_each")
            for value in entries_of(own["without_each"], f"{key}: without_each", most=MOST_GROUPS)
        ),
        "group_sizes": tuple(
            count(value, f"{key}: group_sizes")
            for value in entries_of(own["group_sizes"], f"{key}: group_sizes", most=MOST_GROUPS)
        ),
        "groups_sha256": _hash(own["groups_sha256"], f"{key}: groups_sha256"),
        "features_sha256": _hash(own["features_sha256"], f"{key}: features_sha256"),
        "ceiling": optional_finite(own["ceiling"], f"{key}: ceiling"),
        "reason": "" if reason == "" else text(reason, f"{key}: reason"),
        "of_halves": truth(own["of_halves"], f"{key}: of_halves"),
    }


def _hash(value: Any, name: str) -> str:
    if not isinstance(value, str) or re.fullmatch(r"(?:[0-9a-f]{64})?", value) is None:
        raise ValueError(f"{name} is no SHA-256: {quoted(value)}")
    return value


def _checked(score: SetScore, expected: int) -> SetScore:
    """The score. Raises ValueError if its fields do not fit each other."""
    key = score.metric.key
    if (score.low is None) != (score.high is None) or (score.low is not None and score.value is None):
        raise ValueError(f"{key}: an interval without its ends or its value")
    if score.low is not None and score.high is not None and score.low > score.high:
        raise ValueError(f"the interval of {key} runs from {score.low} to {score.high}")
    if score.clips > expected:
        raise ValueError(f"{key} is of {score.clips} clips, but {expected} are expected")
    if len(score.without_each) != len(score.group_sizes):
        raise ValueError(f"{key}: {len(score.without_each)} values without a group for {len(score.group_sizes)} groups")
    if score.group_sizes and (min(score.group_sizes) < 1 or sum(score.group_sizes) > score.generated):
        raise ValueError(f"{key}: groups of {list(score.group_sizes)} of {score.generated} {score.metric.samples}")
    if bool(score.group_sizes) != bool(score.groups_sha256):
        raise ValueError(f"{key}: groups without the hash of their clips, or a hash without groups")
    if score.value is not None and (not score.features_sha256 or score.generated < score.metric.fewest):
        raise ValueError(f"{key} has a value of {score.generated} {score.metric.samples}, or without their hash")
    if score.metric.distance == "frechet" and score.value is not None and score.value < -1e-3:
        raise ValueError(f"{key} is {score.value}, and a distance is not below 0")
    return score
