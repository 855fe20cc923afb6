"""One training step: the losses of generator and discriminator, and a step of both optimisers.

The arithmetic is that of Sxjdwang/TalkLip ``train.py``. What the original computes twice is computed once: the
discriminator's logits of the generated faces serve the generator's loss and its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tlbench.talklip.batches import Batch
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.generator import TalkLip
from tlbench.talklip.losses import contrastive_loss, expert_input, gan_losses, reconstruction_loss
from tlbench.talklip.train_config import ADAM_BETA2, LossConfig, OptimConfig
from tlbench.training.expert import Expert
from tlbench.training.run_folder import load_optimiser

if TYPE_CHECKING:
    from lightning_fabric import Fabric

ADVERSARIAL = ("perceptual", "real", "fake")  # the losses that rise when the discriminator diverges
TUNED_BLOCKS = 3  # train.py ftlayers: the last three of the audio encoder's transformer


class TrainStep:
    """Generator, discriminator and their optimisers (Adam, as published); calling it trains them by one step.

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

    def __init__(
        self,
        generator: TalkLip,
        discriminator: Discriminator,
        expert: Expert | None,
        loss: LossConfig,
        optim: OptimConfig,
        fabric: Fabric,
    ) -> None:
        self.generator = generator.to(fabric.device)
        self.discriminator = discriminator.to(fabric.device)
        if generator.dims.width < 1:
            use_channels_last(generator)
            use_channels_last(discriminator)
        self.expert = expert
        self.loss = loss
        self.optim = optim
        self._fabric = fabric
        if expert is not None:
            expert.network.to(fabric.device)
        self._learning_rates = {"generator": optim.learning_rate, "discriminator": optim.discriminator_lr}
        self.optimisers = {
            name: torch.optim.Adam(
                network.parameters(), lr=self._learning_rates[name], betas=(optim.adam_beta1, ADAM_BETA2)
            )
            for name, network in self.networks.items()
        }
        self._bn_frozen = False
        self.set_stage(train_audio=False, use_expert=False)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks in training, by name."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def autocast(self) -> AbstractContextManager[None]:
        """The context in which networks are computed in the training's precision."""
        return self._fabric.autocast()

    def set_stage(self, *, train_audio: bool, use_expert: bool) -> None:
        """Begin a stage: whether a global audio encoder is trained, and whether the expert's losses are used."""
        self.train_audio = train_audio
        self.use_expert = use_expert and self.loss.uses_expert
        self.generator.tune_audio(TUNED_BLOCKS if train_audio else 0)
        self.train()

    def train(self) -> None:
        """Set the networks to training mode; frozen batch norms and a frozen audio encoder stay in evaluation mode."""
        self.generator.train()
        self.discriminator.train()
        if self._bn_frozen:
            for module in self.generator.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        if self.generator.dims.audio == "global" and not self.train_audio:
            self.generator.audio_encoder.eval()

    def prepare_step(self, step: int, total: int | None) -> None:
        """Set the learning rates and the batch norms for a step, counted from 0, of ``total``."""
        bn_frozen = self.optim.bn_frozen(step)
        if bn_frozen != self._bn_frozen:
            self._bn_frozen = bn_frozen
            self.train()
        scale = self.optim.lr_scale(step, total)
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = scale * self._learning_rates[name]

    def __call__(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """Train by one step on the mean gradient of these batches.

        Returns
        -------
        dict
            Detached means over the batches: ``l1``, and as far as they are used ``perceptual`` (the generator's
            adversarial loss, nats a face), ``real`` and ``fake`` (the discriminator's), ``lip`` (the expert's, summed
            over a batch's tokens as the original logs it), ``lip_per_token``, ``contrast`` (nats a frame).
        """
        sums: dict[str, list[Tensor]] = {}
        for batch in batches:
            for name, value in self._backward(batch, 1 / len(batches)).items():
                sums.setdefault(name, []).append(value.detach().float())
        self._average_gradients()
        for optimiser in self.optimisers.values():
            optimiser.step()
            optimiser.zero_grad()
        return {name: torch.stack(values).mean() for name, values in sums.items()}

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
        faces = generated.detach().requires_grad_()
        with self.autocast():
            fake, real = self.discriminator.logits(faces).float(), self.discriminator.logits(batch.target).float()
        losses |= gan_losses(real, fake, loss.gan_form)
        (face_gradient,) = torch.autograd.grad(share * loss.gan_weight * losses["perceptual"], faces, retain_graph=True)
        # As in the original, the gradient that the generator's loss leaves in the discriminator enters its step too.
        discriminator_loss = losses["real"] + losses["fake"] + loss.gan_weight * losses["perceptual"]
        torch.autograd.backward(share * discriminator_loss, inputs=list(self.discriminator.parameters()))
        torch.autograd.backward([share * total, generated], [None, face_gradient.to(generated.dtype)])
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

    def _average_gradients(self) -> None:
        if self._fabric.world_size == 1:
            return
        for network in self.networks.values():
            for parameter in network.parameters():
                if parameter.grad is not None:
                    averaged = self._fabric.all_reduce(parameter.grad, reduce_op="mean")
                    assert isinstance(averaged, Tensor)
                    parameter.grad = averaged

    def state(self) -> dict[str, Any]:
        """Weights and optimiser states."""
        return {
            **{name: network.state_dict() for name, network in self.networks.items()},
            **{f"{name}_optimiser": optimiser.state_dict() for name, optimiser in self.optimisers.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state`. Raises KeyError, RuntimeError or ValueError if it does not fit."""
        for name, network in self.networks.items():
            network.load_state_dict(state[name])
            load_optimiser(self.optimisers[name], state[f"{name}_optimiser"])
            self.optimisers[name].zero_grad()


def use_channels_last(network: nn.Module) -> None:
    """Keep convolution weights in torch's channels-last memory format: 1.3 times the steps of a miniature on a CPU.

    Sums are then taken in another order. At the published size this changes gradients by up to 1.5 %, so that a step
    could no longer be compared with the original's; that size keeps the default format.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
