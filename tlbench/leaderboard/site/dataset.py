"""The page of one data set: tables in groups that may be ranked, and scatter plots of sync and quality against WER."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from markupsafe import Markup

from tlbench.datasets.dataset import dataset_class, dataset_names
from tlbench.document import ARROWS, number_text
from tlbench.leaderboard.site.charts import Axis, ChartPoint, scatter
from tlbench.leaderboard.standings import (
    KINDS,
    TITLES,
    Board,
    BoardTable,
    Entry,
    RankedNumber,
    kind_of,
    shown_interval,
)
from tlbench.leaderboard.submission import Column, Computed, Published, Submission
from tlbench.metrics.catalogue import all_columns
from tlbench.tables.formats import csv_text

DIRECTIONS = {"higher": "higher is better", "lower": "lower is better", "none": "no direction"}
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
# Identifiers since April 2007 begin with year and month: https://info.arxiv.org/help/arxiv_identifier.html
_ARXIV = re.compile(r"https?://arxiv\.org/(?:abs|pdf)/(\d\d)(0[1-9]|1[0-2])\.\d{4,5}(?!\d)")


def meanings() -> dict[str, str]:
    """What each column means, by key, in one sentence."""
    return {metric.key: metric.description for metric in all_columns()} | _ASKED


def title_of(dataset: str) -> str:
    """The full name of a data set; "" if it equals the short name or only published figures use it."""
    title = dataset_class(dataset).title if dataset in dataset_names() else ""
    return "" if title.lower() == dataset else title


def system_page(dataset: str, entry: Entry) -> str:
    """The path of a system's page below the folder of boards."""
    return f"{dataset}/{stem(entry)}.html"


def stem(entry: Entry) -> str:
    """The file name of a record without its suffix."""
    return entry.file.removesuffix(".json")


def table_context(board: Board, table: BoardTable) -> dict[str, Any]:
    """One table for the template: its head, its rows by group, and its notes."""
    said = meanings()
    heads = [head(key, column, said) | {"ways": list(table.protocols[key])} for key, column in table.columns.items()]
    return {
        "arithmetic": table.arithmetic,
        "title": TITLES[table.arithmetic],
        "heads": heads,
        "leading": table.leading,
        "groups": [
            {"label": label, "kind": kind, "rows": [_row(board, table, entry) for entry in members]}
            for kind, label, members in groups(table)
        ],
        "dated": int(any(date_of(entry.submission) for entry in entries_of(table))),
        "notes": table.notes,
        "pictures": pictures(board, table),
    }


def head(key: str, column: Column, said: Mapping[str, str]) -> dict[str, Any]:
    """The head of a column, or the label of a number, with its explanation."""
    return {
        "key": key,
        "id": key.replace("/", "-").replace("_", "-"),
        "label": column.label,
        "arrow": ARROWS[column.better].strip(),
        "unit": column.unit,
        "better": column.better,
        "direction": DIRECTIONS[column.better],
        "description": said[key][:1].upper() + said[key][1:],
    }


def groups(table: BoardTable) -> list[tuple[str, str, list[Entry]]]:
    """Kind, label and rows of each group that is ranked on its own, sorted by the leading column.

    Computed and published rows, and rows of different protocols, are in different groups, so that no sorting mixes
    them. The script of the page makes the same groups when another column is chosen.
    """
    key = table.leading
    found = []
    for kind, entries in table.sections:
        parts: dict[int | None, list[Entry]] = {}
        for entry in entries:
            standing = table.standings[entry.file].get(key)
            parts.setdefault(None if standing is None else standing.protocol_index, []).append(entry)
        for index in sorted(parts, key=lambda index: (index is None, index)):
            found.append((kind, group_label(table, key, kind, index), parts[index]))
    return found


def group_label(table: BoardTable, key: str, kind: str, protocol_index: int | None) -> str:
    """The label of a group. ``protocol_index`` is None for rows without a number in the column."""
    column = table.columns[key].label
    if protocol_index is None:
        return f"{kind}, without {column}"
    mark = table.letter(key, protocol_index)
    return f"{kind}, {column} made as {mark}: {table.protocols[key][protocol_index]}" if mark else kind


def _row(board: Board, table: BoardTable, entry: Entry) -> dict[str, Any]:
    own, submission = table.standings[entry.file], entry.submission
    return {
        "name": submission.name,
        "href": system_page(board.dataset, entry),
        "kind": kind_of(submission),
        "first": cell(table, table.leading, own.get(table.leading)),
        "cells": [cell(table, key, own.get(key)) for key in table.columns],
        "date": date_of(submission),
        "trained": trained_on(submission),
        "links": links_of(submission),
        "record": f"{board.dataset}/{entry.file}",
    }


def date_of(submission: Submission) -> str:
    """The day on which a system was scored, ``2026-11-24``; "" if the record does not say it.

    For a paper's figures the month in which arXiv numbered the paper, ``2023-03``; "" for papers that are elsewhere.
    """
    if isinstance(submission, Published):
        numbered = _ARXIV.match(submission.url)
        return "" if numbered is None else f"20{numbered[1]}-{numbered[2]}"
    found = re.match(r"\d{4}-\d\d-\d\d", str(submission.result.provenance.get("finished", "")))
    return "" if found is None else found[0]


def trained_on(submission: Submission) -> str:
    """What a system was trained on, as its paper says, or with which checkpoints, as its owner says; "" if unknown."""
    if isinstance(submission, Published):
        return submission.trained_on or ""
    names = [name.removeprefix("other:") for name in submission.result.trained_with]
    return "no observer" if names == ["none"] else ", ".join(names)


def links_of(submission: Submission) -> list[tuple[str, str]]:
    """The addresses of a system's paper and code, with their labels."""
    if isinstance(submission, Published):
        return [("paper", submission.url)]
    return [(label, url) for label, url in (("paper", submission.paper), ("code", submission.code)) if url]


def numbers_csv(board: Board) -> str:
    """Every number of a data set as CSV, one line a system and metric, with all digits."""
    return csv_text(
        {
            "system": entry.submission.name,
            "kind": kind_of(entry.submission),
            "metric": key,
            "value": number.value,
            "low": number.low,
            "high": number.high,
            "rank": number.rank,
            "protocol": number.protocol,
            "date": date_of(entry.submission),
            "trained_on_or_with": trained_on(entry.submission),
        }
        for table in board.tables
        for entry in entries_of(table)
        for key, number in table.standings[entry.file].items()
    )


def cell(table: BoardTable, key: str, standing: RankedNumber | None) -> dict[str, Any] | None:
    """One number for the template; None without a number."""
    if standing is None:
        return None
    digits = table.columns[key].digits
    ties = _with_rank(table, key, standing)
    return {
        "value": number_text(standing.value, digits),
        "number": repr(standing.value) if isfinite(standing.value) else "1e999" if standing.value > 0 else "-1e999",
        "low": "" if standing.low is None else repr(standing.low),
        "high": "" if standing.high is None else repr(standing.high),
        "interval": shown_interval(standing, digits),
        "protocol_index": standing.protocol_index,
        "letter": table.letter(key, standing.protocol_index),
        "rank": standing.rank,
        "best": standing.best,
        "tied": ties if standing.rank is not None and ties > 1 else 0,
        "overlap": standing.overlap,
        "outdated": standing.outdated,
    }


def _with_rank(table: BoardTable, key: str, standing: RankedNumber) -> int:
    ranks = Counter((own[key].protocol_index, own[key].rank) for own in table.standings.values() if key in own)
    return ranks[standing.protocol_index, standing.rank]


@dataclass(frozen=True)
class ChartPanel:
    """A scatter plot in two widths. All its points have the same protocol on each axis."""

    title: str
    systems: int  # ceilings and floors not counted
    made: str
    left_out: str
    wide: Markup
    narrow: Markup


def pictures(board: Board, table: BoardTable, root: str = "") -> list[dict[str, Any]]:
    """The scatter plots of a table, with their headings.

    A heading without a plot means that no two systems have both numbers with the same protocols. ``root`` is the
    relative path from the page to the folder of boards.
    """
    keys = _names(table)
    read = reading_column(table)
    made = []
    for title, (names, moral) in PICTURES.items():
        there = [keys[name] for name in names if name in keys]
        if read is not None and there:
            panels = [panel for key in there for panel in _panels(board, table, key, read, root)]
            made.append({"title": title, "moral": moral, "panels": panels})
    return made


def _names(table: BoardTable) -> dict[str, str]:
    """Keys of the columns by the names of metrics, or of scales of the study."""
    return {key.split("/")[1] if key.startswith("study/") else key.split("/")[0]: key for key in table.columns}


def reading_column(table: BoardTable) -> str | None:
    """The column that says how readable a system is: the first of ``READ`` that the table has."""
    names = _names(table)
    return next((names[name] for name in READ if name in names), None)


def _panels(board: Board, table: BoardTable, x: str, y: str, root: str) -> Iterable[ChartPanel]:
    """A panel for every two protocols, one of ``x`` and one of ``y``, of which at least two systems have numbers."""
    comparable_groups: dict[tuple[int, int], list[Entry]] = {}
    for entry in entries_of(table):
        own = table.standings[entry.file]
        if x in own and y in own and isfinite(own[x].value) and isfinite(own[y].value):
            comparable_groups.setdefault((own[x].protocol_index, own[y].protocol_index), []).append(entry)
    across, up = (Axis(c.label, c.unit, c.better, c.digits) for c in (table.columns[x], table.columns[y]))
    drawn = {indices: members for indices, members in comparable_groups.items() if len(members) > 1}
    shown_ones = sum(map(len, drawn.values()))
    for indices in sorted(drawn):
        points = [_point(board, table, entry, x, y, root) for entry in drawn[indices]]
        kinds = {kind_of(e.submission) for e in drawn[indices]}
        made = [
            f"{table.columns[key].label}: {table.protocols[key][index]}"
            for key, index in zip((x, y), indices, strict=True)
        ]
        rest = len(table.standings) - shown_ones
        yield ChartPanel(
            title=f"{across.label} against {up.label}: {' and '.join(kind for kind in KINDS if kind in kinds)}",
            systems=sum(not point.control for point in points),
            made="; ".join(made),
            left_out=f"{rest} rows lack one of the two numbers, or stand alone." if rest else "",
            wide=scatter(points, across, up, *DESK),
            narrow=scatter(points, across, up, *PHONE),
        )


def entries_of(table: BoardTable) -> Sequence[Entry]:
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
