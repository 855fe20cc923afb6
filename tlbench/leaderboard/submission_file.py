"""Submissions as files: made from a result, written as JSON, read and checked."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

from tlbench.checkpoints.card import Card, overlap
from tlbench.checkpoints.catalogue import check_declared
from tlbench.document import clean
from tlbench.errors import TlbenchError
from tlbench.files import JSON, read_outside
from tlbench.leaderboard.submission import Computed, Figure, Published, Submission, weights_of
from tlbench.leaderboard.submission_checks import check_computed, check_published
from tlbench.preflight.findings import Finding
from tlbench.scoring.breakdown import Breakdown, parse_breakdown
from tlbench.scoring.record import refuse_constant
from tlbench.scoring.result import Result
from tlbench.scoring.result_file import AGREEMENT, parse_result
from tlbench.scoring.result_json import dumps, result_text

SCHEMA = "tlbench.leaderboard/1"
# LRW's 25,000 clips in fourteen metrics take 11 MiB; GitHub refuses files above 100 MB.
MAX_BYTES = 32 * 2**20
TEXT_CHARACTERS = 500


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
            f"{clean(result.name)}: say which observers' checkpoints the system was trained with "
            "(--trained-with NAME, or --trained-with none)"
        )
    cards = list(cards)
    check_declared(declared, cards)
    filed = _without_texts(replace(result, name=result.name if name is None else name, trained_with=declared))
    made = Computed(filed, paper, code, _overlaps(filed, cards), breakdown)
    check_computed(made)
    return made


def _without_texts(result: Result) -> Result:
    """The result without the messages of its findings, which may quote transcripts and name files."""

    def bare(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        return tuple(replace(found, message="") for found in findings)

    clips = tuple(replace(clip, findings=bare(clip.findings)) for clip in result.clips)
    return replace(result, clips=clips, findings=bare(result.findings))


def _overlaps(result: Result, cards: Iterable[Card]) -> dict[str, str]:
    by_name = {card.name: card for card in cards}
    found = {}
    for name in weights_of(result):
        said = overlap(by_name[name], result.trained_with) if name in by_name else None
        if said is not None:
            found[name] = said
    return found


def to_text(submission: Submission) -> str:
    """A record as the text of its file: strict JSON with one entry a line, and a digest of all other fields."""
    data = to_json(submission)
    lines = [f"{dumps(key)}:{dumps(value)}" for key, value in data.items() if key != "result"]
    lines.append(f'"digest":{dumps(digest(data))}')
    if "result" in data:
        lines.append(f'"result":{result_text(data["result"])}')
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    if len(text.encode()) > MAX_BYTES:
        raise TlbenchError(
            f"{clean(submission.name)}: the record would take {len(text.encode()) / 2**20:.0f} MiB, the limit is "
            f"{MAX_BYTES >> 20} MiB; score fewer metrics (--metrics)"
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
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise TlbenchError(
                f"{path}: {size / 2**20:.0f} MiB, the limit is {MAX_BYTES >> 20} MiB; score fewer metrics"
            )
        data = json.loads(read_outside(path, JSON), parse_constant=refuse_constant, object_pairs_hook=_once)
    except OSError as error:
        raise TlbenchError(f"{path}: can't be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise TlbenchError(f"{path}: not a JSON record ({error}); add it with `tlbench leaderboard add`") from error
    try:
        return parse_submission(data, cards)
    except TlbenchError as error:
        raise TlbenchError(f"{path}: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without repeated names, which different readers of JSON would read differently."""
    twice = [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]
    if twice:
        raise ValueError(f"field {twice[0]!r:.60} is given twice")
    return dict(pairs)


def parse_submission(data: Any, cards: Iterable[Card]) -> Submission:
    """A record from its JSON object; see :func:`read_submission`."""
    if not isinstance(data, dict) or not str(data.get("schema")).startswith("tlbench.leaderboard/"):
        raise TlbenchError("not a leaderboard record; add a result with `tlbench leaderboard add`")
    if data["schema"] != SCHEMA:
        raise TlbenchError(
            f"schema {data['schema']!r:.60}, but this tlbench reads {SCHEMA!r}; use the tlbench that wrote it, "
            "or add the result again"
        )
    if data.get("kind") == "computed":
        fields = {"schema", "kind", "paper", "code", "overlaps", "breakdown", "result", "digest"}
    elif data.get("kind") == "published":
        fields = {"schema", "kind", "name", "dataset", "role", "source", "title", "url", "collected_from"}
        fields |= {"trained_on", "figures", "digest"}
    else:
        raise TlbenchError(f"kind {data.get('kind')!r:.60} is neither computed nor published")
    _check_fields(data, fields, "record")
    try:
        fits = data["digest"] == digest(data)
    except ValueError as error:  # 1e999 is JSON, and infinite
        raise TlbenchError("has a number that is not finite; add the result again") from error
    if not fits:
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
        paper=_text_or_none(data["paper"], "paper"),
        code=_text_or_none(data["code"], "code"),
        overlaps=_overlaps(result, cards),
        breakdown=None if data["breakdown"] is None else parse_breakdown(data["breakdown"], result),
    )
    if data["overlaps"] != computed.overlaps:
        raise TlbenchError(
            f"states the overlaps {data['overlaps']!r:.80}, but its declaration and the cards give "
            f"{computed.overlaps!r:.80}; add the result again"
        )
    check_computed(computed)
    return computed


def _check_fields(data: Mapping[str, Any], fields: set[str], what: str) -> None:
    unknown, missing = sorted(set(data) - fields), sorted(fields - set(data))
    if unknown:
        raise TlbenchError(f"unknown field {clean(unknown[0])!r:.60} in the {what}; take it out")
    if missing:
        raise TlbenchError(f"field {missing[0]!r} is missing from the {what}; add the result again")


def _read_published(data: Mapping[str, Any]) -> Published:
    if data["role"] not in ("system", "control"):
        raise TlbenchError(f"role {data['role']!r:.60} is neither system nor control")
    if not isinstance(data["figures"], list) or not data["figures"]:
        raise TlbenchError("a published record needs a list of figures")
    figures = []
    for item in data["figures"]:
        if not isinstance(item, dict):
            raise TlbenchError(f"figure {item!r:.60} is not an object")
        _check_fields(item, {"metric", "value", "table"}, "figure")
        value = item["value"]
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) < 1e9:
            raise TlbenchError(f"figure {item['metric']!r:.60}: {value!r:.60} is not a number a table may hold")
        figures.append(Figure(_text(item["metric"], "metric"), float(value), _text(item["table"], "table")))
    return Published(
        name=_text(data["name"], "name"),
        dataset=_text(data["dataset"], "dataset"),
        role=cast(Literal["system", "control"], data["role"]),
        source=_text(data["source"], "source"),
        title=_text(data["title"], "title"),
        url=_text(data["url"], "url"),
        figures=tuple(figures),
        trained_on=_text_or_none(data["trained_on"], "trained_on"),
        collected_from=_text_or_none(data["collected_from"], "collected_from"),
    )


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > TEXT_CHARACTERS:
        raise TlbenchError(f"{field} must be a text of 1 to {TEXT_CHARACTERS} characters, got {value!r:.60}")
    return value


def _text_or_none(value: Any, field: str) -> str | None:
    return None if value is None else _text(value, field)


def _first_difference(stored: Any, computed: Any, where: str) -> str | None:
    """The first difference between a stored JSON value and the computed one, in one line; None if they agree."""
    if isinstance(stored, dict) and isinstance(computed, dict):
        for key in stored:
            if key not in computed:
                return f"unknown field {clean(key)!r:.60} in {where}"
        for key in computed:
            if key not in stored:
                return f"field {key!r} is missing from {where}"
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
    return None if same else f"{where} states {stored!r:.80}, but its clips give {computed!r:.80}"
