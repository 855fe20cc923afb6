"""The first layer of the readers' front ends, and those of small maps, against oneDNN's convolution of the same.

    python -m benchmarks.small_maps [--frames 32] [--threads 1] [--repeats 15] [--processor-time]

The first layer (:mod:`tlbench.observing.first_layer`) is compared with a 7x7 convolution of its 5 channels, and of 8 of
which 3 are zeros; the copies that each makes of its frames are included. Convolutions of small maps
(:mod:`tlbench.observing.small_maps`) are compared with :class:`torch.nn.Conv2d` in channels-last memory, for the sizes
that AV-HuBERT and auto_avsr (3x3 pixels), the Conformer and MVM (4x4) have, and for fewer channels. Both sides must
agree. The two take turns, and the least time of each counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from benchmarks.peak import packed_peak_gflops
from tlbench.observing.first_layer import AROUND, FRAMES_SEEN, FirstLayer
from tlbench.observing.small_maps import PackedRows, SmallMapConv2d

SIDES = (88, 112)  # of a crop, in pixels
# Channels in and out, pixels a side, stride.
MAPS = (
    *((256, 512, 6, 2), (512, 512, 3, 1), (256, 512, 7, 2), (512, 512, 7, 2), (512, 512, 4, 1)),
    *((256, 256, 3, 1), (128, 128, 3, 1), (256, 256, 6, 1)),
)
LARGEST_ERROR = 1e-5  # of the largest value; a mistake would be far beyond


def plain_first(layer: nn.Conv3d, channels: int) -> Callable[[Tensor], Tensor]:
    """A 2-D convolution of so many channels, of which :data:`FRAMES_SEEN` are used."""
    conv = nn.Conv2d(channels, 64, 7, 2, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    conv.weight.copy_(F.pad(layer.weight[:, 0], (0, 0, 0, 0, 0, channels - FRAMES_SEEN)))
    conv.bias.zero_()

    def run(frames: Tensor) -> Tensor:
        windows = frames.new_zeros(len(frames) - 2 * AROUND, *frames.shape[1:], channels)
        windows[..., :FRAMES_SEEN] = frames.unfold(0, FRAMES_SEEN, 1)
        return conv(windows.movedim(-1, 1))  # type: ignore[no-any-return]

    return run


def least(ways: dict[str, Callable[[], Tensor]], clock: Callable[[], float], repeats: int) -> dict[str, float]:
    """Seconds of each way, in turns. Raises ValueError if their results differ."""
    first, *others = [run() for run in ways.values()]
    for other in others:
        if float((other - first).abs().max() / first.abs().max()) > LARGEST_ERROR:
            raise ValueError("the ways differ")
    taken = dict.fromkeys(ways, float("inf"))
    for _ in range(repeats):
        for name, run in ways.items():
            began = clock()
            run()
            taken[name] = min(taken[name], clock() - began)
    return taken


def show(name: str, gflop: float, taken: dict[str, float], peak: float) -> None:
    baseline = next(iter(taken.values()))
    ways = "; ".join(
        f"{way} {1000 * seconds:.2f} ms, {gflop / seconds / peak:.0%} of the peak, {baseline / seconds:.2f} times"
        for way, seconds in taken.items()
    )
    print(f"{name}: {ways}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--processor-time", action="store_true", help="where other programs use the machine")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    clock = time.process_time if given.processor_time else time.perf_counter
    peak = packed_peak_gflops(clock, repeats=3)
    print(f"{given.threads} threads, least of {given.repeats}; oneDNN's peak {peak:.0f} GFLOP/s")
    with torch.inference_mode():
        for side in SIDES:
            layer, norm = (
                nn.Conv3d(1, 64, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False),
                nn.BatchNorm3d(64, eps=0).eval(),
            )
            frames = torch.randn(given.frames + 2 * AROUND, side, side)
            five, eight, folded = plain_first(layer, 5), plain_first(layer, 8), FirstLayer(layer, norm)
            ways: dict[str, Callable[[], Tensor]] = {
                "5 channels": lambda five=five, frames=frames: five(frames),  # type: ignore[misc]
                "8 channels": lambda eight=eight, frames=frames: eight(frames),  # type: ignore[misc]
                "pairs of columns": lambda folded=folded, frames=frames: folded([frames]),  # type: ignore[misc]
            }
            gflop = 2 * given.frames * 64 * (side // 2) ** 2 * 5 * 7 * 7 / 1e9
            show(f"first layer, {side}x{side}", gflop, least(ways, clock, given.repeats), peak)
        for channels, out, side, stride in MAPS:
            conv = SmallMapConv2d(channels, out, 3, stride, 1).to(memory_format=torch.channels_last)
            x = torch.randn(given.frames, channels, side, side).to(memory_format=torch.channels_last)
            rows = PackedRows(conv)
            ways = {
                "convolution": lambda conv=conv, x=x: conv(x),  # type: ignore[misc]
                "rows": lambda rows=rows, x=x: rows(x),  # type: ignore[misc]
            }
            gflop = 2 * given.frames * out * (-(-side // stride)) ** 2 * channels * 9 / 1e9
            name = f"{channels} to {out} channels, {side}x{side}, stride {stride}"
            show(name, gflop, least(ways, clock, given.repeats), peak)


if __name__ == "__main__":
    main()
