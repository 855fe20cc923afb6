"""The table at the top of the page: the runs with their ceilings, floors and blind readers, one arithmetic a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tlbench.errors import TlbenchError
from tlbench.metrics.metric import Metric
from tlbench.reporting.numbers import ends, head, shown_number
from tlbench.scoring.blind_rows import unread_mark, verdict_of
from tlbench.scoring.result import FILE_NAME, Result
from tlbench.scoring.result_file import load_result
from tlbench.scoring.system_names import CONTROLS_NAME

CEILING = "ground-truth"  # the control that is real video
_KINDS = ("", "ceilings and floors", "blind readers")


def controls_near(folder: Path, result: Result) -> tuple[list[Result], list[str]]:
    """The controls that ``tlbench score --controls`` wrote next to a run, the real videos first.

    Only those of the same part of the same data set, and not the run itself.

    Returns
    -------
    (list of Result, list of str)
        The controls, and a line for each that can't be read.
    """
    beside = folder.parent if folder.parent.name == CONTROLS_NAME else folder.parent / CONTROLS_NAME
    found, unread = [], []
    for path in sorted(beside.glob(f"*/{FILE_NAME}")):
        if path.parent.resolve() == folder.resolve():
            continue
        try:
            control = load_result(path)
        except TlbenchError as error:
            unread.append(f"A control is left out: {error}")
            continue
        if control.role == "control" and _part(control) == _part(result):
            found.append(control)
    return sorted(found, key=lambda control: (control.name != CEILING, control.name)), unread


def _part(result: Result) -> tuple[str, str, str | None]:
    return result.dataset, result.split, result.selection


def headline_table(results: Sequence[Result], controls: Iterable[Result], arithmetic: str) -> dict[str, Any] | None:
    """One row a run, control and blind reader, one column a headline metric; None without a metric.

    The runs decide the protocol of each column. A row made in another way has no number there, since the two may not be
    compared.
    """
    metrics = _columns(results, arithmetic)
    if not metrics:
        return None
    shown = {result.name for result in results}
    blind = {row.name: row for result in results if result.blind is not None for row in result.blind.rows}
    parts: tuple[Sequence[Result], ...] = (
        results,
        _best_first([control for control in controls if control.name not in shown], metrics[0]),
        [row for row in blind.values() if any(metric.key in row.protocols for metric in metrics)],
    )
    protocols = {
        metric.key: {result.protocols[metric.key].id for result in results if metric.key in result.protocols}
        for metric in metrics
    }
    groups: list[dict[str, Any]] = [
        {"label": label, "rows": [_row(result, metrics, protocols) for result in members]}
        for label, members in zip(_KINDS, parts, strict=True)
        if members
    ]
    cells = [cell for group in groups for row in group["rows"] for cell in row["cells"]]
    return {
        "heads": [head(metric) for metric in metrics],
        "groups": groups,
        "unread": any(cell["unread"] for cell in cells),
        "other": any(cell["other"] for cell in cells),
    }


def _best_first(controls: Sequence[Result], metric: Metric) -> list[Result]:
    """Ceilings at the top and floors at the bottom, by the first column."""
    sign = -1.0 if metric.better == "higher" else 1.0

    def place(control: Result) -> tuple[bool, float]:
        value = control.row(metric.key).value if metric.key in control.protocols else None
        return value is None, 0.0 if value is None else sign * value

    return sorted(controls, key=place)


def _columns(results: Sequence[Result], arithmetic: str) -> list[Metric]:
    found = {m.key: m for result in results for m in result.metrics if m.arithmetic == arithmetic and m.headline}
    every = {m.key: m for result in results for m in result.metrics if m.arithmetic == arithmetic}
    return list((found or every).values())


def _row(result: Result, metrics: Sequence[Metric], protocols: Mapping[str, set[str]]) -> dict[str, Any]:
    cells = []
    for metric in metrics:
        there = metric.key in result.protocols
        same = there and result.protocols[metric.key].id in protocols[metric.key]
        row = result.row(metric.key) if same else None
        cells.append(
            {
                "value": "-" if row is None else shown_number(row.value, metric.digits),
                "ends": "" if row is None else ends(row.low, row.high, metric.digits),
                "unread": unread_mark(result, metric.key) if same else "",
                "other": there and not same,
            }
        )
    return {"name": result.name, "cells": cells}


def other_in_words(other: Result, result: Result, metric: Metric) -> str:
    """The same number of the run that is compared with; "" without one, or if it was made in another way."""
    theirs = other.protocols.get(metric.key)
    if theirs is None or theirs.id != result.protocols[metric.key].id or other.row(metric.key).value is None:
        return ""
    row = other.row(metric.key)
    unit = f" {metric.unit}" if metric.unit else ""
    return f"{shown_number(row.value, metric.digits)}{unit} {ends(row.low, row.high, metric.digits)}".rstrip()


def in_words(result: Result, metric: Metric, controls: Sequence[Result]) -> str:
    """The run's first number in one sentence, with what real videos and a blind reader get; "" without a number."""
    row = result.row(metric.key)
    if row.value is None:
        return ""
    unit = f" {metric.unit}" if metric.unit else ""
    said = f"{metric.label} is {shown_number(row.value, metric.digits)}{unit}"
    interval = ends(row.low, row.high, metric.digits)
    if interval:
        said += f" {interval}"
    ceiling = next((c for c in controls if c.name == CEILING and metric.key in c.protocols), None)
    if ceiling is not None and ceiling.protocols[metric.key].id == result.protocols[metric.key].id:
        said += f"; real videos get {shown_number(ceiling.row(metric.key).value, metric.digits)}{unit}"
    verdict = verdict_of(result, metric.key)
    if verdict is not None:
        said += f"; the best blind reader gets {shown_number(verdict.blind_value, metric.digits)}{unit}"
        said += ", which is worse: the lips are read" if verdict.read else ": not shown to be better than guessing"
    return f"{said}. {'Lower' if metric.better == 'lower' else 'Higher'} is better."
