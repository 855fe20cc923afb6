"""The contract of training one kind of generator: what the shared loop is given for TalkLip, Wav2Lip and others.

:mod:`tlbench.talklip.train` sets a training up: folder, data, devices, settings. What differs between generators is
here: which experts they need, their networks, losses, batches and stages.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import Self

from tlbench.checkpoints.package import open_package
from tlbench.errors import TlbenchError
from tlbench.talklip.batches import FaceBatchMaker
from tlbench.talklip.checkpoint import find_generator, open_discriminator, read_published, stated_dims
from tlbench.talklip.dataset import Tokenize
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.generator import GeneratorDims
from tlbench.talklip.generator_step import GeneratorStep
from tlbench.talklip.run_config import InitCheckpoint, ModelConfig, TrainingConfig
from tlbench.talklip.stages import Progress

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class TrainingParts:
    """What the loop trains, how its batches are made, and when it ends."""

    step: GeneratorStep[Any]
    maker: FaceBatchMaker[Any]
    stages: Progress


class GeneratorTraining(ABC):
    """What is particular to training one kind of generator. Built by :meth:`of`, before there are devices.

    Attributes
    ----------
    min_frames : int
        Shorter clips are left out.
    init : InitCheckpoint or None
        The generator that is trained further.
    """

    min_frames: ClassVar[int]
    init: InitCheckpoint | None

    @classmethod
    @abstractmethod
    def of(cls, model: ModelConfig, training: TrainingConfig, dataset: str) -> Self:
        """Find what the options name. Raises TlbenchError if something is missing, or not for this generator."""

    @property
    def overlaps(self) -> tuple[str, ...]:
        """A line for each observer of the data set that is the expert or was trained like it."""
        return ()

    @property
    def tokenize(self) -> Tokenize | None:
        """Transcript to the expert's tokens; None if nothing needs transcripts."""
        return None

    @abstractmethod
    def experts(self) -> dict[str, Any]:
        """The experts, as entries of ``settings.json``."""

    @abstractmethod
    def trained_with(self) -> list[str]:
        """Names of the networks that the generator learns from, for its package."""

    @abstractmethod
    def recipe(self) -> dict[str, Any]:
        """The entry ``recipe`` of packages: the variant, its losses and its optimisers."""

    @abstractmethod
    def build(self, fabric: Fabric) -> TrainingParts:
        """Build the networks."""


def open_init_checkpoint(model: ModelConfig) -> InitCheckpoint | None:
    """The generator that is trained further; None if a new one is trained.

    Raises TlbenchError if there is none, or options contradict it.
    """
    if model.init_from is None:
        return None
    check_size_and_init(model)
    path = find_generator(model.init_from, "init-from")
    package = open_package(path, read_published)
    stated_dims(package, path)  # before its sizes are written into the settings
    return InitCheckpoint(path, package)


def check_size_and_init(model: ModelConfig) -> None:
    """Raises TlbenchError if a generator that is trained further is to have another size, or new weights."""
    if model.init == "copy" or model.size is not None:
        raise TlbenchError(
            f"the generator of {model.init_from} has its own size and weights; leave out --size and --init copy "
            "(--init-from)"
        )


def discriminator_for(model: ModelConfig, dims: GeneratorDims) -> Discriminator:
    """The discriminator that is trained further, or a new one of the generator's size."""
    if model.init_discriminator is not None:
        return open_discriminator(model.init_discriminator)
    return Discriminator(dims.width, dims.deepest)
