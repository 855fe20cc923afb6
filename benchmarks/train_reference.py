"""A training step of the reference generator against a plain one that follows the original's script line by line.

    python -m benchmarks.train_reference [--size published] [--frames 25] [--threads N] [--repeats 3]

The baseline makes what Sxjdwang/TalkLip's ``train.py`` makes in a step without the lip reader: the discriminator looks
at the generated faces twice, once for the generator's loss and once for its own, and all gradients are computed in the
order of the script. Both begin with the same weights and must end with the same losses. Loading is measured apart: how
much faster one process makes batches than a step uses them up.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from lightning_fabric import Fabric

from tlbench.datasets.clip import Clip
from tlbench.reference.batches import Batch, BatchMaker
from tlbench.reference.discriminator import Discriminator
from tlbench.reference.generator import TalkLip
from tlbench.reference.material import Material
from tlbench.reference.training import build_networks
from tlbench.reference.update import BETAS, Recipe, Update

RECIPE = Recipe.for_variant("base-no-lip")


class StepByStep:
    """The original's step, by the names of its script."""

    def __init__(self, generator: TalkLip, discriminator: Discriminator) -> None:
        self.generator, self.discriminator = generator.train(), discriminator.train()
        self.optimisers = [
            torch.optim.Adam(network.parameters(), lr=RECIPE.learning_rate, betas=BETAS)
            for network in (generator, discriminator)
        ]

    def __call__(self, batch: Batch) -> dict[str, float]:
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        made = self.generator(batch.audio, batch.hidden, batch.index, batch.faces)
        said = self.discriminator(made)
        perceptual = F.binary_cross_entropy(said, torch.ones_like(said))
        l1 = F.l1_loss(made, batch.truth)
        torch.autograd.backward(RECIPE.gan * perceptual + (1 - RECIPE.gan) * l1)
        self.optimisers[0].step()
        self.optimisers[0].zero_grad()
        said = self.discriminator(batch.truth)
        real = F.binary_cross_entropy(said, torch.ones_like(said))
        said = self.discriminator(made.detach())
        fake = F.binary_cross_entropy(said, torch.zeros_like(said))
        torch.autograd.backward(real + fake)
        self.optimisers[1].step()
        losses = {"l1": l1, "perceptual": perceptual, "real": real, "fake": fake}
        return {name: float(loss.detach()) for name, loss in losses.items()}


def made_up(frames: int) -> Material:
    """A clip of noise: its content does not change how long anything takes."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (frames, 160, 160, 3), np.uint8)
    samples = rng.integers(-9000, 9000, frames * 640).astype(np.int16)
    boxes = np.tile(np.array([30, 20, 130, 150]), (frames, 1))
    return Material(Clip("made-up"), pictures[:, :96, :96], pictures, boxes, samples, [])


def seconds_of(work: Callable[[], object], repeats: int) -> float:
    """The best of ``repeats``, after one that warms up."""
    work()
    best = float("inf")
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description="A training step against the original's, line by line.")
    parser.add_argument("--size", default="published", help="published, miniature or tiny")
    parser.add_argument("--frames", type=int, default=25, help="of each of the batch's two clips")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3, help="the best counts")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    maker = BatchMaker(None, None)
    clips = [made_up(options.frames)] * 2
    batch = maker.training(clips, np.random.default_rng(0))
    plain = StepByStep(*build_networks(RECIPE, options.size, None, 0)[:2])
    generator, discriminator, _ = build_networks(RECIPE, options.size, None, 0)
    ours = Update(generator, discriminator, None, RECIPE, Fabric(accelerator="cpu", devices=1))
    theirs, told = plain(batch), ours([batch])
    worst = max(abs(theirs[name] - float(told[name])) for name in theirs)

    before = seconds_of(lambda: plain(batch), options.repeats)
    now = seconds_of(lambda: ours([batch]), options.repeats)
    loading = seconds_of(lambda: maker.training(clips, np.random.default_rng(0)), options.repeats)
    print(f"{options.size}, {len(batch.faces)} faces a step, {options.threads} threads; losses differ by {worst:.1e}")
    print(f"line by line {before:.2f} s, here {now:.2f} s: {before / now:.2f} times the steps")
    print(f"one process makes a batch in {loading:.3f} s, {now / loading:.0f} times as fast as it is used up")


if __name__ == "__main__":
    main()
