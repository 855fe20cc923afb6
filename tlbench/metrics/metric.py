"""The definition of a metric: how evidence becomes a tally, and a tally a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np

from tlbench.metrics.tally import Tally
from tlbench.observing.evidence import Evidence

Arithmetic = Literal["paper", "sound"]
Direction = Literal["higher", "lower", "none"]
Reads = Literal["", "sentence", "word", "words", "forced"]


def as_is(ratio: np.ndarray) -> np.ndarray:
    """The same array: ``finish`` of a plain ratio."""
    return ratio


@dataclass(frozen=True)
class Metric:
    """Data about one number in the table, and its two functions: ``tally`` and ``finish``.

    Attributes
    ----------
    name : str
        The key in results and on the command line: ``psnr``, ``lse_c``.
    arithmetic : "paper" or "sound"
        The published arithmetic, or what it should have been. ``key`` is ``name/arithmetic``.
    label : str
        The heading of its column: ``PSNR``, ``LSE-C``.
    observer : str
        The observer that makes its evidence.
    view : str
        The observer's view (a key of ``Observer.views``); "" for the view of the run: the one given with ``--view``,
        else the one the checkpoint was trained with.
    unit : str
        ``dB``, ``%``, ``frames``, or "" for none.
    better : "higher", "lower" or "none"
        Which of two values is the better one; "none" for numbers that are only looked at, which are not ranked.
    version : int
        Part of the protocol id. Raise it if ``tally`` gives other sums for the same clip. Records of an older version
        stay readable (:func:`tlbench.scoring.result_file.load_result`): their old sums go through today's ``finish``
        and ``scale``. So don't change these two; give the new number another name.
    tally : Evidence -> Tally
        One clip's part of the sum. Raises ClipError if this clip has no such number, and KeyError if the evidence was
        made without a value that it needs.
    description : str
        One sentence: what it is, over what it is averaged, and where the rule comes from.
    aggregation : str
        ``frames``, ``clips``, ``pooled``: what the mean is taken over. Part of the protocol id.
    finish : array -> array
        From the ratio of the sums to the number, elementwise, (n,) float64 to (n,), so that the bootstrap can use it.
        For pooled PSNR from mean squared error to decibels; the identity for plain ratios.
    scale : float
        Factor for display: 100 if the table shows percent.
    headline : bool
        Whether the table shows it by default.
    promoted : bool
        Whether it is a headline metric only in this run, because of what the videos are like.
    digits : int
        Decimals in tables.
    mode : str
        The one of ``Observer.modes`` that it needs, or "".
    cluster : str
        ``word``: clips of one word are resampled together for its interval. "": the data set decides.
    rule : str
        The limits that decide the number, as written in protocol ids; "" for none.
    note : str
        A sentence that tables print below the number; "" for none.
    outdated : bool
        Whether it is an older version of a metric, which this version of tlbench reads but does not compute.
    scores_empty : bool
        Whether a clip with both sums 0 counts as scored. Otherwise such a tally means that the metric does not apply to
        the clip.
    parts : tuple of str
        Of a drive (:mod:`tlbench.generation.drive`): the kinds of driven videos whose evidence ``tally`` gets, each
        value under ``part.name``. () for a metric of plain scoring. A metric with parts is only computed with a drive.
    ends : str
        Of a metric with parts, which `tlbench calibrate` has no faults for: what is known of its values where all and
        where nothing leaks. "" for any other.
    lowest, highest : float
        Between which every clip's value lies, in the unit shown. A file with another value is refused.
    reads : "", "sentence", "word", "words" or "forced"
        What the observer reads, which decides how its blind rows are made (:mod:`tlbench.metrics.blind`).
        ``sentence``: the evidence has the texts ``reference`` and ``hypothesis`` (or ``free_hypothesis``,
        ``ctc_hypothesis``), and ``reference_spelled`` if the metric reads that. ``word``: the text ``word`` and the
        counts ``rank``, ``rank_plain``. ``words``: a text in ``words`` and a count in ``ranks`` for each word of a
        sentence. ``forced``: a sentence read with teacher forcing. "" for a number that does not
        come from reading.
    """

    name: str
    arithmetic: Arithmetic
    label: str
    observer: str
    view: str
    unit: str
    better: Direction
    version: int
    tally: Callable[[Evidence], Tally]
    description: str
    aggregation: str
    finish: Callable[[np.ndarray], np.ndarray] = as_is
    scale: float = 1.0
    headline: bool = True
    promoted: bool = False
    digits: int = 2
    mode: str = ""
    cluster: Literal["", "word"] = ""
    rule: str = ""
    note: str = ""
    outdated: bool = False
    scores_empty: bool = False
    parts: tuple[str, ...] = ()
    ends: str = ""
    lowest: float = -inf
    highest: float = inf
    reads: Reads = ""

    @property
    def key(self) -> str:
        return f"{self.name}/{self.arithmetic}"

    @property
    def evidence_names(self) -> tuple[str, ...]:
        """Under which names a record has its evidence: the observer's, with ``@part`` for each part of a drive."""
        return tuple(f"{self.observer}@{part}" for part in self.parts) or (self.observer,)

    @property
    def rates_reading(self) -> bool:
        """Whether it says how well something was read, so that guessing without pictures has a number too."""
        return self.reads != "" and self.better != "none"

    def of_parts(self, evidence: Mapping[str, Evidence]) -> Evidence:
        """What ``tally`` gets: the observer's evidence of a record, or that of all parts, each value ``part.name``.

        Raises KeyError if the record lacks a name of :attr:`evidence_names`.
        """
        if not self.parts:
            return evidence[self.observer]
        own = dict(zip(self.parts, (evidence[name] for name in self.evidence_names), strict=True))
        values = {f"{part}.{name}": value for part, seen in own.items() for name, value in seen.values.items()}
        return Evidence(self.observer, values, finite=all(seen.finite for seen in own.values()))

    def value(self, tally: Tally) -> float | None:
        """The number of a (summed) tally, in the unit shown; None for an empty tally."""
        ratio = tally.value
        if ratio is None:
            return None
        return float(self.finish(np.asarray(ratio, dtype=np.float64))) * self.scale
