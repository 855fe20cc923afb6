"""The page of one data set: tables in groups that may be ranked, and pictures of sync and quality against reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from markupsafe import Markup

from tlbench.datasets.dataset import dataset_class, dataset_names
from tlbench.leaderboard.site.charts import Axis, ChartPoint, scatter
from tlbench.leaderboard.standings import (
    ARROWS,
    KINDS,
    TITLES,
    Board,
    BoardTable,
    Entry,
    RankedNumber,
    kind_of,
    shown,
    shown_interval,
)
from tlbench.leaderboard.submission import Column, Computed
from tlbench.metrics.catalogue import all_metrics

WAYS = {"higher": "higher is better", "lower": "lower is better", "none": "no direction"}
# Names of metrics (or scales of the study), the first that a table has is taken.
READ = ("wer1", "acc", "wer2", "readability")
PICTURES = {
    "Sync against intelligibility": (
        ("lse_c", "lse_d", "sync"),
        "A system can be in sync and still not be read: then it stands far to the right, and low.",
    ),
    "Quality against intelligibility": (
        ("psnr", "ssim", "quality"),
        "A clean picture need not be a readable one.",
    ),
}
_ASKED = {
    "study/quality": "how good people find the picture, mean of their answers from 1 to 5",
    "study/sync": "how well lips and speech fit to people, mean of their answers from 1 to 5",
    "study/realness": "how real the video looks to people, mean of their answers from 1 to 5",
    "study/readability": "how well people who know the word can read it from the lips, mean of answers from 1 to 5",
}
DESK, PHONE = (620, 430), (340, 380)  # pixels


def meanings() -> dict[str, str]:
    """What each column is, by key, in one sentence."""
    return {metric.key: metric.description for metric in all_metrics()} | _ASKED


def title_of(dataset: str) -> str:
    """What a data set is called in full; "" if that says no more, or only papers have figures of it."""
    title = dataset_class(dataset).title if dataset in dataset_names() else ""
    return "" if title.lower() == dataset else title


def system_page(dataset: str, entry: Entry) -> str:
    """Where a system's page is, from the folder of boards."""
    return f"{dataset}/{stem(entry)}.html"


def stem(entry: Entry) -> str:
    return entry.file.removesuffix(".json")


def table_context(board: Board, table: BoardTable) -> dict[str, Any]:
    """One table for the template: its head, its rows by group, and what is written below."""
    said = meanings()
    heads = [head(key, column, said) | {"ways": list(table.ways[key])} for key, column in table.columns.items()]
    return {
        "arithmetic": table.arithmetic,
        "title": TITLES[table.arithmetic],
        "heads": heads,
        "leading": table.leading,
        "groups": [
            {"label": label, "kind": kind, "rows": [_row(board, table, entry) for entry in members]}
            for kind, label, members in groups(table)
        ],
        "count": len(table.standings),
        "notes": table.notes,
        "pictures": pictures(board, table),
    }


def head(key: str, column: Column, said: Mapping[str, str]) -> dict[str, Any]:
    """What stands above a column (or beside a number), and what explains it."""
    return {
        "key": key,
        "id": key.replace("/", "-").replace("_", "-"),
        "label": column.label,
        "arrow": ARROWS[column.better].strip(),
        "unit": column.unit,
        "better": column.better,
        "way": WAYS[column.better],
        "description": said[key][:1].upper() + said[key][1:],
    }


def groups(table: BoardTable) -> list[tuple[str, str, list[Entry]]]:
    """Kind, label and rows of each part that is ranked by itself, as sorted by the leading column.

    Computed and published rows, and rows made in different ways, are apart; so no order of the rows can mix them. The
    page's script parts them in the same way whenever another column is chosen.
    """
    key = table.leading
    found = []
    for kind, entries in table.sections:
        parts: dict[int | None, list[Entry]] = {}
        for entry in entries:
            standing = table.standings[entry.file].get(key)
            parts.setdefault(None if standing is None else standing.way, []).append(entry)
        for way in sorted(parts, key=lambda way: (way is None, way)):
            found.append((kind, group_label(table, key, kind, way), parts[way]))
    return found


def group_label(table: BoardTable, key: str, kind: str, way: int | None) -> str:
    column = table.columns[key].label
    if way is None:
        return f"{kind}, without {column}"
    letter = table.letter(key, way)
    return f"{kind}, {column} made as {letter}: {table.ways[key][way]}" if letter else kind


def _row(board: Board, table: BoardTable, entry: Entry) -> dict[str, Any]:
    own = table.standings[entry.file]
    return {
        "name": entry.submission.name,
        "href": system_page(board.dataset, entry),
        "kind": kind_of(entry.submission),
        "cells": [cell(table, key, own.get(key)) for key in table.columns],
    }


def cell(table: BoardTable, key: str, standing: RankedNumber | None) -> dict[str, Any] | None:
    """One number for the template; None where there is none."""
    if standing is None:
        return None
    digits = table.columns[key].digits
    return {
        "value": shown(standing.value, digits),
        "number": repr(standing.value) if isfinite(standing.value) else "1e999" if standing.value > 0 else "-1e999",
        "interval": shown_interval(standing, digits),
        "way": standing.way,
        "letter": table.letter(key, standing.way),
        "rank": standing.rank,
        "tied": standing.rank is not None and _with_rank(table, key, standing) > 1,
        "overlap": standing.overlap,
        "outdated": standing.outdated,
    }


def _with_rank(table: BoardTable, key: str, standing: RankedNumber) -> int:
    ranks = Counter((own[key].way, own[key].rank) for own in table.standings.values() if key in own)
    return ranks[standing.way, standing.rank]


@dataclass(frozen=True)
class ChartPanel:
    """A scatter plot, drawn for both widths: its points were all made in the same two ways."""

    title: str
    systems: int  # ceilings and floors not counted
    made: str
    left_out: str
    wide: Markup
    narrow: Markup


def pictures(board: Board, table: BoardTable, root: str = "") -> list[dict[str, Any]]:
    """The scatter plots of a table, under their headings; ``root`` leads from the page to the folder of boards.

    A heading without a plot means that no two systems have both numbers, made in the same ways.
    """
    keys = {key.split("/")[1] if key.startswith("study/") else key.split("/")[0]: key for key in table.columns}
    read = next((keys[name] for name in READ if name in keys), None)
    made = []
    for title, (names, moral) in PICTURES.items():
        there = [keys[name] for name in names if name in keys]
        if read is not None and there:
            panels = [panel for key in there for panel in _panels(board, table, key, read, root)]
            made.append({"title": title, "moral": moral, "panels": panels})
    return made


def _panels(board: Board, table: BoardTable, x: str, y: str, root: str) -> Iterable[ChartPanel]:
    """A panel for every two ways in which at least two systems have both numbers."""
    leagues: dict[tuple[int, int], list[Entry]] = {}
    for entry in _entries(table):
        own = table.standings[entry.file]
        if x in own and y in own and isfinite(own[x].value) and isfinite(own[y].value):
            leagues.setdefault((own[x].way, own[y].way), []).append(entry)
    across, up = (Axis(c.label, c.unit, c.better, c.digits) for c in (table.columns[x], table.columns[y]))
    drawn = {ways: members for ways, members in leagues.items() if len(members) > 1}
    shown_ones = sum(map(len, drawn.values()))
    for ways in sorted(drawn):
        points = [_point(board, table, entry, x, y, root) for entry in drawn[ways]]
        kinds = {kind_of(e.submission) for e in drawn[ways]}
        made = [f"{table.columns[key].label}: {table.ways[key][way]}" for key, way in zip((x, y), ways, strict=True)]
        rest = len(table.standings) - shown_ones
        yield ChartPanel(
            title=f"{across.label} against {up.label}: {' and '.join(kind for kind in KINDS if kind in kinds)}",
            systems=sum(not point.control for point in points),
            made="; ".join(made),
            left_out=f"{rest} rows lack one of the two numbers, or stand alone." if rest else "",
            wide=scatter(points, across, up, *DESK),
            narrow=scatter(points, across, up, *PHONE),
        )


def _entries(table: BoardTable) -> Sequence[Entry]:
    return [entry for _, members in table.sections for entry in members]


def _point(board: Board, table: BoardTable, entry: Entry, x: str, y: str, root: str) -> ChartPoint:
    own = table.standings[entry.file]
    return ChartPoint(
        name=entry.submission.name,
        href=root + system_page(board.dataset, entry),
        x=own[x].value,
        y=own[y].value,
        x_ends=_ends(own[x]),
        y_ends=_ends(own[y]),
        control=entry.submission.role == "control",
    )


def _ends(standing: RankedNumber) -> tuple[float, float] | None:
    return None if standing.low is None or standing.high is None else (standing.low, standing.high)


def board_context(board: Board) -> dict[str, Any]:
    """The page of a data set for the template."""
    computed = sum(isinstance(entry.submission, Computed) for entry in board.entries)
    return {
        "dataset": board.dataset,
        "title": title_of(board.dataset),
        "tables": [table_context(board, table) for table in board.tables],
        "kinds": [kind for kind in KINDS if any(kind_of(entry.submission) == kind for entry in board.entries)],
        "computed": computed,
        "published": len(board.entries) - computed,
    }


def telling_panel(boards: Sequence[Board], root: str) -> tuple[str, ChartPanel] | None:
    """The picture of sync against intelligibility with the most systems in it, and its data set; the first of several.

    Ceilings and floors do not count. None if there is no such picture.
    """
    sync = next(iter(PICTURES))
    found = [
        (board.dataset, panel)
        for board in boards
        for table in board.tables
        for picture in pictures(board, table, root)
        if picture["title"] == sync
        for panel in picture["panels"]
    ]
    return max(found, key=lambda one: one[1].systems, default=None)
