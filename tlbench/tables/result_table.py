"""Results as tables: for the terminal, papers and programs.

The published arithmetic (``paper``) and the corrected one (``sound``) are separate tables, so that a number of one is
not taken for a number of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from tlbench.document import (
    NOTHING,
    Cell,
    Document,
    Table,
    clean,
    interval_cell,
    label_with_arrow,
    letter,
    number_text,
)
from tlbench.errors import TlbenchError, quoted
from tlbench.metrics.catalogue import nearest_column
from tlbench.metrics.presets import PRESETS
from tlbench.metrics.protocol import Protocol, differing_fields
from tlbench.metrics.sets import AnyMetric
from tlbench.scoring.blind_rows import BLIND_MEANS, cannot_read, unread_mark, verdict_of
from tlbench.scoring.result import AnyRow, Result, Role
from tlbench.scoring.result_notes import (
    TITLES,
    UNREAD_MEANS,
    direction_notes,
    interval_notes,
    most_scored,
    outdated_notes,
    result_notes,
)
from tlbench.tables.formats import Format, check_format, csv_text, draw, finite_row, json_text
from tlbench.tables.terminal import DEFAULT_WIDTH, shows_color, shows_only_ascii, terminal_width, write_text

_CEILING = "ground-truth"  # the first of the controls
_ROLES: tuple[tuple[Role, str], ...] = (("system", ""), ("control", "controls"), ("blind", "blind"))


def render(
    results: Sequence[Result],
    format: Format = "terminal",
    *,
    all_metrics: bool = False,
    columns: Sequence[str] | None = None,
    intervals: bool = True,
    width: int = DEFAULT_WIDTH,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """Results as text that ends with a newline.

    Parameters
    ----------
    results : sequence of Result
        Systems are shown in the given order, controls below them, and rows of blind readers last.
    format : str
        ``terminal``, ``markdown`` or ``latex`` for people; ``csv`` (one line a system and metric) or ``json`` for
        programs, with all digits.
    all_metrics : bool
        Also show metrics that are not headline metrics.
    columns : sequence of str, optional
        Only these metrics, in this order: names (``psnr``), keys (``psnr/sound``) or presets (``paper-avatar``).
    intervals : bool
        Show confidence intervals. CSV and JSON always have them.
    width : int
        Columns of the terminal; no line is longer.
    color, ascii_only : bool
        What the terminal can show. ``ascii_only`` also applies to Markdown.

    Raises
    ------
    TlbenchError
        For an unknown format, no results, or a column that no result has.
    """
    check_format(format)
    if not results:
        raise TlbenchError("there is no result to show; pass one or more result files")
    shown = _shown(results, all_metrics, columns)
    if format == "csv":
        return csv_text(item for result, rows in shown for item in _items(result, rows))
    if format == "json":
        return json_text(_json(shown, intervals))
    return draw(_document(shown, intervals), format, width, color, ascii_only)


def results_json(
    results: Sequence[Result],
    *,
    all_metrics: bool = False,
    columns: Sequence[str] | None = None,
    intervals: bool = True,
) -> dict[str, Any]:
    """What :func:`render` writes as JSON, for a larger document. Raises TlbenchError as it does."""
    if not results:
        raise TlbenchError("there is no result to show; pass one or more result files")
    return _json(_shown(results, all_metrics, columns), intervals)


def print_results(
    results: Sequence[Result],
    stream: TextIO,
    format: Format = "terminal",
    *,
    all_metrics: bool = False,
    columns: Sequence[str] | None = None,
    intervals: bool = True,
) -> None:
    """Write :func:`render` to a stream, with the width, colours and characters that the stream can show."""
    text = render(
        results,
        format,
        all_metrics=all_metrics,
        columns=columns,
        intervals=intervals,
        width=terminal_width(),
        color=shows_color(stream),
        ascii_only=shows_only_ascii(stream),
    )
    write_text(stream, text)


_Shown = Sequence[tuple[Result, Mapping[str, AnyRow]]]  # results with their rows to show, by metric key


def _shown(results: Sequence[Result], all_metrics: bool, columns: Sequence[str] | None) -> _Shown:
    ordered = [*_in_order(results), *_blind_rows(results)]
    keys = None if columns is None else _chosen_keys(results, columns)
    shown = []
    for result in ordered:
        rows = {row.metric.key: row for row in result.all_rows()}
        if keys is None:
            own = {key: row for key, row in rows.items() if all_metrics or row.metric.headline}
        else:
            own = {key: rows[key] for key in keys if key in rows}
        if own or result.role != "blind":
            shown.append((result, own))
    return shown


def _chosen_keys(results: Sequence[Result], columns: Sequence[str]) -> list[str]:
    """Metric keys of the columns asked for, in the words of ``--metrics``.

    Raises TlbenchError naming the metrics of the results.
    """
    metrics = {row.metric.key: row.metric for result in results for row in result.all_rows()}
    chosen: dict[str, None] = {}
    for name in columns:
        if name in PRESETS:
            found = PRESETS[name].keys_among(metrics)
        else:
            found = [
                key
                for key, metric in metrics.items()
                if name in (key, metric.name, metric.observer) or (name == metric.arithmetic and metric.headline)
            ]
        if not found:
            raise TlbenchError(
                f"no column {quoted(name)}{nearest_column(name, metrics.values())}; the results have "
                f"{', '.join(metrics) or 'no metrics'} (--columns)"
            )
        chosen |= dict.fromkeys(found)
    return list(chosen)


def _blind_rows(results: Sequence[Result]) -> list[Result]:
    """The rows of blind readers of all results. Results of the same clips have the same rows, which are shown once."""
    found: dict[tuple[str, tuple[tuple[str, float | None], ...]], Result] = {}
    for result in results:
        for row in result.blind.rows if result.blind is not None else ():
            found.setdefault((row.name, tuple((r.protocol.id, r.value) for r in row.rows())), row)
    return list(found.values())


def _in_order(results: Sequence[Result]) -> list[Result]:
    """Systems in the given order, then controls, ground truth first."""
    return sorted(results, key=lambda r: (r.role == "control", r.role == "control" and r.name != _CEILING))


def _items(result: Result, rows: Mapping[str, AnyRow]) -> Iterator[dict[str, Any]]:
    """One flat mapping a metric for programs. ``read`` says whether the system is read better than blind."""
    for item in result.as_dicts():
        if item["metric"] in rows:
            verdict = verdict_of(result, item["metric"])
            yield {**item, "read": None if verdict is None else verdict.read}


def _json(shown: _Shown, intervals: bool) -> dict[str, Any]:
    return {
        "results": [
            {
                "system": result.name,
                "role": result.role,
                "complete": result.complete,
                "failures": result.failure_counts,
                "frames": result.frame_counts,
                "findings": [found.to_json() for found in result.all_findings],
                "not_checked": list(result.not_checked),
                "rows": [finite_row(item) for item in _items(result, rows)],
            }
            for result, rows in shown
        ],
        "notes": _notes(shown, intervals),
    }


def _document(shown: _Shown, intervals: bool) -> Document:
    tables = tuple(_table(shown, arithmetic, intervals) for arithmetic in TITLES if _metrics(shown, arithmetic))
    return Document(_places([result for result, _ in shown]), tables, tuple(_notes(shown, intervals)))


def _places(results: Sequence[Result]) -> str:
    places = (f"{r.dataset}:{r.split}" + (f" ({r.selection} only)" if r.selection else "") for r in results)
    return clean(", ".join(dict.fromkeys(places)))


def _metrics(shown: _Shown, arithmetic: str) -> list[AnyMetric]:
    """The columns of a table: all metrics of the results, each once."""
    found = {key: row.metric for _, rows in shown for key, row in rows.items() if row.metric.arithmetic == arithmetic}
    return list(found.values())


def _table(shown: _Shown, arithmetic: str, intervals: bool) -> Table:
    metrics = _metrics(shown, arithmetic)
    letters = {metric.key: _protocol_letters(shown, metric.key) for metric in metrics}
    counts_frames = any(result.frame_counts is not None for result, _ in shown)
    lines: dict[str, list[tuple[Cell, ...]]] = {role: [] for role, _ in _ROLES}
    for result, rows in shown:
        if result.role == "blind" and not any(metric.key in rows for metric in metrics):
            continue
        most = most_scored(rows)
        cells = [Cell(clean(result.name))]
        cells += [_value_cell(result, rows, metric.key, letters[metric.key], intervals) for metric in metrics]
        cells.append(Cell(f"{most:,} of {result.expected:,}"))
        if counts_frames:
            cells.append(Cell(NOTHING if result.frame_counts is None else "{:,} of {:,}".format(*result.frame_counts)))
        lines[result.role].append(tuple(cells))
    sections = tuple((label, tuple(lines[role])) for role, label in _ROLES if lines[role])
    heads = [Cell(clean(label_with_arrow(metric.label, metric.better)), clean(metric.unit)) for metric in metrics]
    counts = [Cell("scored"), Cell("frames")] if counts_frames else [Cell("scored")]
    head = (Cell("system"), *heads, *counts)
    last = tuple(range(len(head) - len(counts), len(head)))
    return Table(TITLES[arithmetic], head, sections, kept=(0,), left=(0,), partial=("blind",), counts=last)


def _value_cell(
    result: Result, rows: Mapping[str, AnyRow], key: str, letters: Mapping[str, str], intervals: bool
) -> Cell:
    """A value with its marks: letter of the protocol, old version, fewer clips scored, not read better than blind."""
    row = rows.get(key)
    if row is None:
        return Cell(NOTHING)
    marks = ", ".join(mark for mark in (letters.get(row.protocol.id), "old" if row.metric.outdated else "") if mark)
    text = number_text(row.value, row.metric.digits) + (f" ({marks})" if marks else "")
    text += ("*" if row.scored < most_scored(rows) else "") + unread_mark(result, key)
    return interval_cell(text, row.low, row.high, row.metric.digits) if intervals else Cell(text)


def _protocol_letters(shown: _Shown, key: str) -> dict[str, str]:
    """A letter for each protocol id of a metric; empty if all rows have the same id."""
    ids = list(dict.fromkeys(rows[key].protocol.id for _, rows in shown if key in rows))
    return {} if len(ids) < 2 else {protocol: letter(i) for i, protocol in enumerate(ids)}


def _notes(shown: _Shown, intervals: bool) -> list[str]:
    """What a reader has to know before quoting a number."""
    rows = [row for _, own in shown for row in own.values()]
    notes = cannot_read(result for result, _ in shown)
    notes += direction_notes(rows)
    if intervals:
        notes += interval_notes(shown)
    systems: dict[str, list[str]] = {}  # a note of several systems is printed once
    for result, own in shown:
        for text in result_notes(result, own):
            systems.setdefault(text, []).append(result.name)
    notes += [f"{', '.join(names)}: {text}" for text, names in systems.items()]
    notes += list(dict.fromkeys(row.metric.note for row in rows if row.metric.note))
    notes += outdated_notes(rows)
    notes += _blind_notes(shown)
    notes += _protocol_notes(shown)
    return [clean(note) for note in notes]


def _protocol_notes(shown: _Shown) -> list[str]:
    """How the protocols of one metric differ. The whole ids are in CSV and JSON."""
    metrics: dict[str, list[str]] = {}
    for key in dict.fromkeys(key for _, own in shown for key in own):
        letters = _protocol_letters(shown, key)
        if not letters:
            continue
        protocols = {protocol_id: Protocol.parse(protocol_id) for protocol_id in letters}
        differing = differing_fields(protocols.values())
        listed = "; ".join(
            f"({letters[protocol_id]}) "
            + ", ".join(f"{name} {getattr(protocol, name) or 'none'}" for name in differing)
            for protocol_id, protocol in protocols.items()
        )
        metrics.setdefault(listed, []).append(key)
    return [
        f"{', '.join(keys)}: rows of different letters can't be ranked, their protocols differ: {listed}"
        for listed, keys in metrics.items()
    ]


def _blind_notes(shown: _Shown) -> list[str]:
    """Which numbers are not better than blind, and what the blind readers guess from."""
    notes = []
    unread: dict[str, list[str]] = {}
    for result, own in shown:
        for key in own:
            verdict = verdict_of(result, key)
            if verdict is not None and not verdict.read:
                unread.setdefault(result.name, []).append(f"{key} ({verdict.blind} {verdict.blind_value:.1f})")
    if unread:
        names: dict[str, list[str]] = {}  # the same numbers of several systems are listed once
        for name, keys in unread.items():
            names.setdefault(", ".join(keys), []).append(name)
        listed = "; ".join(f"{', '.join(systems)}: {keys}" for keys, systems in names.items())
        notes.append(f"{UNREAD_MEANS} {listed}.")
    sources = dict.fromkeys(
        source for result, _ in shown if result.blind is not None for source in result.blind.learned_from
    )
    if sources:
        notes.append(f"{BLIND_MEANS} {'; '.join(sources)}.")
    return notes
