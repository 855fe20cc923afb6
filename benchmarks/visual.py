"""PSNR's and SSIM's speed against a plain implementation that follows the original script step by step.

    python -m benchmarks.visual [--folder CLIPS] [--only NAME,NAME] [--threads N] [--repeats N]

A clip is NAME.mp4 with its twin NAME_pert.mp4 and its boxes NAME.npy. The baseline does what visual_quality.py of
Sxjdwang/TalkLip does: read both videos whole with cv2.VideoCapture, crop and resize frame by frame, PSNR in uint8,
scikit-image's structural_similarity. Both start from the files and must give the same numbers, which is checked.
Processor time is of all threads together: it shows what the threads give and what the work itself saves. `tlbench
score` divides clips among processes of one thread each, which are here too, started and warm; their processor time is
not in the figures.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from skimage.metrics import structural_similarity

from tlbench.datasets.clip import Clip
from tlbench.media.box_files import read_boxes
from tlbench.media.video_reader import VideoReader
from tlbench.observers.pixels.observer import Pixels
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk

CLIPS = Path(__file__).parents[1] / "tests" / "golden" / "clips"


def read_all(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        good, frame = capture.read()
        if not good:
            return frames
        frames.append(frame)


def original_step_by_step(path: Path) -> tuple[float, float, int]:
    """Sums of PSNR and SSIM over the frames of one clip, and their number."""
    real, seen = read_all(path), read_all(path.with_name(f"{path.stem}_pert.mp4"))
    boxes = np.load(path.with_suffix(".npy"))
    psnr = similarity = 0.0
    count = min(len(real), len(seen))
    for index in range(count):
        x1, y1, x2, y2 = boxes[index]
        a = cv2.resize(real[index][y1:y2, x1:x2], (96, 96))
        b = cv2.resize(seen[index][y1:y2, x1:x2], (96, 96))
        mse = np.mean((a - b) ** 2)
        psnr += 100.0 if mse == 0 else 20 * np.log10(255.0 / np.sqrt(mse))
        similarity += structural_similarity(a, b, channel_axis=-1, gaussian_weights=True, use_sample_covariance=False)
    return psnr, similarity, count


def ours(path: Path, regions: tuple[str, ...]) -> tuple[float, float, int]:
    observer = Pixels.load(None, regions, "cpu")
    state = observer.start_clip(Clip(path.stem), None)
    boxes = read_boxes(path.with_suffix(".npy")).xyxy
    seen, real = VideoReader(path.with_name(f"{path.stem}_pert.mp4")), VideoReader(path)
    for a, b in zip(seen.frames(), real.frames(), strict=True):
        state.update(ClipChunk(a, b, boxes[b.start : b.start + len(b)]))
    (evidence,) = observer.compute([state])
    assert isinstance(evidence, Evidence), evidence
    wrapped, similarity = evidence.array("face_psnr_wrapped"), evidence.array("face_ssim")
    return float(wrapped.sum()), float(similarity.sum()), len(wrapped)


def decode_by_opencv(path: Path) -> int:
    return len(read_all(path))


def decode_ours(path: Path) -> int:
    return sum(len(run.rgb) for run in VideoReader(path).frames())


@dataclass(frozen=True)
class Took:
    wall_seconds: float
    processor_seconds: float


def took(work: Callable[[], object]) -> Took:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return Took(time.perf_counter() - wall, time.process_time() - processor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=CLIPS)
    parser.add_argument("--only", help="names of clips with commas; all if not given")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    cv2.setNumThreads(arguments.threads)
    clips = sorted(path for path in arguments.folder.glob("*.mp4") if path.with_name(f"{path.stem}_pert.mp4").is_file())
    clips = [path for path in clips if path.with_suffix(".npy").is_file()]
    if arguments.only:
        clips = [arguments.folder / f"{name}.mp4" for name in arguments.only.split(",")]
    frames = sum(original_step_by_step(path)[2] for path in clips)
    for path in clips:
        np.testing.assert_allclose(ours(path, ("face",)), original_step_by_step(path), rtol=1e-12)
    with ProcessPoolExecutor(arguments.threads, get_context("spawn"), cv2.setNumThreads, (1,)) as processes:
        compare(clips, frames, processes, arguments.threads, arguments.repeats)


def compare(clips: list[Path], frames: int, processes: ProcessPoolExecutor, threads: int, repeats: int) -> None:
    """Do the work in each way by turns and print the times."""
    of_face, longest_first = partial(ours, regions=("face",)), sorted(clips, key=lambda path: -path.stat().st_size)
    jobs: dict[str, Callable[[], object]] = {
        "original, step by step": lambda: [original_step_by_step(path) for path in clips],
        "ours, face": lambda: [ours(path, ("face",)) for path in clips],
        "ours, face + mouth": lambda: [ours(path, ("face", "mouth")) for path in clips],
        "ours, face + mouth + whole frame": lambda: [ours(path, ("face", "mouth", "frame")) for path in clips],
        f"ours, face, {threads} processes of 1 thread": lambda: list(processes.map(of_face, longest_first)),
        "decoding alone, cv2.VideoCapture": lambda: [decode_by_opencv(path) for path in clips],
        "decoding alone, ours": lambda: [decode_ours(path) for path in clips],
    }
    for job in jobs.values():
        job()  # imports and tables
    taken: dict[str, list[Took]] = {name: [] for name in jobs}
    for _ in range(repeats):  # in turn, so that a slow moment of the machine hits all
        for name, job in jobs.items():
            taken[name].append(took(job))
    print(f"{len(clips)} clips, {frames} frames, {threads} threads, best of {repeats}")
    baseline = taken["original, step by step"]
    for name, times in taken.items():
        wall, first = (min(took.wall_seconds for took in each) for each in (times, baseline))
        processor = min(took.processor_seconds for took in times)
        ratios = [one.wall_seconds / other.wall_seconds for one, other in zip(baseline, times, strict=True)]
        own = f"{wall:6.3f} s {1000 * wall / frames:6.2f} ms a frame "
        own += " " * 21 if "processes" in name else f"({1000 * processor / frames:5.2f} of processors)"
        print(f"{name:34s} {own} {first / wall:6.2f} x, median {np.median(ratios):6.2f} x the original's speed")


if __name__ == "__main__":
    main()
