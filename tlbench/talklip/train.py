"""``train_reference``: trains a generator on a data set, or continues a training."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlbench.datasets.selection import Selection
from tlbench.document import counted
from tlbench.errors import ClipError
from tlbench.files import file_sha256
from tlbench.observing.cache import default_cache
from tlbench.observing.face_boxes import BoxRule
from tlbench.talklip.dataset import TalkLipDataset
from tlbench.talklip.faceformer_training import FaceformerTraining
from tlbench.talklip.generator_training import GeneratorTraining
from tlbench.talklip.run_config import DataConfig, Devices, Hooks, ModelConfig, TrainingConfig
from tlbench.talklip.talklip_training import TalkLipTraining
from tlbench.talklip.train_config import GeneratorName
from tlbench.talklip.trainer import LAST_NAME, ReferenceTraining
from tlbench.talklip.wav2lip_training import Wav2LipTraining
from tlbench.training.devices import FABRIC_PRECISION, make_fabric
from tlbench.training.run_folder import claim, owned_run
from tlbench.version import VERSION

# Settings that may change when a training is continued: how long and where it runs, not what is trained.
FREE_SETTINGS = frozenset({"version", "stage_steps", "steps", "patience", "save_every"})


@dataclass(frozen=True)
class TrainedReference:
    """What :func:`train_reference` did.

    Attributes
    ----------
    last : Path
        The package of the generator at the last validation; ``tlbench generate --generator`` takes it.
    l1 : float or None
        L1 of the last validation: mean absolute error of faces between 0 and 1.
    step : int
    done : bool
        Whether the last stage is over.
    failures : dict of clip id to ClipError
        Clips that were left out.
    converted : dict of clip id to str
        Clips whose audio was converted, and the form it had.
    """

    last: Path
    l1: float | None
    step: int
    done: bool
    failures: dict[str, ClipError]
    converted: dict[str, str]


def train_reference(
    data: DataConfig,
    model: ModelConfig,
    training: TrainingConfig,
    out: Path,
    *,
    devices: Devices | None = None,
    max_seconds: float | None = None,
    take_over: bool = False,
    hooks: Hooks | None = None,
) -> TrainedReference:
    """Train a generator, or continue a training that was stopped.

    Parameters
    ----------
    data, model, training
        The clips, the networks at the first step, and how they are trained.
    out : Path
        The run folder; if it has a training with the same settings, that one is continued.
    devices : Devices or None
    max_seconds : float or None
        Stop after this time, with everything saved.
    take_over : bool
        Take the folder at once from another run that writes to it; see :func:`tlbench.owner.owned`.
    hooks : Hooks or None

    Raises
    ------
    TlbenchError
        If options contradict each other, the expert is missing or has another vocabulary, the run folder has another
        training, or the training diverges again and again.

    Warns
    -----
    UserWarning
        If an observer that scores this data set is the expert or was trained like it.
    """
    began = time.monotonic()
    hooks = hooks or Hooks()
    setup = _Setup.of(data, model, training, devices or Devices())

    def stop() -> bool:
        return hooks.stop() or (max_seconds is not None and time.monotonic() >= began + max_seconds)

    with owned_run(out, take_over=take_over):
        claim(out, setup.settings(), FREE_SETTINGS)
        hooks.on_start()
        for line in setup.own.overlaps:
            warnings.warn(f"{line}; its score will not tell how readable this generator is to others", stacklevel=2)
        trainer, datasets = setup.trainer(out, hooks)
        position, done = trainer.run(hooks.on_report, hooks.notify, stop)
    failures: dict[str, ClipError] = {}
    converted: dict[str, str] = {}
    for dataset in datasets:
        failures |= dataset.failures
        converted |= dataset.converted
    return TrainedReference(out / LAST_NAME, position.l1, position.step, done, failures, converted)


TRAININGS: Mapping[GeneratorName, type[GeneratorTraining]] = {
    "talklip": TalkLipTraining,
    "wav2lip": Wav2LipTraining,
    "faceformer": FaceformerTraining,
}


@dataclass(frozen=True)
class _Setup:
    """The parts of a training, before the networks are built."""

    data: DataConfig
    model: ModelConfig
    training: TrainingConfig
    devices: Devices
    clips: tuple[Selection, Selection]  # of the training set and of the validation set
    rule: BoxRule
    own: GeneratorTraining

    @classmethod
    def of(cls, data: DataConfig, model: ModelConfig, training: TrainingConfig, devices: Devices) -> _Setup:
        """Find everything that the options name. Raises TlbenchError as :func:`train_reference`."""
        own = TRAININGS[training.loss.generator].of(model, training, data.dataset)
        clips = data.selections()
        return cls(data, model, training, devices, clips, data.box_rule(clips[0]), own)

    def settings(self) -> dict[str, Any]:
        """Everything that decides the training, as JSON for ``settings.json``."""
        splits, init, generator = self.data.splits, self.own.init, self.training.loss.generator
        return {
            "version": VERSION,
            **({} if generator == "talklip" else {"generator": generator}),  # of which settings have always been
            "dataset": self.data.dataset,
            "splits": [selection.split for selection in self.clips],
            "lists": [None if path is None else path.name for path in (splits.train_list, splits.val_list)],
            "boxes": "given" if self.data.boxes is not None else self.rule.identity,
            "size": self._size(),
            "init": self.model.init,
            "init_from": None if init is None else {"name": init.name, "sha256": init.package.source_sha256},
            **self._init_discriminator(),
            **self.own.experts(),
            **self.training.to_json(),
            "precision": FABRIC_PRECISION[self.devices.precision],
            "devices": self.devices.count,
        }

    def _size(self) -> str | dict[str, Any]:
        if self.own.init is not None:
            return dict(self.own.init.package.config.get("generator") or {})
        size = "published" if self.model.size is None else self.model.size
        return size if isinstance(size, str) else dict(size)

    def _init_discriminator(self) -> dict[str, Any]:
        path = self.model.init_discriminator
        return {} if path is None else {"init_discriminator": {"name": path.name, "sha256": file_sha256(path)}}

    def provenance(self) -> dict[str, Any]:
        """How the generator is trained, for its package, under the names that packages have had from the start."""
        settings = self.settings()
        before = [] if self.own.init is None else self.own.init.trained_with
        return {
            "version": settings["version"],
            "dataset": settings["dataset"],
            "recipe": self.own.recipe(),
            "size": settings["size"],
            "begun_from": settings["init_from"],
            "boxes": settings["boxes"],
            "overlap": list(self.own.overlaps),
            "seed": settings["seed"],
            "expert": settings.get("expert"),
            "trained_with": list(dict.fromkeys([*before, *self.own.trained_with()])),
        }

    def trainer(self, out: Path, hooks: Hooks) -> tuple[ReferenceTraining[Any], tuple[TalkLipDataset, TalkLipDataset]]:
        """Launch the devices, fill the cache, and build the networks. Returns the data sets as well."""
        devices = self.devices
        fabric = make_fabric(devices.accelerator, devices.count, devices.precision, out)
        train_set, val_set = self._datasets(hooks)
        parts = self.own.build(fabric)
        trainer: ReferenceTraining[Any] = ReferenceTraining(
            parts.step,
            parts.maker,
            train_set,
            val_set,
            out,
            parts.stages,
            self.training.loop,
            fabric,
            guard=self.training.guard,
            num_workers=devices.num_workers,
            init=self.model.init,
            provenance=self.provenance(),
        )
        return trainer, (train_set, val_set)

    def _datasets(self, hooks: Hooks) -> tuple[TalkLipDataset, TalkLipDataset]:
        cache, own = self.data.cache or default_cache(), self.own
        train_set, val_set = (
            TalkLipDataset(clips, self.rule, cache, min_frames=own.min_frames, tokenize=own.tokenize)
            for clips in self.clips
        )
        train_set.prepare(hooks.on_prepared)
        val_set.prepare(hooks.on_prepared)
        converted = {**train_set.converted, **val_set.converted}
        if converted:
            clip, form = next(iter(converted.items()))
            hooks.notify(
                f"audio of {counted(len(converted), 'clip')} converted to 16 kHz mono (the first: {clip}, {form})"
            )
        return train_set, val_set
