"""Training TalkLip: its variants, with or without a lip-reading expert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from tlbench.errors import TlbenchError
from tlbench.talklip.batches import MIN_FRAMES, BatchMaker
from tlbench.talklip.checkpoint import generator_to_finetune
from tlbench.talklip.dataset import Tokenize
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.find_expert import FoundExpert, find_expert
from tlbench.talklip.generator import TalkLip, dims_for
from tlbench.talklip.generator_training import (
    GeneratorTraining,
    TrainingParts,
    discriminator_for,
    open_init_checkpoint,
)
from tlbench.talklip.run_config import InitCheckpoint, ModelConfig, TrainingConfig
from tlbench.talklip.stages import AUDIO_TRAINED, EXPERT_USED, Stages, StageSchedule
from tlbench.talklip.train_config import LossConfig
from tlbench.talklip.train_step import TrainStep
from tlbench.training.expert import AudioEncoder, Expert

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class TalkLipTraining(GeneratorTraining):
    """See :class:`~tlbench.talklip.generator_training.GeneratorTraining`."""

    min_frames: ClassVar[int] = MIN_FRAMES
    model: ModelConfig
    training: TrainingConfig
    loss: LossConfig
    schedule: StageSchedule
    init: InitCheckpoint | None
    expert: FoundExpert | None

    @classmethod
    def of(cls, model: ModelConfig, training: TrainingConfig, dataset: str) -> TalkLipTraining:
        loss, schedule = training.loss, training.stages
        assert isinstance(loss, LossConfig)
        assert isinstance(schedule, StageSchedule)
        if model.sync_expert is not None:
            raise TlbenchError(
                f"TalkLip is trained without a sync expert; leave out --sync-expert {model.sync_expert}, or give "
                "--generator wav2lip"
            )
        init = open_init_checkpoint(model)
        return cls(model, training, loss, schedule, init, _find_expert(loss, model.expert, dataset))

    @property
    def overlaps(self) -> tuple[str, ...]:
        return () if self.expert is None else self.expert.overlaps

    @property
    def tokenize(self) -> Tokenize | None:
        return None if self.expert is None else self.expert.expert.tokens

    def experts(self) -> dict[str, Any]:
        expert = self.expert
        return {
            "expert": None if expert is None else {"name": expert.name, "sha256": expert.sha256},
            "overlap": list(self.overlaps),
        }

    def trained_with(self) -> list[str]:
        return [] if self.expert is None else [self.expert.name]

    def recipe(self) -> dict[str, Any]:
        loss, optim = self.loss, self.training.optim
        return {
            "variant": loss.variant,
            "lip": loss.lip_weight,
            "contrast": loss.contrast_weight,
            "gan": loss.gan_weight,
            **optim.recipe(),
            "copies": self.model.init == "copy",
            "settled_from": optim.freeze_bn_from,
            "gan_form": loss.gan_form,
            "mouth": loss.mouth_weight,
        }

    def build(self, fabric: Fabric) -> TrainingParts:
        training = self.training
        expert = None if self.expert is None else self.expert.expert
        generator, discriminator, audio_encoder = build_networks(
            self.loss, self.model.size or "published", expert, training.loop.seed, self.init
        )
        if self.model.init_discriminator is not None:
            discriminator = discriminator_for(self.model, generator.dims)
        return TrainingParts(
            TrainStep(generator, discriminator, expert, self.loss, training.optim, fabric),
            BatchMaker(audio_encoder, expert, generator.dims.ahead_frames, training.masking),
            Stages(replace(self.schedule, idle=idle_stages(self.loss))),
        )


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


def _find_expert(loss: LossConfig, given: str | None, dataset: str) -> FoundExpert | None:
    if loss.uses_expert and given is None:
        raise TlbenchError(f"variant {loss.variant!r} is trained with an expert; give its name or file (--expert)")
    if not loss.uses_expert and given is not None:
        raise TlbenchError(f"variant {loss.variant!r} is trained without an expert; leave out --expert {given}")
    return None if given is None else find_expert(given, dataset)
