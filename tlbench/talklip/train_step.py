"""One change of the weights: the generator's losses, the discriminator's, and both optimisers' steps.

The arithmetic is that of Sxjdwang/TalkLip ``train.py``. What the original computes more than once is computed once: the
discriminator looks at real and generated faces together, and what it says of the generated ones serves the generator's
loss and its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.errors import TlbenchError
from tlbench.talklip.batches import Batch
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.generator import TalkLip
from tlbench.training.expert import Expert, ExpertPreprocessing

if TYPE_CHECKING:
    from lightning_fabric import Fabric

VARIANTS = ("l", "l+c", "g", "g+c", "base-no-lip", "base-no-lip-gan")
ADVERSARIAL = ("perceptual", "real", "fake")  # losses that a discriminator which runs away drives up
TUNED_BLOCKS = 3  # train.py ftlayers: the last three of the audio encoder's transformer
TEMPERATURE = 0.07  # models/learn_sync.py
NEGATIVES = 100  # at most, models/learn_sync.py
MOMENTUM, SQUARES = 0.5, 0.999  # Adam's betas, train.py
GREY = (0.299, 0.587, 0.114)  # of red, green and blue, to be added in this order
MOUTH = (slice(56, 94), slice(20, 76))  # rows and columns of a 96x96 face: lips and what the jaw moves around them
GanForm = Literal["code", "paper"]
GAN_FORMS: tuple[GanForm, ...] = ("code", "paper")
DEEPEST_LOG = -100.0  # where torch's binary cross-entropy ends as well


@dataclass(frozen=True)
class Recipe:
    """What a variant learns from, and how much each counts.

    Attributes
    ----------
    variant : str
    lip, contrast, gan : float
        Weights; the pictures' own L1 gets ``1 - lip - gan`` (``train.py``). 0 leaves a loss out.
    learning_rate : float
        Of the first step.
    judge_rate : float
        The discriminator's own. It has no batch norms, so that little of a face reaches its end before it has learned
        something: at 2e-3 a miniature generator learns well, and its discriminator never begins to.
    momentum : float
        Adam's first beta, of both networks; 0.5 as published.
    warmup : int
        Over so many steps, the first ones, the rates rise to what they are; 0 as published. Adam's first steps are as
        large as its later ones however small the gradients, and undo what a copier begins with.
    fade : float
        Over this share of all steps, the last ones, it falls evenly to 0; 0 as published, where it stays. Needs a
        number of steps.
    copies : bool
        Whether the generator begins as a copier (:mod:`tlbench.talklip.copy_init`); False as published.
    settled_from : int or None
        The step from which the generator's batch norms keep the statistics they have; None as published: never. In a
        batch of few people those of the batch tell each face by the others in it, which no face can be painted by.
    gan_form : "code" or "paper"
        How generator and discriminator are charged: :func:`adversarial`.
    mouth : float
        How many times a pixel around the mouth counts in the L1 that is learned from; 1 as published: the rest of the
        face, which tells nothing of what is said, is four fifths of it. Losses are reported unweighted.
    """

    variant: str
    lip: float = 1e-5
    contrast: float = 1e-3
    gan: float = 0.07
    learning_rate: float = 1e-4
    judge_rate: float = 1e-4
    momentum: float = MOMENTUM
    warmup: int = 0
    fade: float = 0.0
    copies: bool = False
    settled_from: int | None = None
    gan_form: GanForm = "code"
    mouth: float = 1.0

    def __post_init__(self) -> None:
        if self.gan_form not in GAN_FORMS:
            raise TlbenchError(f"no form {self.gan_form!r} of the GAN's losses; there are {', '.join(GAN_FORMS)}")
        if not 0 <= self.momentum < 1:
            raise TlbenchError(f"momentum {self.momentum}: give 0 or more, less than 1 (--momentum)")
        if self.mouth < 1:
            raise TlbenchError(f"the mouth's pixels can't count {self.mouth} times; give 1 or more (--mouth-weight)")
        if not 0 <= self.fade <= 1:
            raise TlbenchError(f"the learning rate can't fade over {self.fade} of all steps; give 0 to 1 (--fade)")

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

    def left_at(self, step: int, total: int | None) -> float:
        """How much of the learning rates the next step after so many of ``total`` is made at: between 1 and 0."""
        rising = (step + 1) / self.warmup if self.warmup else 1.0
        falling = max(total - step, 0) / (total * self.fade) if self.fade and total is not None else 1.0
        return min(rising, falling, 1.0)

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


class TrainStep:
    """The networks in training and their optimisers (Adam, as published).

    Parameters
    ----------
    generator : TalkLip
    discriminator : Discriminator
    teacher : Expert or None
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
        self, generator: TalkLip, discriminator: Discriminator, teacher: Expert | None, recipe: Recipe, fabric: Fabric
    ) -> None:
        self.generator = generator.to(fabric.device)
        self.discriminator = discriminator.to(fabric.device)
        if generator.dims.width < 1:
            side_by_side(generator)
            side_by_side(discriminator)
        self.teacher = teacher
        self.recipe = recipe
        self._fabric = fabric
        if teacher is not None:
            teacher.network.to(fabric.device)
        self._rates = {"generator": recipe.learning_rate, "discriminator": recipe.judge_rate}
        self.optimisers = {
            name: torch.optim.Adam(network.parameters(), lr=self._rates[name], betas=(recipe.momentum, SQUARES))
            for name, network in self.networks.items()
        }
        self._settled = False
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
        if self._settled:
            for part in self.generator.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.eval()
        if self.generator.dims.audio == "global" and not self.audio_learns:
            self.generator.audio_encoder.eval()

    def at_step(self, step: int, left: float) -> None:
        """Tell how many steps have been made, and how much of the learning rates is left for the next."""
        settled = self.recipe.settled_from is not None and step >= self.recipe.settled_from
        if settled != self._settled:
            self._settled = settled
            self.train()
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = left * self._rates[name]

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
        pictures = pictures_loss(losses["l1"], made, batch.truth, recipe.mouth)
        total = (1 - recipe.lip - recipe.gan) * pictures
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
        losses |= adversarial(real, fake, recipe.gan_form)
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

    @torch.no_grad()
    def charged_truth(self, batch: Batch) -> float:
        """What the lip reader charges for the true faces, in nats a token: no generator will be charged much less."""
        assert self.teacher is not None  # a recipe that reads has one
        with self._fabric.autocast():
            seen = self.teacher.see(hybrid(self.teacher.sight, batch, batch.truth), batch.hidden)
            charged = self.teacher.read(seen, batch.hidden, batch.tokens)
        return float(charged.smoothed) / charged.tokens

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


def side_by_side(network: nn.Module) -> None:
    """Keep each pixel's channels beside each other, as pictures come: 1.3 times the steps of a miniature on a CPU.

    Sums are made in another order then. At the published size that moves gradients by up to 1.5 %, so that a step could
    no longer be compared with the original's; it keeps torch's own order.
    """
    for part in network.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last)


def hybrid(sight: ExpertPreprocessing, batch: Batch, made: Tensor) -> Tensor:
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
    blue, green, red = torch.stack(pasted)[:, top:bottom, left:right].unbind(-1)  # (M, h, w)
    grey = GREY[0] * red + GREY[1] * green + GREY[2] * blue
    if grey.shape[1:] != (sight.side, sight.side):
        grey = F.interpolate(grey[:, None], (sight.side, sight.side), mode="bilinear", antialias=False)[:, 0]
    seen = (grey / 255 - sight.mean) / sight.std
    whole = seen.new_zeros(*batch.hidden.shape, sight.side, sight.side)
    return whole.masked_scatter(~batch.hidden[..., None, None], seen)[:, None]


def pictures_loss(l1: Tensor, made: Tensor, truth: Tensor, mouth_weight: float) -> Tensor:
    """What a generator is charged for its pictures: their L1, a pixel around the mouth counted so many times.

    Parameters
    ----------
    l1 : ()
        Mean absolute error of all pixels.
    made, truth : (N, 3, 96, 96) between 0 and 1
    mouth_weight : float
        Of a pixel of ``MOUTH`` in the weighted mean, those of the others being 1; 1 as published.
    """
    if mouth_weight == 1:
        return l1
    rows, columns = MOUTH
    mouth = (made[..., rows, columns].float() - truth[..., rows, columns]).abs()
    share = mouth[0].numel() / truth[0].numel()
    more = mouth_weight - 1
    return (l1 + more * share * mouth.mean()) / (1 + more * share)


def adversarial(real: Tensor, fake: Tensor, form: GanForm = "code") -> dict[str, Tensor]:
    """What the discriminator's logits cost, means over faces in nats.

    Parameters
    ----------
    real, fake : (N, 1)
        Of real and of generated faces.
    form : "code" or "paper"
        ``code`` is the published code's binary cross-entropy (``train.py``, ``models/talklip.py``); the generator is
        charged ``-log D(v')``. ``paper`` is Eq. 2 and 3 as printed, each to be made small: the generator is charged
        ``log(1 - D(v'))``, which pushes least while the discriminator is sure, and the discriminator
        ``log(1 - D(v)) + log D(v')``, which has no lowest value. Logarithms end at -100 as in the code.

    Returns
    -------
    dict
        ``perceptual``, the generator's; ``real`` and ``fake``, the discriminator's.
    """
    if form == "code":
        losses = {"perceptual": F.softplus(-fake), "real": F.softplus(-real), "fake": F.softplus(fake)}
    else:
        printed = {"perceptual": -F.softplus(fake), "real": -F.softplus(real), "fake": -F.softplus(-fake)}
        losses = {name: value.clamp(min=DEEPEST_LOG) for name, value in printed.items()}
    return {name: value.mean() for name, value in losses.items()}


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
