"""Validation of a generator in training: mean losses on the validation set, and samples to look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Generic

import numpy as np
import torch

from tlbench.talklip.batches import FaceBatchMaker, to_uint8
from tlbench.talklip.dataset import TalkLipDataset
from tlbench.talklip.generator_step import BatchT, GeneratorStep
from tlbench.talklip.samples import VIDEO_FRAMES, Sample, draw_strip, write_sample_video
from tlbench.training.run_folder import Sums

SAMPLE_CLIPS = 4  # in the strip; the first of them is the video


class Validation(Generic[BatchT]):
    """The validation set, and how its batches are made.

    Parameters
    ----------
    train_step : GeneratorStep
        Has the networks.
    maker : FaceBatchMaker
    val_set : TalkLipDataset
    clips : int
        The number of clips that losses are computed on, the first ones; 0 for all.
    device : torch.device
    """

    def __init__(
        self,
        train_step: GeneratorStep[BatchT],
        maker: FaceBatchMaker[BatchT],
        val_set: TalkLipDataset,
        clips: int,
        device: torch.device,
    ) -> None:
        self._train_step = train_step
        self._maker = maker
        self._val_set = val_set
        self._clips = min(len(val_set), clips or len(val_set))
        self._device = device

    def batches(self, clips: int) -> Iterator[BatchT]:
        """The batches of the first clips, on the device."""
        made = self._maker.validation_batches(self._val_set, min(clips, len(self._val_set)))
        return (batch.to(self._device) for batch in made)

    @torch.no_grad()
    def losses(self) -> dict[str, float]:
        """Mean losses over batches, of frames selected as the original selects them in validation."""
        train_step, sums = self._train_step, Sums()
        for network in train_step.networks.values():
            network.eval()
        for index, batch in enumerate(self.batches(self._clips)):
            torch.manual_seed(index)  # for the negatives of the contrastive loss
            sums.add(train_step.validation_losses(batch))
        train_step.train()
        return sums.means()

    @torch.no_grad()
    def write_samples(self, folder: Path, name: str) -> None:
        """Write ``<name>.png``, a strip of the first clips, and ``<name>.mp4``, the first clip."""
        self._train_step.networks["generator"].eval()
        samples = [self._sample(index) for index in range(min(len(self._val_set), SAMPLE_CLIPS))]
        self._train_step.train()
        draw_strip(samples, folder / f"{name}.png")
        write_sample_video(samples[0], folder / f"{name}.mp4")

    def _sample(self, index: int) -> Sample:
        clip = self._val_set[index]
        generated, inputs, target = [], [], []
        at_once = self._maker.sample_frames
        for begin in range(0, min(len(clip), VIDEO_FRAMES), at_once):
            batch = self._maker.all_frames(clip, begin, min(begin + at_once, VIDEO_FRAMES)).to(self._device)
            generated.append(to_uint8(self._train_step.generate(batch)[1]))
            inputs.append(to_uint8(batch.faces))
            target.append(to_uint8(batch.target))
        pose, identity = np.split(np.concatenate(inputs), 2, axis=-1)
        return Sample(identity, pose, np.concatenate(generated), np.concatenate(target), clip.samples)
