"""One training step of Wav2Lip: L1, the sync expert's loss once it is switched on, and the quality discriminator.

The arithmetic is that of Rudrabha/Wav2Lip ``hq_wav2lip_train.py``. The generator is TalkLip's with the local audio
encoder (:mod:`tlbench.talklip.generator`), the discriminator the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from tlbench.checkpoints.package import Package
from tlbench.talklip.checkpoint import WAV2LIP, package_of
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.generator import TalkLip
from tlbench.talklip.generator_step import GeneratorStep
from tlbench.talklip.losses import gan_losses, reconstruction_loss, sync_losses
from tlbench.talklip.train_config import OptimConfig, Wav2LipLoss
from tlbench.talklip.train_step import ADVERSARIAL
from tlbench.talklip.wav2lip import ColourSyncNet, lower_halves
from tlbench.talklip.wav2lip_batches import WindowBatch

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Wav2LipStep(GeneratorStep[WindowBatch]):
    """Wav2Lip's generator, discriminator and their optimisers; calling it trains them by one step.

    The losses of a step are ``l1``, ``perceptual`` (the generator's adversarial loss, nats a face), ``real`` and
    ``fake`` (the discriminator's), and once it is used ``sync`` (the sync expert's, nats a window).

    Parameters
    ----------
    generator : TalkLip
        With a local audio encoder.
    discriminator : Discriminator
    sync_expert : ColourSyncNet
        Frozen.
    loss : Wav2LipLoss
    optim : OptimConfig
    fabric : Fabric
        Gradients are averaged over its devices.
    """

    adversarial: ClassVar[tuple[str, ...]] = ADVERSARIAL

    def __init__(
        self,
        generator: TalkLip,
        discriminator: Discriminator,
        sync_expert: ColourSyncNet,
        loss: Wav2LipLoss,
        optim: OptimConfig,
        fabric: Fabric,
    ) -> None:
        super().__init__(generator, discriminator, generator.dims.width, optim, fabric)
        self.generator = generator
        self.discriminator = discriminator
        self.sync_expert = sync_expert.to(fabric.device).train(loss.sync_norm == "batch")
        self.loss = loss
        self.set_stage(train_audio=True, use_expert=False)

    def set_stage(self, *, train_audio: bool, use_expert: bool) -> None:
        """Begin a stage: whether the sync loss is used. The audio encoder is not pre-trained and always trained."""
        self.use_expert = use_expert
        self.train()

    def generate(self, batch: WindowBatch) -> tuple[Tensor, Tensor]:
        audio_features = self.generator.audio_embedding(batch.audio, None, None)
        return audio_features, self.generator.paint(audio_features, batch.faces)

    def sync_loss(self, speech: Tensor, faces: Tensor) -> Tensor:
        """Mean loss of the sync expert, if it is asked whether (5 B) faces and (B) segments of speech fit: a scalar."""
        with self.autocast():
            said, shown = self.sync_expert(speech, lower_halves(faces))
        return sync_losses(said, shown, torch.ones(len(speech), device=speech.device)).mean()

    def _backward(self, batch: WindowBatch, share: float) -> dict[str, Tensor]:
        loss = self.loss
        with self.autocast():
            _, generated = self.generate(batch)
        losses = {"l1": (generated.float() - batch.target).abs().mean()}
        reconstruction = reconstruction_loss(losses["l1"], generated, batch.target, loss.mouth_weight)
        sync_weight = loss.sync_weight if self.use_expert else 0.0  # 0 at first: L1 has the rest of 1
        total = (1 - sync_weight - loss.gan_weight) * reconstruction
        if sync_weight:
            losses["sync"] = self.sync_loss(batch.speech, generated)
            total = total + sync_weight * losses["sync"]
        if not loss.gan_weight:
            torch.autograd.backward(share * total)
            return losses
        return losses | self._backward_adversarial(
            generated, batch, total, loss.gan_weight, loss.gan_form, share, leak=False
        )

    def validation_losses(self, batch: WindowBatch) -> dict[str, Tensor]:
        """All losses as ``eval_model`` computes them; the sync loss in both stages, as it decides on the second."""
        with self.autocast():
            _, generated = self.generate(batch)
            fake, real = self.discriminator.logits(generated), self.discriminator.logits(batch.target)
        losses = {
            "l1": (generated.float() - batch.target).abs().mean(),
            "sync": self.sync_loss(batch.speech, generated),
        }
        return losses | gan_losses(real.float(), fake.float(), self.loss.gan_form)

    @torch.no_grad()
    def check_of_expert(self, batches: Iterator[WindowBatch]) -> tuple[str, dict[str, float]]:
        """The sync loss of real videos: no generator will be much below it."""
        losses = [float(self.sync_loss(batch.speech, batch.target)) for batch in batches]
        loss, below = float(np.mean(losses)), self.loss.sync_below
        line = f"the sync expert's loss on real videos of the validation set is {loss:.2f} nats a window"
        if loss >= below:
            line += (
                f", not below {below:g}, so the sync loss is not going to be used; train the sync expert longer, "
                "or take another (--sync-expert)"
            )
        return line, {"truth_sync": round(loss, 5)}

    def package(self, trained: Mapping[str, Any]) -> Package:
        return package_of(self.generator, trained, WAV2LIP)
