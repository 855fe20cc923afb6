"""What each column about pictures costs per frame, beside PSNR and SSIM of the whole frame on the same decoded frames.

    python -m benchmarks.column_costs [--folder CLIPS] [--only NAME,NAME] [--threads N] [--repeats N]

A clip is NAME.mp4 with its twin NAME_pert.mp4 and its boxes NAME.npy. Every clip is decoded once, before the clock
starts, and all columns read these frames, as in a run. AlexNet has weights at random, and ones for its channels: they
do not change its time. The columns take turns, so that a slow moment of the machine hits all. Processor time is of all
threads together.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from tlbench.datasets.clip import Clip
from tlbench.media.box_files import read_boxes
from tlbench.media.crops import CROPS
from tlbench.media.face_crop import steady
from tlbench.media.video_reader import FrameChunk, VideoReader
from tlbench.observers.identity.observer import Identity
from tlbench.observers.landmarks.observer import Landmarks
from tlbench.observers.lpips.inference import PairDistance
from tlbench.observers.lpips.model import CHANNELS, AlexNetFeatures, LPIPSDistance
from tlbench.observers.lpips.observer import LPIPS
from tlbench.observers.pixels.observer import Pixels
from tlbench.observers.sharpness.observer import Sharpness
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, Observer

CLIPS = Path(__file__).parents[1] / "tests" / "golden" / "clips"
BASELINE = "pixels, whole frame"


@dataclass(frozen=True)
class Decoded:
    """Both videos of one clip, with the colours computed, and the boxes of the real one, as found and smoothed."""

    generated: FrameChunk
    real: FrameChunk
    boxes: np.ndarray
    smoothed: np.ndarray


def decoded(path: Path) -> Decoded:
    (real,) = VideoReader(path).frames(10**6)
    (generated,) = VideoReader(path.with_name(f"{path.stem}_pert.mp4")).frames(10**6)
    assert real.rgb.shape == generated.rgb.shape
    boxes = read_boxes(path.with_suffix(".npy")).xyxy
    return Decoded(generated, real, boxes, steady(boxes))


def observe(observer: Observer, clips: Sequence[Decoded], *, framing: bool) -> None:
    for clip in clips:
        state = observer.start_clip(Clip("x"), None)
        state.update(ClipChunk(clip.generated, clip.real, clip.smoothed if framing else clip.boxes))
        (evidence,) = observer.compute([state])
        assert isinstance(evidence, Evidence), evidence


def alexnet(view: str) -> LPIPS:
    ones = {f"lin{number}": torch.ones(channels) for number, channels in enumerate(CHANNELS)}
    model = LPIPSDistance(AlexNetFeatures(), ones).eval().requires_grad_(False)
    return LPIPS(CROPS[view], PairDistance(model, "cpu"))


def observers() -> dict[str, tuple[Observer, bool]]:
    """By name, each with whether it takes smoothed boxes. Those of the extra ``landmarks`` only if it is installed."""
    found: dict[str, tuple[Observer, bool]] = {
        BASELINE: (Pixels.load(None, ("frame",), "cpu"), False),
        "sharpness, face-256": (Sharpness.load(None, ("face-256",), "cpu"), True),
        "lmd, mesh": (Landmarks.load(None, ("mesh",), "cpu"), True),
        "lpips, whole frame": (alexnet("whole-frame"), False),
        "lpips, face-256": (alexnet("face-256"), True),
    }
    if not Identity.lacking(("face-256",)):
        found["lmd, dlib68"] = (Landmarks.load(None, ("dlib68",), "cpu"), True)
        found["csim, face-256"] = (Identity.load(None, ("face-256",), "cpu"), True)
    return found


def took(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds on the wall, and of processors."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=CLIPS)
    parser.add_argument("--only", help="names of clips with commas; all if not given")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    cv2.setNumThreads(arguments.threads)
    torch.set_num_threads(arguments.threads)
    paths = sorted(path for path in arguments.folder.glob("*.mp4") if path.with_name(f"{path.stem}_pert.mp4").is_file())
    paths = [path for path in paths if path.with_suffix(".npy").is_file()]
    if arguments.only:
        paths = [arguments.folder / f"{name}.mp4" for name in arguments.only.split(",")]
    clips = [decoded(path) for path in paths]
    frames = sum(len(clip.real) for clip in clips)
    sizes = ", ".join(sorted({f"{clip.real.rgb.shape[2]}x{clip.real.rgb.shape[1]}" for clip in clips}))
    jobs = observers()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for _ in range(arguments.repeats):
        for name, (observer, framing) in jobs.items():
            taken[name].append(took(lambda o=observer, f=framing: observe(o, clips, framing=f)))  # type: ignore[misc]
    print(f"{len(clips)} clips of {sizes}, {frames} frames, {arguments.threads} threads, median of {arguments.repeats}")
    baseline = np.array([wall for wall, _ in taken[BASELINE]])
    for name, times in taken.items():
        wall, processor = np.median(np.array(times), axis=0) * 1000 / frames
        ratio = np.median(np.array([wall for wall, _ in times]) / baseline)
        print(f"{name:22s} {wall:7.2f} ms a frame ({processor:7.2f} of processors) {ratio:6.2f} x the baseline's time")


if __name__ == "__main__":
    main()
