"""The front page: the best systems of each data set, and the plot of sync against intelligibility."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from tlbench.leaderboard.site.dataset import (
    PICTURES,
    ChartPanel,
    cell,
    entries_of,
    head,
    meanings,
    pictures,
    reading_column,
    system_page,
    title_of,
)
from tlbench.leaderboard.standings import TITLES, Board, BoardTable, Entry, count_kinds, kind_of

TOP = 4  # systems of each data set


_ONE = {"ceilings and floors": "ceiling or floor"}  # the word for a single one


def front_card(board: Board, root: str) -> dict[str, Any]:
    """One data set: its best systems by reading, between the best ceiling and the worst floor of the same protocol.

    ``root`` is the relative path from the page to the folder of boards.
    """
    counts = count_kinds(board.entries)
    context: dict[str, Any] = {
        "dataset": board.dataset,
        "title": title_of(board.dataset),
        "kinds": [(_ONE.get(kind, kind) if count == 1 else kind, count) for kind, count in counts.items() if count],
        "head": None,
    }
    found = _chosen(board)
    if found is None:
        return context
    table, key, kind, members = found
    controls = [
        entry
        for entry in entries_of(table)
        if entry.submission.role == "control" and _protocol(table, entry, key) == _protocol(table, members[0], key)
    ]
    ranked = _best_first(table, key, members)
    ends = _best_first(table, key, controls)
    if kind == "ceilings and floors":
        ranked, ends = ends, []
    return context | {
        "head": head(key, table.columns[key], meanings()),
        "arithmetic": TITLES[table.arithmetic].partition(":")[0],
        "kind": kind,
        "rows": [_row(board, table, key, entry, root) for entry in ranked[:TOP]],
        "more": max(0, len(ranked) - TOP),
        "ends": [_row(board, table, key, entry, root) for entry in ends[:: max(1, len(ends) - 1)]],
    }


def _chosen(board: Board) -> tuple[BoardTable, str, str, list[Entry]] | None:
    """The table, column, kind and rows of a card: computed systems if there are some, then published ones."""
    for kind in ("computed", "published", "ceilings and floors"):
        for table in board.tables:
            key = reading_column(table)
            if key is None:
                continue
            having = [
                entry for entry in entries_of(table) if kind_of(entry.submission) == kind and _has(table, entry, key)
            ]
            if having:
                first = min(_protocol(table, entry, key) for entry in having)
                return table, key, kind, [entry for entry in having if _protocol(table, entry, key) == first]
    return None


def _has(table: BoardTable, entry: Entry, key: str) -> bool:
    number = table.standings[entry.file].get(key)
    return number is not None and isfinite(number.value)


def _protocol(table: BoardTable, entry: Entry, key: str) -> int:
    """The index of the protocol of an entry's number; -1 without one."""
    number = table.standings[entry.file].get(key)
    return -1 if number is None or not isfinite(number.value) else number.protocol_index


def _best_first(table: BoardTable, key: str, entries: Sequence[Entry]) -> list[Entry]:
    sign = -1.0 if table.columns[key].better == "higher" else 1.0
    return sorted(entries, key=lambda entry: (sign * table.standings[entry.file][key].value, entry.file))


def _row(board: Board, table: BoardTable, key: str, entry: Entry, root: str) -> dict[str, Any]:
    return {
        "name": entry.submission.name,
        "href": root + system_page(board.dataset, entry),
        "cell": cell(table, key, table.standings[entry.file][key]),
    }


def front_panel(boards: Sequence[Board], root: str) -> tuple[str, ChartPanel] | None:
    """The plot of the front page and its data set: sync against intelligibility of the systems that are known best.

    That is the table with the most published systems, then the most systems. Ceilings and floors are not counted, and
    the first of several equal ones is taken. None if there is no such plot.
    """
    sync = next(iter(PICTURES))
    found = [
        (count_kinds(entries_of(table))["published"], board.dataset, panel)
        for board in boards
        for table in board.tables
        for picture in pictures(board, table, root)
        if picture["title"] == sync
        for panel in picture["panels"]
    ]
    best = max(found, key=lambda one: (one[0], one[2].systems), default=None)
    return None if best is None else best[1:]
