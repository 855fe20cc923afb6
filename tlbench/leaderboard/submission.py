"""Submissions: the records of a leaderboard. One schema, two kinds, and neither is taken at its word.

A ``computed`` record holds a whole result: per-clip tallies, clip ids and SHA-256 of the videos. There is no
transcript, no hypothesis, no video and no path in it, because the corpora are licensed; which words and visemes were
misread is kept as counts over all clips. Every number is made anew from the tallies when the record is read. A
``published`` record holds figures out of a paper, says which table each is from, and can't be checked by anybody here;
so its protocol is the place where it was printed, and no computed number shares it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tlbench.document import clean
from tlbench.errors import TlbenchError
from tlbench.metrics.catalogue import all_metrics
from tlbench.metrics.metric import Direction, Metric
from tlbench.metrics.opinion import SCALES
from tlbench.preflight.findings import count_clips
from tlbench.scoring.breakdown import Breakdown
from tlbench.scoring.result import Result, Role


@dataclass(frozen=True)
class Figure:
    """One number as a paper prints it: ``metric`` is a key such as ``psnr/paper`` or ``study/realness``."""

    metric: str
    value: float
    table: str


@dataclass(frozen=True)
class Published:
    """One system's figures out of a paper.

    Attributes
    ----------
    name, dataset : str
    role : "system" or "control"
    source : str
        Short key of the paper, in lower case with hyphens; part of what stands for a protocol.
    title, url : str
        Of the paper.
    figures : tuple of Figure
    trained_on : str or None
        As the paper says.
    collected_from : str or None
        Whose paper the figures were copied from; they are another's measurements, so they are never ranked with others.
    """

    name: str
    dataset: str
    role: Role
    source: str
    title: str
    url: str
    figures: tuple[Figure, ...]
    trained_on: str | None = None
    collected_from: str | None = None

    def protocol(self, figure: Figure) -> str:
        """What stands for a protocol id: where the figure was printed and who measured it."""
        collected = "" if self.collected_from is None else f"/collected from {self.collected_from}"
        return f"published[{self.source}/{figure.table}{collected}]"

    @property
    def slug(self) -> str:
        return f"published-{slug(self.name)}"


@dataclass(frozen=True)
class Computed:
    """One system's result.

    Attributes
    ----------
    result : Result
        Complete; its ``trained_with`` is what the owner declares.
    paper, code : str or None
        Web addresses.
    overlaps : mapping of weights name to str
        Observers that are no fair judge of the system, and why.
    breakdown : Breakdown or None
        Where the lip reader errs; None where the run's records were not at hand.
    """

    result: Result
    paper: str | None = None
    code: str | None = None
    overlaps: Mapping[str, str] | None = None
    breakdown: Breakdown | None = None

    @property
    def name(self) -> str:
        return self.result.name

    @property
    def dataset(self) -> str:
        return self.result.dataset

    @property
    def role(self) -> Role:
        return self.result.role

    @property
    def slug(self) -> str:
        return slug(self.name)


Submission: TypeAlias = "Computed | Published"


def slug(name: str) -> str:
    """A file name made of a system's name. Raises TlbenchError if no letter or digit is left.

    >>> slug("TalkLip (g+c)")
    'talklip-g-c'
    """
    found = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not found:
        raise TlbenchError(
            f"name {clean(name)!r} has no letter a-z or digit to name its file by; pass another (--name)"
        )
    return found


@dataclass(frozen=True)
class Column:
    """What a number is, for the head of a table."""

    label: str
    unit: str
    better: Direction
    digits: int


def figure_columns() -> dict[str, Column]:
    """What a number may be of, by key: every metric, and the scales of the user study (``study/...``)."""
    columns: dict[str, Column] = {m.key: Column(m.label, m.unit, m.better, m.digits) for m in all_metrics()}
    return columns | {f"study/{scale.key}": Column(scale.label, scale.unit, scale.better, 2) for scale in SCALES}


def weights_of(result: Result) -> Mapping[str, Mapping[str, Any]]:
    weights = result.provenance.get("weights", {})
    if not isinstance(weights, dict) or not all(isinstance(item, dict) for item in weights.values()):
        raise TlbenchError("the weights in the provenance are not objects; score again")
    return weights


def finding_facts(result: Result) -> list[str]:
    """What a leaderboard says of a result besides its numbers: frames that are missing, and findings by code."""
    told = []
    frames = result.frame_counts
    if frames is not None and frames[0] < frames[1]:
        told.append(f"frames {frames[0]:,} of {frames[1]:,}")
    for level in ("error", "warning"):
        codes = [f"{code} {count:,}" for (of, code), count in count_clips(result.all_findings).items() if of == level]
        if codes:
            told.append(f"{level}s: {', '.join(codes)}")
    return told


def comes_from_relative(computed: Computed, metric: Metric) -> bool:
    """Whether a metric of a system comes from an observer that is no fair judge of it."""
    weights = computed.result.protocols[metric.key].weights
    return weights is not None and any(
        str(item.get("sha256")).startswith(weights)
        for name, item in weights_of(computed.result).items()
        if name in (computed.overlaps or {})
    )
