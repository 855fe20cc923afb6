"""dlib's face network by torch against dlib's own call, on faces cut out of a video: time and difference.

    python -m benchmarks.face_network [--video FILE] [--faces 16] [--repeats 5]

The baseline is ``face_recognition_model_v1.compute_face_descriptor`` of the package dlib on the same faces. Both have
one thread and take turns; processor time is printed, since others may use the machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import dlib
import numpy as np
import torch

from tlbench.media.dlib_models import published_model
from tlbench.media.video_reader import read_video
from tlbench.observers.identity.chips import FaceChips
from tlbench.observers.identity.embedding import passes_of
from tlbench.observers.identity.model import as_network_input, network_of
from tlbench.observers.identity.network_file import NETWORK, NETWORK_SHA256, published_layers

VIDEO = Path(__file__).parents[1] / "tests" / "golden" / "clips" / "clip_c256.mp4"
TOLERANCE = 1e-5  # of the largest number, docs/precision.md


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, default=VIDEO)
    parser.add_argument("--faces", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cut = FaceChips(of_crop=True)
    chips = [chip for frame in read_video(options.video)[: options.faces] if (chip := cut(frame)) is not None]
    theirs = dlib.face_recognition_model_v1(str(published_model(NETWORK, NETWORK_SHA256, "the baseline's models")))
    ours = passes_of(network_of(published_layers()), torch.device("cpu"), packed=True)
    ways = {
        "dlib's own call": lambda: np.array([np.array(theirs.compute_face_descriptor(chip)) for chip in chips]),
        "by torch": lambda: ours(as_network_input(torch.from_numpy(np.stack(chips)))),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, np.ndarray] = {}
    for _ in range(options.repeats):
        for name, way in ways.items():
            start = time.process_time()
            found[name] = way()
            seconds[name].append(time.process_time() - start)
    one, other = found.values()
    apart = float(np.abs(one - other).max() / np.abs(one).max())
    base = statistics.median(next(iter(seconds.values())))
    print(f"{len(chips)} faces, one thread, median of {options.repeats}; {apart:.1e} of the largest number apart")
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(f"{name:16s} {1000 * median / len(chips):7.2f} ms a face  {base / median:6.2f} x the baseline's speed")
    if apart > TOLERANCE:
        raise SystemExit(f"apart by more than {TOLERANCE} of the largest number")


if __name__ == "__main__":
    main()
