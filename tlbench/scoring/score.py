"""The main job: folders of generated videos to results with intervals.

Read from here: :mod:`tlbench.scoring.setup` decides what is measured and with what, :mod:`tlbench.scoring.run` observes
the clips and writes records, :mod:`tlbench.scoring.aggregation` adds their tallies up to a
:class:`tlbench.scoring.result.Result`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlbench.arguments import AnyNames, AnyPath, AnyPaths, AnyWeights, as_names, as_path, as_paths, as_weights
from tlbench.datasets.options import DataOptions
from tlbench.datasets.selection import Selection
from tlbench.errors import TlbenchError
from tlbench.generation.drive import data_or_drive
from tlbench.observing.device import Precision
from tlbench.observing.face_boxes import GuideSource
from tlbench.observing.face_options import FaceOptions
from tlbench.owner import owned
from tlbench.scoring.earlier_result import check_earlier_result
from tlbench.scoring.options import MetricOptions, RunOptions, default_workers
from tlbench.scoring.reader_check import with_readers
from tlbench.scoring.result import FILE_NAME, Result
from tlbench.scoring.run import Progress, run
from tlbench.scoring.setup import Setup, prepare, timed
from tlbench.scoring.system_names import CONTROLS_NAME, OUT_NAME, system_names
from tlbench.scoring.trained_with import with_origin


def score(
    generated: AnyPath,
    dataset: str | None = None,
    data_root: AnyPath | None = None,
    *,
    drive: AnyPath | None = None,
    split: str | None = None,
    subset: AnyPath | None = None,
    limit: int | None = None,
    manifest: AnyPath | None = None,
    boxes: AnyPath | None = None,
    metrics: AnyNames | None = None,
    weights: AnyWeights | None = None,
    real: AnyPath | None = None,
    detector: str = "auto",
    smooth: int = 0,
    face: str = "largest",
    boxes_from: GuideSource = "reference",
    landmarks: AnyPath | None = None,
    views: Mapping[str, str] | None = None,
    trained_with: AnyNames = (),
    device: str = "auto",
    precision: Precision = "fp32",
    cache: AnyPath | None = None,
    allow_short: bool = False,
    strict: bool = False,
    name: str | None = None,
    out: AnyPath | None = None,
    workers: int = 1,
    engine: str = "local",
    seed: int = 0,
    probe: bool = True,
    take_over: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Score one folder of generated videos; :func:`score_all` with a single system and no controls.

    ``result.complete`` says whether every clip was scored and nothing is wrong with the folder; ``result.all_findings``
    says what was found, of each clip and of the folder.
    """
    (result,) = score_all(
        generated,
        dataset,
        data_root,
        drive=drive,
        split=split,
        subset=subset,
        limit=limit,
        manifest=manifest,
        boxes=boxes,
        metrics=metrics,
        weights=weights,
        real=real,
        detector=detector,
        smooth=smooth,
        face=face,
        boxes_from=boxes_from,
        landmarks=landmarks,
        views=views,
        trained_with=trained_with,
        device=device,
        precision=precision,
        cache=cache,
        allow_short=allow_short,
        strict=strict,
        name=name,
        out=out,
        workers=workers,
        engine=engine,
        seed=seed,
        probe=probe,
        take_over=take_over,
        overwrite=overwrite,
        progress=progress,
    )
    return result


def score_all(
    generated: AnyPaths,
    dataset: str | None = None,
    data_root: AnyPath | None = None,
    *,
    drive: AnyPath | None = None,
    split: str | None = None,
    subset: AnyPath | None = None,
    limit: int | None = None,
    manifest: AnyPath | None = None,
    boxes: AnyPath | None = None,
    metrics: AnyNames | None = None,
    weights: AnyWeights | None = None,
    real: AnyPath | None = None,
    detector: str = "auto",
    smooth: int = 0,
    face: str = "largest",
    boxes_from: GuideSource = "reference",
    landmarks: AnyPath | None = None,
    views: Mapping[str, str] | None = None,
    trained_with: AnyNames = (),
    device: str = "auto",
    precision: Precision = "fp32",
    cache: AnyPath | None = None,
    allow_short: bool = False,
    strict: bool = False,
    name: str | None = None,
    controls: AnyNames = (),
    out: AnyPath | None = None,
    workers: int | None = 1,
    engine: str = "local",
    seed: int = 0,
    probe: bool = True,
    contact_sheet: AnyPath | None = None,
    take_over: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Result]:
    """Score folders of generated videos, one system each, and controls if asked.

    Parameters
    ----------
    generated : path, or sequence of path
        Folders with one video for each clip, named after it.
    dataset, data_root, split, subset, limit, manifest, boxes, landmarks
        See :func:`tlbench.datasets.selection.load_dataset`.
    drive : path, optional
        ``drive.json`` of ``tlbench data drive``, which says the data set and its clips: leakage is measured, and each
        folder has the folders ``silent``, ``mismatched`` and ``matched``.
    detector, smooth, face, boxes_from
        See :class:`tlbench.observing.face_options.FaceOptions`.
    metrics, weights, real, views, trained_with, controls, probe, allow_short
        See :class:`tlbench.scoring.options.MetricOptions`. ``controls`` may be ``all``.
    engine, device, precision, cache, seed, strict, take_over, overwrite
        See :class:`tlbench.scoring.options.RunOptions`.
    workers : int or None
        Number of processes that observe; None for one for each core, two at most. A script that asks for more than one
        must call this below ``if __name__ == "__main__":``.
    name : str, optional
        What tables call the system, if there is one; the folder's name if not given.
    out : path, optional
        ``result.json`` and ``records.jsonl`` are written to ``<out>/<name>``, controls with their videos to
        ``<out>/controls/<kind>``; ``tlbench-results`` if not given.
    contact_sheet : path, optional
        Write a PNG that shows what each observer saw of the first clips of each folder.
    progress : callable, optional
        Called after each clip with the system's name, the clip's observation, clips done and clips in all; while
        controls are written, with ``"controls"`` and None.

    Returns
    -------
    list of Result
        The systems in order, then the controls.

    Raises
    ------
    TlbenchError
        If the run can't be done at all: one line with the reason and the way out.

    Warns
    -----
    UserWarning
        If usual metrics are left out because a checkpoint is missing; how the data set was read; what a control can't
        be made of.
    """
    folders = as_paths(generated)
    data = data_or_drive(
        as_path(drive),
        dataset,
        as_path(data_root),
        split=split,
        subset=as_path(subset),
        limit=limit,
        manifest=as_path(manifest),
        boxes=as_path(boxes),
        landmarks=as_path(landmarks),
    )
    measured = MetricOptions(
        as_names(metrics),
        weights=as_weights(weights),
        views=views or {},
        trained_with=as_names(trained_with),
        controls=as_names(controls),
        probe=probe,
        allow_short=allow_short,
        real=as_path(real),
    )
    faces = FaceOptions(detector, smooth, face, boxes_from)
    options = RunOptions(
        default_workers() if workers is None else workers,
        engine,
        device=device,
        precision=precision,
        cache=as_path(cache),
        seed=seed,
        strict=strict,
        take_over=take_over,
        overwrite=overwrite,
    )
    place, sheet = as_path(out), as_path(contact_sheet)
    if isinstance(data, DataOptions):
        return score_folders(
            folders, data, measured, faces, options, name=name, out=place, contact_sheet=sheet, progress=progress
        )
    if sheet is not None:
        raise TlbenchError("--contact-sheet does not go with --drive; leave it out")
    from tlbench.scoring.score_drive import score_drive

    return score_drive(folders, data, measured, faces, options, name=name, out=place, progress=progress)


def score_folders(
    folders: Sequence[Path],
    data: DataOptions,
    measured: MetricOptions,
    faces: FaceOptions,
    options: RunOptions,
    *,
    name: str | None = None,
    out: Path | None = None,
    contact_sheet: Path | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """What :func:`score_all` does, with its options as values."""
    out = out or Path(OUT_NAME)
    job = begin(folders, data, measured, faces, options, name=name, contact_sheet=contact_sheet)
    places = [out / system for system in job.names] + [out / CONTROLS_NAME / kind for kind in job.kinds]
    with owned(*places, take_over=options.take_over), options.kept:
        for system, selection, own in zip(job.names, job.selections, job.setups, strict=True):
            check_earlier_result(out / system, selection, own, system, options)
        for kind in job.kinds:
            place = out / CONTROLS_NAME / kind
            check_earlier_result(place, job.selections[0], job.setup, kind, options, role="control")
        results = [
            run(selection, own, system, options, out=out / system, progress=progress)
            for system, selection, own in zip(job.names, job.selections, job.setups, strict=True)
        ]
        if job.kinds:
            from tlbench.scoring.control_rows import score_controls  # few runs make videos, a second run none

            controls = score_controls(
                job.kinds, job.selections[0], job.setup, options, out=out / CONTROLS_NAME, progress=progress
            )
            results += controls
        if not any(metric.rates_reading for metric in job.setup.metrics):
            return results
        with_blind_rows = with_readers(
            results, job.selections, job.setup, options, probe=measured.probe, progress=progress
        )
        for before, after in zip(results, with_blind_rows, strict=True):
            if after is not before:
                after.write(place_of(after, out) / FILE_NAME)
        return with_blind_rows


@dataclass(frozen=True)
class Job:
    """What is to be done: systems with their clips, controls, and what is measured.

    Attributes
    ----------
    names : list of str
        Of the systems.
    selections : list of Selection
        One for each system.
    kinds : list of str
        Of the controls, which are made of the first selection.
    setup : Setup
        For the controls.
    setups : list of Setup
        For each system, with how its videos were made.
    """

    names: list[str]
    selections: list[Selection]
    kinds: list[str]
    setup: Setup
    setups: list[Setup]


def begin(
    folders: Sequence[Path],
    data: DataOptions,
    measured: MetricOptions,
    faces: FaceOptions,
    options: RunOptions,
    *,
    name: str | None,
    contact_sheet: Path | None = None,
) -> Job:
    """Decide what is to be done, with the errors and warnings of :func:`score_all`, before a clip is scored."""
    names = system_names(folders, name)
    selections = [data.load(folder) for folder in folders]
    kinds: list[str] = []
    if measured.controls:
        from tlbench.scoring.control_rows import check_controls, control_kinds

        kinds = control_kinds(measured.controls)
        check_controls(kinds, selections[0])  # before hours are spent
    setup = prepare(selections[0], measured, faces, options)
    if contact_sheet is not None:
        from tlbench.scoring.system_sheet import draw_system_sheet

        draw_system_sheet(dict(zip(names, selections, strict=True)), setup.plan, contact_sheet)
    selections = [timed(selection, setup) for selection in selections]
    setups = [with_origin(setup, folder) for folder in folders]
    _warn(setup, setups, selections)
    return Job(names, selections, kinds, setup, setups)


def place_of(result: Result, out: Path) -> Path:
    """The folder of a result of a run that writes to ``out``."""
    return out / CONTROLS_NAME / result.name if result.role == "control" else out / result.name


def _warn(setup: Setup, setups: Sequence[Setup], selections: Sequence[Selection]) -> None:
    """Warn about what is left out and what a reader of the numbers must know, each line once."""
    overlaps = dict.fromkeys(line for own in setups for line in own.overlaps)
    extra = filter(None, map(_extra_videos, selections))
    for line in (*setup.left_out, *setup.remarks, *overlaps, *selections[0].notes, *extra):
        warnings.warn(line, stacklevel=5)  # at the caller of score_all


def _extra_videos(selection: Selection) -> str | None:
    """A line about videos that are no clip of the split, and so are not scored."""
    if not selection.extra:
        return None
    named = ", ".join(path.name for path in selection.extra[:3]) + (", ..." if len(selection.extra) > 3 else "")
    return f"{selection.generated}: {len(selection.extra)} of its videos belong to no clip and are left out: {named}"
