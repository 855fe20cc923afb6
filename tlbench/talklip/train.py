"""``train_reference``: trains a generator on a data set, or continues a training."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tlbench.checkpoints.package import open_package
from tlbench.datasets.selection import Selection
from tlbench.document import counted
from tlbench.errors import ClipError, TlbenchError
from tlbench.observing.cache import default_cache
from tlbench.observing.face_boxes import BoxRule
from tlbench.talklip.batches import MIN_FRAMES, BatchMaker
from tlbench.talklip.checkpoint import find_generator, generator_to_finetune, read_published, stated_dims
from tlbench.talklip.dataset import TalkLipDataset
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.find_expert import FoundExpert, find_expert
from tlbench.talklip.generator import TalkLip, dims_for
from tlbench.talklip.run_config import DataConfig, Devices, Hooks, InitCheckpoint, ModelConfig, TrainingConfig
from tlbench.talklip.stages import AUDIO_TRAINED, EXPERT_USED
from tlbench.talklip.train_config import Init, LossConfig, OptimConfig
from tlbench.talklip.train_step import TrainStep
from tlbench.talklip.trainer import LAST_NAME, ReferenceTraining
from tlbench.training.devices import FABRIC_PRECISION, make_fabric
from tlbench.training.expert import AudioEncoder, Expert
from tlbench.training.run_folder import claim, owned_run
from tlbench.version import VERSION

# Settings that may change when a training is continued: how long and where it runs, not what is trained.
FREE_SETTINGS = frozenset({"version", "stage_steps", "patience", "save_every"})


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
        hooks.notify("settings " + json.dumps(setup.settings()))
        for line in setup.overlaps:
            warnings.warn(f"{line}; its score will not tell how readable this generator is to others", stacklevel=2)
        trainer, datasets = setup.trainer(out, hooks)
        position, done = trainer.run(hooks.on_report, hooks.notify, stop)
    failures: dict[str, ClipError] = {}
    converted: dict[str, str] = {}
    for dataset in datasets:
        failures |= dataset.failures
        converted |= dataset.converted
    return TrainedReference(out / LAST_NAME, position.l1, position.step, done, failures, converted)


def build_networks(
    loss: LossConfig,
    size: str | Mapping[str, Any],
    expert: Expert | None,
    seed: int,
    init: InitCheckpoint | None = None,
) -> tuple[TalkLip, Discriminator, AudioEncoder | None]:
    """A new generator or the one of ``init``, a new discriminator, and the generator's global audio encoder if any.

    Raises TlbenchError if there is no such size, or the variant can't start from that generator.
    """
    torch.manual_seed(seed)
    contrast_width = expert.width if loss.contrast_weight and expert is not None else 0
    if init is not None:
        generator = generator_to_finetune(init.package, init.path, loss.audio, contrast_width)
        encoder, dims = generator.audio_encoder, generator.dims
        audio_encoder = encoder if isinstance(encoder, AudioEncoder) else None
        return generator, Discriminator(dims.width, dims.deepest), audio_encoder
    audio_encoder = None
    if loss.audio == "global":
        assert expert is not None  # every global variant has one
        audio_encoder = expert.audio_encoder()
    dims = dims_for(size, loss.audio, 0 if audio_encoder is None else audio_encoder.width, contrast_width)
    return TalkLip(dims, audio_encoder), Discriminator(dims.width, dims.deepest), audio_encoder


def idle_stages(loss: LossConfig) -> tuple[int, ...]:
    """Stages that change nothing: a local audio encoder is trained from the start, and the bases have no expert."""
    return (() if loss.audio == "global" else (AUDIO_TRAINED,)) + (() if loss.uses_expert else (EXPERT_USED,))


def _open_init_checkpoint(model: ModelConfig) -> InitCheckpoint | None:
    if model.init_from is None:
        return None
    if model.init == "copy" or model.size is not None:
        raise TlbenchError(
            f"the generator of {model.init_from} has its own size and weights; leave out --size and --init copy "
            "(--init-from)"
        )
    path = find_generator(model.init_from, "init-from")
    package = open_package(path, read_published)
    stated_dims(package, path)  # before its sizes are written into the settings
    return InitCheckpoint(path, package)


def _find_expert(loss: LossConfig, given: str | None, dataset: str) -> FoundExpert | None:
    if loss.uses_expert and given is None:
        raise TlbenchError(f"variant {loss.variant!r} is trained with an expert; give its name or file (--expert)")
    if not loss.uses_expert and given is not None:
        raise TlbenchError(f"variant {loss.variant!r} is trained without an expert; leave out --expert {given}")
    return None if given is None else find_expert(given, dataset)


@dataclass(frozen=True)
class _Setup:
    """The parts of a training, before the networks are built."""

    data: DataConfig
    model: ModelConfig
    training: TrainingConfig
    devices: Devices
    clips: tuple[Selection, Selection]  # of the training set and of the validation set
    rule: BoxRule
    init: InitCheckpoint | None
    expert: FoundExpert | None

    @classmethod
    def of(cls, data: DataConfig, model: ModelConfig, training: TrainingConfig, devices: Devices) -> _Setup:
        """Find everything that the options name. Raises TlbenchError as :func:`train_reference`."""
        init = _open_init_checkpoint(model)
        expert = _find_expert(training.loss, model.expert, data.dataset)
        clips = data.selections()
        return cls(data, model, training, devices, clips, data.box_rule(clips[0]), init, expert)

    @property
    def overlaps(self) -> tuple[str, ...]:
        """A line for each observer of the data set that is the expert or was trained like it."""
        return () if self.expert is None else self.expert.overlaps

    def settings(self) -> dict[str, Any]:
        """Everything that decides the training, as JSON for ``settings.json``."""
        splits, init, expert = self.data.splits, self.init, self.expert
        return {
            "version": VERSION,
            "dataset": self.data.dataset,
            "splits": [selection.split for selection in self.clips],
            "lists": [None if path is None else path.name for path in (splits.train_list, splits.val_list)],
            "boxes": "given" if self.data.boxes is not None else self.rule.identity,
            "size": self._size(),
            "init": self.model.init,
            "init_from": None if init is None else {"name": init.name, "sha256": init.package.source_sha256},
            "expert": None if expert is None else {"name": expert.name, "sha256": expert.sha256},
            "overlap": list(self.overlaps),
            **self.training.to_json(),
            "precision": FABRIC_PRECISION[self.devices.precision],
            "devices": self.devices.count,
        }

    def _size(self) -> str | dict[str, Any]:
        if self.init is not None:
            return dict(self.init.package.config.get("generator") or {})
        size = "published" if self.model.size is None else self.model.size
        return size if isinstance(size, str) else dict(size)

    def provenance(self) -> dict[str, Any]:
        """How the generator is trained, for its package, under the names that packages have had from the start."""
        settings = self.settings()
        trained_with = [] if self.init is None else self.init.trained_with
        if self.expert is not None:
            trained_with.append(self.expert.name)
        return {
            "version": settings["version"],
            "dataset": settings["dataset"],
            "recipe": _recipe(self.training.loss, self.training.optim, self.model.init),
            "size": settings["size"],
            "begun_from": settings["init_from"],
            "boxes": settings["boxes"],
            "overlap": settings["overlap"],
            "seed": settings["seed"],
            "expert": settings["expert"],
            "trained_with": list(dict.fromkeys(trained_with)),
        }

    def trainer(self, out: Path, hooks: Hooks) -> tuple[ReferenceTraining, tuple[TalkLipDataset, TalkLipDataset]]:
        """Launch the devices, fill the cache, and build the networks. Returns the data sets as well."""
        training, devices = self.training, self.devices
        fabric = make_fabric(devices.accelerator, devices.count, devices.precision, out)
        expert = None if self.expert is None else self.expert.expert
        train_set, val_set = self._datasets(expert, hooks)
        generator, discriminator, audio_encoder = build_networks(
            training.loss, self.model.size or "published", expert, training.loop.seed, self.init
        )
        trainer = ReferenceTraining(
            TrainStep(generator, discriminator, expert, training.loss, training.optim, fabric),
            BatchMaker(audio_encoder, expert, generator.dims.ahead_frames, training.masking),
            train_set,
            val_set,
            out,
            replace(training.stages, idle=idle_stages(training.loss)),
            training.loop,
            fabric,
            guard=training.guard,
            num_workers=devices.num_workers,
            init=self.model.init,
            provenance=self.provenance(),
        )
        return trainer, (train_set, val_set)

    def _datasets(self, expert: Expert | None, hooks: Hooks) -> tuple[TalkLipDataset, TalkLipDataset]:
        cache, tokenize = self.data.cache or default_cache(), None if expert is None else expert.tokens
        train_set, val_set = (
            TalkLipDataset(clips, self.rule, cache, min_frames=MIN_FRAMES, tokenize=tokenize) for clips in self.clips
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


def _recipe(loss: LossConfig, optim: OptimConfig, init: Init) -> dict[str, Any]:
    """The entry ``recipe`` of packages."""
    return {
        "variant": loss.variant,
        "lip": loss.lip_weight,
        "contrast": loss.contrast_weight,
        "gan": loss.gan_weight,
        "learning_rate": optim.learning_rate,
        "judge_rate": optim.discriminator_lr,
        "momentum": optim.adam_beta1,
        "warmup": optim.warmup_steps,
        "fade": optim.lr_decay_fraction,
        "copies": init == "copy",
        "settled_from": optim.freeze_bn_from,
        "gan_form": loss.gan_form,
        "mouth": loss.mouth_weight,
    }
