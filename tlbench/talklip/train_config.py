"""What a generator is trained with: the weights of the losses, and the optimisers' settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from tlbench.errors import TlbenchError, listed, quoted

VARIANTS = ("l", "l+c", "g", "g+c", "base-no-lip", "base-no-lip-gan")
ADAM_BETA1, ADAM_BETA2 = 0.5, 0.999  # train.py
GanForm = Literal["code", "paper"]
GAN_FORMS: tuple[GanForm, ...] = ("code", "paper")
Init = Literal["random", "copy"]
INITS: tuple[Init, ...] = ("random", "copy")


@dataclass(frozen=True)
class LossConfig:
    """The variant, and the weights of its losses.

    Attributes
    ----------
    variant : str
        One of ``VARIANTS``: ``l`` and ``g`` have a local or global audio encoder and learn from an expert, ``+c`` adds
        the contrastive loss, and the two bases have a local audio encoder and no expert.
    lip_weight, contrast_weight, gan_weight : float
        Weights of the expert's, the contrastive and the discriminator's loss; 0 leaves a loss out. The reconstruction
        loss has the weight ``1 - lip_weight - gan_weight`` (``train.py``).
    gan_form : "code" or "paper"
        The form of the adversarial losses, see :func:`tlbench.talklip.losses.gan_losses`.
    mouth_weight : float
        Weight of a pixel around the mouth in the reconstruction loss, where other pixels have the weight 1; 1 as
        published. Four fifths of a face are not around the mouth. The L1 that is reported is not weighted.
    """

    variant: str
    lip_weight: float = 1e-5
    contrast_weight: float = 1e-3
    gan_weight: float = 0.07
    gan_form: GanForm = "code"
    mouth_weight: float = 1.0

    def __post_init__(self) -> None:
        if self.gan_form not in GAN_FORMS:
            raise TlbenchError(
                f"no form {quoted(self.gan_form)} of the GAN losses; there are {', '.join(GAN_FORMS)} (gan_form)"
            )
        if self.mouth_weight < 1:
            raise TlbenchError(f"mouth weight {self.mouth_weight}: must be at least 1 (--mouth-weight)")

    @classmethod
    def for_variant(cls, variant: str) -> LossConfig:
        """The published weights. Raises TlbenchError on a variant that the paper does not have."""
        if variant not in VARIANTS:
            raise TlbenchError(f"no variant {quoted(variant)}{listed(variant, VARIANTS)} (--variant)")
        return cls(
            variant,
            lip_weight=0.0 if variant.startswith("base") else cls.lip_weight,
            contrast_weight=cls.contrast_weight if variant.endswith("+c") else 0.0,
            gan_weight=0.0 if variant == "base-no-lip-gan" else cls.gan_weight,
        )

    @property
    def audio(self) -> Literal["global", "local"]:
        """The kind of audio encoder."""
        return "global" if self.variant.startswith("g") else "local"

    @property
    def uses_expert(self) -> bool:
        """Whether the variant learns from an expert."""
        return not self.variant.startswith("base")

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class OptimConfig:
    """Settings of the two Adam optimisers; the defaults are TalkLip's.

    Attributes
    ----------
    learning_rate, discriminator_lr : float
        Of generator and discriminator. The discriminator has no batch norms: at 2e-3 that of a miniature generator
        gives all faces the same output and never learns, although the generator does.
    adam_beta1 : float
        Adam's first beta, of both networks; 0.5 as published.
    warmup_steps : int
        Both learning rates rise linearly over the first steps; 0 as published. Adam's first steps are as large as
        later ones, however small the gradients, and undo ``--init copy``.
    lr_decay_fraction : float
        Both learning rates fall linearly to 0 over this fraction of all steps, the last ones; 0 as published. Needs a
        fixed number of steps.
    freeze_bn_from : int or None
        The step from which the generator's batch norms no longer update their statistics and normalise by them; None
        for never, as published. In a batch of few people the batch's own statistics depend on which people are in it.
    """

    learning_rate: float = 1e-4
    discriminator_lr: float = 1e-4
    adam_beta1: float = ADAM_BETA1
    warmup_steps: int = 0
    lr_decay_fraction: float = 0.0
    freeze_bn_from: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.adam_beta1 < 1:
            raise TlbenchError(f"Adam's beta1 {self.adam_beta1}: must be at least 0 and less than 1 (--adam-beta1)")
        if not 0 <= self.lr_decay_fraction <= 1:
            raise TlbenchError(
                f"learning rate decay over {self.lr_decay_fraction} of all steps: give 0 to 1 (--lr-decay-fraction)"
            )

    def lr_scale(self, step: int, total: int | None) -> float:
        """What the learning rates are multiplied by at a step, counted from 0, of ``total``: between 0 and 1."""
        warmup = (step + 1) / self.warmup_steps if self.warmup_steps else 1.0
        if self.lr_decay_fraction and total is not None:
            decay = max(total - step, 0) / (total * self.lr_decay_fraction)
        else:
            decay = 1.0
        return min(warmup, decay, 1.0)

    def bn_frozen(self, step: int) -> bool:
        """Whether the generator's batch norms keep their statistics at a step, counted from 0."""
        return self.freeze_bn_from is not None and step >= self.freeze_bn_from

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)
