"""Tables of results and of comparisons, for the terminal, papers and programs.

The published arithmetic (``paper``) and what it should have been (``sound``) are two tables and never share one: a
reader must not take a number of one for a number of the other.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import StringIO
from math import isfinite
from typing import Any, Literal, TextIO, get_args

from tlbench.comparison.compare import Comparison, MetricComparison, SystemStatus
from tlbench.errors import TlbenchError
from tlbench.metrics.metric import Metric
from tlbench.metrics.protocol import Protocol, differing_fields
from tlbench.observing.domain import OF_CHECKPOINTS
from tlbench.preflight.findings import Finding, count_clips, is_of_dataset
from tlbench.scoring.blind_rows import BLIND_MEANS, UNREAD_MEANS, cannot_read, unread_mark, verdict_of
from tlbench.scoring.result import Result, Role, Row, json_row
from tlbench.tables.table_format import (
    SYMBOLS,
    Cell,
    Document,
    Table,
    clean,
    draw_latex,
    draw_markdown,
    draw_terminal,
    plain,
)

Format = Literal["terminal", "markdown", "csv", "json", "latex"]

SCHEMA = "tlbench.table/1"
TITLES = {
    "paper": "paper: the published arithmetic, to compare with the literature",
    "sound": "sound: what it should have been, to compare systems by",
}
_ARROWS = {"higher": " ↑", "lower": " ↓", "none": ""}
_CEILING = "ground-truth"  # the control that stands first
_ROLES: tuple[tuple[Role, str], ...] = (("system", ""), ("control", "controls"), ("blind", "blind"))
_WIDE = 120  # columns, where the output is no terminal


def render(
    results: Sequence[Result],
    format: Format = "terminal",
    *,
    all_metrics: bool = False,
    intervals: bool = True,
    width: int = _WIDE,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """Results as text, ending in a newline.

    Parameters
    ----------
    results : sequence of Result
        The systems in the order they are shown; controls stand below them, and below those the readers that do not
        look, where the results have such rows.
    format : str
        ``terminal``, ``markdown`` or ``latex`` for people; ``csv`` (one line a system and metric) or ``json`` for
        programs, with all digits.
    all_metrics : bool
        Metrics too that are not headline metrics.
    intervals : bool
        Show confidence intervals (programs get them anyway).
    width : int
        Columns of the terminal.
    color, ascii_only : bool
        What the terminal can show; ``ascii_only`` also holds for Markdown.

    Raises
    ------
    TlbenchError
        For an unknown format or no results.
    """
    check_format(format)
    if not results:
        raise TlbenchError("there is no result to show; pass one or more result files")
    shown = _result_rows(results, all_metrics)
    if format == "csv":
        return _csv(item for r, own in shown for item in _items(r, own))
    if format == "json":
        return _json(
            {
                "results": [
                    {"system": r.name, "role": r.role, "complete": r.complete, "failures": r.failure_counts}
                    | {"frames": r.frame_counts, "findings": [found.to_json() for found in r.all_findings]}
                    | {"not_checked": list(r.not_checked)}
                    | {"rows": [json_row(item) for item in _items(r, own)]}
                    for r, own in shown
                ],
                "notes": _notes(shown, intervals),
            }
        )
    return _draw(_result_sheet(shown, intervals), format, width, color, ascii_only)


def result_sheet(results: Sequence[Result], *, all_metrics: bool = False, intervals: bool = True) -> Document:
    """Results as a sheet, to be drawn in some other form than :func:`render` knows; parameters as there."""
    return _result_sheet(_result_rows(results, all_metrics), intervals)


def render_comparison(
    comparison: Comparison,
    format: Format = "terminal",
    *,
    width: int = _WIDE,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """A comparison as text; parameters as for :func:`render`."""
    check_format(format)
    if format == "csv":
        return _csv({"system_a": comparison.a, "system_b": comparison.b} | item for item in comparison.as_dicts())
    if format == "json":
        return _json(
            {
                "a": comparison.a,
                "b": comparison.b,
                "level": comparison.level,
                "clips": comparison.clips,
                "only_a": comparison.only_a,
                "only_b": comparison.only_b,
                "other_reference": comparison.other_reference,
                "sides": {"a": _side(comparison.standing_a), "b": _side(comparison.standing_b)},
                "not_read": [{"system": name, "metric": key} for name, key in comparison.not_read],
                "rows": [json_row(item) for item in comparison.as_dicts()],
                "not_comparable": [{"metric": n.key, "a": n.a, "b": n.b} for n in comparison.not_comparable],
                "notes": _comparison_notes(comparison),
            }
        )
    return _draw(comparison_sheet(comparison), format, width, color, ascii_only)


def comparison_sheet(comparison: Comparison) -> Document:
    """A comparison as a sheet, to be drawn in some other form than :func:`render_comparison` knows."""
    grids = []
    for arithmetic, title in TITLES.items():
        rows = [row for row in comparison.rows if row.metric.arithmetic == arithmetic]
        if rows:
            grids.append(_comparison_grid(title, rows))
    heading = f"a: {clean(comparison.a)}   b: {clean(comparison.b)}   {_clips(comparison.clips)} in both"
    return Document(heading, tuple(grids), tuple(_comparison_notes(comparison)))


def print_results(
    results: Sequence[Result],
    stream: TextIO,
    format: Format = "terminal",
    *,
    all_metrics: bool = False,
    intervals: bool = True,
) -> None:
    """Write :func:`render` to a stream, with the width, colours and characters that stream can show."""
    width, color, ascii_only = _abilities(stream)
    text = render(
        results,
        format,
        all_metrics=all_metrics,
        intervals=intervals,
        width=width,
        color=color,
        ascii_only=ascii_only,
    )
    _put(stream, text)


def print_comparison(comparison: Comparison, stream: TextIO, format: Format = "terminal") -> None:
    """Write :func:`render_comparison` to a stream, with the width, colours and characters that stream can show."""
    width, color, ascii_only = _abilities(stream)
    _put(stream, render_comparison(comparison, format, width=width, color=color, ascii_only=ascii_only))


def check_format(format: str) -> None:
    """Raises TlbenchError unless ``format`` is one of the formats."""
    if format not in get_args(Format):
        raise TlbenchError(f"no format {format!r}; there are {', '.join(get_args(Format))} (--format)")


def _abilities(stream: TextIO) -> tuple[int, bool, bool]:
    """Width in columns, whether colours are welcome, whether only ASCII can be shown."""
    encoding = getattr(stream, "encoding", None) or "utf-8"  # a StringIO has none
    try:
        SYMBOLS.encode(encoding)
    except UnicodeEncodeError:
        ascii_only = True
    else:
        ascii_only = False
    color = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return shutil.get_terminal_size((_WIDE, 24)).columns, color, ascii_only


def _put(stream: TextIO, text: str) -> None:
    """Write text; what the stream's encoding lacks (letters of names) is written as an escape, not an error."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _draw(sheet: Document, format: Format, width: int, color: bool, ascii_only: bool) -> str:
    if format == "terminal":
        return draw_terminal(sheet, width, color, ascii_only)
    if format == "markdown":
        text = draw_markdown(sheet)
        return plain(text) if ascii_only else text
    return draw_latex(sheet)


# Results


_Shown = Sequence[tuple[Result, Mapping[str, Row]]]  # each result with the rows of it that are shown


def _result_rows(results: Sequence[Result], all_metrics: bool) -> _Shown:
    ordered = [*_in_order(results), *_blind_rows(results)]
    rows = {id(r): {row.metric.key: row for row in r.rows() if all_metrics or row.metric.headline} for r in ordered}
    return [(r, rows[id(r)]) for r in ordered if rows[id(r)] or r.role != "blind"]


def _blind_rows(results: Sequence[Result]) -> list[Result]:
    """Those of all results, each once: of the same clips they are the same."""
    found: dict[tuple[str, tuple[tuple[str, float | None], ...]], Result] = {}
    for result in results:
        for row in result.blind.rows if result.blind is not None else ():
            found.setdefault((row.name, tuple((r.protocol.id, r.value) for r in row.rows())), row)
    return list(found.values())


def _items(result: Result, own: Mapping[str, Row]) -> Iterator[dict[str, Any]]:
    """What programs get of a result, a mapping a metric; ``read`` is whether it is read better than blind."""
    for item in result.as_dicts():
        if item["metric"] in own:
            verdict = verdict_of(result, item["metric"])
            yield {**item, "read": None if verdict is None else verdict.read}


def _result_sheet(shown: _Shown, intervals: bool) -> Document:
    grids = tuple(_result_grid(shown, arithmetic, intervals) for arithmetic in TITLES if _metrics(shown, arithmetic))
    return Document(_places([result for result, _ in shown]), grids, tuple(_notes(shown, intervals)))


def _in_order(results: Sequence[Result]) -> list[Result]:
    """Systems as given, then controls, the ceiling first."""
    return sorted(results, key=lambda r: (r.role == "control", r.role == "control" and r.name != _CEILING))


def _metrics(shown: _Shown, arithmetic: str) -> list[Metric]:
    """The columns of a table: all metrics of the results, each once."""
    found = {key: row.metric for _, rows in shown for key, row in rows.items() if row.metric.arithmetic == arithmetic}
    return list(found.values())


def _places(results: Sequence[Result]) -> str:
    places = (f"{r.dataset}:{r.split}" + (f" ({r.selection} only)" if r.selection else "") for r in results)
    return clean(", ".join(dict.fromkeys(places)))


def _number(value: float | None, digits: int) -> str:
    if value is None:
        return "-"
    if not isfinite(value):
        return "∞" if value > 0 else "-∞"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text  # no minus zero


def _ends(low: float | None, high: float | None, digits: int) -> str:
    return "" if low is None or high is None else f"[{_number(low, digits)}, {_number(high, digits)}]"


def _head(metric: Metric) -> Cell:
    return Cell(clean(metric.label) + _ARROWS[metric.better], clean(metric.unit))


def _result_grid(shown: _Shown, arithmetic: str, intervals: bool) -> Table:
    metrics = _metrics(shown, arithmetic)
    letters = {metric.key: _protocol_letters(shown, metric.key) for metric in metrics}
    lines: dict[str, list[tuple[Cell, ...]]] = {role: [] for role, _ in _ROLES}
    for result, rows in shown:
        if result.role == "blind" and not any(metric.key in rows for metric in metrics):
            continue
        cells = [Cell(clean(result.name))]
        most = _most_scored(rows)
        for metric in metrics:
            row = rows.get(metric.key)
            if row is None:
                cells.append(Cell("-"))
                continue
            letter = letters[metric.key].get(row.protocol.id, "")
            within = ", ".join(text for text in (letter, "old" if row.metric.outdated else "") if text)
            mark = (f" ({within})" if within else "") + ("*" if row.scored < most else "")
            mark += unread_mark(result, metric.key)
            ends = _ends(row.low, row.high, metric.digits) if intervals else ""
            cells.append(Cell(_number(row.value, metric.digits) + mark, ends))
        cells.append(Cell(f"{most:,} of {result.expected:,}", _frames(result)))
        lines[result.role].append(tuple(cells))
    sections = [(label, tuple(lines[role])) for role, label in _ROLES if lines[role]]
    last = len(metrics) + 1
    head = (Cell("system"), *(_head(metric) for metric in metrics), Cell("scored"))
    return Table(TITLES[arithmetic], head, tuple(sections), kept=(0, last), left=(0,))


def _frames(result: Result) -> str:
    """``72 of 75 frames`` over all clips; nothing where it is not known how many there should be."""
    counts = result.frame_counts
    return "" if counts is None else f"{counts[0]:,} of {counts[1]:,} frames"


def _most_scored(rows: Mapping[str, Row]) -> int:
    return max((row.scored for row in rows.values()), default=0)


def _protocol_letters(shown: _Shown, key: str) -> dict[str, str]:
    """A letter for each protocol id of one metric; none if all rows share one."""
    ids = list(dict.fromkeys(rows[key].protocol.id for _, rows in shown if key in rows))
    return {} if len(ids) < 2 else {protocol: _letter(i) for i, protocol in enumerate(ids)}


def _letter(index: int) -> str:
    """a ... z, aa, ab, ..."""
    first = _letter(index // 26 - 1) if index >= 26 else ""
    return first + chr(ord("a") + index % 26)


def _notes(shown: _Shown, intervals: bool) -> list[str]:
    """What a reader has to know before quoting a number."""
    rows = [row for _, own in shown for row in own.values()]
    notes = cannot_read(result for result, _ in shown)
    arrows = [
        text for way, text in (("higher", "↑ higher"), ("lower", "↓ lower")) if way in {r.metric.better for r in rows}
    ]
    if arrows:
        notes.append(f"{', '.join(arrows)} is better.")
    if intervals:
        notes += _interval_notes(shown)
    systems: dict[str, list[str]] = {}  # what several have in common is said once
    for result, own in shown:
        for text in _result_notes(result, own):
            systems.setdefault(text, []).append(result.name)
    notes += [f"{', '.join(names)}: {text}" for text, names in systems.items()]
    notes += list(dict.fromkeys(row.metric.note for row in rows if row.metric.note))
    old = dict.fromkeys(row.metric.key for row in rows if row.metric.outdated)
    if old:
        notes.append(
            f"old: {', '.join(old)} by an older version of the metric; score the folder again for the new one."
        )
    notes += _blind_notes(shown)
    notes += _protocol_notes(shown)
    return [clean(note) for note in notes]


def _protocol_notes(shown: _Shown) -> list[str]:
    """Where one metric was made in different ways, in what the ways differ; the whole ids are in CSV and JSON."""
    metrics: dict[str, list[str]] = {}
    for key in dict.fromkeys(key for _, own in shown for key in own):
        letters = _protocol_letters(shown, key)
        if not letters:
            continue
        ways = {protocol: Protocol.parse(protocol) for protocol in letters}
        differing = differing_fields(ways.values())
        listed = "; ".join(
            f"({letters[protocol]}) " + ", ".join(f"{name} {getattr(way, name) or 'none'}" for name in differing)
            for protocol, way in ways.items()
        )
        metrics.setdefault(listed, []).append(key)
    return [
        f"{', '.join(keys)}: rows of different letters can't be ranked, they were made differently: {listed}"
        for listed, keys in metrics.items()
    ]


def _blind_notes(shown: _Shown) -> list[str]:
    """Which numbers are no reading, and where the blind rows come from."""
    notes = []
    unread: dict[str, list[str]] = {}
    for result, own in shown:
        for key in own:
            verdict = verdict_of(result, key)
            if verdict is not None and not verdict.read:
                unread.setdefault(result.name, []).append(f"{key} ({verdict.blind} {verdict.blind_value:.1f})")
    if unread:
        said = "; ".join(f"{name}: {', '.join(keys)}" for name, keys in unread.items())
        notes.append(f"{UNREAD_MEANS} {said}.")
    sources = dict.fromkeys(
        source for result, _ in shown if result.blind is not None for source in result.blind.learned_from
    )
    if sources:
        notes.append(f"{BLIND_MEANS} {'; '.join(sources)}.")
    return notes


def _interval_notes(shown: _Shown) -> list[str]:
    notes = []
    units: dict[tuple[float, str], list[int]] = {}
    metrics: dict[tuple[float, str], list[str]] = {}
    for result, own in shown:
        for row in own.values():
            if row.unit is not None and row.clusters is not None:
                units.setdefault((result.interval.level, row.unit), []).append(row.clusters)
                metrics.setdefault((result.interval.level, row.unit), []).append(row.metric.key)
    for (level, unit), counts in units.items():
        whose = f"{', '.join(dict.fromkeys(metrics[level, unit]))}: " if len(units) > 1 else ""
        count = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
        notes.append(f"[low, high]: {whose}{100 * level:g} % interval, bootstrap over {count} {unit}.")
    few = dict.fromkeys(
        row.metric.cluster or r.interval.cluster
        for r, own in shown
        for row in own.values()
        if (row.metric.cluster or r.interval.cluster) and row.unit == "clips"
    )
    notes += [
        f"Too few {cluster}s to resample, so clips were, as if independent: these intervals are likely too narrow."
        for cluster in few
    ]
    if any(row.value is not None and row.low is None for _, own in shown for row in own.values()):
        notes.append("No interval where there is but one clip or an infinite value.")
    return notes


def _result_notes(result: Result, own: Mapping[str, Row]) -> list[str]:
    if result.role == "blind":
        return []
    notes = [f"{remark}." for remark in result.remarks]
    absent = result.expected - len(result.clips)
    notes += _incomplete_notes(len(result.clips_in_error), absent, result.expected, result.strict)
    most = _most_scored(own)
    fewer = [f"{row.metric.key} {row.scored:,}" for row in own.values() if row.scored < most]
    if fewer:
        notes.append(f"* fewer than {most:,} clips scored: {', '.join(fewer)}.")
    notes += _finding_notes(result)
    if result.not_checked:
        notes.append(f"not checked: {', '.join(result.not_checked)} (tlbench check looks at more).")
    return notes


def _incomplete_notes(in_error: int, absent: int, expected: int, strict: bool) -> list[str]:
    """Why a result is incomplete, in clips: nothing if it is not, or for what lies in the folder."""
    notes = []
    if in_error:
        what = "an error or a warning (--strict)" if strict else "an error"
        notes.append(f"incomplete: {_clips(in_error)} of {expected:,} with {what}.")
    if absent:
        notes.append(f"incomplete, {_clips(absent)} of {expected:,} not observed at all.")
    return notes


def _finding_notes(result: Result) -> list[str]:
    """Every code that was found, and what older results know of failures and remarks."""
    notes, info = _notes_of_findings(result.all_findings)
    old = [clip for clip in result.clips if clip.failures and not clip.findings]  # of a result from before findings
    if old:
        codes = Counter(code for clip in old for code in {why.code for why in clip.failures.values()})
        listed = ", ".join(f"{code} {count:,}" for code, count in codes.most_common())
        notes.append(f"error, {_clips(len(old))} not scored: {listed}.")
    notes += info
    touched = sum(1 for clip in result.clips if clip.notes)
    if touched:
        notes.append(f"{_clips(touched)} with remarks of an older tlbench.")
    return notes


def _notes_of_findings(findings: Sequence[Finding]) -> tuple[list[str], list[str]]:
    """Findings by code, the worst first: of errors and warnings with the first clip's, and of info the counts."""
    first = {(found.level, found.code): found for found in reversed(findings)}
    notes, info = [], []
    for (level, code), count in count_clips(findings).items():
        found = first[level, code]
        if code == "cannot-read":  # the whole table is marked with it
            continue
        if code in OF_CHECKPOINTS:
            notes += [f"{level}, {code}: {o.message} ({o.fix})." for o in findings if o.code == code]
            continue
        how_many = (
            _clips(count) if found.clip is not None else f"{count:,} of the folder" if count > 1 else "the folder"
        )
        if level == "info":
            info.append(f"{code} {count:,}")
            continue
        whose = f"{found.clip}: " if found.clip is not None else ""
        of_dataset = " of the data set" if is_of_dataset(code) else ""
        notes.append(f"{level}{of_dataset}, {code}, {how_many}: {whose}{found.message} ({found.fix}).")
    return notes, [f"info: {', '.join(info)}."] if info else []


def _clips(count: int) -> str:
    return f"{count:,} clip" + ("" if count == 1 else "s")


# Comparisons


def _comparison_grid(title: str, rows: Sequence[MetricComparison]) -> Table:
    lines = []
    for row in rows:
        difference, digits = row.difference, row.metric.digits
        delta = _number(difference.delta, digits)
        plus = "+" if (difference.delta or 0) > 0 and delta.strip("0.") else ""
        lines.append(
            (
                _head(row.metric),
                Cell(_number(difference.a, digits)),
                Cell(_number(difference.b, digits)),
                Cell(plus + delta, _ends(difference.low, difference.high, digits)),
                Cell(_number(difference.probability_of_improvement, 2)),
                Cell(_p_value(row.p_adjusted)),
                Cell(row.verdict),
            )
        )
    head = tuple(Cell(text) for text in ("metric", "a", "b", "a - b", "a wins", "p", "verdict"))
    return Table(title, head, (("", tuple(lines)),), kept=(0, 6), left=(0, 6))


def _p_value(p_value: float | None) -> str:
    if p_value is None:
        return "-"
    return f"{p_value:.4f}" if p_value >= 0.0001 else "<0.0001"


def _comparison_notes(comparison: Comparison) -> list[str]:
    level = f"{100 * comparison.level:g} %"
    sides = {"a": comparison.standing_a, "b": comparison.standing_b}
    notes = _said_of(sides, lambda side: side.cannot_read)
    notes += [
        f"a - b with its paired {level} bootstrap interval; p: paired permutation test, two-sided, corrected for "
        f"{len(comparison.rows)} metrics (Holm).",
        "a wins: share of clips on which a is better, ties counted half.",
    ]
    units = {(d.unit, d.units) for d in (row.difference for row in comparison.rows) if d.clips}
    notes.append("Resampled and swapped: " + ", ".join(f"{count:,} {unit}" for unit, count in sorted(units)) + ".")
    if comparison.only_a or comparison.only_b:
        notes.append(f"Left out: {_clips(comparison.only_a)} only in a, {_clips(comparison.only_b)} only in b.")
    if comparison.other_reference:
        notes.append(f"Left out: {_clips(comparison.other_reference)} whose reference videos differ.")
    fewer = [f"{r.metric.key} {r.difference.clips:,}" for r in comparison.rows if r.difference.clips < comparison.clips]
    if fewer:
        notes.append(f"Scored in both on fewer clips: {', '.join(fewer)}.")
    notes += _said_of(sides, _standing_notes)
    if comparison.not_read:
        listed = ", ".join(f"{name} by {key}" for name, key in comparison.not_read)
        notes.append(f"Not read, at 95 % no better than the best reader that does not look: {listed}.")
    for item in comparison.not_comparable:
        if item.a is None or item.b is None:
            notes.append(f"{item.key} not compared: only {'b' if item.a is None else 'a'} has it.")
        else:
            notes.append(f"{item.key} not compared, protocols differ: a {item.a}; b {item.b}")
    return [clean(note) for note in notes]


def _standing_notes(side: SystemStatus) -> list[str]:
    notes = _incomplete_notes(side.in_error, side.absent, side.expected, side.strict)
    if not side.complete and not notes:
        notes.append("incomplete by what was found of the folder.")
    findings, info = _notes_of_findings(side.findings)
    return notes + findings + info


def _said_of(sides: Mapping[str, SystemStatus], say: Callable[[SystemStatus], Sequence[str]]) -> list[str]:
    """Notes on the two, what is said of both once: ``a, b: ...``."""
    said: dict[str, list[str]] = {}
    for name, side in sides.items():
        for note in say(side):
            said.setdefault(note, []).append(name)
    return [f"{', '.join(names)}: {note}" for note, names in said.items()]


# For programs


def _side(of: SystemStatus) -> dict[str, Any]:
    """What programs get of one of two results compared."""
    return {
        "complete": of.complete,
        "clips_in_error": of.in_error,
        "clips_absent": of.absent,
        "findings": [found.to_json() for found in of.findings],
        "cannot_read": list(of.cannot_read),
    }


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps({"schema": SCHEMA, **data}, indent=2, allow_nan=False) + "\n"


def _csv(items: Iterable[Mapping[str, Any]]) -> str:
    stream = StringIO()
    writer = None
    for item in items:
        if writer is None:
            writer = csv.DictWriter(stream, list(item), lineterminator="\n")
            writer.writeheader()
        writer.writerow({name: _csv_cell(value) for name, value in item.items()})
    return stream.getvalue()


def _csv_cell(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets an apostrophe in front (OWASP, "CSV injection")."""
    if not isinstance(value, str):
        return value
    text = clean(value)
    return "'" + text if text.lstrip().startswith(("=", "+", "-", "@")) else text
