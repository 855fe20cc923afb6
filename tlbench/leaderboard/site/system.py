"""The page of one system: its numbers among those of others, distributions over clips, misread words, provenance."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import isfinite
from typing import Any

from tlbench.document import counted, number_text
from tlbench.leaderboard.site.charts import Axis, bar, histogram, strip
from tlbench.leaderboard.site.dataset import DIRECTIONS, cell, head, meanings
from tlbench.leaderboard.standings import TITLES, Board, BoardTable, Entry, kind_of
from tlbench.leaderboard.submission import Column, Computed, Published, finding_facts
from tlbench.metrics.metric import Metric
from tlbench.metrics.tally import ErrorTally, HitTally
from tlbench.metrics.visemes import VISEMES, phonemes, visemes
from tlbench.scoring.breakdown import LONGEST, VISEME_ERRORS, WORDS, Share
from tlbench.scoring.result import ClipScore, Result, Row, clip_value, total_value

ENDS = 8  # words shown at each end of a long list
FEW = 5  # clips or words; with fewer, a rate says little
LENGTHS = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 12), (13, 20), (21, None))  # words in a clip, from and to


def system_context(board: Board, entry: Entry) -> dict[str, Any]:
    """The page of a system for the template."""
    submission = entry.submission
    tables = [table for table in board.tables if entry.file in table.standings]
    context: dict[str, Any] = {
        "name": submission.name,
        "dataset": board.dataset,
        "kind": kind_of(submission),
        "made": "computed" if isinstance(submission, Computed) else "published",
        "file": f"{board.dataset}/{entry.file}",
        "record": entry.file,
        "tables": [_figures(board, table, entry) for table in tables],
    }
    if isinstance(submission, Published):
        return context | {
            "links": [("paper", submission.url)],
            "facts": _published_facts(submission),
            "result": None,
        }
    links = [(label, url) for label, url in (("paper", submission.paper), ("code", submission.code)) if url]
    return context | {"links": links, "facts": _computed_facts(submission), "result": _result(submission)}


def _published_facts(published: Published) -> list[tuple[str, str]]:
    facts = [("figures of", published.title)]
    if published.collected_from:
        facts.append(("collected from", published.collected_from))
    facts.append(("trained on", published.trained_on or "not said there"))
    facts.append(("tables", ", ".join(sorted({figure.table for figure in published.figures}))))
    return facts


def _computed_facts(computed: Computed) -> list[tuple[str, str]]:
    result = computed.result
    part = f" ({result.selection} only)" if result.selection else ""
    return [
        ("clips", f"{len(result.clips):,} of {result.expected:,} of {result.dataset}:{result.split}{part}"),
        *(("found", told) for told in finding_facts(result)),
        ("trained with", ", ".join(result.trained_with) or "not said"),
        *(("no fair judge", said) for said in (computed.overlaps or {}).values()),
        *(("remark", remark) for remark in result.remarks if remark not in (computed.overlaps or {}).values()),
    ]


def _figures(board: Board, table: BoardTable, entry: Entry) -> dict[str, Any]:
    """The numbers of a system in one table, each among those with the same protocol."""
    said = meanings()
    rows = []
    for key, column in table.columns.items():
        own = table.standings[entry.file].get(key)
        if own is None:
            continue
        others = [
            (there[key].value, other.submission.role == "control")
            for _, members in table.sections
            for other in members
            if other.file != entry.file
            and key in (there := table.standings[other.file])
            and there[key].protocol_index == own.protocol_index
            and isfinite(there[key].value)
        ]
        ranked = sum(
            s[key].rank is not None and s[key].protocol_index == own.protocol_index
            for s in table.standings.values()
            if key in s
        )
        place = "" if own.rank is None else f"{own.rank} of {ranked}"
        rows.append(
            {
                **head(key, column, said),
                **(cell(table, key, own) or {}),
                "place": place,
                "protocol": own.protocol,
                "strip": _strip(column, own.value, others),
            }
        )
    return {"arithmetic": table.arithmetic, "title": TITLES[table.arithmetic], "rows": rows}


def _strip(column: Column, own: float, others: Sequence[tuple[float, bool]]) -> str:
    if not others or not isfinite(own):
        return ""
    values = [value for value, _ in others]
    said = (
        f"{number_text(own, column.digits)} among {counted(len(others), 'other')} made in the same way, which run from "
    )
    said += f"{number_text(min(values), column.digits)} to {number_text(max(values), column.digits)}; "
    said += DIRECTIONS[column.better]
    return strip(others, own, Axis(column.label, column.unit, column.better, column.digits), said)


def _result(computed: Computed) -> dict[str, Any]:
    result = computed.result
    return {
        "level": f"{100 * result.interval.level:g}",
        "minor": [_minor(row) for row in result.rows() if not row.metric.headline],
        "spreads": [_spread(row, result.clips) for row in _distinct_rows(result)],
        "breakdowns": breakdowns(computed),
        "few": FEW,
        "provenance": _provenance(result),
    }


def _minor(row: Row) -> dict[str, Any]:
    digits = row.metric.digits
    return {
        **head(row.metric.key, _column(row.metric), meanings()),
        "value": number_text(row.value, digits),
        "interval": "" if row.low is None else f"[{number_text(row.low, digits)}, {number_text(row.high, digits)}]",
        "protocol": row.protocol.id,
    }


def _column(metric: Metric) -> Column:
    return Column(metric.label, metric.unit, metric.better, metric.digits)


def _distinct_rows(result: Result) -> Iterable[Row]:
    """Rows of headline metrics, without those whose numbers equal another row's for every clip."""
    found: list[list[float | None]] = []
    for row in sorted(result.rows(), key=lambda row: row.metric.arithmetic != "sound"):
        values = [clip_value(row.metric, clip) for clip in result.clips]
        if row.metric.headline and values not in found:
            found.append(values)
            yield row


def _spread(row: Row, clips: Sequence[ClipScore]) -> dict[str, Any]:
    """The distribution of a metric over clips: a histogram, or a sentence if each clip is right or wrong."""
    metric = row.metric
    tallies = [clip.tallies[metric.key] for clip in clips if metric.key in clip.tallies]
    context = {"title": f"{metric.label}, {metric.arithmetic}", "chart": None, "note": ""}
    if all(isinstance(tally, HitTally) and tally.trials <= 1 for tally in tallies):
        hits = sum(tally.numerator for tally in tallies)
        return context | {"note": f"{metric.label}: each clip counts or does not; {hits:,.0f} of {len(tallies):,} do."}
    values = [value for clip in clips if (value := clip_value(metric, clip)) is not None]
    finite = [value for value in values if isfinite(value)]
    if not finite:
        return context | {"note": f"{metric.label}: no clip has a finite number."}
    axis = Axis(metric.label, metric.unit, metric.better, metric.digits)
    mark = row.value if row.value is not None and isfinite(row.value) else None
    chart = histogram(finite, axis, partial(number_text, digits=metric.digits), mark)
    infinite = len(values) - len(finite)
    note = f"{infinite:,} clips whose number is infinite are not in it." if infinite else ""
    return context | {"chart": chart, "note": note}


# Where it is misread


def breakdowns(computed: Computed) -> list[dict[str, Any]]:
    """The breakdowns of a record, with a sentence for each that the record lacks the data for."""
    result = computed.result
    made = []
    keys = {metric.key for metric in result.metrics}
    if WORDS in keys:
        made.append(_by_clip_length(result))
        made.append(_by_word_length(computed))
    if VISEME_ERRORS in keys or WORDS in keys:
        made.append(_by_viseme(computed))
    labelled = any(clip.info.word is not None for clip in result.clips)
    accuracy = next((key for key in ("acc/sound", "acc/paper") if key in keys), None)
    if accuracy is not None and labelled:
        made += _by_label(result, accuracy)
    return made


def _rates(
    title: str, note: str, first: str, rows: Iterable[tuple[str, int, float | None]], what: str, digits: int = 1
) -> dict[str, Any]:
    """A table of rates in percent with rows of name, count and rate."""
    rows = list(rows)
    widest = max((rate for _, _, rate in rows if rate is not None), default=0.0) or 1.0
    return {
        "title": title,
        "note": note,
        "first": first,
        "what": what,
        "rows": [
            {
                "name": name,
                "detail": _sounds(name),
                "count": f"{count:,}",
                "few": count < FEW,
                "rate": "-" if rate is None else f"{rate:.{digits}f}",
                "bar": "" if rate is None else bar(rate / widest),
            }
            for name, count, rate in rows
        ],
    }


def _absent(title: str, note: str) -> dict[str, Any]:
    return {"title": title, "note": note, "first": "", "what": "", "rows": []}


def _by_clip_length(result: Result) -> dict[str, Any]:
    metric = result.metric(WORDS)
    rows = []
    for low, high in LENGTHS:
        clips = [
            clip
            for clip in result.clips
            if isinstance(tally := clip.tallies.get(WORDS), ErrorTally)
            and low <= tally.reference_length
            and (high is None or tally.reference_length <= high)
        ]
        if clips:
            value, count = total_value(metric, clips)
            rows.append((f"{low} to {high}" if high else f"{low} and more", count, value))
    note = "Word errors of the clips of each length, added words included."
    return _rates("By the number of words in a clip", note, "words said", rows, "WER1 (%)")


_NO_COUNTS = (
    "Not in this record: it was filed without the run's records.jsonl, which alone tells which words were misread. "
    "File it again with that file beside result.json; only counts are kept of it."
)


def _by_word_length(computed: Computed) -> dict[str, Any]:
    title = "By the length of the word"
    if computed.breakdown is None:
        return _absent(title, _NO_COUNTS)
    shares = computed.breakdown.words
    rows = [
        (f"{length} and more" if length == LONGEST else str(length), share.said, _misread(share))
        for length, share in sorted(shares.items())
    ]
    note = "Of the words of that many letters, how many were misread or missed. Added words belong to no length."
    return _rates(title, note, "letters", rows, "misread (%)")


def _by_viseme(computed: Computed) -> dict[str, Any]:
    title = "By viseme"
    if VISEME_ERRORS not in {metric.key for metric in computed.result.metrics}:
        return _absent(title, "Not in this record: it was scored without VER (--metrics all, or ver).")
    if computed.breakdown is None:
        return _absent(title, _NO_COUNTS)
    rows = [
        (name, share.said, _misread(share))
        for name, share in sorted(computed.breakdown.visemes.items(), key=lambda item: -(_misread(item[1]) or 0.0))
    ]
    note = (
        "Of the visemes said, how many were misread or missed, the worst first. Sounds that look alike are one viseme."
    )
    return _rates(title, note, "viseme", rows, "misread (%)")


def _sounds(viseme: str) -> str:
    return " ".join(sound for sound, name in VISEMES.items() if name == viseme)


def _misread(share: Share) -> float | None:
    return 100 * (share.substituted + share.deleted) / share.said if share.said else None


def _by_label(result: Result, key: str) -> list[dict[str, Any]]:
    """Breakdowns of clips of single words, by their labels."""
    metric = result.metric(key)
    labelled = [(clip.info.word, clip) for clip in result.clips if clip.info.word is not None]
    what = f"{metric.label} ({metric.unit})" if metric.unit else metric.label

    def grouped(kinds: Callable[[str], Iterable[Any]]) -> list[tuple[Any, int, float | None]]:
        parts: dict[Any, list[ClipScore]] = {}
        for word, clip in labelled:
            for kind in kinds(word):
                parts.setdefault(kind, []).append(clip)
        totals = {kind: total_value(metric, clips) for kind, clips in sorted(parts.items())}
        return [(kind, count, value) for kind, (value, count) in totals.items()]

    lengths = grouped(lambda word: [sum(character.isalnum() for character in word)])
    seen = grouped(lambda word: set(visemes(phonemes([word.lower()]))))
    words = sorted(grouped(lambda word: [word]), key=lambda row: (row[2] if row[2] is not None else -1.0, row[0]))
    shown_words = words if len(words) <= 2 * ENDS else [*words[:ENDS], *words[-ENDS:]]
    part = f"The {ENDS} least and the {ENDS} best read of {len(words)} words." if len(words) > 2 * ENDS else ""
    return [
        _rates("By the length of the word", "", "letters", [(str(k), n, value) for k, n, value in lengths], what),
        _rates(
            "By the visemes in the word",
            "Each word counts with every viseme that is in it: sounds that look alike are one.",
            "viseme",
            sorted(seen, key=lambda row: row[2] or 0.0),
            what,
        ),
        _rates("By word", part, "word", shown_words, what),
    ]


def _provenance(result: Result) -> dict[str, Any]:
    given, drawn = result.provenance, result.interval
    weights: Mapping[str, Mapping[str, Any]] = given.get("weights", {})
    names = ("generation", "tlbench", "python", "platform", "started", "finished")
    short = {name: given[name] for name in names if name in given}
    return {
        "short": [(key, value if isinstance(value, str) else json.dumps(value)) for key, value in short.items()],
        "weights": [(name, str(item.get("sha256", "-"))) for name, item in sorted(weights.items())],
        "all": json.dumps(dict(given), indent=2, ensure_ascii=False),
        "interval": f"{100 * drawn.level:g} %, {drawn.resamples:,} resamples, seed {drawn.seed}",
    }
