"""Measures whether each metric sees the faults that it claims to see.

Faults of growing size are put into real videos, which are then scored like the videos of a generator:
``real videos -> faulty videos -> records -> paired differences -> curves, correlations, verdicts``. One fault is made
and scored after the other, so that memory does not grow with the number of faults. Every size that is done is kept, and
an interrupted run continues where it stopped.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from tlbench.calibration.curves import draw_curves
from tlbench.calibration.fault_results import NO_FAULT, FaultResults, records_path
from tlbench.calibration.faulty_videos import CalibrationRun, ClipWarnings, FaultyVideos, SwapSources
from tlbench.calibration.page import calibration_page
from tlbench.calibration.set_curves import make_set_curves
from tlbench.calibration.verdicts import FILE_NAME, Calibration, Curve, make_curves
from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError, quoted
from tlbench.files import write_text_atomically
from tlbench.generation.faults import Fault, find_faults
from tlbench.metrics.catalogue import all_metrics
from tlbench.observing.face_options import FaceOptions
from tlbench.owner import owned
from tlbench.scoring.options import MetricOptions, RunOptions
from tlbench.scoring.provenance import make_provenance
from tlbench.scoring.run import Progress
from tlbench.scoring.setup import Setup, prepare, timed
from tlbench.statistics import IntervalSettings

DRAWING_NAME = "curves.png"
OTHER_DRAWINGS = ("curves.pdf", "curves.svg")  # for papers
PAGE_NAME = "calibration.md"


def calibrate(
    dataset: str,
    data_root: Path | str | None = None,
    *,
    faults: Sequence[str | Fault] | None = None,
    split: str | None = None,
    subset: Path | None = None,
    limit: int | None = None,
    manifest: Path | None = None,
    boxes: Path | None = None,
    landmarks: Path | None = None,
    metrics: Sequence[str] | None = None,
    weights: Mapping[str, Path] | None = None,
    detector: str = "auto",
    smooth: int = 0,
    face: str = "largest",
    views: Mapping[str, str] | None = None,
    device: str = "auto",
    cache: Path | None = None,
    out: Path | None = None,
    workers: int = 1,
    seed: int = 0,
    take_over: bool = False,
    progress: Progress | None = None,
) -> Calibration:
    """Put faults of growing size into the real videos of a data set and measure which metric notices which fault.

    Parameters
    ----------
    dataset, data_root, split, subset, limit, manifest, boxes, landmarks
        See :func:`tlbench.datasets.selection.load_dataset`.
    faults : sequence of str or Fault, optional
        Names of :data:`tlbench.generation.faults.FAULTS`, or faults with other sizes. All if not given.
    metrics, weights, detector, smooth, face, views, device, cache
        See :func:`tlbench.scoring.score.prepare`. Without ``metrics``, all metrics of the observers that have a
        checkpoint here are used, not only headline metrics.
    out : Path, optional
        ``tlbench-calibration`` if not given. Gets ``calibration.json``, ``calibration.md``, ``curves.png``, ``.pdf``,
        ``.svg``, the records in ``points/<fault>/<size>``, and the faulty videos in ``work``, which may be deleted at
        any time.
    workers : int
        Threads that write videos, and processes that observe. With more than one, each size starts new processes,
        which is faster only for many clips.
    seed : int
        Seed of the resampling and of the choice of swapped sound.
    take_over : bool
        Take the folder at once from another run that writes to it; see :func:`tlbench.owner.owned`.
    progress : callable, optional
        As for :func:`tlbench.score`. While videos are written it gets the name of the fault and None.

    Raises
    ------
    TlbenchError
        If the run is not possible: one line with the reason and the way out.

    Warns
    -----
    UserWarning
        What is left out, and which clips can't be given a fault.
    """
    started = datetime.now(timezone.utc)
    chosen = _choose(faults)
    if workers < 1:
        raise TlbenchError(f"workers must be at least 1, got {workers}")
    selection = load_dataset(
        dataset,
        None if data_root is None else Path(data_root),
        split=split,
        subset=subset,
        limit=limit,
        manifest=manifest,
        boxes=boxes,
        landmarks=landmarks,
    )
    if all(clip.reference is None for clip in selection.clips):
        raise TlbenchError(f"{dataset}: has no reference videos to put faults into")

    def set_up(names: Sequence[str] | None) -> Setup:
        measured = MetricOptions(None if names is None else tuple(names), dict(weights or {}), dict(views or {}))
        return prepare(selection, measured, FaceOptions(detector, smooth, face), RunOptions(device=device, cache=cache))

    setup = set_up(metrics)
    left_out = list(setup.left_out)
    if metrics is None:
        observers = {plan.name for plan in setup.plan.observers}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the first call gave the same warnings
            own = (metric for metric in all_metrics() if metric.observer in observers)
            setup = set_up([metric.key for metric in own if not metric.parts])
    job = CalibrationRun(timed(selection, setup), setup, out or Path("tlbench-calibration"), workers, seed, progress)
    clip_warnings = ClipWarnings()
    sources = SwapSources(job, clip_warnings)
    possible, impossible = sources.find(chosen)
    left_out += impossible
    for line in (*left_out, *setup.remarks, *selection.notes):
        warnings.warn(line, stacklevel=2)
    if not possible:
        raise TlbenchError("none of the faults can be put into these clips: " + "; ".join(impossible))
    with owned(job.out, take_over=take_over), job.kept:
        results = FaultResults(job, FaultyVideos(job, sources, clip_warnings))
        found = _measure(job, possible, results)
        found = replace(
            found,
            stand_ins={
                kind: {clip_id: (match.id, match.likeness) for clip_id, match in matches.items()}
                for kind, matches in sources.stand_ins.items()
            },
            left_out=tuple(left_out),
            provenance=make_provenance(["tlbench", *sys.argv[1:]], setup.weights, started, datetime.now(timezone.utc)),
        )
        found.write(job.out / FILE_NAME)
        draw_curves(found, job.out / DRAWING_NAME, others=[job.out / name for name in OTHER_DRAWINGS])
        write_text_atomically(job.out / PAGE_NAME, calibration_page(found))
    return found


def _measure(job: CalibrationRun, faults: Sequence[Fault], results: FaultResults) -> Calibration:
    """Score all sizes of all faults, one fault after the other, and make the curves."""
    settings = IntervalSettings(seed=job.seed, cluster=job.selection.dataset.cluster)
    without = results.score(faults[0], [faults[0].none])[faults[0].none]
    curves: list[Curve] = []
    records: dict[str, dict[str, str]] = {NO_FAULT: {"": records_path(NO_FAULT, None)}}
    failures: dict[str, dict[str, dict[str, int]]] = {NO_FAULT: {"": without.failure_counts}}
    for fault in faults:
        by_size = results.score(fault, fault.grown)
        curves += make_curves(fault, without, by_size, settings)
        curves += make_set_curves(fault, without, by_size, settings.level)
        records[fault.name] = {f"{size:g}": records_path(fault.name, size) for size in by_size}
        failures[fault.name] = {f"{size:g}": result.failure_counts for size, result in by_size.items()}
    return Calibration(
        dataset=job.selection.dataset.name,
        split=job.selection.split,
        selection=without.selection,
        clips=len(job.selection.clips),
        faults=tuple(faults),
        metrics=(*job.setup.metrics, *(score.metric for score in without.sets if score.value is not None)),
        curves=tuple(curves),
        interval=settings,
        records=records,
        failures=_without_empty(failures),
    )


def _choose(faults: Sequence[str | Fault] | None) -> tuple[Fault, ...]:
    if faults is None:
        return find_faults(None)
    chosen = [found for fault in faults for found in ((fault,) if isinstance(fault, Fault) else find_faults([fault]))]
    names = [fault.name for fault in chosen]
    for name in names:
        if names.count(name) > 1 or name in ("", NO_FAULT, ".", "..") or "/" in name or "\\" in name:
            raise TlbenchError(
                f"fault {quoted(name)} is given twice or can't name a folder; give each fault another name"
            )
    if not chosen:
        return find_faults([])
    return tuple(chosen)


def _without_empty(
    failures: Mapping[str, Mapping[str, Mapping[str, int]]],
) -> dict[str, dict[str, Mapping[str, int]]]:
    kept = {fault: {size: counts for size, counts in by_size.items() if counts} for fault, by_size in failures.items()}
    return {fault: by_size for fault, by_size in kept.items() if by_size}
