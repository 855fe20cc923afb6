"""The result of an earlier run, made again from its records. No video is read and no model is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tlbench.arguments import AnyNames, AnyPath, as_names
from tlbench.errors import TlbenchError, quoted
from tlbench.metrics.catalogue import find_metrics
from tlbench.metrics.metric import Metric
from tlbench.metrics.protocol import Protocol
from tlbench.owner import owned
from tlbench.scoring.aggregation import aggregate_like, with_outdated
from tlbench.scoring.blind_rows import with_blind_rows_of
from tlbench.scoring.record import RECORDS_NAME, read_records
from tlbench.scoring.result import FILE_NAME, Result
from tlbench.scoring.result_file import load_result


def aggregate(folder: AnyPath, metrics: AnyNames | None = None, *, take_over: bool = False) -> Result:
    """Make the result of an earlier run again from its records.

    Parameters
    ----------
    folder : path
        The run's folder, with ``records.jsonl`` and ``result.json``. The latter is replaced.
    metrics : sequence of str, optional
        See :func:`tlbench.metrics.catalogue.find_metrics`; those of the earlier result if not given. The run must have
        used their observers and views. If not given, numbers of older versions of metrics are kept as they are.
    take_over : bool
        Take the folder at once from another run that writes to it; see :func:`tlbench.owner.owned`.

    Raises
    ------
    TlbenchError
        If a metric needs evidence that the records do not have, or another run writes to the folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        load_result(folder)  # raises the error if it is no result either
        raise TlbenchError(f"{folder}: is a file; pass the folder of the run")
    with owned(folder, take_over=take_over):
        result = _from_records(folder, metrics)
        result.write(folder / FILE_NAME)
    return result


def _from_records(folder: Path, metrics: AnyNames | None) -> Result:
    before = load_result(folder)
    chosen = tuple(metric for metric in before.metrics if not metric.outdated)
    outdated = tuple(metric for metric in before.metrics if metric.outdated) if metrics is None else ()
    if metrics is not None:
        chosen = find_metrics(as_names(metrics))
    outline = replace(before, metrics=chosen, protocols=_protocols(before, chosen))
    result = aggregate_like(outline, read_records(folder / RECORDS_NAME))
    if outdated:
        result = with_outdated(result, before, outdated)
    return with_blind_rows_of(before, result)


def _protocols(before: Result, metrics: Iterable[Metric]) -> dict[str, Protocol]:
    """Protocols by metric key: each is that of an earlier metric of the same observer and view, but for the metric."""
    known = {(metric.observer, metric.view): before.protocols[metric.key] for metric in before.metrics}
    protocols = {}
    for metric in metrics:
        like = known.get((metric.observer, metric.view))
        if like is None:
            raise TlbenchError(
                f"{metric.key}: this run did not use {metric.view or 'any view'} of {quoted(metric.observer)}; "
                "score again with --metrics"
            )
        protocols[metric.key] = replace(
            like,
            metric=metric.name,
            version=metric.version,
            aggregation=metric.aggregation,
            arithmetic=metric.arithmetic,
            rule=metric.rule or None,
        )
    return protocols
