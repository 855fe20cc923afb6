"""A table of results as papers print it, in LaTeX: best bold, second underlined, protocol ids in the caption.

A column is marked only where differences are shown (:mod:`tlbench.comparison.ranking`): bold is every system that no
other is shown to beat, underlined every one that a single other is shown to beat. A column in which no system is shown
to beat another has no marks. Controls are no competitors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

from tlbench.checkpoints.catalogue import known_cards
from tlbench.comparison.ranking import Entrant, PairedTest, best_of, paired_tests, rank
from tlbench.comparison.references import other_reference
from tlbench.comparison.set_differences import set_difference, why_not_compared
from tlbench.document import clean, label_with_arrow, letter, number_text
from tlbench.errors import TlbenchError
from tlbench.metrics.metric import Metric
from tlbench.metrics.presets import Preset
from tlbench.scoring.blind_rows import unread_mark
from tlbench.scoring.result import AnyRow, Result
from tlbench.scoring.trained_with import judged_by_relative, overlaps_of
from tlbench.tables.markup import latex_text

LEVEL = 0.95  # a difference is shown if its corrected p is below 0.05
_RELATIVE = "‡"  # the column's network, or a relative of it, is what the system was trained with
_BREAKS = "/,:[]"  # a protocol id may be broken after these


def paper_table(results: Sequence[Result], preset: Preset) -> str:
    """Results as the table of a paper: a row for each, controls below, with a caption.

    A metric that the preset wants in both arithmetics has one column: as published, if a system has that number. A
    column without any number is left out. It needs the package booktabs. Systems of different real videos are not
    ranked, and the caption names two of them.

    Parameters
    ----------
    results : sequence of Result
    preset : Preset
        Which columns, in which order.

    Returns
    -------
    str
        LaTeX that ends with a newline.

    Raises
    ------
    TlbenchError
        If the results have none of the numbers that the preset wants.
    """
    systems = [result for result in results if result.role == "system"]
    controls = [result for result in results if result.role == "control"]
    rows = [{row.metric.key: row for row in result.all_rows()} for result in (*systems, *controls)]
    keys = _columns(rows, preset)
    if not keys:
        raise TlbenchError(
            f"the results have none of the numbers of preset {preset.name}; score with --metrics {preset.name}"
        )
    letters = {key: _protocol_letters(rows, key) for key in keys}
    differing = other_reference(systems)
    columns = [_column(key, systems, controls, rows, letters[key], ranked=differing is None) for key in keys]
    names = [latex_text(clean(result.name)) for result in (*systems, *controls)]
    lines = [" & ".join(cells) + r" \\" for cells in zip(names, *columns, strict=True)]
    head = ["", *(_head(_first(rows, key)) for key in keys)]
    return "\n".join(
        [
            r"\begin{table}[t]",
            r"\centering",
            rf"\caption{{{_caption(systems, controls, rows, letters, differing)}}}",
            rf"\label{{tab:{preset.name}}}",
            r"\small",
            r"\begin{tabular}{l" + "r" * len(keys) + "}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *lines[: len(systems)],
            *([r"\midrule"] if systems and controls else []),
            *lines[len(systems) :],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def absent_note(results: Sequence[Result], preset: Preset) -> str:
    """A line that says what a preset wants and no result has a number of; "" if there is nothing."""
    valued = [row.metric.key for result in results for row in result.all_rows() if row.value is not None]
    absent = preset.absent(valued)
    return f"not in these results, of preset {preset.name}: {', '.join(absent)}" if absent else ""


_Rows = Sequence[Mapping[str, AnyRow]]  # of each result, by metric key


def _columns(rows: _Rows, preset: Preset) -> list[str]:
    """Keys of the columns: those with a number, one for each name."""
    valued = dict.fromkeys(key for own in rows for key, row in own.items() if row.value is not None)
    by_name: dict[str, str] = {}
    for key in preset.keys_among(valued):
        by_name.setdefault(key.partition("/")[0], key)
    return list(by_name.values())


def _first(rows: _Rows, key: str) -> AnyRow:
    return next(own[key] for own in rows if key in own)


def _head(row: AnyRow) -> str:
    metric = row.metric
    unit = f" ({latex_text(metric.unit)})" if metric.unit else ""
    label, _, arrow = label_with_arrow(clean(metric.label), metric.better).rpartition(" ")
    if metric.better == "none":
        return latex_text(clean(metric.label)) + unit
    return f"{latex_text(label)}{unit} {latex_text(arrow)}"


def _protocol_letters(rows: _Rows, key: str) -> dict[str, str]:
    """A letter for each protocol id of a column; empty if there is one id."""
    ids = list(dict.fromkeys(own[key].protocol.id for own in rows if key in own))
    return {} if len(ids) < 2 else {protocol: letter(place) for place, protocol in enumerate(ids)}


def _column(
    key: str,
    systems: Sequence[Result],
    controls: Sequence[Result],
    rows: _Rows,
    letters: Mapping[str, str],
    *,
    ranked: bool,
) -> list[str]:
    """The cells of a column, one for each result."""
    marks = _marks(_ranks(key, systems, rows)) if ranked else {}
    cells = []
    for place, result in enumerate((*systems, *controls)):
        row = rows[place].get(key)
        if row is None or row.value is None:
            cells.append("--")
            continue
        text = latex_text(number_text(row.value, row.metric.digits))
        if str(place) in marks:
            text = rf"\{marks[str(place)]}{{{text}}}"
        few = "*" if row.scored < result.expected else ""
        doubts = unread_mark(result, key) + _relative_mark(result, row)
        raised = letters.get(row.protocol.id, "") + few + latex_text(doubts)
        cells.append(text + (rf"\textsuperscript{{{raised}}}" if raised else ""))
    return cells


def _relative_mark(result: Result, row: AnyRow) -> str:
    """``‡`` if the number is by a network that the system was trained with, or by a relative of it; else ""."""
    related = overlaps_of(result, known_cards()) if result.trained_with else {}
    return _RELATIVE if judged_by_relative(result, row.protocol, related) else ""


def _marks(ranks: Mapping[str, int]) -> dict[str, Literal["textbf", "underline"]]:
    """The command that marks the best systems and those that a single one beats."""
    second = (key for key, own in ranks.items() if own == 2)
    return {**dict.fromkeys(best_of(ranks), "textbf"), **dict.fromkeys(second, "underline")}


def _ranks(key: str, systems: Sequence[Result], rows: _Rows) -> dict[str, int]:
    """The rank of each system by its place; empty if there is one system, or their protocols differ."""
    entrants = [
        Entrant(str(place), row.value, row.protocol.id, row.low, row.high, result)
        for place, result in enumerate(systems)
        if (row := rows[place].get(key)) is not None and row.value is not None
    ]
    if len(entrants) < 2 or len({entrant.protocol for entrant in entrants}) > 1:
        return {}
    metric = _first(rows, key).metric
    pairs = paired_tests(entrants, metric) if isinstance(metric, Metric) else _tests_of_sets(entrants, key)
    return rank(entrants, metric.better, pairs, LEVEL)


def _tests_of_sets(entrants: Sequence[Entrant], key: str) -> list[PairedTest]:
    """Paired jackknives of every two numbers of a whole set that are of the same clips."""
    scores = {
        entrant.key: score
        for entrant in entrants
        for score in (entrant.result.sets if entrant.result is not None else ())
        if score.metric.key == key
    }
    found = []
    for (a, x), (b, y) in combinations(scores.items(), 2):
        if not why_not_compared(x, y) and (p_value := set_difference(x, y, LEVEL).p_value) is not None:
            found.append(PairedTest(a, b, p_value))
    return found


def _caption(
    systems: Sequence[Result],
    controls: Sequence[Result],
    rows: _Rows,
    letters: Mapping[str, Mapping[str, str]],
    differing: tuple[Result, Result, str] | None,
) -> str:
    """Where and on how many clips, what the marks mean, and the protocol ids of the columns of ``letters``."""
    results = (*systems, *controls)
    places = dict.fromkeys(
        f"{result.dataset}:{result.split}" + (f" ({result.selection} only)" if result.selection else "")
        for result in results
    )
    counts = sorted(result.expected for result in results)
    clips = " to ".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1])))
    said = [f"{latex_text(clean(', '.join(places)))}, $n = {clips}$ clips."]
    if differing is not None:
        a, b, clip_id = (latex_text(clean(name)) for name in (differing[0].name, differing[1].name, differing[2]))
        said.append(f"Nothing is ranked: {a} and {b} are of different real videos (clip {clip_id}).")
    elif len(systems) > 1:
        said.append(
            r"\textbf{Bold}: no system is shown to be better; \underline{underlined}: a single one is (paired "
            r"permutation tests, for numbers of a whole set paired jackknives, Holm, 5\,\%). A ranked column with "
            "neither shows no difference."
        )
    shown = [(result, own[key]) for result, own in zip(results, rows, strict=True) for key in letters if key in own]
    if any(row.value is not None and row.scored < result.expected for result, row in shown):
        said.append("*: fewer clips were scored.")
    if any(unread_mark(result, row.metric.key) for result, row in shown):
        said.append(r"\dag{}: not shown to be better than guessing without pictures.")
    if any(row.value is not None and _relative_mark(result, row) for result, row in shown):
        said.append(r"\ddag{}: the network is, or is a relative of, what the system was trained with: no fair judge.")
    if any(letters.values()):
        said.append("Numbers of different letters have different protocols and are not ranked.")
    ids = (_listed_ids(_first(rows, key), own) for key, own in letters.items())
    said.append(r"Protocols: {\scriptsize " + "; ".join(ids) + ".}")
    return " ".join(said)


def _listed_ids(row: AnyRow, letters: Mapping[str, str]) -> str:
    """The label of a column and its protocol ids, each after its letter."""
    ids = (
        (rf"\textsuperscript{{{mark}}}" if mark else "") + rf"\texttt{{{_breakable(protocol)}}}"
        for protocol, mark in (letters or {row.protocol.id: ""}).items()
    )
    return f"{latex_text(clean(row.metric.label))} {', '.join(ids)}"


def _breakable(protocol: str) -> str:
    return "".join(latex_text(c) + (r"\allowbreak{}" if c in _BREAKS else "") for c in clean(protocol))
