"""Convolutions of the lip readers with fewer multiplications (Winograd's), against oneDNN's direct ones.

    python -m benchmarks.winograd [--frames 32] [--threads 1] [--repeats 7] [--processor-time]

Lavin & Gray 2015, "Fast Algorithms for Convolutional Neural Networks" (arXiv:1509.09308): of a 3x3 convolution, m x m
outputs take (m + 2)^2 products instead of 9 m^2. The points are those of Toom and Cook; inputs and outputs are
transformed by torch's product, the products between them are made with packed weights. It is not used by tlbench: this
says what it would gain, and how much further its rounding is from float64. The baseline is :class:`torch.nn.Conv2d` in
channels-last memory, as the readers use it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tlbench.observing.packed_linear import PackedLinear

# Who has it, side in pixels, channels, and outputs a side of a tile, of the stages of ResNet-18.
STAGES = (
    *(("Conformer", 28, 64, 4), ("Conformer", 14, 128, 4), ("Conformer", 7, 256, 4), ("Conformer", 4, 512, 4)),
    *(("AV-HuBERT", 22, 64, 4), ("AV-HuBERT", 11, 128, 4), ("AV-HuBERT", 6, 256, 3), ("AV-HuBERT", 3, 512, 3)),
)
POINTS = {3: (0, 1, -1, 0.5), 4: (0, 1, -1, 0.5, -2)}  # and infinity; small ones, for their rounding
LARGEST_ERROR = 2e-5  # of the largest value; a mistake would be far beyond


def matrices(points: Sequence[float], outputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The transforms of outputs (m, m + 2), kernel (m + 2, 3) and inputs (m + 2, m + 2) along one axis."""
    count = outputs + 2
    made, kernel, inputs = np.zeros((outputs, count)), np.zeros((count, 3)), np.zeros((count, count))
    for row, point in enumerate(points):
        others = [other for other in points if other != point]
        made[:, row] = [point**power for power in range(outputs)]
        kernel[row] = [point**power / np.prod([point - other for other in others]) for power in range(3)]
        inputs[row, : count - 1] = np.poly(others)[::-1]
    made[-1, -1] = kernel[-1, -1] = 1
    inputs[-1] = np.poly(points)[::-1]
    return made, kernel, inputs


class Winograd:
    """A 3x3 convolution with stride 1 and a border of zeros, for pictures of one size.

    Tensors are (side, side, n, channels): the transform of an axis is then one matrix product.
    """

    def __init__(self, convolution: nn.Conv2d, side: int, outputs: int) -> None:
        made, kernel, inputs = matrices(POINTS[outputs], outputs)
        self.points, self.tiles = outputs + 2, -(-side // outputs)
        into = np.zeros((self.points, self.tiles, side))
        back = np.zeros((side, self.points, self.tiles))
        for tile in range(self.tiles):
            for place in range(self.points):
                if 0 <= (seen := tile * outputs + place - 1) < side:
                    into[:, tile, seen] = inputs[:, place]
            for place in range(outputs):
                if (told := tile * outputs + place) < side:
                    back[told, :, tile] = made[place]
        self.into = torch.from_numpy(into.reshape(-1, side)).float()
        self.back = torch.from_numpy(back.reshape(side, -1)).float()
        assert convolution.bias is not None
        self.bias = convolution.bias.detach()
        weights = np.einsum("ai,bj,kcij->abkc", kernel, kernel, convolution.weight.detach().double().numpy())
        self.layers = [[PackedLinear(torch.from_numpy(one).float(), None) for one in row] for row in weights]

    def __call__(self, x: Tensor) -> Tensor:
        side, _, pictures, channels = x.shape
        points, tiles = self.points, self.tiles
        rows = (self.into @ x.view(side, -1)).view(points * tiles, side, pictures * channels)
        seen = torch.matmul(self.into, rows).view(points, tiles, points, tiles * pictures, channels)
        told = torch.empty_like(seen)
        for down, of_row in enumerate(self.layers):
            for right, layer in enumerate(of_row):
                told[down, :, right] = layer(seen[down, :, right].flatten(0, 1)).view(tiles, -1, channels)
        columns = torch.matmul(self.back, told.view(points * tiles, points * tiles, -1))
        return (self.back @ columns.view(points * tiles, -1)).view(x.shape) + self.bias


def best(work: Callable[[], object], repeats: int, clock: Callable[[], float]) -> float:
    """The shortest time, in milliseconds."""
    times = []
    for _ in range(repeats):
        began = clock()
        work()
        times.append(clock() - began)
    return 1e3 * min(times)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=32, help="pictures at a time, as the readers take them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--processor-time", action="store_true", help="on a busy machine; for one thread")
    options = parser.parse_args()
    clock: Callable[[], float] = time.process_time if options.processor_time else time.perf_counter
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(f"{options.frames} frames, {options.threads} threads, best of {options.repeats}; errors in the largest value")
    for reader, side, channels, outputs in STAGES:
        direct = nn.Conv2d(channels, channels, 3, padding=1).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = torch.randn(options.frames, channels, side, side).relu().contiguous(memory_format=torch.channels_last)
        fewer, pixels_first = Winograd(direct, side, outputs), x.permute(2, 3, 0, 1).contiguous()
        wanted = nn.functional.conv2d(x.double(), direct.weight.double(), direct.bias.double(), padding=1)
        errors = [
            float((found - wanted).abs().max() / wanted.abs().max())
            for found in (direct(x), fewer(pixels_first).permute(2, 3, 0, 1))
        ]
        assert max(errors) < LARGEST_ERROR, errors
        one = best(lambda: direct(x), options.repeats, clock)  # noqa: B023
        other = best(lambda: fewer(pixels_first), options.repeats, clock)  # noqa: B023
        print(
            f"{reader:9} {side:2}x{side:<2} {channels:3} channels: direct {one:5.1f} ms, error {errors[0]:.1e}; "
            f"Winograd, {outputs}x{outputs} outputs {other:5.1f} ms, error {errors[1]:.1e}; {one / other:.2f} times"
        )


if __name__ == "__main__":
    main()
