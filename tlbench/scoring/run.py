"""One system's clips to its result: observations (cached) -> records -> tallies -> sums."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from tlbench.checkpoints.weights import Weights
from tlbench.datasets.selection import Selection
from tlbench.document import counted
from tlbench.errors import ClipError
from tlbench.litter import remove_litter
from tlbench.metrics.metric import Metric
from tlbench.metrics.sync import METRICS as SYNC_METRICS
from tlbench.observing.engines import observe
from tlbench.observing.evidence import NOT_FINITE, Observation
from tlbench.observing.observer import HALF_NAME, PACKED_NAME
from tlbench.observing.plan import Plan
from tlbench.preflight.findings import Finding, finding, of_failure
from tlbench.preflight.folder import check_file_names
from tlbench.preflight.frames import check_sync_length
from tlbench.preflight.texts import ALPHABET, check_contradictions, check_texts
from tlbench.scoring.aggregation import aggregate
from tlbench.scoring.options import DEFAULT_RUN, RunOptions
from tlbench.scoring.probe import check_training
from tlbench.scoring.protocols import make_protocols, mark_of_selection
from tlbench.scoring.provenance import make_provenance
from tlbench.scoring.record import RECORDS_NAME, ClipRecord, Failure, RecordWriter
from tlbench.scoring.result import FILE_NAME, ClipScore, Result, Role
from tlbench.scoring.setup import Setup
from tlbench.statistics import IntervalSettings

# Name of the system, the clip just observed (None while controls are written), clips done, clips in all.
Progress = Callable[[str, Observation | None, int, int], None]


def run(
    selection: Selection,
    setup: Setup,
    name: str,
    options: RunOptions = DEFAULT_RUN,
    *,
    out: Path,
    role: Role = "system",
    excused: frozenset[str] = frozenset(),
    progress: Progress | None = None,
) -> Result:
    """Observe a selection, and write its records and its result to the folder ``out``.

    Parameters
    ----------
    name : str
        Of the system or control.
    excused : frozenset of str
        Codes of findings to leave out: those that a control's own fault causes.
    progress : callable, optional
        Called after each clip.
    """
    started = datetime.now(timezone.utc)
    for folder in (out, setup.plan.cache):
        remove_litter(folder, deep=True)
    of_folder, of_clips = _findings_of_names_and_texts(selection, setup.plan, role)
    if setup.weights:
        of_folder += check_training(setup.metrics, setup.weights, selection)
    records = _records(selection, setup, name, options, out=out, of_clips=of_clips, excused=excused, progress=progress)
    kept = [found for found in of_folder if found.code not in excused]
    return write_result(records, selection, setup, name, options, out=out, started=started, role=role, findings=kept)


def write_result(
    records: Iterable[ClipRecord],
    selection: Selection,
    setup: Setup,
    name: str,
    options: RunOptions,
    *,
    out: Path,
    started: datetime,
    role: Role,
    findings: Sequence[Finding] = (),
) -> Result:
    """Make the result of a run from its records and write it to the folder ``out``.

    Parameters
    ----------
    records : iterable of ClipRecord
        Read once, in order.
    started : datetime
        When the run began.
    findings : sequence of Finding
        Of the folder.
    """
    is_control = role == "control"
    result = aggregate(
        records,
        setup.metrics,
        make_protocols(selection, setup),
        name=name,
        dataset=selection.dataset.name,
        split=selection.split,
        expected=len(selection.clips),
        selection=mark_of_selection(selection, setup.plan),
        role=role,
        interval=IntervalSettings(seed=options.seed, cluster=selection.dataset.cluster),
        findings=findings,
        not_checked=_not_checked(setup.plan),
        strict=options.strict,
        trained_with=() if is_control else setup.trained_with,
        remarks=setup.remarks if is_control else (*setup.remarks, *setup.overlaps),
    )
    provenance = make_provenance(
        ["tlbench", *sys.argv[1:]],
        setup.weights,
        started,
        datetime.now(timezone.utc),
        numbers={plan.name: HALF_NAME if plan.half else "float32" for plan in setup.plan.observers if plan.weights},
        products={plan.name: PACKED_NAME for plan in setup.plan.observers if plan.packed},
        generation=None if is_control else setup.origin,
    )
    damaged = _damaged_checkpoints(result.clips, setup.weights)
    result = replace(result, provenance=provenance, findings=(*result.findings, *damaged))
    result.write(out / FILE_NAME)
    return result


def _records(
    selection: Selection,
    setup: Setup,
    name: str,
    options: RunOptions,
    *,
    out: Path,
    of_clips: Mapping[str, Sequence[Finding]],
    excused: frozenset[str],
    progress: Progress | None,
) -> Iterator[ClipRecord]:
    """The record of each clip, as it is observed and written."""
    plan = replace(setup.plan, excused=excused)
    with RecordWriter(out / RECORDS_NAME) as writer:
        for done, observation in enumerate(observe(plan, selection.clips, options.workers, options.engine), start=1):
            before = of_clips.get(observation.clip.id, ())
            record = make_record(observation, [*before, *_too_short_for_sync(observation, setup.metrics)], excused)
            writer.write(record)
            if progress is not None:
                progress(name, observation, done, len(selection.clips))
            yield record


def _findings_of_names_and_texts(
    selection: Selection, plan: Plan, role: Role
) -> tuple[list[Finding], dict[str, list[Finding]]]:
    """What file names and transcripts show before a video is read: findings of the folder, and of clips by id."""
    found = [
        one for one in check_file_names(selection) if one.clip is None and (role == "system" or one.code != "extra")
    ]
    if any(observer.needs.transcript or observer.needs.word for observer in plan.observers):
        found += check_texts(selection.clips, ALPHABET, None)  # observers of words report words that they do not know
        found += check_contradictions(selection)
    of_clips: dict[str, list[Finding]] = {}
    for one in found:
        if one.clip is not None:
            of_clips.setdefault(one.clip, []).append(one)
    return [one for one in found if one.clip is None], of_clips


def _damaged_checkpoints(clips: Sequence[ClipScore], weights: Sequence[Weights]) -> list[Finding]:
    """A finding for each checkpoint that gave no finite number for any clip that its observer could see."""
    found = []
    for used in weights:
        failures = [clip.failures.get(used.card.observer) for clip in clips]
        codes = [why.code for why in failures if why is not None]
        seen = codes.count(NOT_FINITE)
        if seen and len(codes) == len(failures):
            named = f"checkpoint {used.card.name!r} ({used.path.name})"
            message = f"{named} gives no finite number for any of {counted(seen, 'clip')}"
            found.append(finding("damaged-checkpoint", None, message))
    return found


def _not_checked(plan: Plan) -> list[str]:
    """What the run does not check, because no observer needs it."""
    needs = [observer.needs for observer in plan.observers]
    parts = {
        "sound": any(need.audio for need in needs),
        "pictures of the real videos": any(need.reference for need in needs),
        "faces": any(need.boxes for need in needs),
        "transcripts": any(need.transcript or need.word for need in needs),
    }
    return [part for part, checked in parts.items() if not checked]


def _too_short_for_sync(observation: Observation, metrics: Sequence[Metric]) -> Iterator[Finding]:
    """A finding if `sound` metrics of sync are measured and the clip is too short for them."""
    whom = {metric.observer for metric in metrics if metric in SYNC_METRICS and metric.arithmetic == "sound"}
    if whom:
        yield from check_sync_length(observation.clip.id, observation.info.frames_expected, tuple(sorted(whom)))


def make_record(observation: Observation, findings: Sequence[Finding], excused: frozenset[str]) -> ClipRecord:
    """The observation without folders, which would show where its user keeps things.

    ``findings`` were made before it; those with a code in ``excused`` are left out.
    """
    clip = observation.clip
    paths = (clip.generated, clip.reference, clip.boxes, clip.landmarks, clip.audio)
    files = [path for path in paths if path is not None]

    def failure(error: ClipError) -> Failure:
        message = error.message
        for path in files:
            message = message.replace(str(path), path.name)
        return Failure(error.code, message)

    failures = {name: failure(error) for name, error in observation.failures.items()}
    kept = [found for found in (*findings, *observation.findings) if found.code not in excused]
    return ClipRecord(
        info=observation.info,
        evidence=observation.evidence,
        failures=failures,
        findings=(*kept, *_findings_of_failures(failures, clip.id, {found.code for found in kept})),
    )


def _findings_of_failures(failures: Mapping[str, Failure], clip_id: str, known: set[str]) -> Iterator[Finding]:
    """A finding for each code of failure that no finding has yet."""
    for code in dict.fromkeys(why.code for why in failures.values()):
        if code not in known:
            whom = tuple(name for name, why in failures.items() if why.code == code)
            yield of_failure(clip_id, code, failures[whom[0]].message, whom)
