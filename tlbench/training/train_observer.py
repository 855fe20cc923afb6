"""``train_observer``: from a data set and the name of an observer to a package that it reads with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlbench.arguments import CountCallback
from tlbench.checkpoints.card import Domain
from tlbench.checkpoints.catalogue import known_cards
from tlbench.checkpoints.package import open_package
from tlbench.checkpoints.weights import locate
from tlbench.datasets.selection import Selection, load_dataset
from tlbench.errors import ClipError, TlbenchError
from tlbench.observing.cache import default_cache
from tlbench.observing.domain import domain_of
from tlbench.observing.face_boxes import EMBEDDED, choose_rule
from tlbench.observing.registry import observer_class
from tlbench.training.devices import Precision, make_fabric
from tlbench.training.run_folder import claim
from tlbench.training.sample_dataset import SampleDataset, SampleSpec
from tlbench.training.schedule import Schedule
from tlbench.version import VERSION

if TYPE_CHECKING:
    from tlbench.training.loop import TrainingReport

FREE_SETTINGS = frozenset({"steps", "validate_every", "version"})  # may change between two parts of one training


@dataclass(frozen=True)
class TrainedObserver:
    """What :func:`train_observer` did.

    Attributes
    ----------
    best : Path
        The package of the best judgement; its folder can be given to ``--weights``.
    metric : str
    value : float or None
        Of the best judgement, on the validation part.
    step, steps : int
        Updates done and planned.
    failures : dict of clip id to ClipError
        Clips that could not be learned from.
    """

    best: Path
    metric: str
    value: float | None
    step: int
    steps: int
    failures: dict[str, ClipError]


def train_observer(
    observer: str,
    dataset: str,
    out: Path,
    data_root: Path | None = None,
    *,
    size: str | Mapping[str, Any] = "small",
    view: str | None = None,
    schedule: Schedule | None = None,
    train_split: str = "train",
    val_split: str = "val",
    start: Path | None = None,
    half: bool = False,
    accelerator: str = "auto",
    devices: int = 1,
    precision: Precision = "32-true",
    loaders: int = 0,
    cache: Path | None = None,
    max_seconds: float | None = None,
    prepared: CountCallback | None = None,
    tell: Callable[[TrainingReport], None] | None = None,
) -> TrainedObserver:
    """Train an observer, or go on with a training that was interrupted.

    Parameters
    ----------
    observer : str
        ``avhubert``, ``conformer``, ``mvm`` or ``syncnet``.
    dataset, data_root, train_split, val_split
        Where its lessons come from. Nothing of another split is read.
    out : Path
        A folder; if it holds a training with the same settings, that one is continued.
    size : str or mapping
        One of the observer's sizes, or its dimensions.
    view : str or None
        One of the observer's views; None is the one its size is made for.
    schedule : Schedule or None
        None is the default one.
    start : Path or None
        A checkpoint or package to begin with instead of chance, or the name of one that is here; its size and
        vocabulary are kept.
    half : bool
        Store the package in half precision.
    accelerator, devices, precision
        Lightning Fabric's: ``auto``, ``cpu``, ``cuda``; how many; ``32-true``, ``bf16-mixed``, ``16-mixed``.
    loaders : int
        Processes that prepare batches.
    cache : Path or None
        Where lessons are kept; None is tlbench's own.
    max_seconds : float or None
        Stop after so long, with everything saved.

    Raises
    ------
    TlbenchError
        One line: the extra is not installed, the data set lacks a split, the folder holds another training ...
    """
    began = time.monotonic()
    schedule = schedule or Schedule()
    fabric = make_fabric(accelerator, devices, precision, out)
    from tlbench.training.loop import BEST_NAME, TrainingLoop

    learner_class = observer_class(observer).learner()
    if start is not None:
        start = locate(start, [card for card in known_cards() if card.observer == observer], "from")
    train = load_dataset(dataset, data_root, split=train_split)
    exam = load_dataset(dataset, data_root, split=val_split, limit=schedule.judged_clips or None)
    chosen = view or learner_class.view_for(size, train.dataset.frame_size)
    rule = _rule(observer, chosen, train, learner_class.listens)
    settings = {
        "version": VERSION,
        "observer": observer,
        "size": size if isinstance(size, str) else dict(size),
        "view": chosen,
        "dataset": dataset,
        "splits": [train_split, val_split],
        "start": None if start is None else start.name,
        "precision": precision,
        "devices": devices,
        **schedule.to_json(),
    }
    claim(out, settings, FREE_SETTINGS)
    folder = cache if cache is not None else default_cache()
    books = [SampleDataset(selection, rule, folder) for selection in (train, exam)]
    for book in books:
        book.prepare(prepared or _silent)
    curriculum = books[0].curriculum()
    for book in books:
        book.label_by(curriculum)
    if start is None:
        learner = learner_class.begin(size, curriculum, schedule.seed)
    else:
        package = open_package(start, observer_class(observer).read_published)
        learner = learner_class.restore(package, start, curriculum, schedule.seed)
    training = TrainingLoop(
        learner,
        books[0],
        books[1],
        out,
        schedule,
        fabric,
        half=half,
        loaders=loaders,
        note={name: settings[name] for name in ("version", "dataset", "size", "steps", "seed")}
        | {"domain": _domain(observer, train, chosen).to_json()},
        view=observer_class(observer).views[chosen],
    )
    at = training.run(tell or _quiet, None if max_seconds is None else began + max_seconds)
    failures = {**books[0].failures, **books[1].failures}
    return TrainedObserver(out / BEST_NAME, learner.metric, at.best, at.step, schedule.steps, failures)


def _rule(observer: str, view: str, selection: Selection, listens: bool) -> SampleSpec:
    """How clips become lessons: faces are looked for as in scoring."""
    found = observer_class(observer)
    if view not in found.views:
        raise TlbenchError(f"{observer} has no view {view!r}; there are {', '.join(found.views)} (--view)")
    recipe = found.recipe(view)
    if recipe is None or recipe.aligns_mouth:
        raise TlbenchError(f"{observer} can't be trained through its view {view!r}; choose another (--view)")
    boxes, _ = choose_rule(selection.fixed_box, EMBEDDED, 0, {})
    return SampleSpec(recipe, boxes, listens)


def _domain(observer: str, train: Selection, view: str) -> Domain:
    """What the network will know, so that scoring can tell clips that it does not."""
    needs = observer_class(observer).needs
    return domain_of(train.dataset, train.clips, view, reads=needs.transcript or needs.word)


def _silent(done: int, total: int) -> None:
    pass


def _quiet(report: TrainingReport) -> None:
    pass
