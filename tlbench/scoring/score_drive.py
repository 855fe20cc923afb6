"""Scoring what was generated for a drive: how much of the source video leaks into it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from tlbench.datasets.selection import Selection
from tlbench.errors import TlbenchError, quoted
from tlbench.generation.controls import control
from tlbench.generation.drive import DRIVE_NAME, KINDS, Drive, DriveOptions
from tlbench.generation.generation_log import LOG_NAME, driven_by
from tlbench.litter import remove_litter
from tlbench.observing.engines import observe
from tlbench.observing.face_options import DEFAULT_FACES, FaceOptions
from tlbench.owner import owned
from tlbench.scoring.aggregation import aggregate_like
from tlbench.scoring.control_rows import check_controls, control_kinds, control_selections
from tlbench.scoring.drive_parts import PARTS, Videos, found_kinds, found_videos, joined, part_clips, video_hashes
from tlbench.scoring.earlier_result import check_earlier_result
from tlbench.scoring.options import DEFAULT_METRICS, DEFAULT_RUN, MetricOptions, RunOptions
from tlbench.scoring.record import RECORDS_NAME, ClipRecord, RecordWriter
from tlbench.scoring.result import FILE_NAME, Result, Role
from tlbench.scoring.run import Progress, make_record, outline, with_provenance
from tlbench.scoring.setup import Setup, prepare
from tlbench.scoring.system_names import CONTROLS_NAME, OUT_NAME, system_names
from tlbench.scoring.trained_with import with_origin


def score_drive(
    folders: Sequence[Path],
    drive: DriveOptions,
    measured: MetricOptions = DEFAULT_METRICS,
    faces: FaceOptions = DEFAULT_FACES,
    options: RunOptions = DEFAULT_RUN,
    *,
    name: str | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """Score folders of videos that were generated for a drive, one system each.

    Parameters
    ----------
    folders : sequence of Path
        Each with ``silent/<clip id>.mp4``, ``mismatched/...`` and ``matched/...``. If a kind has no folder, its metrics
        are left out.
    drive : DriveOptions
    measured, faces, options, name, out, progress
        As for :func:`tlbench.scoring.score.score_folders`. A control shows the same video in each kind: the source
        video, or with its fault. ``all`` leaves out those that depend on the clip's sound.

    Raises
    ------
    TlbenchError
        If the run can't be done at all: one line with the reason and the way out.
    """
    names = system_names(folders, name)
    out = out or Path(OUT_NAME)
    kinds = [found_kinds(folder) for folder in folders]
    read, selection = drive.load()
    for folder, there in zip(folders, kinds, strict=True):
        _check_drive(read, folder, there)
    controls = _controls(measured.controls, selection)
    setup = prepare(selection, measured, faces, options)
    setups = [_of_folder(setup, folder, there) for folder, there in zip(folders, kinds, strict=True)]
    for line in dict.fromkeys(line for own in setups for line in (*own.left_out, *own.remarks, *own.overlaps)):
        warnings.warn(line, stacklevel=3)  # at the caller of score_all
    jobs = [
        _Job(system, own, found_videos(folder, selection, _kinds(own)), out / system)
        for system, own, folder in zip(names, setups, folders, strict=True)
    ]
    of_controls = out / CONTROLS_NAME
    places = [job.out for job in jobs] + [of_controls / kind for kind in controls]
    with owned(*places, take_over=options.take_over), options.kept:
        for job in jobs:
            hashes = video_hashes(selection, job.videos, _parts(job.setup))
            check_earlier_result(job.out, selection, job.setup, job.name, options, video_hashes=hashes)
        for kind in controls:
            check_earlier_result(of_controls / kind, selection, setup, kind, options, role="control")
        results = [_run(read, selection, job, options, progress) for job in jobs]
        written = control_selections(controls, selection, setup, options, out=of_controls, progress=progress)
        for chosen, kind in written:
            shown = {clip.id: clip.generated for clip in chosen.clips if clip.generated is not None}
            job = _Job(kind, setup, dict.fromkeys(KINDS, shown), of_controls / kind, "control", control(kind).excused)
            results.append(_run(read, selection, job, options, progress))
    return results


@dataclass(frozen=True)
class _Job:
    """A system or control: its videos, what is measured of them, and the folder of its result."""

    name: str
    setup: Setup
    videos: Videos
    out: Path
    role: Role = "system"
    excused: frozenset[str] = frozenset()  # codes of findings that a control's own fault causes


def _check_drive(drive: Drive, folder: Path, kinds: Sequence[str]) -> None:
    """Raises TlbenchError if a log says that videos were generated for another drive, or for another of its kinds."""
    for kind in kinds:
        try:
            said = driven_by(folder / kind)
        except TlbenchError as error:
            if kind != kinds[0]:  # of the first one the setup of the folder warns
                warnings.warn(f"{error}: not checked for which sounds its videos were made", stacklevel=2)
            continue
        if said is not None and said != (drive.sha256, kind):
            which = "another drive" if said[0] != drive.sha256 else f"the sounds of kind {quoted(said[1])}"
            raise TlbenchError(
                f"{folder / kind}: its videos were generated for {which}, says {LOG_NAME}; score them with the "
                f"{DRIVE_NAME} that they were generated for, or generate again"
            )


def _controls(asked: Sequence[str], selection: Selection) -> list[str]:
    """The controls that a drive has, in which all kinds show the same video. Raises TlbenchError for another one."""
    if not asked:
        return []
    kinds = control_kinds(asked)
    of_sound = [kind for kind in kinds if control(kind).needs_donor or control(kind).needs_mouths]
    if of_sound and tuple(asked) != ("all",):
        raise TlbenchError(
            f"control {quoted(of_sound[0])} depends on the clip's own sound, which is not what a drive plays; leave "
            "it out"
        )
    kinds = [kind for kind in kinds if kind not in of_sound]
    check_controls(kinds, selection)
    return kinds


def _of_folder(setup: Setup, folder: Path, kinds: Sequence[str]) -> Setup:
    """The setup without the metrics of kinds for which the folder has no videos."""
    kept = tuple(metric for metric in setup.metrics if all(PARTS[part][0] in kinds for part in metric.parts))
    lost = tuple(
        f"{metric.label} left out: {folder} has no folder {PARTS[part][0]}"
        for metric in setup.metrics
        for part in metric.parts[:1]
        if metric not in kept
    )
    if not kept:
        raise TlbenchError(f"nothing can be measured: {'; '.join(lost)}")
    used = {metric.observer for metric in kept}
    plan = replace(setup.plan, observers=tuple(one for one in setup.plan.observers if one.name in used))
    own = replace(setup, metrics=kept, plan=plan, left_out=(*setup.left_out, *lost))
    return with_origin(own, folder / kinds[0])


def _parts(setup: Setup) -> list[str]:
    """The parts that the metrics of a run look at."""
    return [part for part in PARTS if any(part in metric.parts for metric in setup.metrics)]


def _kinds(setup: Setup) -> list[str]:
    """The kinds of videos in these parts."""
    return list(dict.fromkeys(PARTS[part][0] for part in _parts(setup)))


def _run(drive: Drive, selection: Selection, job: _Job, options: RunOptions, progress: Progress | None) -> Result:
    started = datetime.now(timezone.utc)
    for place in (job.out, job.setup.plan.cache):
        remove_litter(place, deep=True)
    processors: set[str] = set()
    records = _records(drive, selection, job, options, processors, progress)
    with RecordWriter(job.out / RECORDS_NAME) as writer:
        for record in records:
            writer.write(record)
    planned, _ = outline(selection, job.setup, job.name, options, role=job.role, excused=job.excused)
    result = aggregate_like(replace(planned, findings=()), records)  # findings of names are of folders of one kind
    result = with_provenance(result, job.setup, started, processors)
    result.write(job.out / FILE_NAME)
    return result


def _records(
    drive: Drive,
    selection: Selection,
    job: _Job,
    options: RunOptions,
    processors: set[str],
    progress: Progress | None,
) -> list[ClipRecord]:
    """A record of each source clip. Each part is observed by the observers that its metrics need."""
    setup = job.setup
    wanted = {part: {metric.observer for metric in setup.metrics if part in metric.parts} for part in _parts(setup)}
    by_part: dict[str, list[ClipRecord]] = {}
    done, total = 0, len(wanted) * len(selection.clips)
    for part, observers in wanted.items():
        observing = tuple(one for one in setup.plan.observers if one.name in observers)
        plan = replace(setup.plan, observers=observing, excused=job.excused)
        by_part[part] = []
        clips = part_clips(drive, selection, job.videos, part)
        for observation in observe(plan, clips, options.workers, options.engine, options.ray, options.kept):
            if observation.processor:
                processors.add(observation.processor)
            by_part[part].append(make_record(observation, (), job.excused))
            done += 1
            if progress is not None:
                progress(job.name, observation, done, total)
    return [
        joined(clip, {part: records[number] for part, records in by_part.items()})
        for number, clip in enumerate(selection.clips)
    ]
