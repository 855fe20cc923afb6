"""What a training step of every generator has: networks, optimisers, learning rates, accumulated batches, states.

A generator's own step (:mod:`tlbench.talklip.train_step` for TalkLip, :mod:`tlbench.talklip.wav2lip_step`,
:mod:`tlbench.talklip.faceformer_step`) computes its losses and their gradients. The loop
(:mod:`tlbench.talklip.trainer`) knows only this class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from tlbench.checkpoints.package import Package
from tlbench.talklip.batches import FaceBatch
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.losses import gan_losses
from tlbench.talklip.train_config import ADAM_BETA2, GanForm, OptimConfig
from tlbench.training.run_folder import load_optimiser

if TYPE_CHECKING:
    from lightning_fabric import Fabric

BatchT = TypeVar("BatchT", bound=FaceBatch)


class GeneratorStep(ABC, Generic[BatchT]):
    """A generator, its discriminator if it has one, and their optimisers (Adam); calling it trains them by one step.

    Parameters
    ----------
    generator : nn.Module
    discriminator : Discriminator or None
    width : float
        Factor on the published numbers of channels; networks below 1 use torch's channels-last memory format.
    optim : OptimConfig
    fabric : Fabric
        Gradients are averaged over its devices.

    Attributes
    ----------
    adversarial : tuple of str
        Names of the losses that rise when the discriminator diverges.
    generator : nn.Module
    discriminator : Discriminator or None
    use_expert : bool
        Whether batches need what only the expert's loss uses.
    """

    adversarial: ClassVar[tuple[str, ...]] = ()
    use_expert = False

    def __init__(
        self,
        generator: nn.Module,
        discriminator: Discriminator | None,
        width: float,
        optim: OptimConfig,
        fabric: Fabric,
    ) -> None:
        self._generator = generator.to(fabric.device)
        self._discriminator = None if discriminator is None else discriminator.to(fabric.device)
        self.optim = optim
        self._fabric = fabric
        if width < 1:
            for network in self.networks.values():
                use_channels_last(network)
        self._learning_rates = {"generator": optim.learning_rate, "discriminator": optim.discriminator_lr}
        self.optimisers = {
            name: torch.optim.Adam(
                network.parameters(), lr=self._learning_rates[name], betas=(optim.adam_beta1, ADAM_BETA2)
            )
            for name, network in self.networks.items()
        }
        self._bn_frozen = False

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks in training, by name."""
        own: dict[str, nn.Module] = {"generator": self._generator}
        return own if self._discriminator is None else {**own, "discriminator": self._discriminator}

    def autocast(self) -> AbstractContextManager[None]:
        """The context in which networks are computed in the training's precision."""
        return self._fabric.autocast()

    @abstractmethod
    def set_stage(self, *, train_audio: bool, use_expert: bool) -> None:
        """Begin a stage: whether a pre-trained audio encoder is trained, and whether the expert's losses are used."""

    @abstractmethod
    def generate(self, batch: BatchT) -> tuple[Tensor, Tensor]:
        """Audio embeddings (N, C) and generated faces (N, 3, 96, 96) of the frames of a batch."""

    @abstractmethod
    def validation_losses(self, batch: BatchT) -> dict[str, Tensor]:
        """The losses of a validation batch, ``l1`` among them; without gradients, in evaluation mode."""

    @abstractmethod
    def package(self, trained: Mapping[str, Any]) -> Package:
        """The generator as a package; ``trained`` is JSON about its training."""

    @abstractmethod
    def _backward(self, batch: BatchT, share: float) -> dict[str, Tensor]:
        """Add ``share`` of a batch's gradients to those of the networks. Returns the losses."""

    def check_of_expert(self, batches: Iterator[BatchT]) -> tuple[str, dict[str, float]] | None:
        """What the expert says of real videos: a line, and its figures for the log; None without an expert."""
        return None

    def train(self) -> None:
        """Set the networks to training mode; frozen batch norms stay in evaluation mode."""
        for network in self.networks.values():
            network.train()
        if self._bn_frozen:
            for module in self._generator.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

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

    def __call__(self, batches: Sequence[BatchT]) -> dict[str, Tensor]:
        """Train by one step on the mean gradient of these batches. Returns detached means of the losses over them."""
        sums: dict[str, list[Tensor]] = {}
        for batch in batches:
            for name, value in self._backward(batch, 1 / len(batches)).items():
                sums.setdefault(name, []).append(value.detach().float())
        self._average_gradients()
        for optimiser in self.optimisers.values():
            optimiser.step()
            optimiser.zero_grad()
        return {name: torch.stack(values).mean() for name, values in sums.items()}

    def _backward_adversarial(
        self, generated: Tensor, batch: BatchT, total: Tensor, weight: float, form: GanForm, share: float, *, leak: bool
    ) -> dict[str, Tensor]:
        """Gradients of both networks, from one pass of the discriminator over real and one over generated faces.

        Parameters
        ----------
        generated : (N, 3, 96, 96)
        batch : FaceBatch
            Has the real faces.
        total : Tensor
            The generator's other losses, a scalar.
        weight : float
            Of the adversarial loss in the generator's.
        form : "code" or "paper"
        share : float
            Factor on all gradients.
        leak : bool
            Whether the gradient that the generator's adversarial loss leaves in the discriminator enters its step, as
            in TalkLip's ``train.py``; Wav2Lip's code sets it to zero first.

        Returns
        -------
        dict
            ``perceptual``, ``real`` and ``fake``.
        """
        assert self._discriminator is not None  # the weight is 0 without one
        faces = generated.detach().requires_grad_()
        with self.autocast():
            fake = self._discriminator.logits(faces).float()
            real = self._discriminator.logits(batch.target).float()
        losses = gan_losses(real, fake, form)
        (face_gradient,) = torch.autograd.grad(share * weight * losses["perceptual"], faces, retain_graph=True)
        discriminator_loss = losses["real"] + losses["fake"]
        if leak:
            discriminator_loss = discriminator_loss + weight * losses["perceptual"]
        torch.autograd.backward(share * discriminator_loss, inputs=list(self._discriminator.parameters()))
        torch.autograd.backward([share * total, generated], [None, face_gradient.to(generated.dtype)])
        return losses

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

    Sums are then taken in another order. At the published size this changes faces in training by up to 1e-4, so that a
    step could no longer be held to the original's, so that size keeps the default format. Neither format is the more
    exact one: gradients of both differ from those in float64 by 2.5 % (median over layers).
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
