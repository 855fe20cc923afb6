"""Submissions: the records of a leaderboard. One schema, two kinds, and neither is taken at its word.

A ``computed`` record holds a whole result: per-clip tallies, clip ids and SHA-256 of the videos. There is no
transcript, no hypothesis, no video and no path in it, because the corpora are licensed; which words and visemes were
misread is kept as counts over all clips. Every number is made anew from the tallies when the record is read. A
``published`` record holds figures out of a paper, says which table each is from, and can't be checked by anybody here;
so its protocol is the place where it was printed, and no computed number shares it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast
from urllib.parse import urlsplit

from tlbench.checkpoints.card import Card, overlap
from tlbench.checkpoints.catalogue import check_declared
from tlbench.datasets.dataset import dataset_class, dataset_names
from tlbench.document import clean
from tlbench.errors import TlbenchError
from tlbench.metrics.catalogue import all_metrics
from tlbench.metrics.metric import Direction, Metric
from tlbench.metrics.protocol import SHORT
from tlbench.preflight.findings import Finding, count_clips
from tlbench.preflight.frames import is_short
from tlbench.scoring.aggregation import make_intervals
from tlbench.scoring.breakdown import Breakdown, parse_breakdown
from tlbench.scoring.record import refuse_constant
from tlbench.scoring.result import Result, Role, dumps, result_text
from tlbench.scoring.result_file import AGREEMENT, parse_result
from tlbench.study.answers import SCALES

SCHEMA = "tlbench.leaderboard/1"
# LRW's 25,000 clips in fourteen metrics take 11 MiB; GitHub refuses files above 100 MB.
MAX_BYTES = 32 * 2**20
NAME_CHARACTERS = 80
TEXT_CHARACTERS = 500
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FOLDER = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_PROVENANCE = {"tlbench", "python", "packages", "platform", "command", "weights", "numbers", "started", "finished"}
_PROVENANCE |= {"generation"}


@dataclass(frozen=True)
class Figure:
    """One number as a paper prints it: ``metric`` is a key such as ``psnr/paper`` or ``study/realness``."""

    metric: str
    value: float
    table: str


@dataclass(frozen=True)
class Published:
    """One system's figures out of a paper.

    Attributes
    ----------
    name, dataset : str
    role : "system" or "control"
    source : str
        Short key of the paper, in lower case with hyphens; part of what stands for a protocol.
    title, url : str
        Of the paper.
    figures : tuple of Figure
    trained_on : str or None
        As the paper says.
    collected_from : str or None
        Whose paper the figures were copied from; they are another's measurements, so they are never ranked with others.
    """

    name: str
    dataset: str
    role: Role
    source: str
    title: str
    url: str
    figures: tuple[Figure, ...]
    trained_on: str | None = None
    collected_from: str | None = None

    def protocol(self, figure: Figure) -> str:
        """What stands for a protocol id: where the figure was printed and who measured it."""
        collected = "" if self.collected_from is None else f"/collected from {self.collected_from}"
        return f"published[{self.source}/{figure.table}{collected}]"

    @property
    def slug(self) -> str:
        return f"published-{slug(self.name)}"


@dataclass(frozen=True)
class Computed:
    """One system's result.

    Attributes
    ----------
    result : Result
        Complete; its ``trained_with`` is what the owner declares.
    paper, code : str or None
        Web addresses.
    overlaps : mapping of weights name to str
        Observers that are no fair judge of the system, and why.
    breakdown : Breakdown or None
        Where the lip reader errs; None where the run's records were not at hand.
    """

    result: Result
    paper: str | None = None
    code: str | None = None
    overlaps: Mapping[str, str] | None = None
    breakdown: Breakdown | None = None

    @property
    def name(self) -> str:
        return self.result.name

    @property
    def dataset(self) -> str:
        return self.result.dataset

    @property
    def role(self) -> Role:
        return self.result.role

    @property
    def slug(self) -> str:
        return slug(self.name)


Submission: TypeAlias = "Computed | Published"


def slug(name: str) -> str:
    """A file name made of a system's name. Raises TlbenchError if no letter or digit is left.

    >>> slug("TalkLip (g+c)")
    'talklip-g-c'
    """
    found = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not found:
        raise TlbenchError(
            f"name {clean(name)!r} has no letter a-z or digit to name its file by; pass another (--name)"
        )
    return found


@dataclass(frozen=True)
class Column:
    """What a number is, for the head of a table."""

    label: str
    unit: str
    better: Direction
    digits: int


def figure_columns() -> dict[str, Column]:
    """What a number may be of, by key: every metric, and the scales of the user study (``study/...``)."""
    columns: dict[str, Column] = {m.key: Column(m.label, m.unit, m.better, m.digits) for m in all_metrics()}
    return columns | {f"study/{scale.key}": Column(scale.label, scale.unit, scale.better, 2) for scale in SCALES}


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
    """A result as it may be filed, checked in every respect.

    Parameters
    ----------
    result : Result
    cards : iterable of Card
        All known checkpoints: an observer that is a relative of what the system was trained with is marked.
    name : str, optional
        What the leaderboard calls the system; the result's own name if not given.
    paper, code : str, optional
        Web addresses.
    trained_with : sequence of str
        Checkpoints the system was trained with, besides those the result declares; ``none`` says that there are none.
    breakdown : Breakdown, optional
        Of the same run.

    Raises
    ------
    TlbenchError
        One line: what is amiss, and the way out.
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
    _check_computed(made)
    return made


def _without_texts(result: Result) -> Result:
    """The result with the codes of its findings alone: their messages may quote transcripts and name files."""

    def bare(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        return tuple(replace(found, message="") for found in findings)

    clips = tuple(replace(clip, findings=bare(clip.findings)) for clip in result.clips)
    return replace(result, clips=clips, findings=bare(result.findings))


def _overlaps(result: Result, cards: Iterable[Card]) -> dict[str, str]:
    by_name = {card.name: card for card in cards}
    found = {}
    for name in _weights(result):
        said = overlap(by_name[name], result.trained_with) if name in by_name else None
        if said is not None:
            found[name] = said
    return found


# To and from JSON


def to_text(submission: Submission) -> str:
    """A record as the text of its file: strict JSON, one entry a line, with the digest of all the rest."""
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
    """SHA-256 of a record's content, whatever its spacing and order of fields."""
    rest = {key: value for key, value in data.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, allow_nan=False, separators=(",", ":")).encode()).hexdigest()


def read_submission(path: Path, cards: Iterable[Card]) -> Submission:
    """Read and check one record.

    Raises
    ------
    TlbenchError
        One line naming the file: not there, too large, not a record, of another schema, with unknown fields or NaN,
        changed after it was filed, or with numbers that its clips don't give.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise TlbenchError(
                f"{path}: {size / 2**20:.0f} MiB, and a record may have {MAX_BYTES >> 20} MiB; score fewer metrics"
            )
        data = json.loads(path.read_bytes(), parse_constant=refuse_constant, object_pairs_hook=_once)
    except OSError as error:
        raise TlbenchError(f"{path}: can't be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise TlbenchError(f"{path}: not a JSON record ({error}); file it with `tlbench leaderboard add`") from error
    try:
        return parse_submission(data, cards)
    except TlbenchError as error:
        raise TlbenchError(f"{path}: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which each name stands once: else two readers might see two different numbers."""
    twice = [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]
    if twice:
        raise ValueError(f"field {twice[0]!r:.60} stands there twice")
    return dict(pairs)


def parse_submission(data: Any, cards: Iterable[Card]) -> Submission:
    """A record from its JSON object; see :func:`read_submission`."""
    if not isinstance(data, dict) or not str(data.get("schema")).startswith("tlbench.leaderboard/"):
        raise TlbenchError("not a leaderboard record; file a result with `tlbench leaderboard add`")
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
        raise TlbenchError("holds a number that is not finite; add the result again") from error
    if not fits:
        raise TlbenchError("changed after it was filed (its digest does not fit); add the result again")
    if data["kind"] == "published":
        published = _read_published(data)
        _check_published(published)
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
            f"states the overlaps {data['overlaps']!r:.80}, but what it declares and the cards give "
            f"{computed.overlaps!r:.80}; add the result again"
        )
    _check_computed(computed)
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


def _first_difference(stored: Any, made: Any, where: str) -> str | None:
    """Where a stored JSON value and the one made anew part, in one line; None if they agree."""
    if isinstance(stored, dict) and isinstance(made, dict):
        for key in stored:
            if key not in made:
                return f"unknown field {clean(key)!r:.60} in {where}"
        for key in made:
            if key not in stored:
                return f"field {key!r} is missing from {where}"
        return next((d for key in made if (d := _first_difference(stored[key], made[key], f"{where}.{key}"))), None)
    if isinstance(stored, list) and isinstance(made, list):
        if len(stored) != len(made):
            return f"{where} has {len(stored)} entries, its clips give {len(made)}"
        if stored == made:
            return None
        pairs = enumerate(zip(stored, made, strict=True))
        return next((d for i, (x, y) in pairs if (d := _first_difference(x, y, f"{where}[{i}]"))), None)
    if isinstance(stored, float) and isinstance(made, float):
        same = math.isclose(stored, made, rel_tol=AGREEMENT, abs_tol=1e-12)
    else:
        same = stored == made and isinstance(stored, bool) == isinstance(made, bool)
    return None if same else f"{where} states {stored!r:.80}, but its clips give {made!r:.80}"


# What is checked


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > NAME_CHARACTERS:
        raise TlbenchError(f"name {clean(name)!r:.100} has {len(name)} characters; 1 to {NAME_CHARACTERS} (--name)")
    if clean(name) != name or name != name.strip():
        raise TlbenchError(f"name {clean(name)!r} holds control characters, line breaks or outer spaces (--name)")
    slug(name)


def _check_address(address: str | None, option: str) -> None:
    if address is None:
        return
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good or not re.fullmatch(r"[!#$%&*+,\-./0-9:;=?@A-Z_a-z~]{1,300}", address):
        raise TlbenchError(
            f"{option}: {clean(address)!r:.80} is not a web address (https://...) without spaces or brackets"
        )


def _check_published(published: Published) -> None:
    _check_name(published.name)
    _check_address(published.url, "url")
    for name, value in (("dataset", published.dataset), ("source", published.source)):
        if not _FOLDER.fullmatch(value):
            raise TlbenchError(f"{name} {clean(value)!r:.60} may hold a-z, 0-9 and single hyphens only")
    known = figure_columns()
    keys = [figure.metric for figure in published.figures]
    for key in keys:
        if key not in known:
            raise TlbenchError(f"figure of unknown metric {clean(key)!r:.60}; there are {', '.join(known)}")
        if keys.count(key) > 1:
            raise TlbenchError(f"two figures of {key}; keep one")


def _check_computed(computed: Computed) -> None:
    result = computed.result
    _check_name(result.name)
    _check_address(computed.paper, "--paper")
    _check_address(computed.code, "--code")
    if not _FOLDER.fullmatch(result.dataset) or result.dataset == "folder":
        raise TlbenchError(
            f"dataset {clean(result.dataset)!r:.60} is none that others can score; leaderboards are per public data set"
        )
    _check_complete(result)
    _check_protocols(result)
    _check_provenance(result)
    for clip in result.clips:
        for hash_name in ("generated_sha256", "reference_sha256"):
            value = getattr(clip, hash_name)
            if value is None or not _SHA256.fullmatch(value):
                raise TlbenchError(f"clip {clean(clip.id)}: {hash_name} {value!r:.70} is not a SHA-256; score again")
    _check_intervals(result)


def _check_complete(result: Result) -> None:
    if not result.metrics or not result.clips:
        raise TlbenchError("there is no metric or no clip in the result; score again")
    if result.selection is not None and SHORT in result.selection.split(","):
        raise TlbenchError("videos that stop early were scored (--allow-short); a leaderboard takes whole clips only")
    real = sum(clip.generated_sha256 == clip.reference_sha256 for clip in result.clips)
    if result.role == "system" and 2 * real > len(result.clips):
        raise TlbenchError(
            f"{real} of {len(result.clips)} videos are the real ones; score ground truth with --controls ground-truth"
        )
    if not result.complete:
        raise TlbenchError(
            f"incomplete: {_why_incomplete(result)}; mend that and score again, a leaderboard takes whole runs only"
        )
    short = [clip for clip in result.clips if is_short(clip.frames or 0, clip.frames_expected or 0)]
    if short:
        raise TlbenchError(
            f"clip {clean(short[0].id)} has {short[0].frames} of {short[0].frames_expected} frames, and so "
            f"{len(short)} of {len(result.clips)} clips; a leaderboard takes whole clips only"
        )
    if result.selection is None and result.dataset in dataset_names():
        published = dataset_class(result.dataset).expected_clips.get(result.split)
        if published is not None and published != result.expected:
            raise TlbenchError(
                f"{result.dataset}:{result.split} has {published:,} clips, the result has {result.expected:,}; "
                "score the whole split"
            )
    for row in result.rows():
        if row.value is None or not row.scored:
            raise TlbenchError(f"{row.metric.key} scored no clip; score again without it (--metrics)")


NAMED_CLIPS = 3  # of those that keep a result out of a leaderboard


def _why_incomplete(result: Result) -> str:
    """What is wrong, and of which clips."""
    codes = [
        f"{clean(code)} {count}"
        for (level, code), count in count_clips(result.all_findings).items()
        if level == "error"
    ]
    codes = codes or [clean(code) for code in result.failure_counts]
    clips = [clean(clip_id) for clip_id in result.clips_in_error]
    told = [", ".join(codes)] if codes else []
    if clips:
        more = ", ..." if len(clips) > NAMED_CLIPS else ""
        told.append(f"{len(clips)} of {result.expected} clips ({', '.join(clips[:NAMED_CLIPS])}{more})")
    absent = result.expected - len(result.clips)
    if absent:
        told.append(f"{absent} of {result.expected} clips not observed")
    return "; ".join(told) or "of the folder"


def _check_protocols(result: Result) -> None:
    weights = {str(item.get("sha256")) for item in _weights(result).values()}
    for key, protocol in result.protocols.items():
        place = (protocol.dataset, protocol.split, protocol.selection)
        if place != (result.dataset, result.split, result.selection):
            raise TlbenchError(f"protocol {protocol.id} is of another data set, split or part than the result")
        metric = result.metric(key)
        if (protocol.version, protocol.aggregation) != (metric.version, metric.aggregation):
            raise TlbenchError(f"protocol {protocol.id} is not known to this tlbench: {key} is made in another way")
        if protocol.weights is not None and not any(sha256.startswith(protocol.weights) for sha256 in weights):
            raise TlbenchError(f"protocol {protocol.id} names weights that the provenance does not; score again")


def _check_provenance(result: Result) -> None:
    unknown = sorted(set(result.provenance) - _PROVENANCE)
    if unknown:
        raise TlbenchError(f"unknown field {clean(unknown[0])!r:.60} in the provenance; score again")
    if not isinstance(result.provenance.get("tlbench"), str):
        raise TlbenchError("the provenance does not say which tlbench scored; score again")
    if len(dumps(dict(result.provenance))) > 100_000:
        raise TlbenchError("the provenance is longer than 100,000 characters; score again")


def _weights(result: Result) -> Mapping[str, Mapping[str, Any]]:
    weights = result.provenance.get("weights", {})
    if not isinstance(weights, dict) or not all(isinstance(item, dict) for item in weights.values()):
        raise TlbenchError("the weights in the provenance are not objects; score again")
    return weights


def _check_intervals(result: Result) -> None:
    """Intervals follow from the clips and the seed, so they are made anew and compared too."""
    if result.interval.resamples > 20_000:
        raise TlbenchError(f"{result.interval.resamples:,} resamples are more than 20,000; score again with fewer")
    made = make_intervals(result.clips, result.metrics, result.interval)
    for key, interval in made.items():
        stored = result.intervals[key]
        same = stored == interval
        if stored is not None and interval is not None:
            ends = ((stored.low, interval.low), (stored.high, interval.high))
            same = (stored.unit, stored.units) == (interval.unit, interval.units)
            same = same and all(math.isclose(x, y, rel_tol=1e-6, abs_tol=1e-9) for x, y in ends)
        if not same:
            raise TlbenchError(f"{key} states the interval {stored}, but its clips give {interval}; score again")


def told_of(result: Result) -> list[str]:
    """What a leaderboard says of a result besides its numbers: frames that are missing, and findings by code."""
    told = []
    frames = result.frame_counts
    if frames is not None and frames[0] < frames[1]:
        told.append(f"frames {frames[0]:,} of {frames[1]:,}")
    for level in ("error", "warning"):
        codes = [f"{code} {count:,}" for (of, code), count in count_clips(result.all_findings).items() if of == level]
        if codes:
            told.append(f"{level}s: {', '.join(codes)}")
    return told


def judged_by_overlap(computed: Computed, metric: Metric) -> bool:
    """Whether a metric of a system comes from an observer that is no fair judge of it."""
    weights = computed.result.protocols[metric.key].weights
    return weights is not None and any(
        str(item.get("sha256")).startswith(weights)
        for name, item in _weights(computed.result).items()
        if name in (computed.overlaps or {})
    )
