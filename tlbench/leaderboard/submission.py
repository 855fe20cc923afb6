"""The records of a leaderboard as data.

A ``computed`` record has a whole result: tallies of each clip, clip ids and the SHA-256 of the videos. It has no
transcripts, hypotheses, videos or paths, because the corpora are licensed; misread words and visemes are counts over
all clips. Every number is computed again from the tallies when the record is read. A ``published`` record has figures
of a paper and the table that each is from. They can't be checked, so their protocol is the place where they were
printed, which no computed number shares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tlbench.document import clean
from tlbench.errors import TlbenchError, quoted
from tlbench.metrics.catalogue import all_columns
from tlbench.metrics.metric import Direction
from tlbench.metrics.opinion import SCALES
from tlbench.metrics.protocol import Protocol
from tlbench.preflight.findings import count_clips
from tlbench.scoring.breakdown import Breakdown
from tlbench.scoring.result import Result, Role
from tlbench.scoring.trained_with import judged_by_relative


@dataclass(frozen=True)
class Figure:
    """One number of a paper. ``metric`` is a key such as ``psnr/paper`` or ``study/realness``."""

    metric: str
    value: float
    table: str


@dataclass(frozen=True)
class Published:
    """The figures of one system in a paper.

    Attributes
    ----------
    name, dataset : str
    role : "system" or "control"
    source : str
        Short key of the paper, in lower case with hyphens; part of its protocol.
    title, url : str
        Title and web address of the paper.
    figures : tuple of Figure
    trained_on : str or None
        The training data named by the paper.
    collected_from : str or None
        The paper that the figures were copied from. They were measured by others, so they are ranked on their own.
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
        """The protocol of a figure: where it was printed and who measured it."""
        collected = "" if self.collected_from is None else f"/collected from {self.collected_from}"
        return f"published[{self.source}/{figure.table}{collected}]"

    @property
    def slug(self) -> str:
        return f"published-{slug(self.name)}"


@dataclass(frozen=True)
class Computed:
    """The result of one system.

    Attributes
    ----------
    result : Result
        A complete result. ``trained_with`` is declared by the owner of the system.
    paper, code : str or None
        Web addresses.
    overlaps : mapping of weights name to str
        Observers that are related to a model that the system was trained with, with the reason.
    breakdown : Breakdown or None
        Which words and visemes are misread; None if the records of the run were not given.
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
    """A file name made from the name of a system. Raises TlbenchError if it has no letter or digit.

    >>> slug("TalkLip (g+c)")
    'talklip-g-c'
    """
    found = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not found:
        raise TlbenchError(
            f"name {quoted(clean(name))} has no letter a-z and no digit for a file name; pass another (--name)"
        )
    return found


@dataclass(frozen=True)
class Column:
    """The label, unit, direction and decimals of a column."""

    label: str
    unit: str
    better: Direction
    digits: int


def figure_columns() -> dict[str, Column]:
    """The possible columns by key: all metrics, numbers of sets, and the scales of the user study (``study/...``)."""
    columns: dict[str, Column] = {m.key: Column(m.label, m.unit, m.better, m.digits) for m in all_columns()}
    return columns | {f"study/{scale.key}": Column(scale.label, scale.unit, scale.better, 2) for scale in SCALES}


def finding_facts(result: Result) -> list[str]:
    """Facts that a leaderboard shows with the numbers of a result: missing frames, and findings by code."""
    facts = []
    frames = result.frame_counts
    if frames is not None and frames[0] < frames[1]:
        facts.append(f"frames {frames[0]:,} of {frames[1]:,}")
    for level in ("error", "warning"):
        codes = [f"{code} {count:,}" for (of, code), count in count_clips(result.all_findings).items() if of == level]
        if codes:
            facts.append(f"{level}s: {', '.join(codes)}")
    return facts


def comes_from_relative(computed: Computed, protocol: Protocol) -> bool:
    """As :func:`tlbench.scoring.trained_with.judged_by_relative`, by the record's own overlaps."""
    return judged_by_relative(computed.result, protocol, computed.overlaps or {})
