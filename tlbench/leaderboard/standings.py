"""Leaderboard tables: the numbers of all systems with their ranks, and the tables in Markdown.

The same records always give the same text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tlbench.comparison.ranking import Entrant, best_of, paired_tests, rank
from tlbench.document import Cell, Document, Table, clean, label_with_arrow, letter, number_text
from tlbench.leaderboard.submission import (
    Column,
    Computed,
    Published,
    Submission,
    comes_from_relative,
    figure_columns,
    finding_facts,
)
from tlbench.metrics.catalogue import all_metrics, find_metric
from tlbench.metrics.sets import NOT_RECOMPUTED, SET_METRICS
from tlbench.tables.markup import draw_markdown, markdown_text

TITLES = {
    "sound": "sound: to compare systems by",
    "paper": "paper: the published arithmetic, to compare with the literature",
    "study": "study: what people said, from 1 to 5",
}
MARK = "†"
OLD = "old"
KINDS = ("computed", "published", "ceilings and floors")

_OF_SETS = frozenset(metric.key for metric in SET_METRICS)


@dataclass(frozen=True)
class Entry:
    """A record and the name of its file."""

    file: str
    submission: Submission


@dataclass(frozen=True)
class RankedNumber:
    """One number of one system, with its rank.

    Attributes
    ----------
    value : float
    low, high : float or None
        Confidence interval; None if there is none.
    protocol : str
        Protocol id, or where the number was published.
    overlap : bool
        Whether the observer is, or is related to, a model that the system was trained with.
    outdated : bool
        Whether an older version of the metric gave the number.
    protocol_index : int
        Index of ``protocol`` in ``BoardTable.protocols``.
    rank : int or None
        Rank among the systems with the same protocol; None for ceilings and floors, and for a system without others.
    best : bool
        Whether it has rank 1 and any of the others has not.
    """

    value: float
    low: float | None
    high: float | None
    protocol: str
    overlap: bool
    outdated: bool = False
    protocol_index: int = 0
    rank: int | None = None
    best: bool = False


@dataclass(frozen=True)
class BoardTable:
    """All numbers of one arithmetic of a data set.

    Attributes
    ----------
    arithmetic : str
        A key of ``TITLES``.
    columns : mapping of metric key to Column
    protocols : mapping of metric key to tuple of str
        The protocols of each column, the most frequent first.
    sections : tuple of (label, entries)
        ``computed``, ``published``, ``ceilings and floors``, which are not ranked together.
    standings : mapping of file to mapping of metric key to RankedNumber
    notes : tuple of str
        How to read the table, one line each.
    """

    arithmetic: str
    columns: Mapping[str, Column]
    protocols: Mapping[str, tuple[str, ...]]
    sections: tuple[tuple[str, tuple[Entry, ...]], ...]
    standings: Mapping[str, Mapping[str, RankedNumber]]
    notes: tuple[str, ...]

    @property
    def leading(self) -> str:
        """The key of the column by which the table is sorted: the first with a direction."""
        return next((key for key, column in self.columns.items() if column.better != "none"), next(iter(self.columns)))

    def letter(self, key: str, protocol_index: int) -> str:
        """The letter that marks a protocol of the column; "" if the column has only one protocol."""
        return letter(protocol_index) if len(self.protocols[key]) > 1 else ""


@dataclass(frozen=True)
class Board:
    """The records of one data set, and the tables made from them."""

    dataset: str
    entries: tuple[Entry, ...]
    tables: tuple[BoardTable, ...]


def make_board(dataset: str, entries: Sequence[Entry]) -> Board:
    """Ranks all systems of a data set. This is the only slow step and is done once for all pages."""
    numbers = {entry.file: _numbers(entry.submission) for entry in entries}
    tables = []
    for arithmetic in TITLES:
        keys = [key for key in figure_columns() if key.endswith(f"/{arithmetic}") or key.startswith(f"{arithmetic}/")]
        keys = [key for key in keys if any(key in own for own in numbers.values())]
        if keys:
            tables.append(_table(arithmetic, keys, entries, numbers))
    return Board(dataset, tuple(sorted(entries, key=lambda entry: entry.file)), tuple(tables))


def dataset_page(board: Board) -> str:
    """The Markdown page of one data set: its tables, how to read them, and its records."""
    lines = [f"# {markdown_text(board.dataset)}", "", "Made by `tlbench leaderboard build` from the records beside it."]
    for table in board.tables:
        lines += ["", f"## {table.arithmetic}", "", draw_markdown(_document(table)).rstrip("\n")]
    lines += ["", "## Records", ""]
    lines += [_about(entry) for entry in board.entries]
    return "\n".join(lines) + "\n"


def front_page(boards: Sequence[Board]) -> str:
    """The Markdown page that lists all data sets."""
    head = (Cell("data set"), Cell("computed"), Cell("published"), Cell("ceilings and floors"))
    rows = []
    for board in sorted(boards, key=lambda board: board.dataset):
        counts = count_kinds(board.entries)
        name = board.dataset
        rows.append([f"[{markdown_text(name)}]({name}/README.md)", *(str(counts[kind]) for kind in KINDS)])
    table = [[cell.text for cell in head], [":---", "---:", "---:", "---:"], *rows]
    lines = [
        "# Leaderboards",
        "",
        "Made by `tlbench leaderboard build` from the records in these folders; "
        "[how to add a system and how to read the tables](../docs/leaderboards.md).",
        "",
        *("| " + " | ".join(row) + " |" for row in table),
        "",
        "`computed` rows were scored by tlbench, and their numbers are made anew from every clip's counts. `published` "
        "rows are figures out of papers, which nobody here can check. The two are never ranked together.",
    ]
    return "\n".join(lines) + "\n"


def kind_of(submission: Submission) -> str:
    """The section of a table that a record belongs to: one of ``KINDS``."""
    if submission.role == "control":
        return "ceilings and floors"
    return "computed" if isinstance(submission, Computed) else "published"


def count_kinds(entries: Iterable[Entry]) -> dict[str, int]:
    """The number of records of each kind, in the order of ``KINDS``."""
    counts = Counter(kind_of(entry.submission) for entry in entries)
    return {kind: counts[kind] for kind in KINDS}


def _numbers(submission: Submission) -> dict[str, RankedNumber]:
    if isinstance(submission, Published):
        return {f.metric: RankedNumber(f.value, None, None, submission.protocol(f), False) for f in submission.figures}
    return {
        row.metric.key: RankedNumber(
            row.value,
            row.low,
            row.high,
            row.protocol.id,
            comes_from_relative(submission, row.protocol),
            row.metric.outdated,
        )
        for row in submission.result.rows()
        if row.value is not None and row.metric.headline
    } | {
        own.metric.key: RankedNumber(
            own.value, own.low, own.high, own.protocol.id, comes_from_relative(submission, own.protocol)
        )
        for own in submission.result.sets
        if own.value is not None
    }


def _table(
    arithmetic: str, keys: Sequence[str], entries: Sequence[Entry], numbers: Mapping[str, Mapping[str, RankedNumber]]
) -> BoardTable:
    columns = {key: figure_columns()[key] for key in keys}
    shown = [entry for entry in entries if any(key in numbers[entry.file] for key in keys)]
    protocols = {key: _by_frequency(own[key].protocol for own in numbers.values() if key in own) for key in keys}
    ranked = {key: _ranked(key, columns[key], shown, numbers) for key in keys}
    standings = {
        entry.file: {
            key: replace(ranked[key].get(entry.file, found), protocol_index=protocols[key].index(found.protocol))
            for key, found in numbers[entry.file].items()
            if key in columns
        }
        for entry in shown
    }
    sections: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
    for entry in shown:
        sections[kind_of(entry.submission)].append(entry)
    ordered = tuple(
        (label, tuple(sorted(members, key=lambda entry: _place(entry, columns, standings))))
        for label, members in sections.items()
        if members
    )
    notes = tuple(_notes(columns, shown, standings, protocols))
    return BoardTable(arithmetic, columns, protocols, ordered, standings, notes)


def _document(table: BoardTable) -> Document:
    drawn = tuple((label, tuple(_row(entry, table) for entry in members)) for label, members in table.sections)
    head = (Cell("system"), *(Cell(label_with_arrow(c.label, c.better), c.unit) for c in table.columns.values()))
    drawn_table = Table("value (rank) [interval]", head, drawn, kept=(0,), left=(0,))
    return Document(TITLES[table.arithmetic], (drawn_table,), table.notes)


def _by_frequency(protocols: Iterable[str]) -> tuple[str, ...]:
    """Each protocol once, the most frequent first."""
    counts = Counter(protocols)
    return tuple(sorted(counts, key=lambda protocol: (-counts[protocol], protocol)))


def _ranked(
    key: str, column: Column, entries: Iterable[Entry], numbers: Mapping[str, Mapping[str, RankedNumber]]
) -> dict[str, RankedNumber]:
    """By file, the numbers of systems with their ranks among those with the same protocol.

    A system without others of its protocol has no rank and is left out.
    """
    comparable_groups: dict[str, list[Entrant]] = {}
    for entry in entries:
        number = numbers[entry.file].get(key)
        if number is None or entry.submission.role == "control":
            continue
        has_tallies = isinstance(entry.submission, Computed) and key not in _OF_SETS
        result = entry.submission.result if isinstance(entry.submission, Computed) and has_tallies else None
        entrant = Entrant(entry.file, number.value, number.protocol, number.low, number.high, result)
        comparable_groups.setdefault(number.protocol, []).append(entrant)
    found: dict[str, RankedNumber] = {}
    for group in comparable_groups.values():
        if len(group) > 1:
            with_clips = any(entrant.result is not None for entrant in group)
            ranks = rank(group, column.better, paired_tests(group, find_metric(key)) if with_clips else ())
            best = best_of(ranks)
            found |= {file: replace(numbers[file][key], rank=own, best=file in best) for file, own in ranks.items()}
    return found


def _place(
    entry: Entry, columns: Mapping[str, Column], standings: Mapping[str, Mapping[str, RankedNumber]]
) -> tuple[bool, float, str, str]:
    """What rows are sorted by: the number in the first column with a direction, then the name."""
    own = standings[entry.file]
    key = next((key for key in columns if columns[key].better != "none"), next(iter(columns)))
    sort_value = 0.0
    if key in own:
        sort_value = -own[key].value if columns[key].better == "higher" else own[key].value
    return key not in own, sort_value, entry.submission.name.lower(), entry.file


def _row(entry: Entry, table: BoardTable) -> tuple[Cell, ...]:
    cells = [Cell(entry.submission.name)]
    for key, column in table.columns.items():
        number = table.standings[entry.file].get(key)
        if number is None:
            cells.append(Cell("-"))
            continue
        place = ("" if number.rank is None else str(number.rank)) + table.letter(key, number.protocol_index)
        within = [text for text in (place, OLD if number.outdated else "") if text]
        bracketed = f" ({', '.join(within)})" if within else ""
        mark = MARK if number.overlap else ""
        cells.append(
            Cell(number_text(number.value, column.digits) + bracketed + mark, shown_interval(number, column.digits))
        )
    return tuple(cells)


def shown_interval(number: RankedNumber, digits: int) -> str:
    """``[low, high]``, or "" without an interval."""
    return "" if number.low is None else f"[{number_text(number.low, digits)}, {number_text(number.high, digits)}]"


def _notes(
    columns: Mapping[str, Column],
    entries: Sequence[Entry],
    numbers: Mapping[str, Mapping[str, RankedNumber]],
    protocols: Mapping[str, Sequence[str]],
) -> list[str]:
    notes = ["(1): rank; 1 plus how many systems are shown to be better, so equal ranks are ties."]
    computed = [entry.submission for entry in entries if isinstance(entry.submission, Computed)]
    if computed:
        levels = sorted({f"{100 * c.result.interval.level:g} %" for c in computed})
        notes.append(
            f"[low, high]: {', '.join(levels)} bootstrap interval. Ranks by paired tests over the clips (Holm)."
        )
    of_sets = [columns[key].label for key in columns if key in _OF_SETS]
    if of_sets:
        notes.append(
            f"{', '.join(of_sets)}: {NOT_RECOMPUTED}. A record has the value, the number of frames and a hash of the "
            "features; ranks by intervals that do not overlap."
        )
    published = [entry.submission for entry in entries if isinstance(entry.submission, Published)]
    notes += sorted({f"published[{one.source}]: figures of {clean(one.title)}." for one in published})
    if published:
        notes.append(
            "Published figures have no interval: their ranks are the mere order of the figures, and differences may be "
            "chance."
        )
    if any(len(protocols[key]) > 1 for key in columns):
        notes.append("Letters after the rank: made in different ways, ranked each by itself and not to be compared.")
    old = sorted({columns[key].label for own in numbers.values() for key, number in own.items() if number.outdated})
    if old:
        notes.append(
            f"{OLD}: {', '.join(old)} by an older version of the metric, not to be compared with the newer one's; "
            "score the system again."
        )
    current = {key for own in numbers.values() for key, number in own.items() if not number.outdated}
    notes += list(dict.fromkeys(note for key in columns if key in current and (note := _note_of(key))))
    if any(number.overlap for own in numbers.values() for number in own.values()):
        notes.append(f"{MARK}: the observer is, or is a relative of, what the system was trained with: no fair judge.")
    listed: dict[str, list[str]] = {}
    for key in columns:
        several = len(protocols[key]) > 1
        text = "; ".join(
            (f"{letter(i)} " if several else "") + clean(protocol) for i, protocol in enumerate(protocols[key])
        )
        listed.setdefault(text, []).append(columns[key].label)
    notes += [f"{', '.join(labels)}: {text}" for text, labels in listed.items()]
    return notes


def _note_of(key: str) -> str:
    """The note of a metric; "" for the scales of the study and for most metrics."""
    return next((metric.note for metric in all_metrics() if metric.key == key), "")


def _about(entry: Entry) -> str:
    """What is known of one system, as a Markdown list item. Addresses were checked to hold no brackets."""
    submission = entry.submission
    links = [f"[record]({entry.file})"]
    if isinstance(submission, Published):
        links.append(f"[paper](<{submission.url}>)")
        facts = ["published figures"]
        if submission.trained_on:
            facts.append(f"trained on {submission.trained_on}")
        if submission.collected_from:
            facts.append(f"figures collected from {submission.collected_from}")
    else:
        links += [
            f"[{label}](<{url}>)" for label, url in (("paper", submission.paper), ("code", submission.code)) if url
        ]
        result = submission.result
        facts = [f"{len(result.clips):,} of {result.expected:,} clips", f"tlbench {result.provenance['tlbench']}"]
        facts += finding_facts(result)
        if result.trained_with:
            facts.append(f"trained with {', '.join(result.trained_with)}")
        facts += [said for _, said in sorted((submission.overlaps or {}).items())]
        facts += [remark for remark in result.remarks if remark not in facts]
    return (
        f"- **{markdown_text(clean(submission.name))}** ({', '.join(links)}): {markdown_text(clean('; '.join(facts)))}"
    )
