"""What a training is made of: data, networks, losses and optimisers, devices, and the functions it calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlbench.checkpoints.package import Package
from tlbench.datasets.dataset import dataset_class
from tlbench.datasets.selection import Selection, load_dataset
from tlbench.errors import TlbenchError
from tlbench.observing.face_boxes import BoxRule, choose_rule
from tlbench.talklip.batches import FrameMasking
from tlbench.talklip.divergence_guard import DivergenceGuardConfig
from tlbench.talklip.stages import StageSchedule, SwitchSchedule
from tlbench.talklip.train_config import AnyLoss, Init, OptimConfig
from tlbench.talklip.trainer import TrainLoopConfig
from tlbench.training.devices import Precision

if TYPE_CHECKING:
    from tlbench.arguments import CountCallback
    from tlbench.training.loop import TrainingReport


@dataclass(frozen=True)
class Splits:
    """The training set and the validation set.

    Attributes
    ----------
    train_split, val_split : str or None
        None for ``train`` and ``val``; ignored by data sets of one split.
    train_list, val_list : Path or None
        Lists of clips: only these of the split.
    """

    train_split: str | None = None
    val_split: str | None = None
    train_list: Path | None = None
    val_list: Path | None = None


@dataclass(frozen=True)
class DataConfig:
    """Where clips, face boxes and the cache are.

    Attributes
    ----------
    dataset : str
    data_root : Path or None
    splits : Splits
    boxes : Path or None
        Folder of face boxes; None to find them.
    detector, smooth, face, weights
        How face boxes are found, as in :func:`tlbench.score`.
    cache : Path or None
        Where faces are kept; None for tlbench's own cache.
    """

    dataset: str
    data_root: Path | None = None
    splits: Splits = field(default_factory=Splits)
    boxes: Path | None = None
    detector: str = "auto"
    smooth: int = 0
    face: str = "largest"
    weights: Mapping[str, Path] = field(default_factory=dict)
    cache: Path | None = None

    def selections(self) -> tuple[Selection, Selection]:
        """The clips of the training set and of the validation set. Raises TlbenchError if there are none."""
        splits = self.splits
        return (
            self._selection(splits.train_split or "train", splits.train_list, "--train-split"),
            self._selection(splits.val_split or "val", splits.val_list, "--val-split"),
        )

    def box_rule(self, selection: Selection) -> BoxRule:
        """How face boxes are found where none are given."""
        return choose_rule(selection.fixed_box, self.detector, self.smooth, self.weights, face=self.face)[0]

    def _selection(self, split: str, clip_list: Path | None, option: str) -> Selection:
        if dataset_class(self.dataset).name == "folder":
            if clip_list is None:
                raise TlbenchError(
                    "a folder has one split only: list the clips to train and to validate on, one clip id a line "
                    "(--train-list, --val-list)"
                )
            split = "all"
        return load_dataset(
            self.dataset, self.data_root, split=split, subset=clip_list, boxes=self.boxes, split_option=option
        )


@dataclass(frozen=True)
class ModelConfig:
    """The networks at the first step.

    Attributes
    ----------
    expert : str or None
        Name or file of the expert. A global audio encoder is initialised with a copy of its audio encoder.
    init : "random" or "copy"
        ``copy`` initialises the generator to copy its input (:mod:`tlbench.talklip.copy_init`).
    init_from : Path or None
        File, package or name of a generator that is trained further; None for a new one.
    size : str or mapping or None
        One of the generator's sizes, or ``{"width": 0.25, "deepest": 96}``; None for ``published``, or the size that
        ``init_from`` has.
    sync_expert : Path or None
        Name, file or package of the sync expert that Wav2Lip is trained with.
    init_discriminator : Path or None
        File of a discriminator that is trained further; None for a new one.
    """

    expert: str | None = None
    init: Init = "random"
    init_from: Path | None = None
    size: str | Mapping[str, Any] | None = None
    sync_expert: Path | None = None
    init_discriminator: Path | None = None


@dataclass(frozen=True)
class InitCheckpoint:
    """A generator that is trained further."""

    path: Path
    package: Package

    @property
    def name(self) -> str:
        """Name of its file; for a package, the names of the folder it is in and of its own folder."""
        return "/".join(self.path.resolve().parts[-2:]) if self.path.is_dir() else self.path.name

    @property
    def trained_with(self) -> list[str]:
        """The experts that it was trained with."""
        trained = self.package.config.get("trained")
        names = trained.get("trained_with") if isinstance(trained, dict) else None
        return [str(name) for name in names] if isinstance(names, list) else []


@dataclass(frozen=True)
class TrainingConfig:
    """How the networks are trained; all but ``loss`` are as published by default."""

    loss: AnyLoss
    optim: OptimConfig = field(default_factory=OptimConfig)
    stages: StageSchedule | SwitchSchedule = field(default_factory=StageSchedule)
    loop: TrainLoopConfig = field(default_factory=TrainLoopConfig)
    masking: FrameMasking = field(default_factory=FrameMasking)
    guard: DivergenceGuardConfig = field(default_factory=DivergenceGuardConfig)

    def __post_init__(self) -> None:
        if self.optim.lr_decay_fraction and self.stages.total is None:
            raise TlbenchError(
                f"a learning rate that decays needs a fixed number of steps (--lr-decay-fraction, {self.steps_option})"
            )

        if isinstance(self.stages, StageSchedule) != (self.loss.generator == "talklip"):
            raise ValueError(f"{self.loss.generator} is not trained by {self.stages}")

    @property
    def steps_option(self) -> str:
        """The option that fixes the number of steps."""
        return "--stage-steps" if isinstance(self.stages, StageSchedule) else "--steps"

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON, as ``settings.json`` of the run folder has them."""
        return {
            "loss": self.loss.to_json(),
            "optim": self.optim.to_json(),
            **self.stages.to_json(),
            **self.loop.to_json(),
            "masking": {"probability": self.masking.probability, "length": self.masking.length},
            "guard": {"limit": self.guard.limit, "window": self.guard.window},
        }


@dataclass(frozen=True)
class Devices:
    """Lightning Fabric's accelerator, the number of devices, the precision, and the processes that prepare batches."""

    accelerator: str = "auto"
    count: int = 1
    precision: Precision = "fp32"
    num_workers: int = 0


@dataclass(frozen=True)
class Hooks:
    """Functions that a training calls.

    Attributes
    ----------
    on_start : callable
        Called once the run folder is known to belong to this training.
    on_prepared : callable
        Gets the number of clips prepared and of all clips.
    on_report : callable
        Gets reports.
    notify : callable
        Gets lines that a person should see.
    stop : callable
        Called after each step; True stops the training, with everything saved.
    """

    on_start: Callable[[], None] = lambda: None
    on_prepared: CountCallback = lambda done, total: None
    on_report: Callable[[TrainingReport], None] = lambda report: None
    notify: Callable[[str], None] = lambda line: None
    stop: Callable[[], bool] = lambda: False
