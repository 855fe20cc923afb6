"""One change of the weights: the generator's losses, the discriminator's, and both optimisers' steps.

The arithmetic is that of Sxjdwang/TalkLip ``train.py``. What the original computes more than once is computed once: the
discriminator looks at real and generated faces together, and what it says of the generated ones serves the generator's
loss and its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.errors import TlbenchError
from tlbench.observing.teaching import Sight, Teacher
from tlbench.reference.batches import Batch
from tlbench.reference.discriminator import Discriminator
from tlbench.reference.generator import TalkLip

if TYPE_CHECKING:
    from lightning_fabric import Fabric

VARIANTS = ("l", "l+c", "g", "g+c", "base-no-lip", "base-no-lip-gan")
ADVERSARIAL = ("perceptual", "real", "fake")  # losses that a discriminator which runs away drives up
TUNED_BLOCKS = 3  # train.py ftlayers: the last three of the audio encoder's transformer
TEMPERATURE = 0.07  # models/learn_sync.py
NEGATIVES = 100  # at most, models/learn_sync.py
BETAS = (0.5, 0.999)  # Adam's, train.py
GREY = (0.114, 0.587, 0.299)  # of B, G, R


@dataclass(frozen=True)
class Recipe:
    """What a variant learns from, and how much each counts.

    Attributes
    ----------
    variant : str
    lip, contrast, gan : float
        Weights; the pictures' own L1 gets ``1 - lip - gan`` (``train.py``). 0 leaves a loss out.
    learning_rate : float
    """

    variant: str
    lip: float = 1e-5
    contrast: float = 1e-3
    gan: float = 0.07
    learning_rate: float = 1e-4

    @classmethod
    def for_variant(cls, variant: str) -> Recipe:
        """The published weights. Raises TlbenchError on a variant that the paper does not have."""
        if variant not in VARIANTS:
            raise TlbenchError(f"no variant {variant!r}; there are {', '.join(VARIANTS)} (--variant)")
        reads = not variant.startswith("base")
        return cls(
            variant,
            lip=cls.lip if reads else 0.0,
            contrast=cls.contrast if variant.endswith("+c") else 0.0,
            gan=0.0 if variant == "base-no-lip-gan" else cls.gan,
        )

    @property
    def hears_all(self) -> bool:
        """Whether the audio encoder is the global one."""
        return self.variant.startswith("g")

    @property
    def reads(self) -> bool:
        """Whether a lip reader is learned from."""
        return not self.variant.startswith("base")

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


class Update:
    """The networks in training and their optimisers (Adam, as published).

    Parameters
    ----------
    generator : TalkLip
    discriminator : Discriminator
    teacher : Teacher or None
        Needed if the recipe reads.
    recipe : Recipe
    fabric : Fabric
        Gradients are averaged over its devices.

    Attributes
    ----------
    audio_learns, lips_are_read : bool
        As :meth:`enter` set them.
    """

    def __init__(
        self, generator: TalkLip, discriminator: Discriminator, teacher: Teacher | None, recipe: Recipe, fabric: Fabric
    ) -> None:
        self.generator = generator.to(fabric.device)
        self.discriminator = discriminator.to(fabric.device)
        self.teacher = teacher
        self.recipe = recipe
        self._fabric = fabric
        if teacher is not None:
            teacher.network.to(fabric.device)
        self.optimisers = {
            name: torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, betas=BETAS)
            for name, network in self.networks.items()
        }
        self.enter(audio_learns=False, lips_are_read=False)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """What learns, by name."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def enter(self, *, audio_learns: bool, lips_are_read: bool) -> None:
        """Begin a stage: what learns besides the pictures, and whether the lip reader is asked."""
        self.audio_learns = audio_learns
        self.lips_are_read = lips_are_read and self.recipe.reads
        self.generator.tune_audio(TUNED_BLOCKS if audio_learns else 0)
        self.train()

    def train(self) -> None:
        """Back from evaluation. An audio encoder that does not learn stays in it: nothing of it is dropped."""
        self.generator.train()
        self.discriminator.train()
        if self.generator.dims.audio == "global" and not self.audio_learns:
            self.generator.audio_encoder.eval()

    def __call__(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """Change the weights once by the mean gradient of these batches.

        Returns
        -------
        dict
            Detached means over the batches: ``l1``, and as far as they were charged ``perceptual`` (what the
            discriminator charges the generator, nats a face), ``real`` and ``fake`` (what it is charged itself),
            ``lip`` (summed over a batch's tokens, as the original logs it), ``lip_per_token``, ``contrast`` (nats a
            frame).
        """
        told: dict[str, list[Tensor]] = {}
        for batch in batches:
            for name, value in self._learn(batch, 1 / len(batches)).items():
                told.setdefault(name, []).append(value.detach().float())
        self._average_gradients()
        for optimiser in self.optimisers.values():
            optimiser.step()
            optimiser.zero_grad()
        return {name: torch.stack(values).mean() for name, values in told.items()}

    def _learn(self, batch: Batch, share: float) -> dict[str, Tensor]:
        """Add a batch's gradients."""
        recipe = self.recipe
        with self._fabric.autocast():
            heard, made = self.make(batch)
        losses = {"l1": (made.float() - batch.truth).abs().mean()}
        total = (1 - recipe.lip - recipe.gan) * losses["l1"]
        if self.lips_are_read:
            with self._fabric.autocast():
                losses |= self.read(batch, heard, made)
            total = total + recipe.lip * losses["lip"]
            if recipe.contrast:
                total = total + recipe.contrast * losses["contrast"]
        if not recipe.gan:
            torch.autograd.backward(share * total)
            return losses
        faces = made.detach().requires_grad_()
        with self._fabric.autocast():
            fake, real = self.discriminator.logits(faces).float(), self.discriminator.logits(batch.truth).float()
        losses |= {
            "perceptual": F.softplus(-fake).mean(),  # binary cross-entropy against "real", from logits
            "real": F.softplus(-real).mean(),
            "fake": F.softplus(fake).mean(),
        }
        (push,) = torch.autograd.grad(share * recipe.gan * losses["perceptual"], faces, retain_graph=True)
        # What the generator's loss leaves in the discriminator enters its step as well, as in the original.
        judged = losses["real"] + losses["fake"] + recipe.gan * losses["perceptual"]
        torch.autograd.backward(share * judged, inputs=list(self.discriminator.parameters()))
        torch.autograd.backward([share * total, made], [None, push.to(made.dtype)])
        return losses

    def make(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Audio embeddings (N, heard) and generated faces (N, 3, 96, 96) of the picked frames."""
        local = self.generator.dims.audio == "local"
        with torch.set_grad_enabled(torch.is_grad_enabled() and (local or self.audio_learns)):
            heard = self.generator.audio_embedding(batch.audio, batch.hidden, batch.index)
        return heard, self.generator.paint(heard, batch.faces)

    def read(self, batch: Batch, heard: Tensor, made: Tensor) -> dict[str, Tensor]:
        """What the lip reader charges for the generated faces, in their videos, and contrastive learning."""
        assert self.teacher is not None  # a recipe that reads has one
        seen = self.teacher.see(hybrid(self.teacher.sight, batch, made), batch.hidden)  # (B, T, C)
        charged = self.teacher.read(seen, batch.hidden, batch.tokens)
        losses = {"lip": charged.smoothed, "lip_per_token": charged.smoothed / charged.tokens}
        if self.recipe.contrast:
            losses["contrast"] = contrastive(seen.flatten(0, 1)[batch.index], self.generator.sync_net(heard))
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
        """Weights and the optimisers' memory."""
        return {
            **{name: network.state_dict() for name, network in self.networks.items()},
            **{f"{name}_optimiser": optimiser.state_dict() for name, optimiser in self.optimisers.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state`. Raises KeyError, RuntimeError or ValueError if it does not fit."""
        for name, network in self.networks.items():
            network.load_state_dict(state[name])
            self.optimisers[name].load_state_dict(state[f"{name}_optimiser"])
            self.optimisers[name].zero_grad()


def hybrid(sight: Sight, batch: Batch, made: Tensor) -> Tensor:
    """The clips with the generated faces pasted back, as the lip reader sees them: (B, 1, T, side, side).

    As ``images2avhubert`` (TalkLip ``utils/data_avhubert.py``): each face times 255 is brought to its box, bilinear
    without antialiasing; the frames become grey in float, are cut and normalised.
    """
    left, top, right, bottom = sight.window
    frames = batch.frames.float()  # (M, H, W, 3)
    height, width = frames.shape[1:3]
    pasted = list(frames.unbind())
    for row, box, face in zip(batch.rows.tolist(), batch.boxes.tolist(), made.float() * 255, strict=True):
        x1, y1, x2, y2 = box[0], box[1], min(box[2], width), min(box[3], height)
        inside = F.interpolate(face[None], (y2 - y1, x2 - x1), mode="bilinear", antialias=False)[0].permute(1, 2, 0)
        pasted[row] = pasted[row].index_put(
            (torch.arange(y1, y2, device=face.device)[:, None], torch.arange(x1, x2, device=face.device)), inside
        )
    grey = torch.stack(pasted)[:, top:bottom, left:right] @ frames.new_tensor(GREY)  # (M, h, w)
    if grey.shape[1:] != (sight.side, sight.side):
        grey = F.interpolate(grey[:, None], (sight.side, sight.side), mode="bilinear", antialias=False)[:, 0]
    seen = (grey / 255 - sight.mean) / sight.std
    whole = seen.new_zeros(*batch.hidden.shape, sight.side, sight.side)
    return whole.masked_scatter(~batch.hidden[..., None, None], seen)[:, None]


def contrastive(seen: Tensor, heard: Tensor) -> Tensor:
    """How badly speech finds its own lips among others' speech, a mean over frames in nats.

    As ``models/learn_sync.py``: the anchor is speech, (N, C) of unit length; the positive is what was seen, (N, C); the
    negatives are up to 100 other speech embeddings, half of them at most, drawn without replacement.
    """
    count = len(heard)
    drawn = torch.multinomial(torch.ones(count, count - 1), min(NEGATIVES, count // 2)).to(heard.device)
    drawn = drawn + (drawn >= torch.arange(count, device=heard.device)[:, None])
    positive = (heard * F.normalize(seen, dim=1)).sum(1, keepdim=True)  # (N, 1)
    negative = (heard @ heard.T).gather(1, drawn)  # (N, negatives)
    logits = torch.cat([positive, negative], dim=1).float() / TEMPERATURE
    return -logits.log_softmax(1)[:, 0].mean()
