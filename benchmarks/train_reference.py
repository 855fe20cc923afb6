"""Speed of a training step of the reference generator, compared with the original's script, line by line.

    python -m benchmarks.train_reference [--size published] [--frames 25] [--threads N] [--repeats 3]
        [--precision fp32]

The baseline computes what Sxjdwang/TalkLip's ``train.py`` computes in a step without the expert: the discriminator is
run on the generated faces twice, once for the generator's loss and once for its own, and all gradients are computed in
the order of the script. Both start from the same weights and must give the same losses. Loading is measured separately:
how much faster one process makes batches, with their videos decoded each time, than a step uses them.
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
from tlbench.talklip.batches import MIN_FRAMES, Batch, BatchMaker
from tlbench.talklip.dataset import TalkLipDataset
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.generator import AHEAD_FRAMES, TalkLip
from tlbench.talklip.talklip_training import build_networks
from tlbench.talklip.train_config import ADAM_BETA1, ADAM_BETA2, LossConfig, OptimConfig
from tlbench.talklip.train_step import TrainStep
from tlbench.training.devices import FABRIC_PRECISION, Precision

LOSS, OPTIM = LossConfig.for_variant("base-no-lip"), OptimConfig()


class OriginalStep:
    """The original's step, with the names of its script."""

    def __init__(self, generator: TalkLip, discriminator: Discriminator) -> None:
        self.generator, self.discriminator = generator.train(), discriminator.train()
        self.optimisers = [
            torch.optim.Adam(network.parameters(), lr=OPTIM.learning_rate, betas=(ADAM_BETA1, ADAM_BETA2))
            for network in (generator, discriminator)
        ]

    def __call__(self, batch: Batch) -> dict[str, float]:
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        generated = self.generator(batch.audio, batch.padding_mask, batch.index, batch.faces)
        predicted = self.discriminator(generated)
        perceptual = F.binary_cross_entropy(predicted, torch.ones_like(predicted))
        l1 = F.l1_loss(generated, batch.target)
        torch.autograd.backward(LOSS.gan_weight * perceptual + (1 - LOSS.gan_weight) * l1)
        self.optimisers[0].step()
        self.optimisers[0].zero_grad()
        predicted = self.discriminator(batch.target)
        real = F.binary_cross_entropy(predicted, torch.ones_like(predicted))
        predicted = self.discriminator(generated.detach())
        fake = F.binary_cross_entropy(predicted, torch.zeros_like(predicted))
        torch.autograd.backward(real + fake)
        self.optimisers[1].step()
        losses = {"l1": l1, "perceptual": perceptual, "real": real, "fake": fake}
        return {name: float(loss.detach()) for name, loss in losses.items()}


def synthetic_set(root: Path, frames: int) -> TalkLipDataset:
    """Two clips of a moving gradient with noise, in LRS2's layout."""
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
    dataset = TalkLipDataset(
        selection, BoxRule("fixed", fixed=(30, 20, 130, 150)), root / "cache", min_frames=MIN_FRAMES
    )
    dataset.prepare(lambda done, total: None)
    return dataset


def seconds_of(work: Callable[[], object], repeats: int) -> float:
    """The shortest time of ``repeats``, after a warm-up."""
    work()
    best = float("inf")
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of a training step, compared with the original's.")
    parser.add_argument("--size", default="published", help="published, miniature or tiny")
    parser.add_argument("--frames", type=int, default=25, help="of each of the two clips of a batch")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3, help="the shortest time counts")
    parser.add_argument(
        "--precision", default="fp32", choices=["fp32", "bf16"], help="of tlbench; the baseline's is fp32"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    with TemporaryDirectory() as folder:
        measure(
            synthetic_set(Path(folder), options.frames),
            options.size,
            options.threads,
            options.repeats,
            options.precision,
        )


def measure(dataset: TalkLipDataset, size: str, threads: int, repeats: int, precision: Precision) -> None:
    maker = BatchMaker(None, None, AHEAD_FRAMES)

    def load() -> Batch:
        return maker.training([dataset[0], dataset[1]], np.random.default_rng(0))

    batch = load()
    original = OriginalStep(*build_networks(LOSS, size, None, 0)[:2])
    generator, discriminator, _ = build_networks(LOSS, size, None, 0)
    fabric = Fabric(accelerator="cpu", devices=1, precision=FABRIC_PRECISION[precision])  # type: ignore[arg-type]
    ours = TrainStep(generator, discriminator, None, LOSS, OPTIM, fabric)
    expected, losses = original(batch), ours([batch])
    difference = max(abs(expected[name] - float(losses[name])) for name in expected)

    before = seconds_of(lambda: original(batch), repeats)
    now = seconds_of(lambda: ours([batch]), repeats)
    loading = seconds_of(load, repeats)
    print(f"{size}, {len(batch.faces)} faces a step, {threads} threads; losses differ by {difference:.1e}")
    print(f"original {before:.2f} s, tlbench {now:.2f} s: {before / now:.2f} times the steps")
    print(f"one process makes a batch in {loading:.3f} s, {now / loading:.0f} times as fast as a step uses it")


if __name__ == "__main__":
    main()
