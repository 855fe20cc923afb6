"""A calibration as text: the table of correlations and verdicts, and the Markdown page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from tlbench.calibration.verdicts import Calibration, FaultPoint, FaultSide
from tlbench.document import Cell, Document, Table, clean, counted, label_with_arrow
from tlbench.generation.faults import Fault
from tlbench.metrics.sets import AnyMetric, SetMetric
from tlbench.tables.markup import draw_markdown, markdown_line, markdown_text
from tlbench.tables.terminal import print_document

_TITLES = {"paper": "paper: the published arithmetic", "sound": "sound: what it should have been"}

_NOTES = (
    "Numbers: Spearman's correlation of the size of the fault with a worse value, within each clip, mean over clips "
    "and its interval. +1 is worse with every step, 0 no order, negative is better with a larger fault.",
    "sees: worse than no fault at every size. from X: worse only from size X. to X: worse up to size X but not at the "
    "largest. blind: no difference at the largest size. prefers: better at the largest size than without the fault. "
    "?: too few clips.",
    "Worse means that the paired interval of the difference from no fault excludes zero. For a metric without a "
    "direction, more counts as worse.",
)


def print_calibration(calibration: Calibration, stream: TextIO, all_metrics: bool = False) -> None:
    """Write the table to a stream, with the width, colours and characters that the stream can show.

    Parameters
    ----------
    all_metrics : bool
        Also show metrics that are not headline metrics.
    """
    print_document(_document(calibration, all_metrics), stream)


def calibration_page(calibration: Calibration) -> str:
    """The page in Markdown: the table, what each metric is blind to, the faults, and all curves as numbers."""
    parts = [
        f"# What each metric sees: {markdown_text(calibration.dataset)}, {counted(calibration.clips, 'clip')}",
        "",
        "Made by `tlbench calibrate`. The curves are in `curves.png`, all digits in `calibration.json`.",
        "",
        draw_markdown(_document(calibration, True)),
        "## Which metric is blind to what",
        "",
        *_verdict_lines(calibration),
        "",
        "## The faults",
        "",
        "| fault | sizes | what |",
        "| :--- | :--- | :--- |",
        *(
            f"| {fault.label} (`{fault.name}`) | {', '.join(f'{size:g}' for size in fault.sizes)} {fault.unit} | "
            f"{fault.description} |"
            for fault in calibration.faults
        ),
        "",
        "## Numbers",
        "",
        "Each cell: the value, its interval, and the direction of the paired difference from no fault.",
        "",
        *(line for fault in calibration.faults for line in _numbers(calibration, fault)),
    ]
    if calibration.stand_ins:
        parts += ["## Stand-ins", "", *_stand_in_lines(calibration), ""]
    if calibration.left_out:
        parts += ["## Left out", "", *(f"- {markdown_line(line)}" for line in calibration.left_out), ""]
    return "\n".join(parts)


def verdict_text(side: FaultSide, unit: str = "") -> str:
    """``sees``, ``from 2 px``, ``to 8 px``, ``blind``, ``prefers``, ``?``."""
    size = "" if side.since is None else f"{side.since:g} {unit}".strip()
    return {
        "sees": "sees",
        "sees from": f"from {size}",
        "sees up to": f"to {size}",
        "blind": "blind",
        "prefers": "prefers",
        "unknown": "?",
    }[side.verdict]


def shown_metrics(calibration: Calibration, all_metrics: bool) -> list[AnyMetric]:
    """The headline metrics, or all metrics if ``all_metrics`` is set or there is no headline metric."""
    headline = [metric for metric in calibration.metrics if metric.headline]
    return headline if headline and not all_metrics else list(calibration.metrics)


def _document(calibration: Calibration, all_metrics: bool) -> Document:
    metrics = shown_metrics(calibration, all_metrics)
    columns = [(fault, place) for fault in calibration.faults for place in range(len(fault.sides))]
    head = (Cell("metric"), *(_head(fault, place) for fault, place in columns))
    sections = []
    for arithmetic, title in _TITLES.items():
        rows = [
            (
                Cell(clean(label_with_arrow(metric.label, metric.better))),
                *(_cell(calibration.curve(fault.name, metric.key).sides[place]) for fault, place in columns),
            )
            for metric in metrics
            if metric.arithmetic == arithmetic
        ]
        if rows:
            sections.append((title, tuple(rows)))
    heading = f"{clean(calibration.dataset)}:{clean(calibration.split)}" + (
        f" ({clean(calibration.selection)} only)" if calibration.selection else ""
    )
    title = f"Does the metric see the fault? {counted(calibration.clips, 'clip')}"
    table = Table(title, head, tuple(sections), kept=(0,), left=(0,))
    notes = [
        *_NOTES,
        *_set_notes(metrics),
        *_failure_notes(calibration),
        *(clean(line) for line in calibration.left_out),
    ]
    return Document(heading, (table,), tuple(notes))


def _head(fault: Fault, place: int) -> Cell:
    name, sizes = fault.sides[place]
    return Cell(f"{fault.label}{', ' if name else ''}{name}", f"to {sizes[-1]:g} {fault.unit}")


def _cell(side: FaultSide) -> Cell:
    if side.correlation is None:
        return Cell("-")
    text = f"{_signed(side.correlation)} {verdict_text(side)}"
    if side.low is None or side.high is None:
        return Cell(text)
    return Cell(text, f"[{_signed(side.low)}, {_signed(side.high)}]", f"±{(side.high - side.low) / 2:.2f}")


def _signed(value: float) -> str:
    text = f"{value:+.2f}"
    return text[1:] if float(text) == 0 else text


def _set_notes(metrics: Iterable[AnyMetric]) -> list[str]:
    labels = [metric.label for metric in metrics if isinstance(metric, SetMetric)]
    return [f"{', '.join(labels)}: of the set as a whole; worse by the paired jackknife over groups."] if labels else []


def _failure_notes(calibration: Calibration) -> list[str]:
    notes = []
    for fault, by_size in calibration.failures.items():
        codes = sorted({code for counts in by_size.values() for code in counts})
        most = max(sum(counts.values()) for counts in by_size.values())
        notes.append(
            f"{fault}: up to {most} of {counted(calibration.clips, 'clip')} not scored at a size ({', '.join(codes)})"
        )
    return notes


def _verdict_lines(calibration: Calibration) -> list[str]:
    lines = []
    for metric in calibration.metrics:
        said: dict[str, list[str]] = {}
        for fault in calibration.faults:
            for side in calibration.curve(fault.name, metric.key).sides:
                name = f"{fault.label}{' ' if side.name else ''}{side.name}"
                text = verdict_text(side, fault.unit)
                group = side.verdict if side.verdict not in ("sees from", "sees up to") else "partly"
                said.setdefault(group, []).append(f"{name} ({text})" if group == "partly" else name)
        groups = (
            ("blind", "blind to"),
            ("prefers", "better with"),
            ("partly", "sees in part"),
            ("sees", "sees"),
            ("unknown", "not known for"),
        )
        listed = "; ".join(f"{words} {', '.join(said[group])}" for group, words in groups if group in said)
        lines.append(f"- **{metric.label}** (`{metric.key}`): {listed}.")
    return lines


def _numbers(calibration: Calibration, fault: Fault) -> Iterable[str]:
    yield f"### {fault.label} ({fault.unit})"
    yield ""
    yield "| metric | " + " | ".join(f"{size:g}" for size in fault.sizes) + " |"
    yield "| :--- |" + " ---: |" * len(fault.sizes)
    for metric in calibration.metrics:
        points = calibration.curve(fault.name, metric.key).points
        yield f"| `{metric.key}` | " + " | ".join(_number_cell(metric, point) for point in points) + " |"
    yield ""


def _number_cell(metric: AnyMetric, point: FaultPoint) -> str:
    if point.value is None:
        return "-"
    ends = (
        ""
        if point.low is None or point.high is None
        else f" [{point.low:.{metric.digits}f}, {point.high:.{metric.digits}f}]"
    )
    said = {"worse": " worse", "better": " better", "same": " =", "unknown": " ?", "none": ""}[point.mark]
    return f"{point.value:.{metric.digits}f}{ends}{said}"


def _stand_in_lines(calibration: Calibration) -> Sequence[str]:
    lines = []
    for kind, pairs in calibration.stand_ins.items():
        alike = sorted(likeness for _, likeness in pairs.values())
        if alike:
            lines.append(
                f"- {kind}: {counted(len(alike), 'clip has', 'clips have')} a stand-in; correlation of "
                "loudness after warping: median "
                f"{alike[len(alike) // 2]:.2f}, least {alike[0]:.2f}."
            )
    return lines
