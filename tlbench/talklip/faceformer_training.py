"""Training Faceformer, with the audio encoder of a lip reader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from tlbench.checkpoints.build_network import build_network
from tlbench.checkpoints.package import Package, open_package
from tlbench.errors import TlbenchError
from tlbench.talklip.batches import MIN_FRAMES
from tlbench.talklip.checkpoint import find_generator, read_published, stated_parts
from tlbench.talklip.faceformer import Faceformer
from tlbench.talklip.faceformer_step import NAME, FaceformerStep, WindowOfFramesMaker
from tlbench.talklip.find_expert import FoundExpert, find_expert
from tlbench.talklip.generator import dims_for
from tlbench.talklip.generator_training import GeneratorTraining, TrainingParts, check_size_and_init
from tlbench.talklip.run_config import InitCheckpoint, ModelConfig, TrainingConfig
from tlbench.talklip.stages import SwitchedStages, SwitchSchedule
from tlbench.talklip.train_config import FaceformerLoss
from tlbench.training.expert import AudioEncoder

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class FaceformerTraining(GeneratorTraining):
    """See :class:`~tlbench.talklip.generator_training.GeneratorTraining`."""

    min_frames: ClassVar[int] = MIN_FRAMES
    model: ModelConfig
    training: TrainingConfig
    loss: FaceformerLoss
    schedule: SwitchSchedule
    init: InitCheckpoint | None
    source: FoundExpert | None

    @classmethod
    def of(cls, model: ModelConfig, training: TrainingConfig, dataset: str) -> FaceformerTraining:
        loss, schedule = training.loss, training.stages
        assert isinstance(loss, FaceformerLoss)
        assert isinstance(schedule, SwitchSchedule)
        for given, option in ((model.sync_expert, "--sync-expert"), (model.init_discriminator, "--init-discriminator")):
            if given is not None:
                raise TlbenchError(f"Faceformer is trained without one; leave out {option} {given}")
        init = _open_init_checkpoint(model)
        if (init is None) == (model.expert is None):
            raise TlbenchError(
                "Faceformer's audio encoder is that of a lip reader; give its name or file (--expert), or train a "
                "Faceformer further, which has its own (--init-from): one of the two"
            )
        source = None if model.expert is None else find_expert(model.expert, dataset)
        return cls(model, training, loss, schedule, init, source)

    @property
    def overlaps(self) -> tuple[str, ...]:
        return () if self.source is None else self.source.overlaps

    def experts(self) -> dict[str, Any]:
        source = self.source
        return {
            "audio_encoder_of": None if source is None else {"name": source.name, "sha256": source.sha256},
            "overlap": list(self.overlaps),
        }

    def trained_with(self) -> list[str]:
        return [] if self.source is None else [self.source.name]

    def recipe(self) -> dict[str, Any]:
        loss, optim = self.loss, self.training.optim
        return {
            "variant": loss.generator,
            "window_frames": loss.window_frames,
            **optim.recipe(),
            "copies": self.model.init == "copy",
            "settled_from": optim.freeze_bn_from,
            "mouth": loss.mouth_weight,
        }

    def build(self, fabric: Fabric) -> TrainingParts:
        training = self.training
        torch.manual_seed(training.loop.seed)
        generator = self._generator()
        return TrainingParts(
            FaceformerStep(generator, self.loss, training.optim, fabric),
            WindowOfFramesMaker(generator.audio_encoder, self.loss.window_frames),
            SwitchedStages(self.schedule),
        )

    def _generator(self) -> Faceformer:
        if self.init is not None:
            return faceformer_of(self.init.package, self.init.path)
        assert self.source is not None  # one of the two is given
        encoder = self.source.expert.audio_encoder()
        return Faceformer(dims_for(self.model.size or "published", "global", encoder.width, 0), encoder)


def faceformer_of(package: Package, path: Path) -> Faceformer:
    """The network of a package. Raises TlbenchError, naming ``path``, if it is another generator's or does not fit."""
    dims, encoder = stated_parts(package, path, (NAME,))
    if not isinstance(encoder, AudioEncoder):
        raise TlbenchError(f"weights {path}: a Faceformer has a global audio encoder, its configuration says local")
    return build_network(lambda: Faceformer(dims, encoder), package.tensors, f"{NAME}, {path}")


def _open_init_checkpoint(model: ModelConfig) -> InitCheckpoint | None:
    if model.init_from is None:
        return None
    check_size_and_init(model)
    path = find_generator(model.init_from, "init-from")
    package = open_package(path, read_published)
    faceformer_of(package, path)
    return InitCheckpoint(path, package)
