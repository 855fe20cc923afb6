"""How long a test set takes on so many cores and GPUs, and what it costs: a calculation from measured speeds.

    python -m benchmarks.capacity [--cores-a-gpu 100] [--dollars-gpu 2] [--dollars-core 0.05]

The speeds of one core are those of ``docs/scale.md``, by ``python -m benchmarks.gpu --device cpu``; how many such cores
a GPU is worth is an assumption until ``python -m benchmarks.gpu`` has run on one. Prints the tables of that page.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Frames a second of one core.
NETWORKS = {"AV-HuBERT base": 21.9, "auto_avsr": 23.2, "Conformer": 144.0, "MVM": 49.6, "SyncNet": 93.1}
DECODING_MS, PSNR_SSIM_MS, FACES_MS = 0.4, 1.2, 3.6  # of a core, for a frame


@dataclass(frozen=True)
class TestSet:
    """A test set, the networks that look at it, and what a frame costs before them.

    Attributes
    ----------
    clips, frames : int
        In all.
    networks : tuple of str
    decoding_ms : float
        Of a core, for a frame: decoding, crops, PSNR and SSIM, and face search if there are no boxes.
    """

    name: str
    clips: int
    frames: int
    networks: tuple[str, ...]
    decoding_ms: float

    @property
    def network_ms(self) -> float:
        """Of a core, for a frame."""
        return sum(1000 / NETWORKS[name] for name in self.networks)

    def seconds_on_cores(self, cores: int) -> float:
        """Without the start."""
        return self.frames * (self.network_ms + self.decoding_ms) / 1000 / cores

    def seconds_on_gpus(self, gpus: int, cores_a_gpu: float) -> float:
        """Without the start, if enough cores decode."""
        return self.frames * self.network_ms / 1000 / cores_a_gpu / gpus

    def cores_that_feed(self, cores_a_gpu: float) -> int:
        """A GPU: with fewer cores decoding is the bound."""
        return round(self.decoding_ms * cores_a_gpu / self.network_ms)


LRS2 = TestSet(
    "LRS2",
    1_243,
    45_000,
    ("AV-HuBERT base", "auto_avsr", "Conformer", "SyncNet"),
    DECODING_MS + PSNR_SSIM_MS + FACES_MS,
)
LRW = TestSet("LRW", 25_000, 725_000, ("MVM", "SyncNet"), DECODING_MS + PSNR_SSIM_MS)  # its face box is fixed


def in_words(seconds: float) -> str:
    """``41 s``, ``4.6 min``, ``1.2 h``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of Markdown."""
    yield f"| {' | '.join(head)} |"
    yield f"| --- |{' ---: |' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def speeds(cores_a_gpu: float) -> Iterator[str]:
    """Each network: a clip of 36 frames, LRS2's mean, and of 29, LRW's."""
    rows = []
    for name, frames_a_second in NETWORKS.items():
        frames = LRW.frames / LRW.clips if name == "MVM" else LRS2.frames / LRS2.clips
        clips = frames_a_second / frames
        rows.append([name, f"{frames:.0f}", f"{clips:.2g}", f"{clips * cores_a_gpu:.0f}"])
    return table(["network", "frames of a clip", "clips/s on a core", "clips/s on a GPU"], rows)


def times(cores_a_gpu: float) -> Iterator[str]:
    """Both test sets."""
    sets = (LRS2, LRW)
    rows = [
        ["on one core", *(in_words(one.seconds_on_cores(1)) for one in sets)],
        ["on 64 cores", *(in_words(one.seconds_on_cores(64)) for one in sets)],
        ["*g*", *(f"{one.network_ms / cores_a_gpu:.2f} ms" for one in sets)],
        ["*c*, faces searched (LRS2) or with the fixed box (LRW)", *(f"{one.decoding_ms:.1f} ms" for one in sets)],
        ["cores that feed one GPU, *c* / *g*", *(str(one.cores_that_feed(cores_a_gpu)) for one in sets)],
    ]
    for gpus in (1, 8, 64):
        named = "1 GPU" if gpus == 1 else f"{gpus} GPUs"
        rows.append([named, *(in_words(one.seconds_on_gpus(gpus, cores_a_gpu)) for one in sets)])
    return table(["time", *(f"{one.name}: {', '.join(one.networks)}, PSNR, SSIM" for one in sets)], rows)


def costs(cores_a_gpu: float, dollars_gpu: float, dollars_core: float) -> Iterator[str]:
    """Dollars of both test sets, at these prices of an hour."""
    rows = []
    for one in (LRS2, LRW):
        on_cores = one.seconds_on_cores(1) / 3600 * dollars_core
        on_gpu = one.seconds_on_gpus(1, cores_a_gpu) / 3600 * dollars_gpu
        rows.append([one.name, f"{on_cores:.2f}", f"{on_gpu:.2f}"])
    return table(["data set", "dollars on cores", "dollars on GPUs"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores-a-gpu", type=float, default=100.0, help="how many cores a GPU is worth")
    parser.add_argument("--dollars-gpu", type=float, default=2.0, help="an hour of a GPU, with the cores that feed it")
    parser.add_argument("--dollars-core", type=float, default=0.05, help="an hour of a core")
    given = parser.parse_args()
    prices = given.dollars_gpu, given.dollars_core
    for lines in (speeds(given.cores_a_gpu), times(given.cores_a_gpu), costs(given.cores_a_gpu, *prices)):
        print("\n".join(lines), end="\n\n")


if __name__ == "__main__":
    main()
