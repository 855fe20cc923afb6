"""``train_observer``: train an observer's network on a data set and keep the best checkpoint as a package."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlbench.arguments import CountCallback
from tlbench.checkpoints.catalogue import known_cards
from tlbench.checkpoints.package import open_package
from tlbench.checkpoints.weights import locate
from tlbench.datasets.selection import Selection, load_dataset
from tlbench.errors import ClipError, TlbenchError, listed, quoted
from tlbench.observing.cache import default_cache
from tlbench.observing.domain import domain_of
from tlbench.observing.face_boxes import EMBEDDED, choose_rule
from tlbench.observing.registry import observer_class
from tlbench.training.devices import FABRIC_PRECISION, Precision, make_fabric
from tlbench.training.preprocessed import PreprocessedDataset
from tlbench.training.registry import find_trainable
from tlbench.training.run_folder import claim, owned_run
from tlbench.training.sample_dataset import SampleDataset, SampleSpec
from tlbench.training.schedule import Schedule
from tlbench.training.trainable import LabelInventory
from tlbench.version import VERSION

if TYPE_CHECKING:
    from tlbench.training.loop import TrainingReport
    from tlbench.training.trainable import Trainable

MAY_CHANGE = frozenset({"steps", "validate_every", "version"})  # settings that may differ when a run is resumed


@dataclass(frozen=True)
class TrainingDevices:
    """Where a training run computes.

    Attributes
    ----------
    accelerator : str
        Lightning Fabric's name: ``auto``, ``cpu``, ``cuda``.
    devices : int
        How many of them.
    precision : "fp32" or "bf16"
        ``bf16`` keeps the weights in float32 and computes products in bfloat16.
    num_workers : int
        Processes that prepare batches; 0 prepares them in the training process.
    """

    accelerator: str = "auto"
    devices: int = 1
    precision: Precision = "fp32"
    num_workers: int = 0


@dataclass(frozen=True)
class TrainedObserver:
    """The outcome of :func:`train_observer`.

    Attributes
    ----------
    best : Path
        The package of the best checkpoint; ``--weights`` takes it.
    metric : str
        Key of the metric that chose it.
    value : float or None
        The metric on the validation set; None if training ended before the first validation.
    step, steps : int
        Steps done and planned.
    failures : dict of clip id to ClipError
        Clips that could not be used.
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
    boxes: Path | None = None,
    init_from: Path | None = None,
    save_fp16: bool = False,
    devices: TrainingDevices | None = None,
    cache: Path | None = None,
    max_seconds: float | None = None,
    take_over: bool = False,
    on_prepared: CountCallback | None = None,
    on_report: Callable[[TrainingReport], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> TrainedObserver:
    """Train an observer, or resume a run that was interrupted.

    Parameters
    ----------
    observer : str
        ``autoavsr``, ``avhubert``, ``conformer``, ``mvm``, ``mvm-aligned``, ``syncnet``, or another observer with a
        ``trainable``; ``wav2lip-sync`` for the sync expert that Wav2Lip is trained with.
    dataset, data_root, train_split, val_split
        The clips. No other split is read.
    boxes : Path or None
        Folder of face boxes, one ``.npy`` (T, 4) for each clip; None is the data set's own, or they are found.
    out : Path
        The run folder. If it holds a run with the same settings, that run is resumed.
    size : str or mapping
        One of the observer's sizes by name, or the dimensions of its network.
    view : str or None
        One of the observer's views; None is the one for this size.
    schedule : Schedule or None
        None is the default schedule.
    init_from : Path or None
        Start with the weights of this checkpoint file or package (or of a known checkpoint, by name). Its size and
        vocabulary are kept. None starts with random weights.
    save_fp16 : bool
        Store the package in float16.
    devices : TrainingDevices or None
        None is one device of Lightning Fabric's choice in float32.
    cache : Path or None
        Where preprocessed clips are stored; None is tlbench's cache.
    max_seconds : float or None
        Stop after this time, with everything saved.
    take_over : bool
        Take the folder at once from another run that writes to it; see :func:`tlbench.owner.owned`.
    on_prepared, on_report : callable or None
        Called with the number of clips preprocessed so far and in all; with a report every 50 steps and after each
        validation.
    stop : callable or None
        Called after each step; True stops the training, with everything saved.

    Raises
    ------
    TlbenchError
        If the extra ``train`` is not installed, the data set lacks a split, the folder holds another run ...
    """
    started = time.monotonic()
    schedule, devices = schedule or Schedule(), devices or TrainingDevices()
    fabric = make_fabric(devices.accelerator, devices.devices, devices.precision, out)
    from tlbench.training.loop import BEST_NAME, TrainingLoop

    kind = find_trainable(observer)
    if init_from is not None:
        init_from = locate(init_from, [card for card in known_cards() if card.observer == observer], "init-from")
    train = load_dataset(dataset, data_root, split=train_split, boxes=boxes, split_option="--train-split")
    val = load_dataset(
        dataset,
        data_root,
        split=val_split,
        limit=schedule.val_clips or None,
        boxes=boxes,
        split_option="--val-split",
    )
    view = view or kind.view_for(size, train.dataset.frame_size)
    if view not in kind.views():
        raise TlbenchError(f"{observer} has no view {quoted(view)}{listed(view, kind.views())} (--view)")
    folder = cache if cache is not None else default_cache()
    train_set, val_set = (_clips(kind, selection, view, folder) for selection in (train, val))
    settings = {
        "version": VERSION,
        "observer": observer,
        "size": size if isinstance(size, str) else dict(size),
        "view": view,
        "dataset": dataset,
        "splits": [train_split, val_split],
        "boxes": None if boxes is None else "given",
        "start": None if init_from is None else init_from.name,
        "precision": FABRIC_PRECISION[devices.precision],
        "devices": devices.devices,
        **schedule.to_json(),
    }

    def stops() -> bool:
        return (stop is not None and stop()) or (max_seconds is not None and time.monotonic() >= started + max_seconds)

    with owned_run(out, take_over=take_over):
        claim(out, settings, MAY_CHANGE)
        inventory = _prepare(train_set, val_set, on_prepared or _ignore)
        trainable = _build(kind, size, init_from, inventory, schedule.seed)
        loop = TrainingLoop(
            trainable,
            train_set,
            val_set,
            out,
            schedule,
            fabric,
            save_fp16=save_fp16,
            num_workers=devices.num_workers,
            training_info=_training_info(settings, kind, train, view),
            view_id=kind.views()[view],
        )
        progress = loop.run(on_report or _ignore, stops)
    failures = {**train_set.failures, **val_set.failures}
    return TrainedObserver(out / BEST_NAME, trainable.metric, progress.best, progress.step, schedule.steps, failures)


def _clips(kind: type[Trainable], selection: Selection, view: str, cache: Path) -> PreprocessedDataset:
    """The clips of a split. Faces are detected as in scoring. Raises TlbenchError if the view can't be used."""
    own = kind.own_clips(selection, cache)
    if own is not None:
        return own
    recipe = observer_class(kind.observer).recipe(view)
    if recipe is None or recipe.alignment:
        raise TlbenchError(f"{kind.observer} can't be trained with the view {quoted(view)}; choose another (--view)")
    boxes, _ = choose_rule(selection.fixed_box, EMBEDDED, 0, {})
    return SampleDataset(selection, SampleSpec(recipe, boxes, kind.needs_audio, kind.needs_word_times), cache)


def _prepare(
    train_set: PreprocessedDataset, val_set: PreprocessedDataset, on_prepared: CountCallback
) -> LabelInventory:
    """Preprocess the clips and number the labels; returns the training set's texts and labels."""
    for clips in (train_set, val_set):
        clips.prepare(on_prepared)
    if not isinstance(train_set, SampleDataset) or not isinstance(val_set, SampleDataset):
        return LabelInventory((), (), ())
    inventory = train_set.label_inventory()
    for samples in (train_set, val_set):
        samples.use_labels_of(inventory)
    return inventory


def _build(
    kind: type[Trainable],
    size: str | Mapping[str, Any],
    init_from: Path | None,
    inventory: LabelInventory,
    seed: int,
) -> Trainable:
    if init_from is None:
        return kind.from_scratch(size, inventory, seed)
    package = open_package(init_from, kind.read_published)
    return kind.from_checkpoint(package, init_from, inventory, seed)


def _training_info(settings: Mapping[str, Any], kind: type[Trainable], train: Selection, view: str) -> dict[str, Any]:
    """What the package says of its training, with the speakers and words that scoring compares clips with."""
    domain = domain_of(train.dataset, train.clips, view, reads=kind.reads())
    info = {name: settings[name] for name in ("version", "dataset", "size", "steps", "seed")}
    return {**info, "domain": domain.to_json()}


def _ignore(*_: object) -> None:
    pass
