"""Notes below tables: what a reader has to know of a result before quoting its numbers.

Plain functions of a result's data, used by tables, comparisons and notebooks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tlbench.document import ARROWS
from tlbench.metrics.metric import Metric
from tlbench.observing.domain import OF_CHECKPOINTS
from tlbench.preflight.findings import Finding, count_clips, is_of_dataset
from tlbench.scoring.set_notes import set_notes

if TYPE_CHECKING:
    from tlbench.scoring.result import AnyRow, Result

UNREAD = "†"  # marks a number that is not better than that of the best blind reader
UNREAD_MEANS = f"{UNREAD} not read: its paired 95 % interval does not show it better than the best blind reader."
TITLES = {
    "paper": "paper: the published arithmetic, to compare with the literature",
    "sound": "sound: what it should have been, to compare systems by",
}


def result_notes(result: Result, rows: Mapping[str, AnyRow]) -> list[str]:
    """Remarks, missing clips, findings and what was not checked, one note each; none of a blind reader's row.

    ``rows`` are the rows shown, by metric key.
    """
    if result.role == "blind":
        return []
    notes = [f"{remark}." for remark in result.remarks]
    absent = result.expected - len(result.clips)
    notes += incomplete_notes(len(result.clips_in_error), absent, result.expected, result.strict)
    most = most_scored(rows)
    fewer = [f"{row.metric.key} {row.scored:,}" for row in rows.values() if row.scored < most]
    if fewer:
        notes.append(f"* fewer than {most:,} clips scored: {', '.join(fewer)}.")
    of_sets = [score for score in result.sets if score.metric.key in rows]
    if of_sets:
        notes += set_notes(of_sets)
    notes += _finding_notes(result)
    if result.not_checked:
        notes.append(f"not checked: {', '.join(result.not_checked)} (tlbench check looks at more).")
    return notes


def most_scored(rows: Mapping[str, AnyRow]) -> int:
    """The number of clips scored by the metric that scored the most; 0 without rows."""
    return max((row.scored for row in rows.values()), default=0)


def incomplete_notes(in_error: int, absent: int, expected: int, strict: bool) -> list[str]:
    """Why a result is incomplete, in clips. Empty if it is complete or if only its folder has an error."""
    notes = []
    if in_error:
        what = "an error or a warning (--strict)" if strict else "an error"
        notes.append(f"incomplete: {clip_count(in_error)} of {expected:,} with {what}.")
    if absent:
        notes.append(f"incomplete, {clip_count(absent)} of {expected:,} not observed at all.")
    return notes


def _finding_notes(result: Result) -> list[str]:
    """All findings, and the failures and remarks of clips in results older than findings."""
    notes, info = notes_of_findings(result.all_findings)
    old = [clip for clip in result.clips if clip.failures and not clip.findings]
    if old:
        codes = Counter(code for clip in old for code in {why.code for why in clip.failures.values()})
        listed = ", ".join(f"{code} {count:,}" for code, count in codes.most_common())
        notes.append(f"error, {clip_count(len(old))} not scored: {listed}.")
    notes += info
    touched = sum(1 for clip in result.clips if clip.notes)
    if touched:
        notes.append(f"{clip_count(touched)} with remarks of an older tlbench.")
    return notes


def notes_of_findings(findings: Sequence[Finding]) -> tuple[list[str], list[str]]:
    """Findings by code, the worst first.

    Returns
    -------
    notes : list of str
        One for each code of errors and warnings, with the message of its first clip. ``cannot-read`` is left out, since
        it marks the whole table.
    info : list of str
        One note with the counts of all codes of level info; empty if there are none.
    """
    first = {(found.level, found.code): found for found in reversed(findings)}
    notes, info = [], []
    for (level, code), count in count_clips(findings).items():
        found = first[level, code]
        if code == "cannot-read":
            continue
        if code in OF_CHECKPOINTS:
            notes += [f"{level}, {code}: {o.message} ({o.fix})." for o in findings if o.code == code]
            continue
        how_many = (
            clip_count(count) if found.clip is not None else f"{count:,} of the folder" if count > 1 else "the folder"
        )
        if level == "info":
            info.append(f"{code} {count:,}")
            continue
        clip = f"{found.clip}: " if found.clip is not None else ""
        of_dataset = " of the data set" if is_of_dataset(code) else ""
        notes.append(f"{level}{of_dataset}, {code}, {how_many}: {clip}{found.message} ({found.fix}).")
    return notes, [f"info: {', '.join(info)}."] if info else []


def interval_notes(shown: Sequence[tuple[Result, Mapping[str, AnyRow]]]) -> list[str]:
    """How the confidence intervals of the shown rows were made, and where there is none."""
    notes = []
    units: dict[tuple[float, str], list[int]] = {}
    metrics: dict[tuple[float, str], list[str]] = {}
    for result, rows in shown:
        for row in rows.values():
            if row.unit is not None and row.clusters is not None:
                units.setdefault((result.interval.level, row.unit), []).append(row.clusters)
                metrics.setdefault((result.interval.level, row.unit), []).append(row.metric.key)
    for (level, unit), counts in units.items():
        of = f"{', '.join(dict.fromkeys(metrics[level, unit]))}: " if len(units) > 1 else ""
        count = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
        notes.append(f"[low, high]: {of}{100 * level:g} % interval, bootstrap over {count} {unit}.")
    few = dict.fromkeys(
        row.metric.cluster or result.interval.cluster
        for result, rows in shown
        for row in rows.values()
        if (row.metric.cluster or result.interval.cluster) and row.unit == "clips"
    )
    notes += [
        f"Too few {cluster}s to resample, so clips were resampled as if independent: these intervals are likely too "
        "narrow."
        for cluster in few
    ]
    of_clips = [row for _, rows in shown for row in rows.values() if isinstance(row.metric, Metric)]
    if any(row.value is not None and row.low is None for row in of_clips):
        notes.append("No interval for a single clip or an infinite value.")
    return notes


def direction_notes(rows: Sequence[AnyRow]) -> list[str]:
    """What the arrows of the shown metrics mean."""
    directions = {row.metric.better for row in rows}
    arrows = [f"{ARROWS[better]} {better}" for better in ("higher", "lower") if better in directions]
    return [f"{', '.join(arrows)} is better."] if arrows else []


def outdated_notes(rows: Sequence[AnyRow]) -> list[str]:
    """Which metrics are of an older version; their numbers are marked ``old``."""
    old = dict.fromkeys(row.metric.key for row in rows if row.metric.outdated)
    if not old:
        return []
    return [f"old: {', '.join(old)} by an older version of the metric; score the folder again for the new one."]


def clip_count(count: int) -> str:
    """``1 clip``, ``1,234 clips``."""
    return f"{count:,} clip" + ("" if count == 1 else "s")
