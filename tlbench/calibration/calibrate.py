"""Does each metric see what it claims to see? Faults of growing size in real clips, scored like a generator's videos.

``references -> faulty videos -> records -> paired differences -> curves, correlations, verdicts``. One fault is made
and scored after the other, so that memory does not grow with the number of faults; every size that is done is kept,
and an interrupted run goes on.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

import numpy as np

from tlbench.calibration.curves import draw_curves
from tlbench.calibration.page import calibration_page
from tlbench.calibration.verdicts import FILE_NAME, Calibration, Curve, make_curves
from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection, load_dataset
from tlbench.errors import ClipError, TlbenchError
from tlbench.files import write_text_atomically
from tlbench.generation.controls import CODEC, Control, StandIn
from tlbench.generation.faults import VERSION, Fault, find_faults
from tlbench.generation.stand_ins import StandInMatch, envelope, match_stand_ins
from tlbench.generation.write_controls import checked_boxes, donors, read_scene, read_speech, write_scene
from tlbench.media.frame_rows import repeat_last
from tlbench.media.video_reader import read_video
from tlbench.metrics.catalogue import all_metrics
from tlbench.observing.cache import Cache, content_key, content_sha256
from tlbench.observing.face_boxes import BoxFinder
from tlbench.scoring.provenance import make_provenance
from tlbench.scoring.result import FILE_NAME as RESULT_NAME
from tlbench.scoring.result import Result
from tlbench.scoring.result_file import load_result
from tlbench.scoring.score import RECORDS_NAME, Progress, Setup, prepare, run
from tlbench.statistics import IntervalSettings

DRAWING_NAME = "curves.png"
PAGE_NAME = "calibration.md"
MADE_NAME = "made.json"
NONE = "none"  # the folder of the clips without a fault, which all faults share


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
    progress: Progress | None = None,
) -> Calibration:
    """Put faults of growing size into a data set's reference videos and see which metric notices which.

    Parameters
    ----------
    dataset, data_root, split, subset, limit, manifest, boxes, landmarks
        See :func:`tlbench.datasets.selection.load_dataset`.
    faults : sequence of str or Fault, optional
        Names of :data:`tlbench.generation.faults.FAULTS`, or faults with sizes of one's own; all of them if not given.
    metrics, weights, detector, smooth, face, views, device, cache
        See :func:`tlbench.scoring.score.prepare`, except that without ``metrics`` it is everything that the observers
        whose checkpoints are here can tell, headline or not.
    out : Path, optional
        ``tlbench-calibration`` if not given. Gets ``calibration.json``, ``curves.png``, ``calibration.md``, records
        in ``points/<fault>/<size>`` and the faulty videos in ``work``; the latter folder may be deleted at any time.
    workers : int
        Threads that write videos, and processes that observe. With more than one, every size starts its processes
        anew, which pays only for many clips.
    seed : int
        Of the intervals' resampling, and of whose sound is swapped in.
    progress : callable, optional
        As for :func:`tlbench.score`: while videos are written, with the fault's name and None.

    Raises
    ------
    TlbenchError
        If the run can't be done at all: one line saying why, and the way out.

    Warns
    -----
    UserWarning
        What is left out, and which fault a clip could not be given.
    """
    started = datetime.now(timezone.utc)
    chosen = _choose(faults)
    out = out or Path("tlbench-calibration")
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
    setup = prepare(
        selection,
        metrics=metrics,
        weights=weights,
        detector=detector,
        smooth=smooth,
        face=face,
        views=views,
        device=device,
        cache=cache,
    )
    left_out = [*setup.left_out]
    if metrics is None:
        looking = {plan.name for plan in setup.plan.observers}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whatever it says was said just now
            setup = prepare(
                selection,
                metrics=[metric.key for metric in all_metrics() if metric.observer in looking],
                weights=weights,
                detector=detector,
                smooth=smooth,
                face=face,
                views=views,
                device=device,
                cache=cache,
            )
    desk = _Desk(selection, setup, out, workers, seed, progress)
    possible, impossible = desk.gather(chosen)
    left_out += impossible
    for line in (*left_out, *setup.remarks, *selection.notes):
        warnings.warn(line, stacklevel=2)
    if not possible:
        raise TlbenchError("none of the faults can be put into these clips: " + "; ".join(impossible))

    settings = IntervalSettings(seed=seed, cluster=selection.dataset.cluster)
    none = desk.scored(possible[0], [possible[0].none])[possible[0].none]
    curves: list[Curve] = []
    records: dict[str, dict[str, str]] = {NONE: {"": _relative(NONE, None)}}
    failures: dict[str, dict[str, dict[str, int]]] = {NONE: {"": none.failure_counts}}
    for fault in possible:
        grown = desk.scored(fault, fault.grown)
        curves += make_curves(fault, none, grown, settings)
        records[fault.name] = {f"{size:g}": _relative(fault.name, size) for size in grown}
        failures[fault.name] = {f"{size:g}": result.failure_counts for size, result in grown.items()}
    found = Calibration(
        dataset=selection.dataset.name,
        split=selection.split,
        selection=none.selection,
        clips=len(selection.clips),
        faults=tuple(possible),
        metrics=setup.metrics,
        curves=tuple(curves),
        interval=settings,
        records=records,
        failures=_without_empty(failures),
        doubles={
            kind: {clip_id: (pairing.id, pairing.likeness) for clip_id, pairing in pairings.items()}
            for kind, pairings in desk.doubles.items()
        },
        left_out=tuple(left_out),
        provenance=make_provenance(["tlbench", *sys.argv[1:]], setup.weights, started, datetime.now(timezone.utc)),
    )
    found.write(out / FILE_NAME)
    draw_curves(found, out / DRAWING_NAME)
    write_text_atomically(out / PAGE_NAME, calibration_page(found))
    return found


def _choose(faults: Sequence[str | Fault] | None) -> tuple[Fault, ...]:
    if faults is None:
        return find_faults(None)
    chosen = [found for fault in faults for found in ((fault,) if isinstance(fault, Fault) else find_faults([fault]))]
    names = [fault.name for fault in chosen]
    for name in names:
        if names.count(name) > 1 or name in ("", NONE, ".", "..") or "/" in name or "\\" in name:
            raise TlbenchError(f"fault {name!r} is asked for twice, or can't name a folder; give each another name")
    if not chosen:
        return find_faults([])
    return tuple(chosen)


def _relative(fault: str, size: float | None) -> str:
    place = fault if size is None else f"{fault}/{size:g}"
    return f"points/{place}/{RECORDS_NAME}"


def _without_empty(
    failures: Mapping[str, Mapping[str, Mapping[str, int]]],
) -> dict[str, dict[str, Mapping[str, int]]]:
    kept = {fault: {size: counts for size, counts in by_size.items() if counts} for fault, by_size in failures.items()}
    return {fault: by_size for fault, by_size in kept.items() if by_size}


@dataclass(frozen=True)
class _Order:
    """One video to be made: a control of a clip, and the file it goes to, named by all that decides it."""

    control: Control
    path: Path


class _Desk:
    """Makes and scores the clips of a run, size by size."""

    def __init__(
        self, selection: Selection, setup: Setup, out: Path, workers: int, seed: int, progress: Progress | None
    ) -> None:
        self.selection = selection
        self.setup = setup
        self.out = out
        self.workers = workers
        self.seed = seed
        self.progress = progress
        self.clips = {clip.id: clip for clip in selection.clips}
        self.finder = BoxFinder(setup.plan.boxes, Cache(setup.plan.cache / "boxes"))
        self.doubles: dict[str, dict[str, StandInMatch]] = {}
        self._donors: dict[str, str] = {}
        self._sha256: dict[str, str] = {}
        self._told: set[tuple[str, str, str]] = set()

    def gather(self, faults: Sequence[Fault]) -> tuple[list[Fault], list[str]]:
        """Find out whose sound and face can be swapped in: the faults that can be made, and why others can't."""
        possible, impossible = [], []
        for fault in faults:
            kinds = [fault.control(size) for size in fault.grown]
            wanted = {kind.needs_stand_in for kind in kinds if kind.needs_stand_in}
            for kind in sorted(wanted - set(self.doubles)):
                self.doubles[kind] = match_stand_ins(self.selection.clips, self._envelopes(), kind)
            lonely = [kind for kind in sorted(wanted) if not self.doubles[kind]]
            if any(kind.needs_donor for kind in kinds) and len(self.clips) < 2:
                impossible.append(f"fault {fault.name!r} left out: there is one clip only, and no other one's sound")
            elif lonely:
                impossible.append(
                    f"fault {fault.name!r} left out: no clip has another one of {lonely[0]} that says something else "
                    "(or the data set names no speakers)"
                )
            else:
                possible.append(fault)
            if any(kind.needs_donor for kind in kinds) and len(self.clips) > 1 and not self._donors:
                self._donors = donors(list(self.clips), self.seed)
        return possible, impossible

    def _envelopes(self) -> dict[str, np.ndarray]:
        envelopes = {}
        for done, clip in enumerate(self.selection.clips, start=1):
            try:
                envelopes[clip.id] = envelope(read_speech(clip))
            except ClipError as error:
                self._tell("doubles", clip, error)
            if self.progress is not None:
                self.progress("doubles", None, done, len(self.clips))
        return envelopes

    def scored(self, fault: Fault, sizes: Sequence[float]) -> dict[float, Result]:
        """The results of some sizes of a fault; videos that are missing are made first."""
        orders = {size: self._orders(fault, size) for size in sizes}
        done = {size: self._done(fault, size, orders[size]) for size in sizes}
        todo = [size for size in sizes if done[size] is None]
        self._make(fault, [orders[size] for size in todo])
        return {size: done[size] or self._score(fault, size, orders[size]) for size in sizes}

    def _place(self, fault: Fault, size: float) -> Path:
        return self.out / Path(_relative(*((NONE, None) if size == fault.none else (fault.name, size)))).parent

    def _orders(self, fault: Fault, size: float) -> dict[str, _Order]:
        """What has to be there for a size, by clip; clips that can't be given the fault are left out, and said."""
        control = fault.control(size)
        orders = {}
        for clip in self.selection.clips:
            try:
                key = content_key(self._recipe(clip, control))
            except ClipError as error:
                self._tell(fault.name, clip, error)
                continue
            orders[clip.id] = _Order(control, self.out / "work" / key[:2] / f"{key}.mp4")
        return orders

    def _recipe(self, clip: Clip, control: Control) -> dict[str, object]:
        """All that decides a faulty video. Raises ClipError if there is something it can't be made without."""
        recipe: dict[str, object] = {
            "control": control.name,
            "version": VERSION,
            "codec": CODEC,
            "crf": control.crf,
            "reference": self._reference_sha256(clip),
        }
        if control.needs_donor:
            recipe["donor"] = self._reference_sha256(self._donor(clip))
        if control.needs_stand_in:
            double = self.clips[self._pairing(clip, control).id]
            recipe["double"] = self._reference_sha256(double)
            recipe["double_boxes"] = self.finder.identity(double, self._reference_sha256(double))
        if control.needs_boxes:
            recipe["boxes"] = self.finder.identity(clip, self._reference_sha256(clip))
        return recipe

    def _reference_sha256(self, clip: Clip) -> str:
        if clip.id not in self._sha256:
            self._sha256[clip.id] = content_sha256(clip.reference, clip.id, "reference video")
        return self._sha256[clip.id]

    def _donor(self, clip: Clip) -> Clip:
        return self.clips[self._donors[clip.id]]

    def _pairing(self, clip: Clip, control: Control) -> StandInMatch:
        pairing = self.doubles[control.needs_stand_in].get(clip.id)
        if pairing is None:
            raise ClipError(
                "no-double",
                f"clip {clip.id}: no clip of {control.needs_stand_in} with another text can stand in for it",
            )
        return pairing

    def _make(self, fault: Fault, wanted: Sequence[Mapping[str, _Order]]) -> None:
        """Write what is missing, clip by clip, ``workers`` of them at a time."""
        missing: dict[str, list[_Order]] = {}
        for orders in wanted:
            for clip_id, order in orders.items():
                if not order.path.is_file():
                    missing.setdefault(clip_id, []).append(order)
        waiting: deque[tuple[Clip, Future[list[ClipError]]]] = deque()
        done = 0

        def finish() -> None:
            nonlocal done
            clip, future = waiting.popleft()
            for error in future.result():
                self._tell(fault.name, clip, error)
            done += 1
            if self.progress is not None:
                self.progress(fault.name, None, done, len(missing))

        with ThreadPoolExecutor(self.workers) as pool:
            try:
                for clip_id, lacking in missing.items():
                    clip = self.clips[clip_id]
                    while len(waiting) > self.workers:
                        finish()
                    waiting.append(
                        (clip, pool.submit(self._make_clip, clip, lacking, self._found_boxes(clip, lacking)))
                    )
                while waiting:
                    finish()
            finally:
                pool.shutdown(cancel_futures=True)

    def _found_boxes(self, clip: Clip, orders: Sequence[_Order]) -> dict[str, np.ndarray]:
        """Boxes by clip id, of the clip and its double: found here, because a detector serves one thread at a time."""
        wanted = [clip] if any(order.control.needs_boxes for order in orders) else []
        wanted += [
            self.clips[self._pairing(clip, order.control).id] for order in orders if order.control.needs_stand_in
        ]
        found = {}
        for one in wanted:
            if one.id not in found:
                try:
                    found[one.id] = self.finder.of_clip(one).face.xyxy
                except ClipError:
                    continue  # whoever needs them says so
        return found

    def _make_clip(self, clip: Clip, orders: Sequence[_Order], boxes: Mapping[str, np.ndarray]) -> list[ClipError]:
        """Write one clip's videos; what could not be made is returned."""
        try:
            scene = read_scene(clip)
        except ClipError as error:
            return [error]
        failures = []
        donor: np.ndarray | None = None
        doubles: dict[str, StandIn] = {}
        for order in orders:
            control = order.control
            try:
                if control.needs_donor and donor is None:
                    donor = read_speech(self._donor(clip))
                if control.needs_stand_in and control.needs_stand_in not in doubles:
                    doubles[control.needs_stand_in] = self._double(clip, control, len(scene.frames), boxes)
                own = _boxes_of(clip, boxes, len(scene.frames)) if control.needs_boxes else None
                given = replace(scene, boxes=own, donor=donor, stand_in=doubles.get(control.needs_stand_in))
                write_scene(order.path, control.apply(given), control.crf)
            except ClipError as error:
                failures.append(error)
        return failures

    def _double(self, clip: Clip, control: Control, count: int, boxes: Mapping[str, np.ndarray]) -> StandIn:
        pairing = self._pairing(clip, control)
        other = self.clips[pairing.id]
        assert other.reference is not None  # it has speech
        frames = read_video(other.reference)
        place = repeat_last(pairing.place, 0, count)
        return StandIn(frames, _boxes_of(other, boxes, len(frames))).shown_at(place)

    def _done(self, fault: Fault, size: float, orders: Mapping[str, _Order]) -> Result | None:
        """The result of an earlier run, if it was made of the same videos with the same eyes."""
        folder = self._place(fault, size)
        try:
            made = json.loads((folder / MADE_NAME).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        if made != self._made(orders):
            return None
        try:
            result = load_result(folder / RESULT_NAME, self.setup.metrics)
        except TlbenchError:
            return None  # deleted or damaged: made again
        same = {metric.key for metric in result.metrics} == {metric.key for metric in self.setup.metrics}
        return result if same else None

    def _made(self, orders: Mapping[str, _Order]) -> dict[str, str]:
        """What decides a size's result: a note beside it."""
        what = {
            "videos": {clip_id: order.path.stem for clip_id, order in orders.items()},
            "clips": sorted(self.clips),
            "texts": {clip.id: [clip.transcript, clip.word, clip.speaker] for clip in self.selection.clips},
            "observers": [
                [plan.name, list(plan.views), list(plan.modes), plan.weights_sha256]
                for plan in self.setup.plan.observers
            ],
            "metrics": [[metric.key, metric.version] for metric in self.setup.metrics],
            "guides": self._guides,
            "seed": self.seed,
        }
        return {"made": content_key(what)}

    @cached_property
    def _guides(self) -> str:
        """What decides where observers look: boxes and landmarks given with the clips, or the rule."""
        given = [
            content_sha256(path, clip.id, "guide") if path else None
            for clip in self.selection.clips
            for path in (clip.boxes, clip.landmarks)
        ]
        return content_key({"given": given, "rule": self.finder.rule.identity})

    def _score(self, fault: Fault, size: float, orders: Mapping[str, _Order]) -> Result:
        folder = self._place(fault, size)
        (folder / MADE_NAME).unlink(missing_ok=True)
        paths = {clip_id: order.path for clip_id, order in orders.items() if order.path.is_file()}
        clips = [replace(clip, generated=paths.get(clip.id), audio=None) for clip in self.selection.clips]
        result = run(
            replace(self.selection, clips=clips),
            self.setup,
            "no fault" if size == fault.none else f"{fault.name} {size:g}",
            role="control",
            out=folder,
            workers=self.workers,
            seed=self.seed,
            progress=self.progress,
            excused=fault.control(size).excused,
        )
        if all(clip.id not in orders for clip in result.clips if clip.failures):
            write_text_atomically(folder / MADE_NAME, json.dumps(self._made(orders)) + "\n")
        return result

    def _tell(self, what: str, clip: Clip, error: ClipError) -> None:
        said = (what, clip.id, error.code)
        if said not in self._told:  # one size is like another
            self._told.add(said)
            warnings.warn(f"{what}, clip {clip.id}: {error}", stacklevel=2)


def _boxes_of(clip: Clip, boxes: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    if clip.id not in boxes:
        raise ClipError("no-boxes", f"clip {clip.id}: its face boxes can't be found; give them with --boxes")
    return checked_boxes(clip, boxes[clip.id], count)
