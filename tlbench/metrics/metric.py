"""A metric turns evidence into a tally, and a tally into a number. It holds no network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tlbench.metrics.tally import Tally
from tlbench.observing.evidence import Evidence

Arithmetic = Literal["paper", "sound"]
Direction = Literal["higher", "lower", "none"]
Reads = Literal["", "sentence", "word", "told"]


def _as_is(ratio: np.ndarray) -> np.ndarray:
    return ratio


@dataclass(frozen=True)
class Metric:
    """Data about one number in the table, and the two functions behind it.

    Attributes
    ----------
    name : str
        The key in results and at the command line: ``psnr``, ``lse_c``.
    arithmetic : "paper" or "sound"
        The published arithmetic, or what it should have been. ``key`` is ``name/arithmetic``.
    label : str
        What stands at the head of a column: ``PSNR``, ``LSE-C``.
    observer : str
        Whose evidence it reads.
    view : str
        Through which of that observer's views (a key of ``Observer.views``); "" leaves it to the run: the view the
        checkpoint was trained behind, or the one given with ``--view``.
    unit : str
        ``dB``, ``%``, ``frames``, or "" for none.
    better : "higher", "lower" or "none"
    version : int
        Raised when the number changes for the same clip. Records of an older version are still read, see
        :func:`tlbench.scoring.result_file.load_result`; their values follow from their tallies by ``finish`` and
        ``scale``, so a metric that changes one of those takes another name instead.
    tally : Evidence -> Tally
        One clip's part of the sum.
    description : str
        One sentence: what it is, over what it is averaged, and where the rule comes from.
    cluster : str
        ``word``: clips of one word are resampled together for its interval. "" leaves that to the data set.
    rule : str
        Of numbers that a choice of limits decides: the limits, as protocol ids state them; "" for none.
    note : str
        What a reader of the number has to know, a sentence that tables print below; "" for none.
    outdated : bool
        Whether it stands in a result for an older version of a metric, which this tlbench reads but makes no more.
    scores_empty : bool
        Whether a clip of which there is nothing to divide up (both sums 0) is scored: it was looked at, and adds
        nothing. Otherwise such a tally means that the metric has nothing to say of the clip.
    mode : str
        Which of the observer's extra modes it needs (one of ``Observer.modes``), or "".
    reads : "", "sentence", "word" or "told"
        What of a clip the number says was read; decides what a reader gets who does not look
        (:mod:`tlbench.metrics.blind`). ``sentence``: its evidence holds the texts ``reference`` and ``hypothesis`` (or
        ``free_hypothesis``, ``ctc_hypothesis``). ``word``: the texts ``word`` and the counts ``rank``, ``rank_plain``.
        ``told``: a sentence whose true beginning is told at each place. "" for a number that is no reading.
    finish : array -> array
        From the ratio of the sums to the number shown (elementwise, so that the bootstrap can use it):
        for pooled PSNR from mean squared error to decibels. The identity for plain ratios.
    scale : float
        Factor at the edge only: 100 where the table shows percent.
    aggregation : str
        ``frames``, ``clips``, ``pooled``: what the mean is taken over. Part of the protocol id.
    headline : bool
        Whether the table shows it without being asked.
    digits : int
        Decimals in tables.
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
    finish: Callable[[np.ndarray], np.ndarray] = _as_is
    scale: float = 1.0
    headline: bool = True
    digits: int = 2
    mode: str = ""
    cluster: Literal["", "word"] = ""
    rule: str = ""
    note: str = ""
    outdated: bool = False
    scores_empty: bool = False
    reads: Reads = ""

    @property
    def key(self) -> str:
        return f"{self.name}/{self.arithmetic}"

    @property
    def is_reading(self) -> bool:
        """Whether it says how well something was read, so that guessing has a number too."""
        return self.reads != "" and self.better != "none"

    def value(self, tally: Tally) -> float | None:
        """The number for a (summed) tally, in the unit shown; None if nothing was tallied."""
        ratio = tally.value
        if ratio is None:
            return None
        return float(self.finish(np.asarray(ratio, dtype=np.float64))) * self.scale
