"""Tables of a study: means as in Table 2 of the paper, differences between methods, correlations with metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TextIO

from tlbench.document import Cell, Document, Table, clean, counted, interval_cell, label_with_arrow
from tlbench.metrics.opinion import WORD_ERRORS, WORDS_READ, Measure
from tlbench.study.answers import GROUND_TRUTH
from tlbench.study.correlations import Correlation
from tlbench.study.results import StudyResult
from tlbench.tables.formats import draw
from tlbench.tables.terminal import DEFAULT_WIDTH, shows_color, shows_only_ascii, terminal_width, write_text

Format = Literal["terminal", "markdown", "latex"]


def render_study(
    study: StudyResult,
    format: Format = "terminal",
    *,
    width: int = DEFAULT_WIDTH,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """The tables of a study as text that ends with a newline; parameters as for tables of results."""
    return draw(_document(study), format, width, color, ascii_only)


def print_study(study: StudyResult, stream: TextIO, format: Format = "terminal") -> None:
    """Write the tables to a stream, with the width, colours and characters that the stream can show."""
    text = render_study(
        study, format, width=terminal_width(), color=shows_color(stream), ascii_only=shows_only_ascii(stream)
    )
    write_text(stream, text)


def _document(study: StudyResult) -> Document:
    answers = study.answers
    heading = (
        f"User study on {clean(answers.dataset)}:{clean(answers.split)}, {counted(len(answers.started), 'participant')}"
    )
    tables = [_means(study)]
    if study.contrasts:
        tables.append(_contrasts(study))
    tables += [_correlations(study, level) for level in ("videos", "methods") if _of_level(study, level)]
    return Document(heading, tuple(tables), tuple(_notes(study)))


def _head(measure: Measure) -> Cell:
    return Cell(label_with_arrow(measure.label, measure.better), measure.unit)


def _digits(measure: Measure) -> int:
    return 1 if measure.unit == "%" else 2


def _means(study: StudyResult) -> Table:
    rows: dict[bool, list[tuple[Cell, ...]]] = {False: [], True: []}
    for condition in study.answers.conditions:
        cells = [Cell(clean(condition))]
        for measure in study.measures:
            found, digits = study.estimate(condition, measure.key), _digits(measure)
            if found is None:
                cells.append(Cell("-"))
            else:
                cells.append(interval_cell(f"{found.value:.{digits}f}", found.low, found.high, digits))
        rows[condition == GROUND_TRUTH].append(tuple(cells))
    agreement = {found.measure: found.alpha for found in study.agreement}
    alphas = [agreement.get(measure.key) for measure in study.measures]
    last = (Cell("agreement (alpha)"), *(Cell("-" if alpha is None else f"{alpha:.2f}") for alpha in alphas))
    head = (Cell("method"), *map(_head, study.measures))
    sections = (("", tuple(rows[False])), ("control", tuple(rows[True])), ("raters", (last,)))
    return Table("Answers of people", head, sections, kept=(0,), left=(0,))


def _contrasts(study: StudyResult) -> Table:
    found = {(c.a, c.b, c.measure): c for c in study.contrasts}
    rows = []
    for a, b in dict.fromkeys((c.a, c.b) for c in study.contrasts):
        cells = [Cell(f"{clean(a)} - {clean(b)}")]
        for measure in study.measures:
            contrast, digits = found.get((a, b, measure.key)), _digits(measure)
            if contrast is None:
                cells.append(Cell("-"))
                continue
            real = "*" if contrast.p_adjusted < 1 - study.settings.level else ""
            text = f"{contrast.delta:+.{digits}f}{real}"
            cells.append(interval_cell(text, contrast.low, contrast.high, digits))
        rows.append(tuple(cells))
    head = (Cell("difference"), *(Cell(measure.label, measure.unit) for measure in study.measures))
    return Table("Which differences are real", head, (("", tuple(rows)),), kept=(0,), left=(0,))


def _of_level(study: StudyResult, level: str) -> list[Correlation]:
    """The correlations of headline metrics on one level. Those of other metrics are in JSON."""
    return [c for c in study.correlations if c.level == level and c.headline]


def _correlations(study: StudyResult, level: str) -> Table:
    found = {(c.metric, c.measure): c for c in _of_level(study, level)}
    rows = []
    for metric, better in dict.fromkeys((c.metric, c.better) for c in found.values()):
        cells = [Cell(clean(label_with_arrow(metric, better)))]
        points = 0
        for measure in study.measures:
            correlation = found.get((metric, measure.key))
            if correlation is None:
                cells.append(Cell("-"))
                continue
            points = max(points, correlation.points)
            cells.append(interval_cell(f"{correlation.value:+.2f}", correlation.low, correlation.high, 2))
        rows.append((*cells, Cell(str(points))))
    head = (Cell("metric"), *(Cell(measure.label) for measure in study.measures), Cell(level))
    title = {
        "videos": "Correlation with metrics over videos (Spearman)",
        "methods": "Correlation with metrics over methods (Spearman)",
    }[level]
    return Table(title, head, (("", tuple(rows)),), kept=(0,), left=(0,))


def _notes(study: StudyResult) -> list[str]:
    keys = {measure.key for measure in study.measures}
    level = f"{100 * study.settings.level:g} %"
    answers = study.answers
    notes = []
    if keys - {WORDS_READ.key, WORD_ERRORS.key}:
        notes.append("VQ, Sync, Real, RI: visual quality, sync, realness, readability if the words are known; 1 to 5.")
    if WORDS_READ.key in keys and study.chance is not None:
        notes.append(f"read: share of words read right from a muted clip; guessing gives {100 * study.chance:.1f} %.")
    if WORD_ERRORS.key in keys:
        notes.append("WER: word error rate of typed transcriptions of muted clips.")
    notes.append(f"[low, high]: {level} interval over participants (jackknife, Student's t), for these clips.")
    if study.contrasts:
        notes.append(
            f"*: real at {level}, by swapping labels within participants, corrected for "
            f"{counted(len(study.contrasts), 'comparison')} (Holm)."
        )
    notes.append("alpha: Krippendorff's, ordinal; 1 is full agreement, 0 is chance.")
    if study.correlations:
        notes.append("Spearman: +1 is the order of people, -1 the opposite, as it should be where lower is better.")
    notes.append(_who(study))
    unfinished = len(answers.started) - len(answers.finished)
    if unfinished:
        notes.append(f"{counted(unfinished, 'of those has', 'of those have')} not finished; their answers count.")
    if answers.hasty:
        videos, people = sum(answers.hasty.values()), ", ".join(map(str, answers.hasty))
        notes.append(
            f"{counted(videos, 'answer was', 'answers were')} given before the video could have ended "
            f"({'participant' if len(answers.hasty) == 1 else 'participants'} {people})."
        )
    return notes


def _who(study: StudyResult) -> str:
    answers, excluded = study.answers, study.excluded
    text = f"of {counted(answers.invited, 'invited participant')}, {len(answers.started)} counted"
    if not excluded:
        return text + "; none is excluded by the attention checks."
    shown: Sequence[str] = [f"{who} ({count} failed)" for who, count in excluded.items()]
    return (
        f"{text}; excluded for failing more than {counted(study.allowed_failed_checks, 'attention check')}: "
        f"{len(excluded)}, "
        f"number {', '.join(shown)}."
    )
