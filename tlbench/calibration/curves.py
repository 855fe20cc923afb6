"""Draws a calibration as a figure with one panel for each metric and fault."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tlbench.calibration.page import shown_metrics, verdict_text
from tlbench.calibration.verdicts import Calibration, Curve
from tlbench.document import label_with_arrow
from tlbench.figures.figure_files import save_figure
from tlbench.generation.faults import Fault
from tlbench.metrics.sets import AnyMetric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, which is safe for colour-blind readers. The published arithmetic is also dashed.
COLOURS = {"sound": "#0072B2", "paper": "#D55E00"}
DASHES: dict[str, Literal["-", "--"]] = {"sound": "-", "paper": "--"}
SHADE = "#efece4"  # background where the metric is blind or better with the fault
PANEL_INCHES = (1.55, 1.15)
_STYLE: dict[Any, Any] = {
    "font.size": 7.0,
    "axes.linewidth": 0.5,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 2.0,
    "ytick.major.size": 2.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.family": "DejaVu Sans",
}


def draw_curves(calibration: Calibration, path: Path, all_metrics: bool = False, others: Sequence[Path] = ()) -> None:
    """Draw all curves: rows are metrics, columns faults.

    The line is the value of the metric over all clips, the band its interval, the dotted line no fault. The two
    arithmetics of one metric share a panel. The corner of a panel shows the rank correlation and the verdict.

    Parameters
    ----------
    path : Path
        A ``.png``, ``.pdf`` or ``.svg``, written under a temporary name first.
    all_metrics : bool
        Also draw metrics that are not headline metrics.
    others : sequence of path
        The same figure in other formats.

    Raises
    ------
    TlbenchError
        If the file can't be written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = _rows(shown_metrics(calibration, all_metrics))
    columns = calibration.faults
    with rc_context(_STYLE):
        wide, high = PANEL_INCHES[0] * len(columns) + 0.7, PANEL_INCHES[1] * len(rows) + 1.0
        figure = Figure(figsize=(wide, high), facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(rows), len(columns), squeeze=False, sharex="col", sharey="row")
        for metrics, line in zip(rows, grid, strict=True):
            for fault, axes in zip(columns, line, strict=True):
                _panel(axes, fault, [calibration.curve(fault.name, metric.key) for metric in metrics])
            unit = f"\n({metrics[0].unit})" if metrics[0].unit else ""
            line[0].set_ylabel(label_with_arrow(metrics[0].label, metrics[0].better) + unit, fontsize=7.5)
        for fault, top, bottom in zip(columns, grid[0], grid[-1], strict=True):
            top.set_title(fault.label, fontsize=8, fontweight="bold")
            bottom.set_xlabel(fault.unit)
            _ticks(bottom, fault)
        figure.align_ylabels(list(grid[:, 0]))
        figure.legend(
            handles=_legend(rows),
            loc="outside lower center",
            ncols=4,
            frameon=False,
            fontsize=7.5,
        )
        for one in (path, *others):
            save_figure(figure, one)


def _rows(metrics: Sequence[AnyMetric]) -> list[list[AnyMetric]]:
    """Metrics by name, since the two arithmetics of one metric share a panel."""
    by_name: dict[str, list[AnyMetric]] = {}
    for metric in metrics:
        by_name.setdefault(metric.name, []).append(metric)
    return list(by_name.values())


def _panel(axes: Axes, fault: Fault, curves: Sequence[Curve]) -> None:
    places = {size: place for place, size in enumerate(fault.sizes)}
    axes.axvline(places[fault.none], color="0.6", linewidth=0.6, linestyle=":", zorder=0)
    for curve in curves:
        colour = COLOURS[curve.metric.arithmetic]
        drawn = [p for p in curve.points if p.value is not None and isfinite(p.value)]
        x = [places[p.size] for p in drawn]
        axes.plot(
            x,
            [p.value for p in drawn if p.value is not None],
            color=colour,
            linestyle=DASHES[curve.metric.arithmetic],
            linewidth=1.0,
            marker="o",
            markersize=1.8,
        )
        banded = [p for p in drawn if p.low is not None and p.high is not None]
        axes.fill_between(
            [places[p.size] for p in banded],
            [p.low for p in banded if p.low is not None],
            [p.high for p in banded if p.high is not None],
            color=colour,
            alpha=0.18,
            linewidth=0,
        )
    last = curves[-1]  # the sound one of two arithmetics, by the order of the catalogue
    text = "\n".join(
        f"{side.correlation:+.2f} {verdict_text(side)}" + (f" ({side.name})" if side.name else "")
        for side in last.sides
        if side.correlation is not None
    )
    for side in last.sides:
        if side.verdict in ("blind", "prefers"):
            ends = sorted((places[fault.none], places[side.sizes[-1]]))
            axes.axvspan(*ends, color=SHADE, linewidth=0, zorder=-1)
    axes.text(0.03, 0.98, text, transform=axes.transAxes, va="top", ha="left", fontsize=5.0, color="0.25")
    axes.margins(x=0.06, y=0.25 if len(last.sides) > 1 else 0.15)


def _ticks(axes: Axes, fault: Fault) -> None:
    """Ticks at even distances. Of more than seven sizes every other one is labelled, always with no fault."""
    step = 2 if len(fault.sizes) > 7 else 1
    start = fault.sizes.index(fault.none) % step
    shown = range(start, len(fault.sizes), step)
    axes.set_xticks(list(shown), [f"{fault.sizes[place]:g}" for place in shown])


def _legend(rows: Sequence[Sequence[AnyMetric]]) -> list[object]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    used = [a for a in COLOURS if any(metric.arithmetic == a for metrics in rows for metric in metrics)]
    handles: list[object] = [
        Line2D([], [], color=COLOURS[a], linestyle=DASHES[a], marker="o", markersize=2, linewidth=1, label=a)
        for a in used
    ]
    handles.append(Line2D([], [], color="0.6", linestyle=":", linewidth=0.8, label="no fault"))
    handles.append(Patch(facecolor=SHADE, edgecolor="0.8", label="blind, or better with the fault"))
    return handles
