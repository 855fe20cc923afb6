"""What a generator is trained with: the weights of the losses, and the optimisers' settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from tlbench.errors import TlbenchError, listed, quoted

GeneratorName = Literal["talklip", "wav2lip", "faceformer"]
GENERATORS: tuple[GeneratorName, ...] = ("talklip", "wav2lip", "faceformer")
VARIANTS = ("l", "l+c", "g", "g+c", "base-no-lip", "base-no-lip-gan")
ADAM_BETA1, ADAM_BETA2 = 0.5, 0.999  # train.py
GanForm = Literal["code", "paper"]
GAN_FORMS: tuple[GanForm, ...] = ("code", "paper")
Init = Literal["random", "copy"]
INITS: tuple[Init, ...] = ("random", "copy")
SyncNorm = Literal["batch", "running"]
SYNC_NORMS: tuple[SyncNorm, ...] = ("batch", "running")


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

    generator: ClassVar[GeneratorName] = "talklip"
    variant: str
    lip_weight: float = 1e-5
    contrast_weight: float = 1e-3
    gan_weight: float = 0.07
    gan_form: GanForm = "code"
    mouth_weight: float = 1.0

    def __post_init__(self) -> None:
        _check_form_and_mouth(self.gan_form, self.mouth_weight)

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
class Wav2LipLoss:
    """The weights of Wav2Lip's losses; the defaults are those of ``hq_wav2lip_train.py`` and ``hparams.py``.

    Attributes
    ----------
    sync_weight : float
        Of the sync expert's loss, once it is used. The reconstruction loss has the weight ``1 - gan_weight`` before,
        and ``1 - sync_weight - gan_weight`` then.
    sync_below : float
        The sync loss is used once its mean over the validation set is below this, in nats.
    gan_weight : float
        Of the quality discriminator's loss; 0 for Wav2Lip without it (``wav2lip_train.py``).
    gan_form : "code" or "paper"
        As of :class:`LossConfig`.
    mouth_weight : float
        As of :class:`LossConfig`; 1 as published.
    sync_norm : "batch" or "running"
        What the sync expert's batch norms normalise by: the statistics of the batch, as in the published code, which
        leaves the expert in training mode, or those of the expert's own training.
    """

    generator: ClassVar[GeneratorName] = "wav2lip"
    sync_weight: float = 0.03
    sync_below: float = 0.75
    gan_weight: float = 0.07
    gan_form: GanForm = "code"
    mouth_weight: float = 1.0
    sync_norm: SyncNorm = "batch"

    def __post_init__(self) -> None:
        _check_form_and_mouth(self.gan_form, self.mouth_weight)
        if self.sync_weight + self.gan_weight >= 1:
            raise TlbenchError(
                f"weights {self.sync_weight:g} of the sync loss and {self.gan_weight:g} of the discriminator's leave "
                "nothing of 1 for L1; give smaller ones (--sync-weight, --gan-weight)"
            )
        if self.sync_norm not in SYNC_NORMS:
            raise TlbenchError(f"no {quoted(self.sync_norm)} for a sync expert{listed(self.sync_norm, SYNC_NORMS)}")

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class FaceformerLoss:
    """Faceformer's loss, mean squared error, and the windows it is computed on.

    Attributes
    ----------
    window_frames : int
        Consecutive frames of a clip that are generated in a step. FaceFormer takes whole clips of meshes; 50 are two
        periods, so that the bias of the attention is used.
    mouth_weight : float
        As of :class:`LossConfig`.
    """

    generator: ClassVar[GeneratorName] = "faceformer"
    window_frames: int = 50
    mouth_weight: float = 1.0

    def __post_init__(self) -> None:
        _check_form_and_mouth("code", self.mouth_weight)
        if self.window_frames < 2:
            raise TlbenchError(f"windows of {self.window_frames} frames: give at least 2 (window_frames)")

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


AnyLoss: TypeAlias = "LossConfig | Wav2LipLoss | FaceformerLoss"


def _check_form_and_mouth(gan_form: GanForm, mouth_weight: float) -> None:
    if gan_form not in GAN_FORMS:
        raise TlbenchError(f"no form {quoted(gan_form)} of the GAN losses; there are {', '.join(GAN_FORMS)} (gan_form)")
    if mouth_weight < 1:
        raise TlbenchError(f"mouth weight {mouth_weight}: must be at least 1 (--mouth-weight)")


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

    def recipe(self) -> dict[str, Any]:
        """Part of the entry ``recipe`` of packages, under the names that they have had from the start."""
        return {
            "learning_rate": self.learning_rate,
            "judge_rate": self.discriminator_lr,
            "momentum": self.adam_beta1,
            "warmup": self.warmup_steps,
            "fade": self.lr_decay_fraction,
        }

    def bn_frozen(self, step: int) -> bool:
        """Whether the generator's batch norms keep their statistics at a step, counted from 0."""
        return self.freeze_bn_from is not None and step >= self.freeze_bn_from

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)
