"""One system's clips to its result: observations (cached) -> records -> tallies -> sums."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from tlbench.checkpoints.weights import Weights
from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection
from tlbench.document import counted
from tlbench.errors import ClipError
from tlbench.litter import remove_litter
from tlbench.metrics.metric import Metric
from tlbench.metrics.sync import METRICS as SYNC_METRICS
from tlbench.observing.device import processor_type
from tlbench.observing.engines import observe
from tlbench.observing.evidence import NOT_FINITE, Observation
from tlbench.observing.observer import HALF_NAME, PACKED_NAME
from tlbench.observing.plan import Plan
from tlbench.observing.registry import observer_class
from tlbench.preflight.findings import Finding, finding, of_failure
from tlbench.preflight.folder import check_file_names
from tlbench.preflight.frames import check_sync_length
from tlbench.preflight.texts import ALPHABET, check_contradictions, check_texts
from tlbench.scoring.aggregation import aggregate_like
from tlbench.scoring.announcement import Announcement, announced
from tlbench.scoring.feature_file import FEATURES_NAME, FeatureWriter
from tlbench.scoring.options import DEFAULT_RUN, RunOptions
from tlbench.scoring.probe import check_training
from tlbench.scoring.protocols import make_protocols, make_set_outlines, mark_of_selection
from tlbench.scoring.provenance import make_provenance, mixed_processors
from tlbench.scoring.record import RECORDS_NAME, ClipRecord, Failure, RecordWriter
from tlbench.scoring.result import FILE_NAME, Result, Role
from tlbench.scoring.set_run import SetFeatures, with_set_scores
from tlbench.scoring.setup import Setup
from tlbench.scoring.shard import Shard
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
    shard: Shard | None = None,
    progress: Progress | None = None,
) -> Result:
    """Observe a selection, and write its records and its result to the folder ``out``.

    Parameters
    ----------
    name : str
        Of the system or control.
    excused : frozenset of str
        Codes of findings to leave out: those that a control's own fault causes.
    shard : Shard, optional
        Observe only the clips of this shard. Their records are written to its own file, and the result that is
        returned has only them; it is not written.
    progress : callable, optional
        Called after each clip.
    """
    started = datetime.now(timezone.utc)
    for folder in (out, setup.plan.cache):
        remove_litter(folder, deep=True)
    result, of_clips = outline(selection, setup, name, options, role=role, excused=excused)
    clips, records = selection.clips, out / RECORDS_NAME
    if shard is not None:
        clips, records = shard.of(clips), shard.records(out)
        result = replace(result, expected=len(clips))
    processors: set[str] = set()
    features = out / FEATURES_NAME if shard is None else shard.features(out)
    about = Announcement(name, result.dataset, result.split, len(clips), started.isoformat(timespec="seconds"))
    with announced(out, about) if shard is None else nullcontext() as say:
        told = progress if say is None else _announcing(say, progress)
        with FeatureWriter(features) if setup.sets else nullcontext() as writer:
            real = None if writer is None or setup.real is None else SetFeatures(writer, setup.real, clips, shard)
            of_run = _records(clips, setup, name, options, records, of_clips, excused, processors, real, told)
            result = aggregate_like(result, of_run)
            if real is not None:
                real.observe_others(setup.plan, options, progress)
        result = with_provenance(result, setup, started, processors)
        if shard is not None:
            return result
        if setup.sets:
            result = with_set_scores(result, [features])
            features.unlink()  # the cache has them
        result.write(out / FILE_NAME)
    return result


def _announcing(say: Callable[[int], None], progress: Progress | None) -> Progress:
    """The progress that also says in the run's folder how many clips came from the cache."""
    from_cache = 0

    def told(name: str, observation: Observation | None, done: int, total: int) -> None:
        nonlocal from_cache
        if observation is not None:
            from_cache += observation.from_cache
            say(from_cache)
        if progress is not None:
            progress(name, observation, done, total)

    return told


def with_provenance(result: Result, setup: Setup, started: datetime, processors: Collection[str]) -> Result:
    """The result of a run that has just ended, with how it was made and with findings about its checkpoints.

    Warns if numbers were computed on more than one of the types of ``processors``; none is this machine's.
    """
    for line in mixed_processors(result.name, processors):
        warnings.warn(line, stacklevel=4)
    provenance = make_provenance(
        ["tlbench", *sys.argv[1:]],
        setup.weights,
        started,
        datetime.now(timezone.utc),
        device=setup.plan.device,
        processors=processors or {processor_type(setup.plan.device)},
        numbers={plan.name: HALF_NAME if plan.half else "float32" for plan in setup.plan.observers if plan.weights},
        products={plan.name: PACKED_NAME for plan in setup.plan.observers if plan.packed},
        generation=None if result.role == "control" else setup.origin,
    )
    return with_damaged_checkpoints(replace(result, provenance=provenance), checkpoint_names(setup.weights))


def outline(
    selection: Selection,
    setup: Setup,
    name: str,
    options: RunOptions = DEFAULT_RUN,
    *,
    role: Role = "system",
    excused: frozenset[str] = frozenset(),
) -> tuple[Result, dict[str, list[Finding]]]:
    """What is known before a video is read: the result without clips, and findings of names and texts by clip id."""
    of_folder, of_clips = _findings_of_names_and_texts(selection, setup.plan, role)
    if setup.weights:
        of_folder += check_training(setup.metrics, setup.weights, selection)
    is_control = role == "control"
    result = Result(
        name=name,
        dataset=selection.dataset.name,
        split=selection.split,
        metrics=setup.metrics,
        protocols=make_protocols(selection, setup),
        clips=(),
        expected=len(selection.clips),
        intervals={},
        interval=IntervalSettings(seed=options.seed, cluster=selection.dataset.cluster),
        selection=mark_of_selection(selection, setup.plan),
        role=role,
        trained_with=() if is_control else setup.trained_with,
        remarks=setup.remarks if is_control else (*setup.remarks, *setup.overlaps),
        findings=tuple(found for found in of_folder if found.code not in excused),
        not_checked=tuple(_not_checked(setup.plan)),
        strict=options.strict,
        sets=make_set_outlines(selection, setup),
    )
    return result, of_clips


def _records(
    clips: Sequence[Clip],
    setup: Setup,
    name: str,
    options: RunOptions,
    path: Path,
    of_clip: Mapping[str, Sequence[Finding]],
    excused: frozenset[str],
    processors: set[str],
    real: SetFeatures | None,
    progress: Progress | None,
) -> Iterator[ClipRecord]:
    """The record of each clip, as it is observed and written. ``processors`` gets the types that computed.

    Features of sets go to the file that ``real`` has for them, and to no record.
    """
    plan = replace(setup.plan, excused=excused, real={} if real is None else real.of_clips)
    with RecordWriter(path) as writer:
        seen = observe(plan, clips, options.workers, options.engine, options.ray, options.kept)
        for done, observation in enumerate(seen, start=1):
            if observation.processor:
                processors.add(observation.processor)
            before = of_clip.get(observation.clip.id, ())
            of_run = (*_too_short_for_sync(observation, setup.metrics), *_unended_reading(observation))
            record = make_record(observation, [*before, *of_run], excused)
            writer.write(record)
            if real is not None:
                real.keep(observation)
            if progress is not None:
                progress(name, observation, done, len(clips))
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


def checkpoint_names(weights: Iterable[Weights]) -> dict[str, str]:
    """What messages call the checkpoint of each observer: ``checkpoint 'syncnet' (syncnet_v2.model)``."""
    return {used.card.observer: f"checkpoint {used.card.name!r} ({used.path.name})" for used in weights}


def with_damaged_checkpoints(result: Result, checkpoints: Mapping[str, str]) -> Result:
    """The result with a finding for each checkpoint that gave no finite number for any clip its observer could see.

    ``checkpoints`` are the :func:`checkpoint_names` by observer.
    """
    found = []
    for observer, named in checkpoints.items():
        failures = [clip.failures.get(observer) for clip in result.clips]
        codes = [why.code for why in failures if why is not None]
        seen = codes.count(NOT_FINITE)
        if seen and len(codes) == len(failures):
            message = f"{named} gives no finite number for any of {counted(seen, 'clip')}"
            found.append(finding("damaged-checkpoint", None, message))
    return replace(result, findings=(*result.findings, *found))


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


def _unended_reading(observation: Observation) -> Iterator[Finding]:
    """A finding if AV-HuBERT's search was cut at its maximum, one token for each frame and the end token."""
    seen = observation.evidence.get("avhubert")
    frames = observation.info.frames
    if seen is not None and frames and "tokens" in seen.values and len(seen.array("tokens")) > frames:
        message = f"AV-HuBERT's text does not end: it was cut at {frames} tokens, one for each frame"
        yield replace(finding("unended-reading", observation.clip.id, message), observers=("avhubert",))


def make_record(observation: Observation, findings: Sequence[Finding], excused: frozenset[str]) -> ClipRecord:
    """The observation without folders, which would show where its user keeps things, and without features of sets.

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
        evidence={name: own for name, own in observation.evidence.items() if not observer_class(name).of_sets},
        failures=failures,
        findings=(*kept, *_findings_of_failures(failures, clip.id, {found.code for found in kept})),
    )


def _findings_of_failures(failures: Mapping[str, Failure], clip_id: str, known: set[str]) -> Iterator[Finding]:
    """A finding for each code of failure that no finding has yet."""
    for code in dict.fromkeys(why.code for why in failures.values()):
        if code not in known:
            whom = tuple(name for name, why in failures.items() if why.code == code)
            yield of_failure(clip_id, code, failures[whom[0]].message, whom)
