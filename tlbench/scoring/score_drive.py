"""Scoring what was generated for a drive: how much of the source video leaks into it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from tlbench.datasets.selection import Selection
from tlbench.errors import TlbenchError
from tlbench.generation.drive import Drive, DriveOptions
from tlbench.litter import remove_litter
from tlbench.observing.engines import observe
from tlbench.observing.face_options import DEFAULT_FACES, FaceOptions
from tlbench.owner import owned
from tlbench.scoring.aggregation import aggregate_like
from tlbench.scoring.drive_parts import PARTS, found_kinds, joined, part_clips, video_hashes
from tlbench.scoring.earlier_result import check_earlier_result
from tlbench.scoring.options import DEFAULT_METRICS, DEFAULT_RUN, MetricOptions, RunOptions
from tlbench.scoring.record import RECORDS_NAME, ClipRecord, RecordWriter
from tlbench.scoring.result import FILE_NAME, Result
from tlbench.scoring.run import Progress, make_record, outline, with_provenance
from tlbench.scoring.score import OUT_NAME, system_names
from tlbench.scoring.setup import Setup, prepare
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
        As for :func:`tlbench.scoring.score.score_folders`.

    Raises
    ------
    TlbenchError
        If the run can't be done at all: one line with the reason and the way out.
    """
    if measured.controls:
        raise TlbenchError("--controls does not go with --drive; score a folder with the source videos in each kind")
    names = system_names(folders, name)
    out = out or Path(OUT_NAME)
    kinds = [found_kinds(folder) for folder in folders]
    read, selection = drive.load()
    setup = prepare(selection, measured, faces, options)
    setups = [_of_folder(setup, folder, there) for folder, there in zip(folders, kinds, strict=True)]
    for line in dict.fromkeys(line for own in setups for line in (*own.left_out, *own.remarks, *own.overlaps)):
        warnings.warn(line, stacklevel=2)
    with owned(*(out / system for system in names), take_over=options.take_over):
        for own, system, folder in zip(setups, names, folders, strict=True):
            hashes = video_hashes(read, selection, folder, _parts(own))
            check_earlier_result(out / system, selection, own, system, options, video_hashes=hashes)
        return [
            _run(read, selection, own, system, folder, options, out=out / system, progress=progress)
            for own, system, folder in zip(setups, names, folders, strict=True)
        ]


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


def _run(
    drive: Drive,
    selection: Selection,
    setup: Setup,
    name: str,
    folder: Path,
    options: RunOptions,
    *,
    out: Path,
    progress: Progress | None,
) -> Result:
    started = datetime.now(timezone.utc)
    for place in (out, setup.plan.cache):
        remove_litter(place, deep=True)
    processors: set[str] = set()
    records = _records(drive, selection, setup, name, folder, options, processors, progress)
    with RecordWriter(out / RECORDS_NAME) as writer:
        for record in records:
            writer.write(record)
    planned, _ = outline(selection, setup, name, options)
    result = aggregate_like(replace(planned, findings=()), records)  # findings of names are of folders of one kind
    result = with_provenance(result, setup, started, processors)
    result.write(out / FILE_NAME)
    return result


def _records(
    drive: Drive,
    selection: Selection,
    setup: Setup,
    name: str,
    folder: Path,
    options: RunOptions,
    processors: set[str],
    progress: Progress | None,
) -> list[ClipRecord]:
    """A record of each source clip. Each part is observed by the observers that its metrics need."""
    wanted = {part: {metric.observer for metric in setup.metrics if part in metric.parts} for part in _parts(setup)}
    by_part: dict[str, list[ClipRecord]] = {}
    done, total = 0, len(wanted) * len(selection.clips)
    for part, observers in wanted.items():
        plan = replace(setup.plan, observers=tuple(one for one in setup.plan.observers if one.name in observers))
        by_part[part] = []
        clips = part_clips(drive, selection, folder, part)
        for observation in observe(plan, clips, options.workers, options.engine, options.ray):
            if observation.processor:
                processors.add(observation.processor)
            by_part[part].append(make_record(observation, (), frozenset()))
            done += 1
            if progress is not None:
                progress(name, observation, done, total)
    return [
        joined(clip, {part: records[number] for part, records in by_part.items()})
        for number, clip in enumerate(selection.clips)
    ]
