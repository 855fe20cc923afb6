"""Submissions as files: made from a result, written as JSON, read and checked."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

from tlbench.checkpoints.card import Card
from tlbench.checkpoints.catalogue import check_declared
from tlbench.document import clean
from tlbench.errors import TlbenchError, quoted, shortened
from tlbench.files import BOARD_RECORD, read_outside
from tlbench.json_fields import entries_of, name_text, optional_name
from tlbench.json_input import parse_json
from tlbench.leaderboard.submission import Computed, Figure, Published, Submission
from tlbench.leaderboard.submission_checks import check_computed, check_published
from tlbench.preflight.findings import Finding
from tlbench.scoring.breakdown import Breakdown, parse_breakdown
from tlbench.scoring.result import Result
from tlbench.scoring.result_file import AGREEMENT, parse_result
from tlbench.scoring.result_json import dumps, result_text
from tlbench.scoring.trained_with import overlaps_of

SCHEMA = "tlbench.leaderboard/1"
MOST_FIGURES = 100  # of a paper
LARGEST_FIGURE = 1e9


def submit(
    result: Result,
    cards: Iterable[Card],
    *,
    name: str | None = None,
    paper: str | None = None,
    code: str | None = None,
    trained_with: Sequence[str] = (),
    breakdown: Breakdown | None = None,
) -> Computed:
    """A record made from a result, with all checks.

    Parameters
    ----------
    result : Result
    cards : iterable of Card
        All known checkpoints. Observers related to a model that the system was trained with are marked.
    name : str, optional
        Name of the system on the leaderboard; the name of the result if not given.
    paper, code : str, optional
        Web addresses.
    trained_with : sequence of str
        Checkpoints that the system was trained with, in addition to those declared by the result; ``none`` if there are
        none.
    breakdown : Breakdown, optional
        The breakdown of the same run.

    Raises
    ------
    TlbenchError
        If the result can't be a record: one line with the reason and the way out.
    """
    declared = tuple(dict.fromkeys((*result.trained_with, *trained_with)))
    if result.role == "system" and not declared:
        raise TlbenchError(
            f"{shortened(clean(result.name))}: say which observers' checkpoints the system was trained with "
            "(--trained-with NAME, or --trained-with none)"
        )
    cards = list(cards)
    check_declared(declared, cards)
    filed = _without_texts(replace(result, name=result.name if name is None else name, trained_with=declared))
    made = Computed(filed, paper, code, overlaps_of(filed, cards), breakdown)
    check_computed(made)
    return made


def _without_texts(result: Result) -> Result:
    """The result without the messages of its findings, which may quote transcripts and name files."""

    def bare(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        return tuple(replace(found, message="") for found in findings)

    clips = tuple(replace(clip, findings=bare(clip.findings)) for clip in result.clips)
    return replace(result, clips=clips, findings=bare(result.findings))


def to_text(submission: Submission) -> str:
    """A record as the text of its file: strict JSON with one entry a line, and a digest of all other fields."""
    data = to_json(submission)
    lines = [f"{dumps(key)}:{dumps(value)}" for key, value in data.items() if key != "result"]
    lines.append(f'"digest":{dumps(digest(data))}')
    if "result" in data:
        lines.append(f'"result":{result_text(data["result"])}')
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    size, most = len(text.encode()), BOARD_RECORD.most_bytes
    if size > most:
        raise TlbenchError(
            f"{shortened(clean(submission.name))}: the record would take {size / 2**20:.0f} MiB, the limit is "
            f"{most >> 20} MiB; score fewer metrics (--metrics)"
        )
    return text


def to_json(submission: Submission) -> dict[str, Any]:
    """A record as a JSON object, without its digest."""
    if isinstance(submission, Computed):
        return {
            "schema": SCHEMA,
            "kind": "computed",
            "paper": submission.paper,
            "code": submission.code,
            "overlaps": dict(submission.overlaps or {}),
            "breakdown": None if submission.breakdown is None else submission.breakdown.to_json(),
            "result": submission.result.to_json(),
        }
    return {
        "schema": SCHEMA,
        "kind": "published",
        "name": submission.name,
        "dataset": submission.dataset,
        "role": submission.role,
        "source": submission.source,
        "title": submission.title,
        "url": submission.url,
        "collected_from": submission.collected_from,
        "trained_on": submission.trained_on,
        "figures": [{"metric": f.metric, "value": f.value, "table": f.table} for f in submission.figures],
    }


def digest(data: Mapping[str, Any]) -> str:
    """SHA-256 of the content of a record, independent of spacing and the order of fields."""
    rest = {key: value for key, value in data.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, allow_nan=False, separators=(",", ":")).encode()).hexdigest()


def read_submission(path: Path, cards: Iterable[Card]) -> Submission:
    """Read and check one record.

    Raises
    ------
    TlbenchError
        If the file is missing, too large, no record, of another schema, has unknown fields or NaN, was changed after it
        was filed, or has numbers that its clips don't give; names the file.
    """
    try:
        data = parse_json(read_outside(path, BOARD_RECORD))
    except OSError as error:
        raise TlbenchError(f"{path}: can't be read ({error.strerror})") from error
    except ValueError as error:
        raise TlbenchError(f"{path}: not a JSON record ({error}); add it with `tlbench leaderboard add`") from error
    try:
        return parse_submission(data, cards)
    except TlbenchError as error:
        raise TlbenchError(f"{path}: {error}") from error


def parse_submission(data: Any, cards: Iterable[Card]) -> Submission:
    """A record from its JSON object; see :func:`read_submission`."""
    try:
        return _parse(data, cards)
    except (ValueError, TypeError) as error:
        raise TlbenchError(f"a damaged record: {error}; add the result again") from error


def _parse(data: Any, cards: Iterable[Card]) -> Submission:
    if not isinstance(data, dict) or not str(data.get("schema")).startswith("tlbench.leaderboard/"):
        raise TlbenchError("not a leaderboard record; add a result with `tlbench leaderboard add`")
    if data["schema"] != SCHEMA:
        raise TlbenchError(
            f"schema {quoted(data['schema'])}, but this tlbench reads {quoted(SCHEMA)}; use the tlbench that wrote it, "
            "or add the result again"
        )
    if data.get("kind") == "computed":
        fields = {"schema", "kind", "paper", "code", "overlaps", "breakdown", "result", "digest"}
    elif data.get("kind") == "published":
        fields = {"schema", "kind", "name", "dataset", "role", "source", "title", "url", "collected_from"}
        fields |= {"trained_on", "figures", "digest"}
    else:
        raise TlbenchError(f"kind {quoted(data.get('kind'))} is neither computed nor published")
    _check_fields(data, fields, "record")
    if data["digest"] != digest(data):
        raise TlbenchError("changed after it was filed (its digest does not fit); add the result again")
    if data["kind"] == "published":
        published = _read_published(data)
        check_published(published)
        return published
    if not isinstance(data["result"], dict):
        raise TlbenchError("the result is not an object; add the result again")
    result = parse_result(data["result"])
    difference = _first_difference(data["result"], result.to_json(), "result")
    if difference is not None:
        raise TlbenchError(f"{difference}; add the result again")
    computed = Computed(
        result=result,
        paper=optional_name(data["paper"], "paper"),
        code=optional_name(data["code"], "code"),
        overlaps=overlaps_of(result, cards),
        breakdown=None if data["breakdown"] is None else parse_breakdown(data["breakdown"], result),
    )
    if data["overlaps"] != computed.overlaps:
        raise TlbenchError(
            f"states the overlaps {quoted(data['overlaps'])}, but its declaration and the cards give "
            f"{quoted(computed.overlaps)}; add the result again"
        )
    check_computed(computed)
    return computed


def _check_fields(data: Mapping[str, Any], fields: set[str], what: str) -> None:
    unknown, missing = sorted(set(data) - fields), sorted(fields - set(data))
    if unknown:
        raise TlbenchError(f"unknown field {quoted(unknown[0])} in the {what}; take it out")
    if missing:
        raise TlbenchError(f"field {quoted(missing[0])} is missing from the {what}; add the result again")


def _read_published(data: Mapping[str, Any]) -> Published:
    if data["role"] not in ("system", "control"):
        raise TlbenchError(f"role {quoted(data['role'])} is neither system nor control")
    if not data["figures"]:
        raise TlbenchError("a published record needs a list of figures")
    figures = []
    for item in entries_of(data["figures"], "figures", most=MOST_FIGURES):
        if not isinstance(item, dict):
            raise TlbenchError(f"figure {quoted(item)} is not an object")
        _check_fields(item, {"metric", "value", "table"}, "figure")
        value = item["value"]
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) < LARGEST_FIGURE:
            raise TlbenchError(f"figure {quoted(item['metric'])}: {quoted(value)} is not a number a table may hold")
        figures.append(Figure(name_text(item["metric"], "metric"), float(value), name_text(item["table"], "table")))
    return Published(
        name=name_text(data["name"], "name"),
        dataset=name_text(data["dataset"], "dataset"),
        role=cast(Literal["system", "control"], data["role"]),
        source=name_text(data["source"], "source"),
        title=name_text(data["title"], "title"),
        url=name_text(data["url"], "url"),
        figures=tuple(figures),
        trained_on=optional_name(data["trained_on"], "trained_on"),
        collected_from=optional_name(data["collected_from"], "collected_from"),
    )


def _first_difference(stored: Any, computed: Any, where: str) -> str | None:
    """The first difference between a stored JSON value and the computed one, in one line; None if they agree."""
    if isinstance(stored, dict) and isinstance(computed, dict):
        for key in stored:
            if key not in computed:
                return f"unknown field {quoted(key)} in {where}"
        for key in computed:
            if key not in stored:
                return f"field {quoted(key)} is missing from {where}"
        return next(
            (d for key in computed if (d := _first_difference(stored[key], computed[key], f"{where}.{key}"))), None
        )
    if isinstance(stored, list) and isinstance(computed, list):
        if len(stored) != len(computed):
            return f"{where} has {len(stored)} entries, its clips give {len(computed)}"
        if stored == computed:
            return None
        pairs = enumerate(zip(stored, computed, strict=True))
        return next((d for i, (x, y) in pairs if (d := _first_difference(x, y, f"{where}[{i}]"))), None)
    if isinstance(stored, float) and isinstance(computed, float):
        same = math.isclose(stored, computed, rel_tol=AGREEMENT, abs_tol=1e-12)
    else:
        same = stored == computed and isinstance(stored, bool) == isinstance(computed, bool)
    return None if same else f"{where} states {quoted(stored)}, but its clips give {quoted(computed)}"
