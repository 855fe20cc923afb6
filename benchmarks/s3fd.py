"""S3FD against the original's steps: the network of ``face_detection``, all images of a batch in planes.

    python -m benchmarks.s3fd [--size 360x288] [--frames 8] [--threads N] [--repeats N]

The baseline does what net_s3fd.py and detect.py of the copy of ``face_detection`` in TalkLip and Wav2Lip do: a float
array of the whole batch, channels before rows, through the network layer by layer, each with a ReLU of its own. Weights
are random, frames are noise. Both go from uint8 frames to the network's twelve maps and must give the same numbers
within 1e-4 of the largest, which is checked.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, relu

from tlbench.media.s3fd import CHANNEL_MEANS, S3FD, S3FDDetector, max_out

TOLERANCE = 1e-4  # docs/precision.md


@torch.inference_mode()
def original_step_by_step(frames: np.ndarray, net: S3FD) -> list[Tensor]:
    """The twelve maps of (n, H, W, 3) uint8 RGB frames."""
    images = (frames - np.array(CHANNEL_MEANS)).transpose(0, 3, 1, 2)
    x = torch.from_numpy(np.ascontiguousarray(images)).float()
    taken = {}
    for block, names in {
        1: ("conv1_1", "conv1_2"),
        2: ("conv2_1", "conv2_2"),
        3: ("conv3_1", "conv3_2", "conv3_3"),
        4: ("conv4_1", "conv4_2", "conv4_3"),
        5: ("conv5_1", "conv5_2", "conv5_3"),
    }.items():
        for name in names:
            x = relu(net.get_submodule(name)(x))
        if block > 2:
            taken[f"{names[-1]}_norm"] = net.get_submodule(f"{names[-1]}_norm")(x)
        x = max_pool2d(x, 2)
    for name in ("fc6", "fc7", "conv6_1", "conv6_2", "conv7_1", "conv7_2"):
        x = taken[name] = relu(net.get_submodule(name)(x))
    maps = []
    for name in ("conv3_3_norm", "conv4_3_norm", "conv5_3_norm", "fc7", "conv6_2", "conv7_2"):
        logits = net.get_submodule(f"{name}_mbox_conf")(taken[name])
        maps += [
            max_out(logits) if name == "conv3_3_norm" else logits,
            net.get_submodule(f"{name}_mbox_loc")(taken[name]),
        ]
    return maps


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="360x288", help="of a frame, WIDTHxHEIGHT")
    parser.add_argument("--frames", type=int, default=8, help="in a batch")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    width, height = map(int, options.size.split("x"))
    frames = np.random.default_rng(0).integers(0, 256, (options.frames, height, width, 3), dtype=np.uint8)
    net = S3FD().eval()
    detector = S3FDDetector(net.state_dict())
    for found, wanted in zip(next(detector.maps(frames)), original_step_by_step(frames, net), strict=True):
        assert (found - wanted).abs().max() <= TOLERANCE * wanted.abs().max()
    jobs: dict[str, Callable[[], object]] = {
        "original, step by step": lambda: original_step_by_step(frames, net),
        "ours": lambda: next(detector.maps(frames)),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for _ in range(options.repeats):  # in turn, so that a slow moment of the machine hits both
        for name, job in jobs.items():
            taken[name].append(seconds_of(job))
    print(f"{options.frames} frames of {options.size}, {options.threads} threads, median of {options.repeats}")
    baseline = taken["original, step by step"]
    for name, times in taken.items():
        wall, processor = (statistics.median(one[kind] for one in times) / options.frames for kind in (0, 1))
        ratios = [
            statistics.median(one[kind] / other[kind] for one, other in zip(baseline, times, strict=True))
            for kind in (0, 1)
        ]
        print(
            f"{name:24s} {1e3 * wall:7.0f} ms a frame ({1e3 * processor:6.0f} of processors): {ratios[0]:5.2f} x the "
            f"original's speed, {ratios[1]:5.2f} x by processor time"
        )


if __name__ == "__main__":
    main()
