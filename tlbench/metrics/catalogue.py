"""All metrics: the built-in ones, and those of the entry-point group ``tlbench.metrics``.

An entry point names a tuple of :class:`~tlbench.metrics.metric.Metric`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import get_args

from tlbench.errors import TlbenchError, did_you_mean, quoted
from tlbench.metrics import accuracy, intelligibility, leakage, pictures, quality, similarity, sync
from tlbench.metrics.metric import Arithmetic, Metric
from tlbench.metrics.presets import PRESETS
from tlbench.metrics.sets import SET_METRICS, AnyMetric, without_sets
from tlbench.plugins import entry_points


@cache
def all_metrics() -> tuple[Metric, ...]:
    """Every metric, in the order tables show them. Raises TlbenchError if two have one key."""
    found = [
        *intelligibility.METRICS,
        *accuracy.METRICS,
        *sync.METRICS,
        *quality.METRICS,
        *similarity.METRICS,
        *pictures.METRICS,
        *leakage.METRICS,
    ]
    for point in entry_points(group="tlbench.metrics"):
        found += point.load()
    keys = [metric.key for metric in found]
    for key in keys:
        if keys.count(key) > 1:
            raise TlbenchError(f"metric {quoted(key)} is defined twice; uninstall one of the packages that bring it")
    return tuple(found)


def all_columns() -> tuple[AnyMetric, ...]:
    """Every metric, and behind them the numbers of the whole set."""
    return (*all_metrics(), *SET_METRICS)


def plain_keys() -> list[str]:
    """Keys of every metric that needs no drive, and of every number of the whole set: what presets choose from."""
    return [metric.key for metric in all_metrics() if not metric.parts] + [metric.key for metric in SET_METRICS]


def find_metric(key: str) -> Metric:
    """The metric with a key such as ``psnr/paper``. Raises TlbenchError if there is none."""
    for metric in all_metrics():
        if metric.key == key:
            return metric
    keys = [metric.key for metric in all_metrics()]
    hint = did_you_mean(key, keys) or f" (there are {', '.join(keys)})"
    raise TlbenchError(f"no metric {quoted(key)}{hint}")


def find_metrics(words: Iterable[str] | None) -> tuple[Metric, ...]:
    """The metrics that these words select, in the catalogue's order.

    Parameters
    ----------
    words : iterable of str, or None
        Names (``psnr``: both arithmetics), keys (``psnr/paper``), arithmetics (``paper``: its headline metrics),
        observers (``pixels``: all of its metrics) or presets (``paper-avatar``, ``all``); None is every headline
        metric. A metric of a drive is selected by its name or key only.

    Raises
    ------
    TlbenchError
        For a word that selects no metric.
    """
    if words is None:
        return tuple(metric for metric in all_metrics() if metric.headline and not metric.parts)
    wanted: set[str] = set()
    for word in words:
        found = {metric.key for metric in all_metrics() if _asks(word, metric)}
        if not found and without_sets([word]) == []:
            raise TlbenchError(
                f"{quoted(word)} is a number of the whole set, made from features that no record has; only `tlbench "
                "score` measures it"
            )
        if not found:
            known = [*sorted({metric.name for metric in all_columns()}), *PRESETS]
            hint = nearest_column(word, all_columns())
            raise TlbenchError(
                f"no metric {quoted(word)}{hint} (there are {', '.join(known)}, each also with /paper or /sound)"
            )
        wanted |= found
    return tuple(metric for metric in all_metrics() if metric.key in wanted)


def nearest_column(word: str, metrics: Iterable[AnyMetric]) -> str:
    """The part of a message that names what ``word`` is nearly the name of; empty if that is nothing.

    A metric, its key or its label in tables, an observer of some of ``metrics``, an arithmetic or a preset.
    """
    columns = list(metrics)
    names = [name for metric in columns for name in (metric.name, metric.key)]
    observers = [metric.observer for metric in columns]
    return _as_labelled(word, columns) or did_you_mean(word, [*names, *observers, *get_args(Arithmetic), *PRESETS])


def _as_labelled(word: str, metrics: Iterable[AnyMetric]) -> str:
    """The part of a message that names the metric that tables call so: ``LSE-D at 0`` is lse_d_zero; else empty."""
    name, slash, arithmetic = word.partition("/")
    for metric in metrics:
        if word.casefold() == metric.label.casefold():
            return f"; did you mean {metric.name!r}?"
        if slash and name.casefold() == metric.label.casefold() and arithmetic == metric.arithmetic:
            return f"; did you mean {metric.key!r}?"
    return ""


def named_apart(words: Iterable[str]) -> list[str]:
    """The words for :func:`find_metrics` that name a metric or an observer: all but presets, ``paper``, ``sound``."""
    return [word for word in words if word not in PRESETS and word not in get_args(Arithmetic)]


def _asks(word: str, metric: Metric) -> bool:
    if metric.parts:
        return word in (metric.name, metric.key)
    if word in get_args(Arithmetic):
        return metric.arithmetic == word and metric.headline
    if word in PRESETS:
        return PRESETS[word].asks(metric.name, metric.key)
    return word in (metric.name, metric.key, metric.observer)
