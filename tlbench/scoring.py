"""The main job: a folder of generated videos to a result with intervals.

``clips -> plan -> observations (cached) -> records -> tallies -> Result``. :func:`score` does all of it,
:func:`aggregate` the last two steps from the records of an earlier run, without a model.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from tlbench.datasets.clip import Clip
from tlbench.datasets.controls import CONTROLS, control, control_clips, donors, make_controls
from tlbench.datasets.dataset import Selection, load_dataset
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.video import DECODING
from tlbench.metrics.catalogue import find_metrics
from tlbench.metrics.metric import Metric
from tlbench.metrics.protocol import Protocol, selection_mark
from tlbench.observing.boxing import BoxFinder, BoxRule, choose_rule, detector_card
from tlbench.observing.cache import Cache, default_cache
from tlbench.observing.engines import observe
from tlbench.observing.observation import Observation
from tlbench.observing.registry import observer_cards, observer_class, observer_names
from tlbench.observing.runner import ObserverPlan, Plan
from tlbench.observing.weights import Weights, check_names, find_weights
from tlbench.results.provenance import make_provenance
from tlbench.results.record import ClipRecord, Failure, RecordWriter, read_records
from tlbench.results.result import FILE_NAME, Result, Role, load_result
from tlbench.results.result import aggregate as aggregate_records
from tlbench.results.statistics import IntervalSettings

RECORDS_NAME = "records.jsonl"

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
    """

    metrics: tuple[Metric, ...]
    plan: Plan
    weights: tuple[Weights, ...]
    left_out: tuple[str, ...]


def prepare(
    selection: Selection,
    *,
    metrics: Sequence[str] | None = None,
    weights: Mapping[str, Path] | None = None,
    detector: str = "auto",
    smooth: int = 0,
    device: str = "auto",
    cache: Path | None = None,
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
        :func:`tlbench.observing.weights.checkpoint_folder`.
    detector : str
        ``s3fd``, ``haar``, or ``auto``: s3fd if its checkpoint is there.
    smooth : int
        Frames of a running median over detected boxes; 0 as published.
    device : str
        ``cpu``, ``cuda``, or ``auto``.
    cache : Path, optional

    Raises
    ------
    TlbenchError
        Unknown names, or a metric was asked for whose checkpoint is not there.
    """
    given = dict(weights or {})
    asked = metrics if metrics is not None else selection.dataset.metrics
    chosen = find_metrics(asked)
    cards = {name: observer_cards(name) for name in dict.fromkeys(metric.observer for metric in chosen)}
    every_card = [card for name in observer_names() for card in observer_cards(name)]
    check_names(given, [*every_card, detector_card()])

    used: list[Weights] = []
    plans: list[ObserverPlan] = []
    left_out: list[str] = []
    for name, own in cards.items():
        found = find_weights(own, given) if own else None
        if own and found is None:
            way_out = f"download {own[0].url} and pass --weights {own[0].name}={own[0].file}"
            labels = ", ".join(dict.fromkeys(metric.label for metric in chosen if metric.observer == name))
            if metrics is not None:
                raise TlbenchError(f"{labels}: the checkpoint of observer {name!r} is not here; {way_out}")
            left_out.append(f"{labels} left out: no checkpoint of observer {name!r} here; {way_out}")
            continue
        views = tuple(dict.fromkeys(metric.view for metric in chosen if metric.observer == name))
        used += [found] if found else []
        plans.append(ObserverPlan(name, views, *((found.path, found.sha256) if found else ())))
    if not plans:
        raise TlbenchError("; ".join(left_out))
    looking = {plan.name for plan in plans}

    rule = BoxRule("haar")
    if any(observer_class(name).needs.boxes for name in looking):
        rule, found = choose_rule(fixed_box(selection), detector, smooth, given)
        used += [found] if found is not None else []
    return Setup(
        tuple(metric for metric in chosen if metric.observer in looking),
        Plan(tuple(plans), rule, cache or default_cache(), _device(device, any(plan.weights for plan in plans))),
        tuple(used),
        tuple(left_out),
    )


def score(
    generated: Path | str,
    dataset: str,
    data_root: Path | str | None = None,
    *,
    split: str | None = None,
    subset: Path | None = None,
    limit: int | None = None,
    manifest: Path | None = None,
    boxes: Path | None = None,
    metrics: Sequence[str] | None = None,
    weights: Mapping[str, Path] | None = None,
    detector: str = "auto",
    smooth: int = 0,
    device: str = "auto",
    cache: Path | None = None,
    name: str | None = None,
    out: Path | None = None,
    workers: int = 1,
    engine: str = "local",
    seed: int = 0,
    progress: Progress | None = None,
) -> Result:
    """Score one folder of generated videos; :func:`score_all` with a single system and no controls.

    ``result.complete`` says whether every clip was scored; a clip that failed is in the result with its reason.
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
        device=device,
        cache=cache,
        name=name,
        out=out,
        workers=workers,
        engine=engine,
        seed=seed,
        progress=progress,
    )[0]


def score_all(
    generated: Sequence[Path | str],
    dataset: str,
    data_root: Path | str | None = None,
    *,
    split: str | None = None,
    subset: Path | None = None,
    limit: int | None = None,
    manifest: Path | None = None,
    boxes: Path | None = None,
    metrics: Sequence[str] | None = None,
    weights: Mapping[str, Path] | None = None,
    detector: str = "auto",
    smooth: int = 0,
    device: str = "auto",
    cache: Path | None = None,
    name: str | None = None,
    controls: Sequence[str] = (),
    out: Path | None = None,
    workers: int | None = 1,
    engine: str = "local",
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Result]:
    """Score folders of generated videos, one system each, and the control rows if asked.

    Parameters
    ----------
    generated : sequence of path
        Each with one video a clip, named after it.
    dataset, data_root, split, subset, limit, manifest, boxes
        See :func:`tlbench.datasets.dataset.load_dataset`.
    metrics, weights, detector, smooth, device, cache
        See :func:`prepare`.
    name : str, optional
        What tables call the system, if there is one; the folder's name if not given.
    controls : sequence of str
        Ceilings and floors, see :data:`tlbench.datasets.controls.CONTROLS`; ``all`` for each of those.
    out : Path, optional
        ``result.json`` and ``records.jsonl`` go to ``<out>/<name>``, controls with their videos to
        ``<out>/controls/<kind>``; ``tlbench-results`` if not given.
    workers : int or None
        Processes that observe side by side; None for one a core, two at most. A script that asks for more than one
        must call this below ``if __name__ == "__main__":``.
    engine : str
        ``local`` or ``ray``.
    seed : int
        Of the intervals' resampling, and of the controls' choice of foreign speech.
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
    folders = [Path(folder) for folder in generated]
    names = _system_names(folders, name)
    kinds = [known.name for known in CONTROLS] if list(controls) == ["all"] else list(dict.fromkeys(controls))
    workers = workers if workers is not None else min(2, os.cpu_count() or 1)
    out = out or Path("tlbench-results")
    selections = [
        load_dataset(
            dataset,
            None if data_root is None else Path(data_root),
            generated=folder,
            split=split,
            subset=subset,
            limit=limit,
            boxes=boxes,
            manifest=manifest,
        )
        for folder in folders
    ]
    _check_controls(kinds, selections[0])  # before hours are spent
    setup = prepare(
        selections[0], metrics=metrics, weights=weights, detector=detector, smooth=smooth, device=device, cache=cache
    )
    for line in (*setup.left_out, *selections[0].notes, *filter(None, map(_surplus, selections))):
        warnings.warn(line, stacklevel=2)
    results = [
        run(selection, setup, system, out=out / system, workers=workers, engine=engine, seed=seed, progress=progress)
        for system, selection in zip(names, selections, strict=True)
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
        )
    return results


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
        boxes_of=lambda clip: finder.of_clip(clip).xyxy,
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
) -> Result:
    """Observe a selection and write its records and result. The common part of systems and controls."""
    started = datetime.now(timezone.utc)
    settings = IntervalSettings(seed=seed, cluster=selection.dataset.cluster)
    total = len(selection.clips)

    def records() -> Iterator[ClipRecord]:
        seen = observe(setup.plan, selection.clips, workers, engine)
        with RecordWriter(out / RECORDS_NAME) as writer:
            for done, observation in enumerate(seen, start=1):
                record = _record(observation)
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
        selection=_mark(selection),
        role=role,
        interval=settings,
    )
    finished = datetime.now(timezone.utc)
    command = ["tlbench", *sys.argv[1:]]
    result = replace(result, provenance=make_provenance(command, setup.weights, started, finished))
    result.write(out / FILE_NAME)
    return result


def aggregate(folder: Path | str, metrics: Sequence[str] | None = None) -> Result:
    """The result of an earlier run, made anew from its records: no video is read, no model loaded.

    Parameters
    ----------
    folder : path
        Where ``records.jsonl`` and ``result.json`` lie. The latter is replaced.
    metrics : sequence of str, optional
        See :func:`tlbench.metrics.catalogue.find_metrics`; those of the earlier result if not given. All must be of
        observers and views that looked.

    Raises
    ------
    TlbenchError
        If a metric needs evidence the records do not hold.
    """
    folder = Path(folder)
    before = load_result(folder)
    chosen = before.metrics if metrics is None else find_metrics(metrics)
    known = {protocol.view: protocol for protocol in before.protocols.values()}
    protocols = {}
    for metric in chosen:
        view = observer_class(metric.observer).views[metric.view]
        if view not in known:
            raise TlbenchError(
                f"{metric.key}: this run did not look through {view} of {metric.observer!r}; score again with --metrics"
            )
        like = known[view]
        protocols[metric.key] = replace(
            like,
            metric=metric.name,
            version=metric.version,
            aggregation=metric.aggregation,
            arithmetic=metric.arithmetic,
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
    )
    result.write(folder / FILE_NAME)
    return result


def _record(observation: Observation) -> ClipRecord:
    """What stays of an observation when folders are dropped: they say where its user keeps things."""
    clip = observation.clip
    files = [path for path in (clip.generated, clip.reference, clip.boxes, clip.audio) if path is not None]

    def failure(error: ClipError) -> Failure:
        message = error.message
        for path in files:
            message = message.replace(str(path), path.name)
        return Failure(error.code, message)

    return ClipRecord(
        id=clip.id,
        speaker=clip.speaker,
        generated_sha256=observation.generated_sha256,
        reference_sha256=observation.reference_sha256,
        evidence=observation.evidence,
        failures={name: failure(error) for name, error in observation.failures.items()},
        notes=observation.notes,
        frames=observation.frames,
    )


def _protocols(selection: Selection, setup: Setup) -> dict[str, Protocol]:
    plans = {plan.name: plan for plan in setup.plan.observers}
    protocols = {}
    for metric in setup.metrics:
        observer = observer_class(metric.observer)
        protocols[metric.key] = Protocol.of(
            metric,
            dataset=selection.dataset.name,
            split=selection.split,
            view=observer.views[metric.view],
            decoding=DECODING,
            selection=_mark(selection),
            boxes=_boxes_mark(selection.clips, setup.plan.boxes) if observer.needs.boxes else None,
            weights_sha256=plans[metric.observer].weights_sha256,
        )
    return protocols


def _boxes_mark(clips: Iterable[Clip], rule: BoxRule) -> str:
    kinds = {"given" if clip.boxes is not None else rule.identity for clip in clips}
    return "+".join(sorted(kinds))


def _mark(selection: Selection) -> str | None:
    """Part of every protocol id unless the whole published split was scored."""
    if selection.whole:
        return None
    if selection.subset is None and selection.limit is not None:
        return selection_mark(limit=selection.limit)
    return selection_mark(subset=[clip.id for clip in selection.clips])


def fixed_box(selection: Selection) -> tuple[int, int, int, int] | None:
    """The data set's own face box, if it has one."""
    return None if selection.dataset.boxes == "detected" else selection.dataset.boxes


def _device(device: str, networks: bool) -> str:
    """Where networks run. Without one there is no torch to ask, and the answer decides nothing."""
    if re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", device) is None:
        raise TlbenchError(f"no device {device!r}; there are auto, cpu, cuda and cuda:0, cuda:1 ...")
    if device == "cpu" or not networks:
        return "cpu"
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if count else "cpu"
    if int(device.partition(":")[2] or 0) >= count:
        raise TlbenchError(f"device {device!r}: torch sees {count} CUDA devices here; pass --device cpu or auto")
    return device
