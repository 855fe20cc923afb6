"""One training step of Faceformer: mean squared error of windows of consecutive frames, generated one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tlbench.checkpoints.package import Package
from tlbench.talklip.batches import Batch, BatchMaker
from tlbench.talklip.checkpoint import package_of
from tlbench.talklip.dataset import TrainingClip
from tlbench.talklip.faceformer import Faceformer
from tlbench.talklip.generator_step import GeneratorStep
from tlbench.talklip.losses import reconstruction_loss
from tlbench.talklip.samples import VIDEO_FRAMES
from tlbench.talklip.train_config import FaceformerLoss, OptimConfig
from tlbench.training.expert import AudioEncoder

if TYPE_CHECKING:
    from lightning_fabric import Fabric

NAME = "faceformer"  # `observer` of a package


class WindowOfFramesMaker(BatchMaker):
    """Makes Faceformer's batches: a window of consecutive frames of each clip, and one frame for its identity.

    Parameters
    ----------
    audio_encoder : AudioEncoder
    window_frames : int
        The shortest clip of a batch may have fewer.
    """

    sample_frames = VIDEO_FRAMES  # a sample is generated as one sequence

    def __init__(self, audio_encoder: AudioEncoder, window_frames: int) -> None:
        super().__init__(audio_encoder, None)
        self._window_frames = window_frames

    def training(self, clips: Sequence[TrainingClip], rng: np.random.Generator, *, use_expert: bool = True) -> Batch:
        """Windows that begin at random, with the identity of any frame of the clip."""
        count = min(self._window_frames, *map(len, clips))
        selections = []
        for clip in clips:
            frames = int(rng.integers(len(clip) - count + 1)) + np.arange(count)
            selections.append((frames, np.full(count, rng.integers(len(clip)))))
        return self._batch(clips, selections, use_expert=False)

    def validation(self, clip: TrainingClip) -> Batch:
        """The first window of a clip, with the identity of its first frame."""
        frames = np.arange(min(self._window_frames, len(clip)))
        return self._batch([clip], [(frames, np.zeros_like(frames))], use_expert=False)


class FaceformerStep(GeneratorStep[Batch]):
    """Faceformer and its optimiser; calling it trains it by one step.

    The losses of a step are ``l2``, the mean squared error, which is minimised, and ``l1``, to compare with other
    generators.

    Parameters
    ----------
    generator : Faceformer
    loss : FaceformerLoss
    optim : OptimConfig
    fabric : Fabric
        Gradients are averaged over its devices.
    """

    def __init__(self, generator: Faceformer, loss: FaceformerLoss, optim: OptimConfig, fabric: Fabric) -> None:
        super().__init__(generator, None, generator.dims.width, optim, fabric)
        self.generator = generator
        self.loss = loss
        self.set_stage(train_audio=True, use_expert=False)

    def set_stage(self, *, train_audio: bool, use_expert: bool) -> None:
        """Begin the only stage: the audio encoder's transformer is trained, its front end is not."""
        encoder = self.generator.audio_encoder
        encoder.requires_grad_(False)
        for parameter in encoder.tunable(encoder.blocks if train_audio else 0):
            parameter.requires_grad_(True)
        self.train()

    def generate(self, batch: Batch) -> tuple[Tensor, Tensor]:
        speech = self.generator.speech(batch.audio, batch.padding_mask).flatten(0, 1)[batch.index]
        generated = self.generator(speech, batch.faces, len(batch.padding_mask))
        return speech, generated

    def _backward(self, batch: Batch, share: float) -> dict[str, Tensor]:
        losses, generated = self._losses(batch)
        total = reconstruction_loss(losses["l2"], generated, batch.target, self.loss.mouth_weight, power=2)
        torch.autograd.backward(share * total)
        return losses

    def validation_losses(self, batch: Batch) -> dict[str, Tensor]:
        return self._losses(batch)[0]

    def _losses(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        with self.autocast():
            _, generated = self.generate(batch)
        difference = generated.float() - batch.target
        return {"l1": difference.abs().mean(), "l2": difference.square().mean()}, generated

    def package(self, trained: Mapping[str, Any]) -> Package:
        return package_of(self.generator, trained, NAME)
