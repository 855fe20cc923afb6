"""The main job: a folder of generated videos to a result with intervals.

``clips -> plan -> observations (cached) -> records -> tallies -> Result``. :func:`score` does all of it,
:func:`aggregate` the last two steps from the records of an earlier run, without a model.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, get_args

import numpy as np

from tlbench.arguments import AnyNames, AnyPath, AnyPaths, AnyWeights, as_names, as_path, as_paths, as_weights
from tlbench.checkpoints.card import overlap
from tlbench.checkpoints.catalogue import check_declared, known_cards, observer_cards
from tlbench.checkpoints.weights import Weights, check_names, find_weights
from tlbench.datasets.clip import Clip
from tlbench.datasets.lrw import LRW_WORDS
from tlbench.datasets.selection import Selection, load_dataset
from tlbench.errors import ClipError, TlbenchError
from tlbench.generation.controls import CONTROLS, control
from tlbench.generation.generation_log import origin_of
from tlbench.generation.nearest_mouth import check_enough
from tlbench.generation.write_controls import control_clips, donors, make_controls
from tlbench.media.probe import probe
from tlbench.media.scaling import Size, by, scale_boxes, scale_placements
from tlbench.media.video_reader import DECODING
from tlbench.metrics.catalogue import all_metrics, find_metrics, named_apart
from tlbench.metrics.metric import Metric
from tlbench.metrics.protocol import Protocol, selection_mark
from tlbench.metrics.sync import METRICS as SYNC_METRICS
from tlbench.observing.cache import Cache, default_cache
from tlbench.observing.contact_sheet import draw_contact_sheet
from tlbench.observing.device import Precision, choose_device
from tlbench.observing.engines import observe
from tlbench.observing.evidence import Observation
from tlbench.observing.face_boxes import BoxFinder, BoxRule, GuideSource, choose_rule
from tlbench.observing.mouth_alignment import MouthFinder, mouth_mark
from tlbench.observing.observer import HALF_NAME, Needs, Observer
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.registry import observer_class
from tlbench.observing.view_checks import face_framed
from tlbench.preflight.findings import CATALOGUE, Finding, of_failure
from tlbench.preflight.folder import check_file_names
from tlbench.preflight.frames import check_sync_length
from tlbench.preflight.headers import Expected
from tlbench.preflight.texts import ALPHABET, check_contradictions, check_texts
from tlbench.scoring.aggregation import FROM_RECORDS, with_outdated
from tlbench.scoring.aggregation import aggregate as aggregate_records
from tlbench.scoring.blind_rows import carried
from tlbench.scoring.probe import (
    PROBE,
    BlindReaders,
    check_training,
    probe_clips,
    read_probe,
    reading_plan,
    unpublished,
)
from tlbench.scoring.provenance import make_provenance
from tlbench.scoring.record import ClipRecord, Failure, RecordWriter, read_records
from tlbench.scoring.result import FILE_NAME, Result, Role
from tlbench.scoring.result_file import load_result
from tlbench.statistics import IntervalSettings

RECORDS_NAME = "records.jsonl"
BEFORE_FOLLOWING, FOLLOWED = ("haar", "s3fd"), "+followed"
AUTO_VIEW = "auto"  # what --view takes besides names of views

# System, the clip observed last (None while controls are written), clips done, clips in all.
Progress = Callable[[str, Observation | None, int, int], None]


@dataclass(frozen=True)
class Setup:
    """What a run looks with, whatever folder it looks at.

    Attributes
    ----------
    metrics : tuple of Metric
    plan : Plan
    weights : tuple of Weights
        The checkpoints used, detectors included.
    left_out : tuple of str
        Why metrics that are usually shown are not: one line each.
    remarks : tuple of str
        What a reader of the numbers must know of how they were made: one line each.
    overlaps : tuple of str
        Which observers are no fair judges of the systems. Controls were trained with nothing.
    trained_with : tuple of str
        Checkpoints the system was trained with, as declared.
    origin : mapping or None
        Where the videos come from, if ``tlbench generate`` made them; see
        :func:`tlbench.generation.generation_log.origin_of`.
    """

    metrics: tuple[Metric, ...]
    plan: Plan
    weights: tuple[Weights, ...]
    left_out: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    overlaps: tuple[str, ...] = ()
    trained_with: tuple[str, ...] = ()
    origin: Mapping[str, Any] | None = None

    def view(self, metric: Metric) -> str:
        """The name of the view that a metric of this run reads."""
        return metric.view or next(plan.views[0] for plan in self.plan.observers if plan.name == metric.observer)


def prepare(
    selection: Selection,
    *,
    metrics: Sequence[str] | None = None,
    weights: Mapping[str, Path] | None = None,
    detector: str = "auto",
    smooth: int = 0,
    face: str = "largest",
    boxes_from: GuideSource = "reference",
    views: Mapping[str, str] | None = None,
    trained_with: Sequence[str] = (),
    device: str = "auto",
    precision: Precision = "full",
    cache: Path | None = None,
    allow_short: bool = False,
) -> Setup:
    """Decide what a run looks with: which metrics, so which observers, views, checkpoints and face detector.

    Parameters
    ----------
    selection : Selection
    metrics : sequence of str, optional
        See :func:`tlbench.metrics.catalogue.find_metrics`. Without it: the headline metrics the data set has a use
        for, of those observers whose checkpoint is there.
    weights : mapping of name to Path, optional
        Checkpoints by the name of their card: ``{"syncnet": Path("syncnet_v2.model")}``. Others are looked for in
        :func:`tlbench.checkpoints.weights.checkpoint_folder`.
    detector : str
        ``s3fd``, ``blazeface``, ``haar``, or ``auto``: s3fd if its checkpoint is there, else blazeface.
    smooth : int
        Frames of a running median over detected boxes; 0 as published.
    face : str
        Whose face `sound` numbers follow where there are several: ``largest``, ``central``, or its number from the
        left; see :func:`tlbench.media.people.find_people`.
    boxes_from : "reference" or "generated"
        In which video faces and landmarks are looked for. With the reference a bad generated face can't move its own
        crop, which is why every published number is made that way.
    views : mapping of observer to view, optional
        What a reader looks through, where it is not the view its checkpoint was trained behind:
        ``{"avhubert": "face-framed"}``. ``auto``: that view if frames have the size it was made for, else the one that
        finds the face first and fits the same network.
    trained_with : sequence of str
        Names of the checkpoints the system was trained with; a warning is raised for an observer among their relatives.
    device : str
        ``cpu``, ``cuda``, or ``auto``.
    precision : "full" or "half"
        ``half``: observers that can compute in half precision do. Their protocols say so, and a remark names those that
        can't and compute as ever. On a GPU it is faster; a CPU without instructions for bfloat16 is slower by it.
    cache : Path, optional
    allow_short : bool
        Score videos that stop early as well. The protocols say so, and leaderboards refuse the result.

    Raises
    ------
    TlbenchError
        Unknown names, or a metric was asked for by name whose checkpoint is not there (``all``, ``paper`` and ``sound``
        leave out what can't be measured here).
    """
    if precision not in get_args(Precision):
        raise TlbenchError(f"no precision {precision!r}; there are {' and '.join(get_args(Precision))}")
    given = dict(weights or {})
    asked = metrics if metrics is not None else selection.dataset.metrics
    chosen = find_metrics(asked)
    wordless: list[str] = []
    if metrics is None:
        wordless = _about_nothing(chosen, selection.clips)
        chosen = tuple(metric for metric in chosen if _has_subject(metric, selection.clips))
    cards = {name: observer_cards(name) for name in dict.fromkeys(metric.observer for metric in chosen)}
    every_card = known_cards()
    check_names(given, [card for card in every_card if card.observer])
    check_declared(trained_with, every_card)
    check_views(views or {}, cards)

    used: list[Weights] = []
    plans: list[ObserverPlan] = []
    left_out: list[str] = [*wordless]
    automatic: list[str] = []
    for name, own in cards.items():
        found = find_weights(own, given, selection.dataset.name) if own else None
        if own and found is None:
            way_out = (
                f"run `tlbench checkpoints fetch {own[0].name}`, or download {own[0].url} and pass "
                f"--weights {own[0].name}={own[0].file}"
            )
            labels = ", ".join(dict.fromkeys(metric.label for metric in chosen if metric.observer == name))
            if metrics is not None and any(metric.observer == name for metric in find_metrics(named_apart(metrics))):
                raise TlbenchError(f"{labels}: the checkpoint of observer {name!r} is not here; {way_out}")
            left_out.append(f"{labels} left out: no checkpoint of observer {name!r} here; {way_out}")
            continue
        used += [found] if found else []
        own_metrics = [metric for metric in chosen if metric.observer == name]
        if found is not None:
            why_not = {metric: _why_unfit(metric, found) for metric in _unfit(own_metrics, found)}
            why_not |= dict(unpublished(own_metrics, found, selection.dataset, every_card))
            unfit = list(why_not)
            left_out += why_not.values()
            own_metrics = [metric for metric in own_metrics if metric not in unfit]
            chosen = tuple(metric for metric in chosen if metric not in unfit)
        if own_metrics:
            view = (views or {}).get(name)
            if view == AUTO_VIEW:
                view, why = _auto_view(name, found, selection.clips)
                automatic.append(why)
            plans.append(_observer_plan(name, own_metrics, found, view, precision))
    if not plans:
        raise TlbenchError("; ".join(left_out))
    looking = {plan.name for plan in plans}

    rule, found = choose_rule(selection.fixed_box, detector, smooth, given, boxes_from, face)  # controls use it too
    if any(plan.needs.boxes for plan in plans):
        used += [found] if found is not None else []
    return Setup(
        tuple(metric for metric in chosen if metric.observer in looking),
        Plan(
            tuple(plans),
            rule,
            cache or default_cache(),
            choose_device(device, any(plan.weights for plan in plans)),
            expected=replace(
                Expected.of(selection.dataset), allow_short=allow_short, boxes_of_each=boxes_from == "generated"
            ),
        ),
        tuple(used),
        tuple(left_out),
        (*automatic, *_view_remarks(plans, used, chosen), *(_precision_remarks(plans) if precision == "half" else ())),
        tuple(_overlaps(used, trained_with)),
        tuple(trained_with),
    )


def _unfit(metrics: Iterable[Metric], weights: Weights) -> list[Metric]:
    """Metrics with a view of their own that this network can't look through: the published one, before a small one."""
    kind = observer_class(weights.card.observer)
    return [metric for metric in metrics if metric.view and not kind.fits(metric.view, weights.view)]


def _why_unfit(metric: Metric, weights: Weights) -> str:
    return (
        f"{metric.key} left out: it looks through {metric.view!r}, which the network of checkpoint "
        f"{weights.card.name!r}, trained behind {weights.view}, can't"
    )


def _about_nothing(metrics: Iterable[Metric], clips: Sequence[Clip]) -> list[str]:
    """What is said at once if nobody knows what is said in any clip, so that nothing about reading is measured."""
    if any(clip.transcript or clip.word for clip in clips):
        return []
    dropped = dict.fromkeys(metric.label for metric in metrics if not _has_subject(metric, clips))
    told = f"{', '.join(dropped)} left out: no clip has a transcript, so nothing about reading is measured; for that"
    return [f"{told} {CATALOGUE['no-transcripts'].fix.removeprefix('for word error rates ')}"] if dropped else []


def _has_subject(metric: Metric, clips: Iterable[Clip]) -> bool:
    """Whether some clip has what the metric's observer is asked about: words for one, a sentence for another."""
    needs = observer_class(metric.observer).needs
    if needs.transcript:
        return any(clip.transcript for clip in clips)
    return not needs.word or any(clip.word for clip in clips)


def _observer_plan(
    name: str, metrics: Sequence[Metric], weights: Weights | None, view: str | None, precision: Precision
) -> ObserverPlan:
    """What one observer of a run does for these metrics of its own."""
    kind = observer_class(name)
    chosen = view or (trained_view(kind, weights.view) if weights is not None else kind.default_view)
    named = [metric.view for metric in metrics if metric.view]
    own = [chosen] if len(named) < len(metrics) else []
    views = tuple(dict.fromkeys([*own, *named]))  # the run's own first: Setup.view finds it there
    modes = tuple(sorted({metric.mode for metric in metrics if metric.mode}))
    path, sha256 = (weights.path, weights.sha256) if weights is not None else (None, None)
    return ObserverPlan(name, views, path, sha256, modes, half=precision == "half" and kind.has_half)


def _auto_view(name: str, weights: Weights | None, clips: Sequence[Clip]) -> tuple[str, str]:
    """The view that ``--view NAME=auto`` stands for, and a line that says so. The first clip decides for the run."""
    kind = observer_class(name)
    usual = trained_view(kind, weights.view) if weights is not None else kind.default_view
    view = kind.recipe(usual)
    sizes = _first_sizes(clips)
    chosen = usual
    if view is not None and view.frame_sizes and not all(size in view.frame_sizes for size in sizes):
        chosen = face_framed(kind, view) or usual
    return chosen, f"--view {name}=auto: {chosen}, as frames are {' and '.join(map(by, sizes)) or 'not readable'}"


def _first_sizes(clips: Iterable[Clip]) -> list[Size]:
    """Frame sizes of the first clip whose generated video can be read, and of its real video if that has another."""
    for clip in clips:
        sizes: dict[Size, None] = {}
        for video in filter(None, (clip.generated, clip.reference)):
            try:
                info = probe(video)
            except ClipError:
                continue
            sizes[(info.width, info.height)] = None
        if sizes and clip.generated is not None:
            return list(sizes)
    return []


def trained_view(kind: type[Observer], view: str) -> str:
    """The observer's view of this id, or the one of the same name; the usual one if there is neither."""
    same = [name for name, view_id in kind.views.items() if view_id == view]
    named = view.partition("@")[0]
    return next(iter(same), named if named in kind.views else kind.default_view)


def check_views(views: Mapping[str, str], observers: Iterable[str]) -> None:
    """Raises TlbenchError if a view is asked for that its observer has not, or of an observer that does not look."""
    for name, view in views.items():
        if name not in observers:
            looking = ", ".join(observers)
            raise TlbenchError(f"--view {name}={view}: no metric of this run is of observer {name!r} ({looking})")
        kind = observer_class(name)
        if not kind.default_view:
            raise TlbenchError(f"--view {name}={view}: the metrics of {name!r} name their views themselves")
        if view not in kind.views and view != AUTO_VIEW:
            raise TlbenchError(
                f"--view {name}={view}: there is no such view; there are {AUTO_VIEW}, {', '.join(kind.views)}"
            )
        if view in kind.views and kind.recipe(view) is None:  # what looks through it is another way of measuring
            own = ", ".join(metric.key for metric in all_metrics() if (metric.observer, metric.view) == (name, view))
            raise TlbenchError(f"--view {name}={view}: that view has metrics of its own; ask for them: --metrics {own}")


def _view_remarks(plans: Iterable[ObserverPlan], used: Iterable[Weights], metrics: Sequence[Metric]) -> Iterator[str]:
    """For readers that look through another view than their checkpoint was trained behind."""
    trained = {weights.card.observer: weights for weights in used}
    for plan in plans:
        kind = observer_class(plan.name)
        weights = trained.get(plan.name)
        free = any(metric.observer == plan.name and not metric.view for metric in metrics)
        seen = kind.views[plan.views[0]]
        if weights is not None and free and weights.view != seen:
            yield (
                f"{plan.name} looks through {seen}, but checkpoint {weights.card.name!r} was trained behind "
                f"{weights.view}: its numbers are not comparable with published ones"
            )


def _precision_remarks(plans: Sequence[ObserverPlan]) -> Iterator[str]:
    """Who computes in half precision, and who can't though it was asked for."""
    halves, others = ([plan.name for plan in plans if plan.half is half] for half in (True, False))
    if halves:
        yield (
            f"half precision ({HALF_NAME}): {', '.join(halves)}; these numbers can't be ranked with those of full "
            "precision"
        )
    if others:
        yield f"full precision all the same, as there is no half: {', '.join(others)}"


def with_origin(setup: Setup, generated: Path) -> Setup:
    """The setup for one folder: what its generation note says the generator was trained with counts as declared."""
    try:
        origin = origin_of(generated)
    except TlbenchError as error:
        warnings.warn(f"{error.args[0].partition('; ')[0]}: not recorded how its videos were made", stacklevel=3)
        return setup
    if origin is None:
        return setup
    told = dict.fromkeys([*setup.trained_with, *_experts(origin, setup.weights)])
    names = tuple(name for name in told if name != "none" or len(told) == 1)  # what the note names goes before "none"
    return replace(setup, trained_with=names, overlaps=tuple(_overlaps(setup.weights, names)), origin=origin)


def _experts(origin: Mapping[str, Any], used: Iterable[Weights]) -> list[str]:
    """What a generation note's generator was trained with, as ``--trained-with`` says it: by hash, else by name."""
    expert = origin.get("expert", {})
    same = [weights.card.name for weights in used if weights.sha256 == expert.get("sha256")]
    if same:
        return same
    known = {name for card in known_cards() for name in (card.name, *card.relatives)}
    names = dict.fromkeys([*origin.get("trained_with", ()), *filter(None, [expert.get("name")])])
    return [name if name in known else f"other:{name}" for name in names]


def _overlaps(used: Iterable[Weights], trained_with: Sequence[str]) -> Iterator[str]:
    for weights in used:
        said = overlap(weights.card, trained_with)
        if said is not None:
            yield said


def score(
    generated: AnyPath,
    dataset: str,
    data_root: AnyPath | None = None,
    *,
    split: str | None = None,
    subset: AnyPath | None = None,
    limit: int | None = None,
    manifest: AnyPath | None = None,
    boxes: AnyPath | None = None,
    metrics: AnyNames | None = None,
    weights: AnyWeights | None = None,
    detector: str = "auto",
    smooth: int = 0,
    face: str = "largest",
    boxes_from: GuideSource = "reference",
    landmarks: AnyPath | None = None,
    views: Mapping[str, str] | None = None,
    trained_with: AnyNames = (),
    device: str = "auto",
    precision: Precision = "full",
    cache: AnyPath | None = None,
    allow_short: bool = False,
    strict: bool = False,
    name: str | None = None,
    out: AnyPath | None = None,
    workers: int = 1,
    engine: str = "local",
    seed: int = 0,
    probe: bool = True,
    progress: Progress | None = None,
) -> Result:
    """Score one folder of generated videos; :func:`score_all` with a single system and no controls.

    ``result.complete`` says whether every clip was scored and nothing is wrong with the folder; ``result.all_findings``
    says what was found, of each clip and of the folder.
    """
    return score_all(
        [generated],
        dataset,
        data_root,
        split=split,
        subset=subset,
        limit=limit,
        manifest=manifest,
        boxes=boxes,
        metrics=metrics,
        weights=weights,
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
        progress=progress,
    )[0]


def score_all(
    generated: AnyPaths,
    dataset: str,
    data_root: AnyPath | None = None,
    *,
    split: str | None = None,
    subset: AnyPath | None = None,
    limit: int | None = None,
    manifest: AnyPath | None = None,
    boxes: AnyPath | None = None,
    metrics: AnyNames | None = None,
    weights: AnyWeights | None = None,
    detector: str = "auto",
    smooth: int = 0,
    face: str = "largest",
    boxes_from: GuideSource = "reference",
    landmarks: AnyPath | None = None,
    views: Mapping[str, str] | None = None,
    trained_with: AnyNames = (),
    device: str = "auto",
    precision: Precision = "full",
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
    progress: Progress | None = None,
) -> list[Result]:
    """Score folders of generated videos, one system each, and the control rows if asked.

    Parameters
    ----------
    generated : path, or sequence of path
        Each with one video a clip, named after it.
    dataset, data_root, split, subset, limit, manifest, boxes, landmarks
        See :func:`tlbench.datasets.selection.load_dataset`.
    metrics, weights, detector, smooth, face, boxes_from, views, trained_with, device, precision, cache, allow_short
        See :func:`prepare`.
    strict : bool
        Warnings leave a result incomplete, as errors do. It changes nothing in what is scored.
    name : str, optional
        What tables call the system, if there is one; the folder's name if not given.
    controls : str or sequence of str
        Ceilings and floors, see :data:`tlbench.generation.controls.CONTROLS`; ``all`` for each of those.
    out : Path, optional
        ``result.json`` and ``records.jsonl`` go to ``<out>/<name>``, controls with their videos to
        ``<out>/controls/<kind>``; ``tlbench-results`` if not given.
    workers : int or None
        Processes that observe side by side; None for one a core, two at most. A script that asks for more than one
        must call this below ``if __name__ == "__main__":``.
    engine : str
        ``local`` or ``ray``.
    seed : int
        Of the intervals' resampling, the controls' choice of foreign speech, guesses by chance and the probe's clips.
    probe : bool
        Whether lip readers also read up to 20 reference clips, to tell whether they can read this data set at all.
        With the control ``ground-truth``, all of those are read anyway.
    contact_sheet : Path, optional
        A PNG is written here that shows what each observer saw of the first clips of each folder.
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
        If the run can't be done at all: one line saying why, and the way out.

    Warns
    -----
    UserWarning
        If usual metrics are left out because a checkpoint is missing; how the data set was read; what a control can't
        be made of.
    """
    folders = list(as_paths(generated))
    names = _system_names(folders, name)
    asked = as_names(controls)
    kinds = [known.name for known in CONTROLS] if asked == ("all",) else list(dict.fromkeys(asked))
    workers = workers if workers is not None else min(2, os.cpu_count() or 1)
    out = as_path(out or "tlbench-results")
    selections = [
        load_dataset(
            dataset,
            as_path(data_root),
            generated=folder,
            split=split,
            subset=as_path(subset),
            limit=limit,
            boxes=as_path(boxes),
            landmarks=as_path(landmarks),
            manifest=as_path(manifest),
        )
        for folder in folders
    ]
    _check_controls(kinds, selections[0])  # before hours are spent
    setup = prepare(
        selections[0],
        metrics=as_names(metrics),
        weights=as_weights(weights),
        detector=detector,
        smooth=smooth,
        face=face,
        boxes_from=boxes_from,
        views=views,
        trained_with=as_names(trained_with),
        device=device,
        precision=precision,
        cache=as_path(cache),
        allow_short=allow_short,
    )
    if contact_sheet is not None:
        _draw_contact_sheet(dict(zip(names, selections, strict=True)), setup.plan, Path(contact_sheet))
    setups = [with_origin(setup, folder) for folder in folders]
    overlaps = dict.fromkeys(line for own in setups for line in own.overlaps)
    for line in (
        *setup.left_out,
        *setup.remarks,
        *overlaps,
        *selections[0].notes,
        *filter(None, map(_surplus, selections)),
    ):
        warnings.warn(line, stacklevel=2)
    results = [
        run(
            selection,
            own,
            system,
            out=out / system,
            workers=workers,
            engine=engine,
            seed=seed,
            progress=progress,
            strict=strict,
        )
        for system, selection, own in zip(names, selections, setups, strict=True)
    ]
    if kinds:
        results += _score_controls(
            kinds,
            selections[0],
            setup,
            out=out / "controls",
            workers=workers,
            engine=engine,
            seed=seed,
            progress=progress,
            strict=strict,
        )
    places = [out / "controls" / r.name if r.role == "control" else out / r.name for r in results]
    judged = _with_readers(results, selections, setup, probe, workers, engine, seed, progress)
    for place, before, after in zip(places, results, judged, strict=True):
        if after is not before:
            after.write(place / FILE_NAME)
    return judged


def _with_readers(
    results: list[Result],
    selections: Sequence[Selection],
    setup: Setup,
    probe: bool,
    workers: int,
    engine: str,
    seed: int,
    progress: Progress | None,
) -> list[Result]:
    """The results with rows of blind readers beside them, and whether the readers can read the real clips.

    Those of the control ``ground-truth`` where it was scored; else, if ``probe``, a few. The first results are those of
    the selections, the others are controls of the first selection.
    """
    plan = reading_plan(setup.plan, setup.metrics)
    if plan is None:
        return results
    readers: dict[tuple[Clip, ...], BlindReaders] = {}
    blinds: list[BlindReaders] = []
    for selection in [*selections, *[selections[0]] * (len(results) - len(selections))]:
        asked = tuple(replace(clip, generated=None) for clip in selection.clips)
        if asked not in readers:  # folders without a data set have clips of their own
            readers[asked] = BlindReaders(selection, setup.metrics, plan, seed)
        blinds.append(readers[asked])
    blind = blinds[0]
    truth = next((r for r in results if r.role == "control" and r.name == "ground-truth"), None)
    if truth is not None:
        told = blind.probe(truth, "ground-truth")
    else:
        clips = probe_clips(selections[0].clips, seed) if probe else []

        def seen() -> Iterator[Observation]:
            for done, observation in enumerate(observe(plan, clips, workers, engine), start=1):
                if progress is not None:
                    progress(PROBE, observation, done, len(clips))
                yield observation

        told = blind.probe(read_probe(results[0], seen()), "probe") if clips else None
    return [own.beside(result, told) for own, result in zip(blinds, results, strict=True)]


def _draw_contact_sheet(systems: Mapping[str, Selection], plan: Plan, path: Path) -> None:
    """Before the clips are observed: a wrong crop is seen while there is time to stop."""
    boxes = BoxFinder(plan.boxes, Cache(plan.cache / "boxes"))
    mouths = MouthFinder(Cache(plan.cache / "landmarks"))
    each = plan.boxes.source == "generated"

    def boxes_of(clip: Clip, whose: GuideSource) -> np.ndarray:
        if each or whose == "reference":
            return boxes.of_clip(clip, whose).face.xyxy
        return scale_boxes(boxes.of_clip(clip).face.xyxy, *_sizes(clip))

    def placements_of(clip: Clip, whose: GuideSource) -> np.ndarray:
        if each or whose == "reference":
            return mouths.of_clip(clip, whose)
        return scale_placements(mouths.of_clip(clip), *_sizes(clip))

    draw_contact_sheet(
        {name: selection.clips for name, selection in systems.items()},
        [(observer.name, view) for observer in plan.observers for view in observer.views],
        boxes_of=boxes_of,
        placements_of=placements_of,
        path=path,
    )


def _sizes(clip: Clip) -> tuple[Size, Size]:
    """Of the real and the generated video's frames. Raises ClipError if one is not there or can't be read."""
    for video, whose in ((clip.reference, "real"), (clip.generated, "generated")):
        if video is None:
            raise ClipError("missing", f"clip {clip.id}: there is no {whose} video")
    assert clip.reference is not None
    assert clip.generated is not None
    real, made = probe(clip.reference), probe(clip.generated)
    return (real.width, real.height), (made.width, made.height)


def _system_names(folders: Sequence[Path], name: str | None) -> list[str]:
    """A name for each folder that is also good as a folder's name."""
    if not folders:
        raise TlbenchError("no folder of generated videos was given")
    if name is not None and len(folders) > 1:
        raise TlbenchError(f"--name {name!r} can name one system, but {len(folders)} folders were given")
    names = [name] if name is not None else [folder.resolve().name for folder in folders]
    for found in names:
        if found in ("", ".", "..", "controls") or "/" in found or "\\" in found or "\0" in found:
            raise TlbenchError(
                f"{found!r} can't name a system, its results need a folder of that name; pass another --name"
            )
        if names.count(found) > 1:
            raise TlbenchError(f"two folders are called {found!r}; score them one by one, each with its --name")
    return names


def _surplus(selection: Selection) -> str | None:
    """What is said of videos that are no clip of the split, and so are not scored."""
    if not selection.extra:
        return None
    named = ", ".join(path.name for path in selection.extra[:3]) + (", ..." if len(selection.extra) > 3 else "")
    return f"{selection.generated}: {len(selection.extra)} of its videos belong to no clip and are left out: {named}"


def _check_controls(kinds: Sequence[str], selection: Selection) -> None:
    """Raises TlbenchError for a kind that is none, or clips of which it can't be made."""
    asked = [control(kind) for kind in kinds]
    if asked and any(clip.reference is None for clip in selection.clips):
        raise TlbenchError(
            f"{selection.dataset.name}: controls are made from reference videos, and it has none; leave --controls out"
        )
    if any(kind.needs_donor for kind in asked):
        donors([clip.id for clip in selection.clips])
    if any(kind.needs_mouths for kind in asked):
        check_enough(selection.clips)


def _score_controls(
    kinds: Sequence[str],
    selection: Selection,
    setup: Setup,
    *,
    out: Path,
    workers: int = 1,
    engine: str = "local",
    seed: int = 0,
    progress: Progress | None = None,
    strict: bool = False,
) -> Iterator[Result]:
    """Score the ceiling and the floors of a selection: the reference clips with a known fault put in.

    Their videos and results go to ``out/<kind>``. Results are yielded as they are done.
    """
    finder = BoxFinder(setup.plan.boxes, Cache(setup.plan.cache / "boxes"))

    def tell(clip: Clip, kind: str, error: ClipError) -> None:
        warnings.warn(f"control {kind}, clip {clip.id}: {error}", stacklevel=2)

    folders = make_controls(
        selection.clips,
        out,
        kinds,
        boxes_of=lambda clip: finder.of_clip(clip).face.xyxy,
        boxes_by=finder.decided_by(selection.clips),
        seed=seed,
        progress=None if progress is None else lambda done, total: progress("controls", None, done, total),
        on_failure=tell,
    )
    for kind in kinds:
        chosen = replace(selection, clips=control_clips(selection.clips, kind, folders.get(kind)))
        yield run(
            chosen,
            setup,
            kind,
            role="control",
            out=out / kind,
            workers=workers,
            engine=engine,
            seed=seed,
            progress=progress,
            excused=control(kind).excused,
            strict=strict,
        )


def run(
    selection: Selection,
    setup: Setup,
    name: str,
    *,
    out: Path,
    role: Role = "system",
    workers: int = 1,
    engine: str = "local",
    seed: int = 0,
    progress: Progress | None = None,
    excused: frozenset[str] = frozenset(),
    strict: bool = False,
) -> Result:
    """Observe a selection and write its records and result. The common part of systems and controls.

    ``excused`` are the codes of findings that are left out: those a control's own fault causes. ``strict``: warnings
    leave the result incomplete.
    """
    started = datetime.now(timezone.utc)
    settings = IntervalSettings(seed=seed, cluster=selection.dataset.cluster)
    total = len(selection.clips)
    of_folder, of_clips = _told_beforehand(selection, setup.plan, role)
    of_folder += check_training(setup.metrics, setup.weights, selection)

    def records() -> Iterator[ClipRecord]:
        seen = observe(replace(setup.plan, excused=excused), selection.clips, workers, engine)
        with RecordWriter(out / RECORDS_NAME) as writer:
            for done, observation in enumerate(seen, start=1):
                told = [*of_clips.get(observation.clip.id, ()), *_too_short_for_sync(observation, setup.metrics)]
                record = _record(observation, told, excused)
                writer.write(record)
                if progress is not None:
                    progress(name, observation, done, total)
                yield record

    result = aggregate_records(
        records(),
        setup.metrics,
        _protocols(selection, setup),
        name=name,
        dataset=selection.dataset.name,
        split=selection.split,
        expected=total,
        selection=_mark(selection, setup.plan),
        role=role,
        interval=settings,
        findings=[found for found in of_folder if found.code not in excused],
        not_checked=_not_checked(setup.plan),
        strict=strict,
        trained_with=() if role == "control" else setup.trained_with,
        remarks=setup.remarks if role == "control" else (*setup.remarks, *setup.overlaps),
    )
    finished = datetime.now(timezone.utc)
    command = ["tlbench", *sys.argv[1:]]
    result = replace(
        result,
        provenance=make_provenance(
            command,
            setup.weights,
            started,
            finished,
            numbers={plan.name: HALF_NAME if plan.half else "float32" for plan in setup.plan.observers if plan.weights},
            generation=None if role == "control" else setup.origin,
        ),
    )
    result.write(out / FILE_NAME)
    return result


def aggregate(folder: AnyPath, metrics: AnyNames | None = None) -> Result:
    """The result of an earlier run, made anew from its records: no video is read, no model loaded.

    Parameters
    ----------
    folder : path
        Where ``records.jsonl`` and ``result.json`` lie. The latter is replaced.
    metrics : sequence of str, optional
        See :func:`tlbench.metrics.catalogue.find_metrics`; those of the earlier result if not given. All must be of
        observers and views that looked. Without it, numbers of older versions of metrics are kept as they are.

    Raises
    ------
    TlbenchError
        If a metric needs evidence the records do not hold.
    """
    folder = Path(folder)
    before = load_result(folder)
    chosen = tuple(metric for metric in before.metrics if not metric.outdated)
    outdated = tuple(metric for metric in before.metrics if metric.outdated) if metrics is None else ()
    if metrics is not None:
        chosen = find_metrics(as_names(metrics))
    # Views are told apart by observer: a metric that leaves its view to the run reads the one its observer had.
    known = {(metric.observer, metric.view): before.protocols[metric.key] for metric in before.metrics}
    protocols = {}
    for metric in chosen:
        like = known.get((metric.observer, metric.view))
        if like is None:
            raise TlbenchError(
                f"{metric.key}: this run did not look through {metric.view or 'any view'} of {metric.observer!r}; "
                "score again with --metrics"
            )
        protocols[metric.key] = replace(
            like,
            metric=metric.name,
            version=metric.version,
            aggregation=metric.aggregation,
            arithmetic=metric.arithmetic,
            rule=metric.rule or None,
        )
    result = aggregate_records(
        read_records(folder / RECORDS_NAME),
        chosen,
        protocols,
        name=before.name,
        dataset=before.dataset,
        split=before.split,
        expected=before.expected,
        selection=before.selection,
        role=before.role,
        provenance=before.provenance,
        interval=before.interval,
        trained_with=before.trained_with,
        remarks=before.remarks,
        findings=[found for found in before.findings if found.code not in FROM_RECORDS],
        not_checked=before.not_checked,
        strict=before.strict,
    )
    if outdated:
        result = with_outdated(result, before, outdated)
    result = carried(before, result)
    result.write(folder / FILE_NAME)
    return result


def _told_beforehand(selection: Selection, plan: Plan, role: Role) -> tuple[list[Finding], dict[str, list[Finding]]]:
    """What names and texts tell without a look into a video: findings of the folder, and those of clips by id."""
    found = [
        told for told in check_file_names(selection) if told.clip is None and (role == "system" or told.code != "extra")
    ]
    if any(observer.needs.transcript or observer.needs.word for observer in plan.observers):
        found += check_texts(selection.clips, ALPHABET, None if selection.dataset.own_words else LRW_WORDS)
        found += check_contradictions(selection)
    of_clips: dict[str, list[Finding]] = {}
    for told in found:
        if told.clip is not None:
            of_clips.setdefault(told.clip, []).append(told)
    return [told for told in found if told.clip is None], of_clips


def _not_checked(plan: Plan) -> list[str]:
    """What the checks of a run leave out, because no observer needs it."""
    needs = [observer.needs for observer in plan.observers]
    parts = {
        "sound": any(need.audio for need in needs),
        "pictures of the real videos": any(need.reference for need in needs),
        "faces": any(need.boxes for need in needs),
        "transcripts": any(need.transcript or need.word for need in needs),
    }
    return [part for part, looked in parts.items() if not looked]


def _too_short_for_sync(observation: Observation, metrics: Sequence[Metric]) -> Iterator[Finding]:
    """Whether the clip itself is too short for the ``sound`` numbers of sync, where some are asked for."""
    whom = {metric.observer for metric in metrics if metric in SYNC_METRICS and metric.arithmetic == "sound"}
    if whom:
        yield from check_sync_length(observation.clip.id, observation.frames_expected, tuple(sorted(whom)))


def _record(observation: Observation, told: Sequence[Finding], excused: frozenset[str]) -> ClipRecord:
    """What stays of an observation when folders are dropped: they say where its user keeps things."""
    clip = observation.clip
    paths = (clip.generated, clip.reference, clip.boxes, clip.landmarks, clip.audio)
    files = [path for path in paths if path is not None]

    def failure(error: ClipError) -> Failure:
        message = error.message
        for path in files:
            message = message.replace(str(path), path.name)
        return Failure(error.code, message)

    failures = {name: failure(error) for name, error in observation.failures.items()}
    return ClipRecord(
        id=clip.id,
        speaker=clip.speaker,
        generated_sha256=observation.generated_sha256,
        reference_sha256=observation.reference_sha256,
        evidence=observation.evidence,
        failures=failures,
        frames=observation.frames,
        word=clip.word,
        frames_expected=observation.frames_expected,
        findings=tuple(_findings([*told, *observation.findings], failures, clip.id, excused)),
        pictures_sha256=observation.pictures_sha256,
    )


def _findings(
    found: Sequence[Finding], failures: Mapping[str, Failure], clip_id: str, excused: frozenset[str]
) -> Iterator[Finding]:
    """What was found of a clip, and every failure that no finding has told."""
    told = [finding for finding in found if finding.code not in excused]
    yield from told
    codes = {finding.code for finding in told}
    for code in dict.fromkeys(why.code for why in failures.values()):
        if code not in codes:
            whom = tuple(name for name, why in failures.items() if why.code == code)
            yield of_failure(clip_id, code, failures[whom[0]].message, whom)


def _protocols(selection: Selection, setup: Setup) -> dict[str, Protocol]:
    plans = {plan.name: plan for plan in setup.plan.observers}
    protocols = {}
    for metric in setup.metrics:
        plan = plans[metric.observer]
        kind = observer_class(metric.observer)
        followed = metric.arithmetic == "sound" or kind.needs_for((setup.view(metric),), plan.modes).framing
        protocols[metric.key] = Protocol.of(
            metric,
            dataset=selection.dataset.name,
            split=selection.split,
            view=kind.views[setup.view(metric)],
            decoding=DECODING,
            selection=_mark(selection, setup.plan),
            boxes=_guide_mark(selection.clips, setup.plan.boxes, plan.needs, followed=followed),
            weights_sha256=plan.weights_sha256,
            numbers=HALF_NAME if plan.half else None,
        )
    return protocols


def _guide_mark(clips: Iterable[Clip], rule: BoxRule, needs: Needs, *, followed: bool) -> str | None:
    """Where an observer was told to look: by which boxes, or by which landmarks.

    ``followed``: whether what it sees depends on whose face is followed and on frames without one, not on the best box
    of each frame alone. With the detectors that were there before faces were followed, the id says so.
    """
    # Where each video has its own, what is given is used for the real one alone.
    of_both = rule.source == "reference"
    used = of_both or needs.reference
    if needs.placements:
        found = mouth_mark(rule.source)
        given = "given" if of_both else f"given+{found}"
        kinds = {f"landmarks:{given if clip.landmarks is not None and used else found}" for clip in clips}
    elif needs.boxes:
        how = FOLLOWED if followed and rule.detector in BEFORE_FOLLOWING else ""
        given = "given" if of_both else f"given+{rule.search}@each"
        found = f"{rule.identity}{how}" if of_both else (rule.identity if used else f"{rule.search}@each")
        kinds = {given if clip.boxes is not None and used else found for clip in clips}
    else:
        return None
    return "+".join(sorted(kinds))


def _mark(selection: Selection, plan: Plan) -> str | None:
    """Part of every protocol id unless the whole published split was scored, and only whole clips of it."""
    short = plan.expected.allow_short
    if selection.whole:
        return selection_mark(short=short)
    if selection.subset is None and selection.limit is not None:
        return selection_mark(limit=selection.limit, short=short)
    return selection_mark(subset=[clip.id for clip in selection.clips], short=short)
