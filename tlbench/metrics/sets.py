"""Numbers of a whole set of clips, made from features of all of its frames: FID, KID, FVD.

They are no sums over clips, so no :class:`~tlbench.metrics.metric.Metric`: a clip has no FID. Their features stay in
the cache of evidence; a result keeps the number, what intervals and comparisons need, and a hash of the features.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tlbench.metrics.metric import Arithmetic, Direction, Metric
from tlbench.metrics.presets import PRESETS

NOT_RECOMPUTED = "not recomputed: its features are not in the result file"


@dataclass(frozen=True)
class SetMetric:
    """Data about one number of a set.

    Attributes
    ----------
    name, arithmetic, label, unit, better, version, description, aggregation, headline, digits, note
        As of :class:`~tlbench.metrics.metric.Metric`.
    observer : str
        The observer whose evidence has the ``features``.
    distance : "frechet" or "kernel"
        :mod:`tlbench.metrics.frechet` or :mod:`tlbench.metrics.kernel_distance`.
    features : int
        Of a row, by the published network.
    samples : str
        What a row of features is of: ``frames``, ``windows``.
    fewest : int
        With fewer rows of features on either side there is no number: a Frechet distance is biased upwards by an amount
        that depends on the number of rows, the more the closer that comes to the number of features.
    rule : str
        What else decides the number, as written in protocol ids; "" for none.
    instead : str
        Name of the metric that takes its place where there are too few rows; "" for none.
    scale : float
        Factor for display.
    outdated, cluster
        As of a :class:`~tlbench.metrics.metric.Metric`, for tables: never outdated, no cluster of its own.
    """

    name: str
    arithmetic: Arithmetic
    label: str
    observer: str
    distance: Literal["frechet", "kernel"]
    features: int
    samples: str
    fewest: int
    version: int
    description: str
    rule: str = ""
    instead: str = ""
    unit: str = ""
    better: Direction = "lower"
    aggregation: str = "set"
    headline: bool = True
    digits: int = 2
    scale: float = 1.0
    note: str = ""
    outdated: bool = False
    cluster: str = ""

    @property
    def key(self) -> str:
        return f"{self.name}/{self.arithmetic}"


AnyMetric = Metric | SetMetric  # a column of a table

SET_METRICS: tuple[SetMetric, ...] = (
    SetMetric(
        name="fid",
        arithmetic="sound",
        label="FID",
        observer="inception",
        distance="frechet",
        features=2048,
        samples="frames",
        fewest=2048,
        version=2,  # 2: in a crop of the face, clips that show none are left out; FVD's last digits
        description=(
            "Frechet distance of the Inception features of all generated and all real frames (Heusel et al. 2017), by "
            "torch-fidelity's network and resizing"
        ),
        instead="kid",
    ),
    SetMetric(
        name="kid",
        arithmetic="sound",
        label="KID",
        observer="inception",
        distance="kernel",
        features=2048,
        samples="frames",
        fewest=2,
        version=2,  # 2: in a crop of the face, clips that show none are left out; FVD's last digits
        description=(
            "squared maximum mean discrepancy of the same features with a cubic kernel (Binkowski et al. 2018), "
            "without bias, over all pairs of frames; times 1,000"
        ),
        unit="x 1000",
        scale=1000.0,
    ),
    SetMetric(
        name="fvd",
        arithmetic="sound",
        label="FVD",
        observer="i3d",
        distance="frechet",
        features=400,
        samples="windows",
        fewest=400,
        version=2,  # 2: in a crop of the face, clips that show none are left out; FVD's last digits
        description=(
            "Frechet distance of the I3D logits of all windows of 16 generated and real frames, one after the other "
            "(Unterthiner et al. 2018)"
        ),
        rule="frames=16,stride=16",
        digits=1,
    ),
)


def set_metric(name: str) -> SetMetric:
    """The metric with this name. Raises KeyError if there is none."""
    return {metric.name: metric for metric in SET_METRICS}[name]


def find_sets(words: Iterable[str] | None) -> tuple[SetMetric, ...]:
    """The metrics of sets that these words of ``--metrics`` select; none if no words are given.

    Names (``fid``), keys (``fid/sound``), observers (``inception``) and presets (``paper-avatar``, ``all``) select.
    ``sound`` and the default do not: these numbers need a checkpoint and take long.
    """
    return tuple(metric for metric in SET_METRICS if any(_asks(word, metric) for word in words or ()))


def without_sets(words: Iterable[str]) -> list[str]:
    """The words that select other metrics too, for :func:`tlbench.metrics.catalogue.find_metrics`."""
    return [word for word in words if word in PRESETS or not any(_asks(word, metric) for metric in SET_METRICS)]


def _asks(word: str, metric: SetMetric) -> bool:
    if word in PRESETS:
        return PRESETS[word].asks(metric.name, metric.key)
    return word in (metric.name, metric.key, metric.observer)
