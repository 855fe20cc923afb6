"""The page: one HTML file that needs nothing else, with the clips as data for its script.

Names and transcripts may come from strangers. Jinja2 escapes what it writes; the data of the script is JSON without
characters that could end the element; the script writes text only as text; and a content security policy in the head of
the page allows only its own script to run and nothing to load.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from tlbench.comparison.compare import Comparison
from tlbench.document import clean
from tlbench.errors import one_line
from tlbench.files import csp_hash
from tlbench.html_pages import template_environment
from tlbench.preflight.findings import Finding, worst_first
from tlbench.reporting.blind import blind_table
from tlbench.reporting.contents import Opening, ReportRun, reading_metric, side_json
from tlbench.reporting.details import CHARTS
from tlbench.reporting.headline import CEILING, headline_table, in_words, other_in_words
from tlbench.reporting.numbers import ends, head, shown_number
from tlbench.scoring.blind_rows import cannot_read, unread_mark
from tlbench.scoring.result import Result
from tlbench.scoring.result_notes import UNREAD_MEANS

_ARITHMETICS = {
    "sound": "Sound: to compare systems by",
    "paper": "Paper: the published arithmetic, to compare with the literature",
}
# In JSON these characters occur only inside texts, where they may be escaped.
_INVISIBLE = (*range(0x7F, 0xA0), *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
_UNSAFE = {code: f"\\u{code:04x}" for code in (*map(ord, "<>&\u2028\u2029"), *_INVISIBLE)}


def render_page(
    sides: Sequence[ReportRun],
    comparison: Comparison | None = None,
    *,
    opening: Opening | None = None,
    controls: Sequence[Result] = (),
    unread: Sequence[str] = (),
    shown: Sequence[str] | None = None,
    findings: Sequence[Finding] | None = None,
) -> str:
    """The page as text.

    Parameters
    ----------
    sides : sequence of ReportRun
        The run that the page is about, and the second run if there is a comparison.
    comparison : Comparison, optional
        The comparison of the two runs.
    opening : Opening, optional
        The clips at the top.
    controls : sequence of Result
        Ceilings and floors of the same clips, for the first table.
    unread : sequence of str
        What could not be read for the first table, one line each.
    shown : sequence of str, optional
        Ids of the clips on the page; all if not given. The summary is always over all clips.
    findings : sequence of Finding, optional
        Findings of ``tlbench check``, which checks more than a run; None if there are none to show.
    """
    result = sides[0].result
    static = files("tlbench.reporting") / "static"
    style, script = ((static / name).read_text("utf-8") for name in ("report.css", "report.js"))
    environment = template_environment("tlbench.reporting")
    primary = reading_metric(result)
    data = {
        "sides": [side_json(side, shown) for side in sides],
        "charts": [asdict(chart) for chart in CHARTS],
        "primary": None if primary is None else primary.key,
        "opening": None if opening is None else _opening(opening),
    }
    results = [side.result for side in sides]
    return environment.get_template("report.html").render(
        title=" and ".join(side.result.name for side in sides),
        place=f"{result.dataset}:{result.split}" + (f" ({result.selection} only)" if result.selection else ""),
        sides=[_about(side) for side in sides],
        cannot_read=cannot_read(side.result for side in sides),
        opening=None if opening is None or not opening.clips else _opening_words(opening, results, controls),
        tables=[
            {"title": title, "kind": kind, "table": table}
            for kind, title in _ARITHMETICS.items()
            if (table := headline_table(results, controls, kind)) is not None
        ],
        paper_title=_ARITHMETICS["paper"],
        unread=[clean(line) for line in unread],
        level=f"{100 * result.interval.level:g}",
        groups=_summary(result),
        comparison=_comparison(comparison, sides) if comparison else None,
        unread_means=UNREAD_MEANS,
        blind=[table for side in sides if (table := blind_table(side.result)) is not None],
        findings=None if findings is None else _grouped(findings),
        limited=None if shown is None else len(shown),
        clips=len(result.clips),
        style=Markup(style),
        script=Markup(script),
        style_hash=csp_hash(style),
        script_hash=csp_hash(script),
        data=Markup(script_json(data)),
    )


def script_json(data: Mapping[str, Any]) -> str:
    """JSON that is safe inside a script element: nothing in it can end the element or open a comment."""
    return json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":")).translate(_UNSAFE)


def _opening(opening: Opening) -> list[dict[str, Any]]:
    """The clips at the top for the script of the page."""
    found = []
    for kind, clip_id in opening.clips.items():
        film = opening.films.get(clip_id, "")
        shown = {"why": film} if isinstance(film, str) else asdict(film)
        found.append({"kind": kind, "id": clip_id, **shown})
    return found


def _opening_words(opening: Opening, results: Sequence[Result], controls: Sequence[Result]) -> dict[str, Any]:
    metric = opening.metric
    other = next((result for result in results[1:] if result.name != CEILING), None)
    return {
        "title": f"{_listed([kind for kind in opening.clips if kind != 'only']).capitalize() or 'The'} clip",
        "metric": f"{metric.label} ({metric.arithmetic})",
        "name": results[0].name,
        "said": in_words(results[0], metric, [*results[1:], *controls]),
        "other": None if other is None else {"name": other.name, "said": other_in_words(other, results[0], metric)},
        "missing": clean(opening.missing),
    }


def _listed(words: Sequence[str]) -> str:
    """``best, median and worst``."""
    return " and ".join([*([", ".join(words[:-1])] if words[:-1] else []), *words[-1:]])


def _summary(result: Result) -> list[dict[str, Any]]:
    groups = []
    for arithmetic, title in _ARITHMETICS.items():
        rows = [
            {
                **head(row.metric),
                "value": shown_number(row.value, row.metric.digits),
                "unread": unread_mark(result, row.metric.key),
                "ends": ends(row.low, row.high, row.metric.digits),
                "scored": f"{row.scored:,} of {row.expected:,}",
                "short": row.scored < row.expected,
                "resampled": "" if row.unit is None else f"{row.clusters:,} {row.unit}",
                "protocol": row.protocol.id,
                "headline": row.metric.headline,
            }
            for row in result.all_rows()
            if row.metric.arithmetic == arithmetic
        ]
        if rows:
            level = f"{100 * result.interval.level:g}"
            groups.append({"kind": arithmetic, "title": title, "rows": rows, "level": level})
    return groups


def _comparison(comparison: Comparison, sides: Sequence[ReportRun]) -> dict[str, Any]:
    a, b = (side.result for side in sides)
    rows = []
    for row in comparison.rows:
        difference, digits = row.difference, row.metric.digits
        rows.append(
            {
                **head(row.metric),
                "kind": row.metric.arithmetic,
                "a": shown_number(difference.a, digits) + unread_mark(a, row.metric.key),
                "b": shown_number(difference.b, digits) + unread_mark(b, row.metric.key),
                "delta": shown_number(difference.delta, digits, sign=True),
                "ends": ends(difference.low, difference.high, digits),
                "p": "-" if row.p_adjusted is None else f"{row.p_adjusted:.4f}",
                "verdict": row.verdict.replace("a better", f"{comparison.a} better").replace(
                    "b better", f"{comparison.b} better"
                )
                if row.verdict in ("a better", "b better")
                else row.verdict,
                "told": {"a better": "good", "b better": "bad"}.get(row.verdict, ""),
                "clips": f"{difference.clips:,}",
            }
        )
    left_out = [
        f"{item.key}: only one of the two runs has it"
        if item.a is None or item.b is None
        else f"{item.key}: the protocols differ, {item.a} and {item.b}"
        for item in comparison.not_comparable
    ]
    return {
        "a": comparison.a,
        "b": comparison.b,
        "rows": rows,
        "clips": comparison.clips,
        "left_out": left_out,
        "only_a": comparison.only_a,
        "only_b": comparison.only_b,
        "other_reference": comparison.other_reference,
        "level": f"{100 * comparison.level:g}",
    }


def _about(side: ReportRun) -> dict[str, Any]:
    result = side.result
    failures = Counter(
        (who, why.code) for clip in result.clips if not clip.findings for who, why in clip.failures.items()
    ).most_common()  # of a result older than findings
    notes = Counter(note for clip in result.clips for note in set(clip.notes)).most_common()
    counts = result.frame_counts
    absent = result.expected - len(result.clips)
    provenance = json.dumps(dict(result.provenance), indent=2, ensure_ascii=False)
    return {
        "name": result.name,
        "role": result.role,
        "complete": result.complete,
        "remarks": [clean(remark) for remark in result.remarks],
        "failed": [{"who": who, "code": code, "count": f"{count:,}"} for (who, code), count in failures],
        "findings": _grouped(result.all_findings),
        "frames": "" if counts is None else f"{counts[0]:,} of {counts[1]:,}",
        "short": counts is not None and counts[0] < counts[1],
        "not_checked": ", ".join(result.not_checked),
        "notes": [{"note": clean(note), "count": f"{count:,}"} for note, count in notes],
        "absent": f"{absent:,}" if absent else "",
        "expected": f"{result.expected:,}",
        "trained_with": ", ".join(result.trained_with),
        "missing": side.missing,
        "provenance": "\n".join(map(one_line, provenance.split("\n"))),
    }


def _grouped(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings by code, the worst first. Clips with the same message share a line; nothing is left out."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for found in worst_first(findings):
        groups.setdefault((found.level, found.code), []).append(found)
    grouped = []
    for (level, code), same in groups.items():
        lines: dict[str, list[str]] = {}
        for found in same:
            lines.setdefault(found.message, []).extend([] if found.clip is None else [found.clip])
        count = len({found.clip for found in same}) if same[0].clip is not None else len(same)
        grouped.append(
            {
                "level": level,
                "code": code,
                "count": f"{count:,} {'clip' if same[0].clip is not None else 'time'}{'' if count == 1 else 's'}",
                "fix": same[0].fix,
                "lines": [f"{message}: {', '.join(clips)}" if clips else message for message, clips in lines.items()],
            }
        )
    return grouped
