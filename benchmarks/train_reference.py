"""A training step of the reference generator against a plain one that follows the original's script line by line.

    python -m benchmarks.train_reference [--size published] [--frames 25] [--threads N] [--repeats 3]
        [--precision fp32]

The baseline makes what Sxjdwang/TalkLip's ``train.py`` makes in a step without the lip reader: the discriminator looks
at the generated faces twice, once for the generator's loss and once for its own, and all gradients are computed in the
order of the script. Both begin with the same weights and must end with the same losses. Loading is measured apart: how
much faster one process makes batches than a step uses them up, its videos decoded each time, as a training does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from lightning_fabric import Fabric

from tlbench.datasets.selection import load_dataset
from tlbench.media.video_writer import write_video
from tlbench.observing.face_boxes import BoxRule
from tlbench.talklip.batches import SHORTEST, Batch, BatchMaker
from tlbench.talklip.dataset import TalkLipDataset
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.generator import AHEAD_FRAMES, TalkLip
from tlbench.talklip.train import build_networks
from tlbench.talklip.train_step import MOMENTUM, SQUARES, Recipe, TrainStep
from tlbench.training.devices import FABRIC_PRECISION, Precision

RECIPE = Recipe.for_variant("base-no-lip")


class StepByStep:
    """The original's step, by the names of its script."""

    def __init__(self, generator: TalkLip, discriminator: Discriminator) -> None:
        self.generator, self.discriminator = generator.train(), discriminator.train()
        self.optimisers = [
            torch.optim.Adam(network.parameters(), lr=RECIPE.learning_rate, betas=(MOMENTUM, SQUARES))
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


def made_up(root: Path, frames: int) -> TalkLipDataset:
    """Two clips of a drifting slope with noise, in LRS2's layout."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:160, 0:160]
    names = ("a/00001", "a/00002")
    for name in names:
        slopes = np.stack([rows + columns // 2 + 2 * number for number in range(frames)]) % 256  # (T, 160, 160)
        pictures = np.clip(slopes[..., None] + rng.integers(-9, 10, (frames, 160, 160, 3)), 0, 255).astype(np.uint8)
        video = root / "main" / f"{name}.mp4"
        video.parent.mkdir(parents=True, exist_ok=True)
        write_video(video, pictures, samples=rng.integers(-9000, 9000, frames * 640).astype(np.int16))
        video.with_suffix(".txt").write_text("Text:  NOTHING\n")
    (root / "train.txt").write_text("".join(f"{name}\n" for name in names))
    selection = load_dataset("lrs2", root, split="train")
    book = TalkLipDataset(selection, BoxRule("fixed", fixed=(30, 20, 130, 150)), root / "cache", shortest=SHORTEST)
    book.prepare(lambda done, total: None)
    return book


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
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"], help="ours; the baseline's is fp32")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    with TemporaryDirectory() as folder:
        measure(
            made_up(Path(folder), options.frames), options.size, options.threads, options.repeats, options.precision
        )


def measure(book: TalkLipDataset, size: str, threads: int, repeats: int, precision: Precision) -> None:
    maker = BatchMaker(None, None, AHEAD_FRAMES)

    def load() -> Batch:
        return maker.training([book[0], book[1]], np.random.default_rng(0))

    batch = load()
    plain = StepByStep(*build_networks(RECIPE, size, None, 0)[:2])
    generator, discriminator, _ = build_networks(RECIPE, size, None, 0)
    ours = TrainStep(
        generator,
        discriminator,
        None,
        RECIPE,
        Fabric(accelerator="cpu", devices=1, precision=FABRIC_PRECISION[precision]),
    )
    theirs, told = plain(batch), ours([batch])
    worst = max(abs(theirs[name] - float(told[name])) for name in theirs)

    before = seconds_of(lambda: plain(batch), repeats)
    now = seconds_of(lambda: ours([batch]), repeats)
    loading = seconds_of(load, repeats)
    print(f"{size}, {len(batch.faces)} faces a step, {threads} threads; losses differ by {worst:.1e}")
    print(f"line by line {before:.2f} s, here {now:.2f} s: {before / now:.2f} times the steps")
    print(f"one process makes a batch in {loading:.3f} s, {now / loading:.0f} times as fast as it is used up")


if __name__ == "__main__":
    main()
