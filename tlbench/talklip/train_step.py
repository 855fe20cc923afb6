"""One training step of TalkLip: the losses of generator and discriminator, and their gradients.

The arithmetic is that of Sxjdwang/TalkLip ``train.py``. What the original computes twice is computed once: the
discriminator's logits of the generated faces serve the generator's loss and its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from tlbench.checkpoints.package import Package
from tlbench.talklip.batches import Batch
from tlbench.talklip.checkpoint import package_of
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.generator import TalkLip
from tlbench.talklip.generator_step import GeneratorStep
from tlbench.talklip.losses import contrastive_loss, expert_input, reconstruction_loss
from tlbench.talklip.train_config import LossConfig, OptimConfig
from tlbench.training.expert import Expert

if TYPE_CHECKING:
    from lightning_fabric import Fabric

ADVERSARIAL = ("perceptual", "real", "fake")  # the losses that rise when the discriminator diverges
TUNED_BLOCKS = 3  # train.py ftlayers: the last three of the audio encoder's transformer


class TrainStep(GeneratorStep[Batch]):
    """TalkLip's generator, discriminator and their optimisers; calling it trains them by one step.

    The losses of a step are ``l1``, and as far as they are used ``perceptual`` (the generator's adversarial loss, nats
    a face), ``real`` and ``fake`` (the discriminator's), ``lip`` (the expert's, summed over a batch's tokens as the
    original logs it), ``lip_per_token``, ``contrast`` (nats a frame).

    Parameters
    ----------
    generator : TalkLip
    discriminator : Discriminator
    expert : Expert or None
        Needed by variants that learn from one.
    loss : LossConfig
    optim : OptimConfig
    fabric : Fabric
        Gradients are averaged over its devices.

    Attributes
    ----------
    train_audio, use_expert : bool
        As :meth:`set_stage` set them.
    """

    adversarial: ClassVar[tuple[str, ...]] = ADVERSARIAL

    def __init__(
        self,
        generator: TalkLip,
        discriminator: Discriminator,
        expert: Expert | None,
        loss: LossConfig,
        optim: OptimConfig,
        fabric: Fabric,
    ) -> None:
        super().__init__(generator, discriminator, generator.dims.width, optim, fabric)
        self.generator = generator
        self.discriminator = discriminator
        self.expert = expert
        self.loss = loss
        if expert is not None:
            expert.network.to(fabric.device)
        self.set_stage(train_audio=False, use_expert=False)

    def set_stage(self, *, train_audio: bool, use_expert: bool) -> None:
        """Begin a stage: whether a global audio encoder is trained, and whether the expert's losses are used."""
        self.train_audio = train_audio
        self.use_expert = use_expert and self.loss.uses_expert
        self.generator.tune_audio(TUNED_BLOCKS if train_audio else 0)
        self.train()

    def train(self) -> None:
        """Set the networks to training mode; frozen batch norms and a frozen audio encoder stay in evaluation mode."""
        super().train()
        if self.generator.dims.audio == "global" and not self.train_audio:
            self.generator.audio_encoder.eval()

    def _backward(self, batch: Batch, share: float) -> dict[str, Tensor]:
        """Add ``share`` of a batch's gradients to those of both networks. Returns the losses."""
        loss = self.loss
        with self.autocast():
            audio_features, generated = self.generate(batch)
        losses = {"l1": (generated.float() - batch.target).abs().mean()}
        reconstruction = reconstruction_loss(losses["l1"], generated, batch.target, loss.mouth_weight)
        total = (1 - loss.lip_weight - loss.gan_weight) * reconstruction
        if self.use_expert:
            with self.autocast():
                losses |= self.expert_losses(batch, audio_features, generated)
            total = total + loss.lip_weight * losses["lip"]
            if loss.contrast_weight:
                total = total + loss.contrast_weight * losses["contrast"]
        if not loss.gan_weight:
            torch.autograd.backward(share * total)
            return losses
        # As in the original, the gradient that the generator's loss leaves in the discriminator enters its step too.
        losses |= self._backward_adversarial(generated, batch, total, loss.gan_weight, loss.gan_form, share, leak=True)
        return losses

    def generate(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Audio embeddings (N, audio_width) and generated faces (N, 3, 96, 96) of the selected frames."""
        local = self.generator.dims.audio == "local"
        with torch.set_grad_enabled(torch.is_grad_enabled() and (local or self.train_audio)):
            audio_features = self.generator.audio_embedding(batch.audio, batch.padding_mask, batch.index)
        return audio_features, self.generator.paint(audio_features, batch.faces)

    def expert_losses(self, batch: Batch, audio_features: Tensor, generated: Tensor) -> dict[str, Tensor]:
        """The expert's loss of the clips with the generated faces, and the contrastive loss."""
        assert self.expert is not None  # the variant has one
        frames = expert_input(self.expert.preprocessing, batch, generated)
        video_features = self.expert.encode(frames, batch.padding_mask)  # (B, T, C)
        token_loss = self.expert.loss(video_features, batch.padding_mask, batch.tokens)
        losses = {"lip": token_loss.smoothed, "lip_per_token": token_loss.smoothed / token_loss.tokens}
        if self.loss.contrast_weight:
            losses["contrast"] = contrastive_loss(
                video_features.flatten(0, 1)[batch.index], self.generator.sync_net(audio_features)
            )
        return losses

    @torch.no_grad()
    def ground_truth_loss(self, batch: Batch) -> float:
        """The expert's loss of the real videos, nats a token: about the lowest that a generator can reach."""
        assert self.expert is not None  # the variant has one
        with self.autocast():
            frames = expert_input(self.expert.preprocessing, batch, batch.target)
            token_loss = self.expert.encode_and_loss(frames, batch.padding_mask, batch.tokens)
        return float(token_loss.smoothed) / token_loss.tokens

    def validation_losses(self, batch: Batch) -> dict[str, Tensor]:
        """L1, and the expert's losses in every stage, to show how far a training without them gets."""
        with self.autocast():
            audio_features, generated = self.generate(batch)
            losses = {"l1": (generated.float() - batch.target).abs().mean()}
            if self.expert is not None:
                losses |= self.expert_losses(batch, audio_features, generated)
        return losses

    def check_of_expert(self, batches: Iterator[Batch]) -> tuple[str, dict[str, float]] | None:
        """The expert's loss of real videos, with a warning if it can't read them; None without an expert."""
        if self.expert is None:
            return None
        losses = [self.ground_truth_loss(batch) for batch in batches]
        loss, chance = float(np.mean(losses)), math.log(self.expert.vocabulary)
        line = (
            f"the expert's loss on {len(losses)} real videos of the validation set is {loss:.2f} nats a token; "
            f"guessing among its {self.expert.vocabulary} tokens gives {chance:.2f}"
        )
        if loss > chance / 2:
            line += ": it can't read these videos, so a generator learns nothing from it; take another (--expert)"
        return line, {"truth_lip_per_token": round(loss, 5)}

    def package(self, trained: Mapping[str, Any]) -> Package:
        return package_of(self.generator, trained)
