"""Checks of submissions: names, addresses, completeness, protocols, provenance and intervals.

Each check raises TlbenchError with one line that names the value and the way out.
"""

from __future__ import annotations

import math
import re
from urllib.parse import urlsplit

from tlbench.datasets.dataset import dataset_class, dataset_names
from tlbench.document import clean
from tlbench.errors import TlbenchError, quoted, shortened
from tlbench.leaderboard.submission import Computed, Published, figure_columns, slug
from tlbench.media.completeness import is_short
from tlbench.metrics.protocol import SHORT, Protocol
from tlbench.metrics.sets import AnyMetric
from tlbench.preflight.findings import count_clips
from tlbench.scoring.aggregation import make_intervals
from tlbench.scoring.provenance import PROVENANCE_FIELDS
from tlbench.scoring.result import Result
from tlbench.scoring.result_json import dumps
from tlbench.scoring.trained_with import weights_of

NAME_CHARACTERS = 80
MOST_BOARD_RESAMPLES = 20_000  # a board computes all intervals again
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FOLDER = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > NAME_CHARACTERS:
        raise TlbenchError(f"name {quoted(clean(name))} has {len(name)} characters; 1 to {NAME_CHARACTERS} (--name)")
    if clean(name) != name or name != name.strip():
        raise TlbenchError(f"name {quoted(clean(name))} holds control characters, line breaks or outer spaces (--name)")
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
            f"{option}: {quoted(clean(address))} is not a web address (https://...) without spaces or brackets"
        )


def check_published(published: Published) -> None:
    _check_name(published.name)
    _check_address(published.url, "url")
    for name, value in (("dataset", published.dataset), ("source", published.source)):
        if not _FOLDER.fullmatch(value):
            raise TlbenchError(f"{name} {quoted(clean(value))} may hold a-z, 0-9 and single hyphens only")
    known = figure_columns()
    keys = [figure.metric for figure in published.figures]
    for key in keys:
        if key not in known:
            raise TlbenchError(f"figure of unknown metric {quoted(clean(key))}; there are {', '.join(known)}")
        if keys.count(key) > 1:
            raise TlbenchError(f"two figures of {key}; keep one")


def check_computed(computed: Computed) -> None:
    result = computed.result
    _check_name(result.name)
    _check_address(computed.paper, "--paper")
    _check_address(computed.code, "--code")
    if not _FOLDER.fullmatch(result.dataset) or result.dataset == "folder":
        raise TlbenchError(
            f"dataset {quoted(clean(result.dataset))} is not public; leaderboards are for public data sets"
        )
    _check_complete(result)
    _check_protocols(result)
    _check_provenance(result)
    for clip in result.clips:
        for hash_name in ("generated_sha256", "reference_sha256"):
            value = getattr(clip.info, hash_name)
            if value is None or not _SHA256.fullmatch(value):
                raise TlbenchError(
                    f"clip {shortened(clean(clip.id))}: {hash_name} {quoted(value)} is not a SHA-256; score again"
                )
    _check_intervals(result)


def _check_complete(result: Result) -> None:
    if not (result.metrics or result.sets) or not result.clips:
        raise TlbenchError("there is no metric or no clip in the result; score again")
    if result.selection is not None and SHORT in result.selection.split(","):
        raise TlbenchError("videos that stop early were scored (--allow-short); leaderboards take whole clips only")
    real = sum(clip.info.generated_sha256 == clip.info.reference_sha256 for clip in result.clips)
    if result.role == "system" and 2 * real > len(result.clips):
        raise TlbenchError(
            f"{real} of {len(result.clips)} videos are the real ones; score ground truth with --controls ground-truth"
        )
    if not result.complete:
        raise TlbenchError(
            f"incomplete: {_why_incomplete(result)}; repair that and score again; leaderboards take complete runs only"
        )
    short = [clip for clip in result.clips if is_short(clip.info.frames or 0, clip.info.frames_expected or 0)]
    if short:
        raise TlbenchError(
            f"clip {shortened(clean(short[0].id))} has {short[0].info.frames} of {short[0].info.frames_expected} "
            f"frames, and so {len(short)} of {len(result.clips)} clips; leaderboards take whole clips only"
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


NAMED_CLIPS = 3  # clips named in the message of an incomplete result


def _why_incomplete(result: Result) -> str:
    """The errors by code, and the clips that have them."""
    codes = [
        f"{shortened(clean(code))} {count}"
        for (level, code), count in count_clips(result.all_findings).items()
        if level == "error"
    ]
    codes = codes or [shortened(clean(code)) for code in result.failure_counts]
    clips = [shortened(clean(clip_id)) for clip_id in result.clips_in_error]
    parts = [", ".join(codes)] if codes else []
    if clips:
        more = ", ..." if len(clips) > NAMED_CLIPS else ""
        parts.append(f"{len(clips)} of {result.expected} clips ({', '.join(clips[:NAMED_CLIPS])}{more})")
    absent = result.expected - len(result.clips)
    if absent:
        parts.append(f"{absent} of {result.expected} clips not observed")
    return "; ".join(parts) or "of the folder"


def _check_protocols(result: Result) -> None:
    weights = {str(item.get("sha256")) for item in weights_of(result).values()}
    for protocol in (*result.protocols.values(), *(score.protocol for score in result.sets)):
        place = (protocol.dataset, protocol.split, protocol.selection)
        if place != (result.dataset, result.split, result.selection):
            raise TlbenchError(
                f"protocol {shortened(protocol.id)} is of another data set, split or part than the result"
            )
        if protocol.weights is not None and not any(sha256.startswith(protocol.weights) for sha256 in weights):
            raise TlbenchError(
                f"protocol {shortened(protocol.id)} names weights that the provenance does not; score again"
            )
    of_all: list[tuple[AnyMetric, Protocol]] = [(result.metric(key), own) for key, own in result.protocols.items()]
    of_all += [(score.metric, score.protocol) for score in result.sets]
    for metric, protocol in of_all:
        if (protocol.version, protocol.aggregation) != (metric.version, metric.aggregation):
            raise TlbenchError(
                f"protocol {shortened(protocol.id)} is not known to this tlbench, whose {metric.key} differs"
            )


def _check_provenance(result: Result) -> None:
    unknown = sorted(set(result.provenance) - PROVENANCE_FIELDS)
    if unknown:
        raise TlbenchError(f"unknown field {quoted(clean(unknown[0]))} in the provenance; score again")
    if not isinstance(result.provenance.get("tlbench"), str):
        raise TlbenchError("the provenance does not say which tlbench scored; score again")
    if len(dumps(dict(result.provenance))) > 100_000:
        raise TlbenchError("the provenance is longer than 100,000 characters; score again")


def _check_intervals(result: Result) -> None:
    """Computes the intervals again from the clips and the seed, and compares them."""
    if result.interval.resamples > MOST_BOARD_RESAMPLES:
        raise TlbenchError(
            f"{result.interval.resamples:,} resamples are more than {MOST_BOARD_RESAMPLES:,}; score again with fewer"
        )
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
