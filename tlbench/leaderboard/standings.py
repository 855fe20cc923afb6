"""Standings: who stands where by what number, and that as Markdown. The same records always give the same text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from string import ascii_lowercase

from tlbench.comparison.ranking import Entrant, paired_tests, rank
from tlbench.document import Cell, Document, Table, clean
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
from tlbench.tables.markup import draw_markdown, markdown_text

TITLES = {
    "sound": "sound: to compare systems by",
    "paper": "paper: the published arithmetic, to compare with the literature",
    "study": "study: what people said, from 1 to 5",
}
ARROWS = {"higher": " ↑", "lower": " ↓", "none": ""}
MARK = "†"
OLD = "old"
KINDS = ("computed", "published", "ceilings and floors")


@dataclass(frozen=True)
class Entry:
    """A record and the name of its file."""

    file: str
    submission: Submission


@dataclass(frozen=True)
class RankedNumber:
    """One number of one system, and where it stands.

    Attributes
    ----------
    value : float
    low, high : float or None
        Its interval; None where there is none.
    protocol : str
        How it was made: a protocol id, or where it was published.
    overlap : bool
        Whether it comes from an observer that is no fair judge of the system.
    outdated : bool
        Whether an older version of the metric made it.
    way : int
        Place of ``protocol`` among those of the column, the most frequent first.
    rank : int or None
        Among the systems of the same way; None for ceilings and floors, and for whoever stands alone.
    """

    value: float
    low: float | None
    high: float | None
    protocol: str
    overlap: bool
    outdated: bool = False
    way: int = 0
    rank: int | None = None


@dataclass(frozen=True)
class BoardTable:
    """All numbers of one arithmetic of a data set.

    Attributes
    ----------
    arithmetic : str
        A key of ``TITLES``.
    columns : mapping of metric key to Column
    ways : mapping of metric key to tuple of str
        The protocols of each column.
    sections : tuple of (label, entries)
        ``computed``, ``published``, ``ceilings and floors``: never ranked together.
    standings : mapping of file to mapping of metric key to RankedNumber
    notes : tuple of str
        How to read it, one line each.
    """

    arithmetic: str
    columns: Mapping[str, Column]
    ways: Mapping[str, tuple[str, ...]]
    sections: tuple[tuple[str, tuple[Entry, ...]], ...]
    standings: Mapping[str, Mapping[str, RankedNumber]]
    notes: tuple[str, ...]

    @property
    def leading(self) -> str:
        """The key of the column it is sorted by."""
        return next((key for key, column in self.columns.items() if column.better != "none"), next(iter(self.columns)))

    def letter(self, key: str, way: int) -> str:
        """What marks a way of the column; "" if there is one only."""
        return _letter(way) if len(self.ways[key]) > 1 else ""


@dataclass(frozen=True)
class Board:
    """The records of one data set, and the tables made of them."""

    dataset: str
    entries: tuple[Entry, ...]
    tables: tuple[BoardTable, ...]


def make_board(dataset: str, entries: Sequence[Entry]) -> Board:
    """Ranks everybody: the one costly step, done once for all pages."""
    numbers = {entry.file: _numbers(entry.submission) for entry in entries}
    tables = []
    for arithmetic in TITLES:
        keys = [key for key in figure_columns() if key.endswith(f"/{arithmetic}") or key.startswith(f"{arithmetic}/")]
        keys = [key for key in keys if any(key in own for own in numbers.values())]
        if keys:
            tables.append(_table(arithmetic, keys, entries, numbers))
    return Board(dataset, tuple(sorted(entries, key=lambda entry: entry.file)), tuple(tables))


def dataset_page(board: Board) -> str:
    """The page of one data set: its tables, how to read them, and the records behind them."""
    lines = [f"# {markdown_text(board.dataset)}", "", "Made by `tlbench leaderboard build` from the records beside it."]
    for table in board.tables:
        lines += ["", f"## {table.arithmetic}", "", draw_markdown(_document(table)).rstrip("\n")]
    lines += ["", "## Records", ""]
    lines += [_about(entry) for entry in board.entries]
    return "\n".join(lines) + "\n"


def front_page(boards: Sequence[Board]) -> str:
    """The page of all data sets."""
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
    """In which part of a table a record stands: one of ``KINDS``."""
    if submission.role == "control":
        return "ceilings and floors"
    return "computed" if isinstance(submission, Computed) else "published"


def count_kinds(entries: Iterable[Entry]) -> dict[str, int]:
    """How many records there are of each kind, in the order of ``KINDS``."""
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
            comes_from_relative(submission, row.metric),
            row.metric.outdated,
        )
        for row in submission.result.rows()
        if row.value is not None and row.metric.headline
    }


def _table(
    arithmetic: str, keys: Sequence[str], entries: Sequence[Entry], numbers: Mapping[str, Mapping[str, RankedNumber]]
) -> BoardTable:
    columns = {key: figure_columns()[key] for key in keys}
    shown = [entry for entry in entries if any(key in numbers[entry.file] for key in keys)]
    ways = {key: _ways(own[key].protocol for own in numbers.values() if key in own) for key in keys}
    ranks = {key: _ranks(key, columns[key], shown, numbers) for key in keys}
    standings = {
        entry.file: {
            key: replace(found, way=ways[key].index(found.protocol), rank=ranks[key].get(entry.file))
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
    return BoardTable(arithmetic, columns, ways, ordered, standings, tuple(_notes(columns, shown, standings, ways)))


def _document(table: BoardTable) -> Document:
    drawn = tuple((label, tuple(_row(entry, table) for entry in members)) for label, members in table.sections)
    head = (Cell("system"), *(Cell(c.label + ARROWS[c.better], c.unit) for c in table.columns.values()))
    drawn_table = Table("value (rank) [interval]", head, drawn, kept=(0,), left=(0,))
    return Document(TITLES[table.arithmetic], (drawn_table,), table.notes)


def _ways(protocols: Iterable[str]) -> tuple[str, ...]:
    """Each protocol once, the most frequent first."""
    counts = Counter(protocols)
    return tuple(sorted(counts, key=lambda way: (-counts[way], way)))


def _ranks(
    key: str, column: Column, entries: Iterable[Entry], numbers: Mapping[str, Mapping[str, RankedNumber]]
) -> dict[str, int]:
    """Rank by file among the systems whose number was made in the same way; nobody is ranked alone."""
    leagues: dict[str, list[Entrant]] = {}
    for entry in entries:
        number = numbers[entry.file].get(key)
        if number is None or entry.submission.role == "control":
            continue
        result = entry.submission.result if isinstance(entry.submission, Computed) else None
        entrant = Entrant(entry.file, number.value, number.protocol, number.low, number.high, result)
        leagues.setdefault(number.protocol, []).append(entrant)
    found: dict[str, int] = {}
    for league in leagues.values():
        if len(league) > 1:
            with_clips = any(entrant.result is not None for entrant in league)
            found |= rank(league, column.better, paired_tests(league, find_metric(key)) if with_clips else ())
    return found


def _place(
    entry: Entry, columns: Mapping[str, Column], standings: Mapping[str, Mapping[str, RankedNumber]]
) -> tuple[bool, float, str, str]:
    """Where a row stands: by the first column in which anything stands for it to be sorted by, then by name."""
    own = standings[entry.file]
    key = next((key for key in columns if columns[key].better != "none"), next(iter(columns)))
    worth = 0.0
    if key in own:
        worth = -own[key].value if columns[key].better == "higher" else own[key].value
    return key not in own, worth, entry.submission.name.lower(), entry.file


def _row(entry: Entry, table: BoardTable) -> tuple[Cell, ...]:
    cells = [Cell(entry.submission.name)]
    for key, column in table.columns.items():
        number = table.standings[entry.file].get(key)
        if number is None:
            cells.append(Cell("-"))
            continue
        place = ("" if number.rank is None else str(number.rank)) + table.letter(key, number.way)
        within = [text for text in (place, OLD if number.outdated else "") if text]
        bracketed = f" ({', '.join(within)})" if within else ""
        mark = MARK if number.overlap else ""
        cells.append(Cell(shown(number.value, column.digits) + bracketed + mark, shown_interval(number, column.digits)))
    return tuple(cells)


def shown_interval(number: RankedNumber, digits: int) -> str:
    """``[low, high]``, or "" where there is none."""
    return "" if number.low is None else f"[{shown(number.low, digits)}, {shown(number.high, digits)}]"


def _letter(index: int) -> str:
    """a to z, then aa, ab ..."""
    rest, last = divmod(index, 26)
    return (_letter(rest - 1) if rest else "") + ascii_lowercase[last]


def shown(value: float | None, digits: int) -> str:
    """A number as people read it: ``-`` for none, the sign of infinity."""
    if value is None:
        return "-"
    if not isfinite(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.{digits}f}"


def _notes(
    columns: Mapping[str, Column],
    entries: Sequence[Entry],
    numbers: Mapping[str, Mapping[str, RankedNumber]],
    ways: Mapping[str, Sequence[str]],
) -> list[str]:
    notes = ["(1): rank; 1 plus how many systems are shown to be better, so equal ranks are ties."]
    computed = [entry.submission for entry in entries if isinstance(entry.submission, Computed)]
    if computed:
        levels = sorted({f"{100 * c.result.interval.level:g} %" for c in computed})
        notes.append(
            f"[low, high]: {', '.join(levels)} bootstrap interval. Ranks by paired tests over the clips (Holm)."
        )
    published = [entry.submission for entry in entries if isinstance(entry.submission, Published)]
    notes += sorted({f"published[{one.source}]: figures of {clean(one.title)}." for one in published})
    if published:
        notes.append(
            "Published figures have no interval: their ranks are the mere order of the figures, and differences may be "
            "chance."
        )
    if any(len(ways[key]) > 1 for key in columns):
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
        several = len(ways[key]) > 1
        text = "; ".join((f"{_letter(i)} " if several else "") + clean(way) for i, way in enumerate(ways[key]))
        listed.setdefault(text, []).append(columns[key].label)
    notes += [f"{', '.join(labels)}: {text}" for text, labels in listed.items()]
    return notes


def _note_of(key: str) -> str:
    """What a reader of a column has to know; scales of the study and most metrics have no such note."""
    return next((metric.note for metric in all_metrics() if metric.key == key), "")


def _about(entry: Entry) -> str:
    """What is known of one system, as an item of a list. Addresses hold no brackets: they were checked."""
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
