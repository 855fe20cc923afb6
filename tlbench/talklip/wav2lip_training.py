"""Training Wav2Lip, with its sync expert and its quality discriminator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from tlbench.errors import TlbenchError
from tlbench.talklip.checkpoint import generator_to_finetune
from tlbench.talklip.generator import TalkLip, dims_for
from tlbench.talklip.generator_training import (
    GeneratorTraining,
    TrainingParts,
    discriminator_for,
    open_init_checkpoint,
)
from tlbench.talklip.run_config import InitCheckpoint, ModelConfig, TrainingConfig
from tlbench.talklip.stages import SwitchedStages, SwitchSchedule
from tlbench.talklip.sync_expert import FoundSyncExpert, find_sync_expert
from tlbench.talklip.sync_windows import MIN_WINDOW_FRAMES
from tlbench.talklip.train_config import Wav2LipLoss
from tlbench.talklip.wav2lip_batches import WindowMaker
from tlbench.talklip.wav2lip_step import Wav2LipStep

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# How many frames before its frame the speech of a generator begins that is trained here: get_segmented_mels of
# hq_wav2lip_train.py. Wav2Lip's inference.py begins with the frame, and so do published files until they are trained.
AHEAD_FRAMES = 1


@dataclass(frozen=True)
class Wav2LipTraining(GeneratorTraining):
    """See :class:`~tlbench.talklip.generator_training.GeneratorTraining`."""

    min_frames: ClassVar[int] = MIN_WINDOW_FRAMES
    model: ModelConfig
    training: TrainingConfig
    loss: Wav2LipLoss
    schedule: SwitchSchedule
    init: InitCheckpoint | None
    expert: FoundSyncExpert

    @classmethod
    def of(cls, model: ModelConfig, training: TrainingConfig, dataset: str) -> Wav2LipTraining:
        loss, schedule = training.loss, training.stages
        assert isinstance(loss, Wav2LipLoss)
        assert isinstance(schedule, SwitchSchedule)
        if model.expert is not None:
            raise TlbenchError(
                f"Wav2Lip is trained without a lip-reading expert; leave out --expert {model.expert}, or give its sync "
                "expert (--sync-expert)"
            )
        if model.sync_expert is None:
            raise TlbenchError(
                "Wav2Lip is trained with a sync expert; give lipsync_expert.pth, or OUT/best of `tlbench "
                "train-observer wav2lip-sync` (--sync-expert)"
            )
        if loss.sync_norm == "batch" and training.loop.batch_clips < 2:
            raise TlbenchError(
                "a sync expert that normalises by the batch needs at least two windows; give --batch-clips 2 or more, "
                'or sync_norm = "running" in a config file'
            )
        return cls(model, training, loss, schedule, open_init_checkpoint(model), find_sync_expert(model.sync_expert))

    def experts(self) -> dict[str, Any]:
        return {"sync_expert": {"name": self.expert.name, "sha256": self.expert.sha256}}

    def trained_with(self) -> list[str]:
        return [self.expert.name]

    def recipe(self) -> dict[str, Any]:
        loss, optim = self.loss, self.training.optim
        return {
            "variant": loss.generator,
            "sync": loss.sync_weight,
            "sync_below": loss.sync_below,
            "sync_norm": loss.sync_norm,
            "gan": loss.gan_weight,
            **optim.recipe(),
            "copies": self.model.init == "copy",
            "settled_from": optim.freeze_bn_from,
            "gan_form": loss.gan_form,
            "mouth": loss.mouth_weight,
        }

    def build(self, fabric: Fabric) -> TrainingParts:
        training = self.training
        torch.manual_seed(training.loop.seed)
        generator = self._generator()
        discriminator = discriminator_for(self.model, generator.dims)
        return TrainingParts(
            Wav2LipStep(generator, discriminator, self.expert.network, self.loss, training.optim, fabric),
            WindowMaker(generator.dims.ahead_frames, training.loop.batch_clips),
            SwitchedStages(replace(self.schedule, below=self.loss.sync_below)),
        )

    def _generator(self) -> TalkLip:
        if self.init is None:
            dims = dims_for(self.model.size or "published", "local", 0, 0)
            return TalkLip(replace(dims, ahead_frames=AHEAD_FRAMES))
        generator = generator_to_finetune(self.init.package, self.init.path, "local", 0)
        if generator.dims.ahead_frames == 0:  # a published file
            generator.dims = replace(generator.dims, ahead_frames=AHEAD_FRAMES)
        return generator
