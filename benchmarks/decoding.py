"""Decoding and views against what the original scripts do to feed their metrics.

    python -m benchmarks.decoding [--folder CLIPS] [--repeats N]

The baseline, as the scripts of Sxjdwang/TalkLip do it: visual_quality.py reads both videos with cv2.VideoCapture and
cuts out the faces; SyncNetInstance_calc_scores.py decodes the generated one again into JPEG files on disk, reads them
with cv2.imread, resizes, stacks them as float and copies out windows of five frames. Ours: each video decoded once, and
from that the faces of both and SyncNet's two views, as the observers take them. The JPEG files are written by PyAV's
encoder in place of the ffmpeg program.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.jpeg_files import jpeg_files
from benchmarks.visual import CLIPS, read_all, took
from tlbench.media.box_files import read_boxes
from tlbench.media.video_reader import VideoReader
from tlbench.media.views import View, open_view
from tlbench.observers.pixels.observer import FACE
from tlbench.observers.syncnet.view import PAPER, SOUND


def original_faces(path: Path) -> int:
    boxes = np.load(path.with_suffix(".npy"))
    count = 0
    for video in (path, path.with_name(f"{path.stem}_pert.mp4")):
        for frame, (x1, y1, x2, y2) in zip(read_all(video), boxes, strict=False):
            cv2.resize(frame[y1:y2, x1:x2], (96, 96))
            count += 1
    return count


def original_lips(path: Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        runs = VideoReader(path.with_name(f"{path.stem}_pert.mp4")).frames()
        for number, file in enumerate(jpeg_files(frame for run in runs for frame in run.native), 1):
            (Path(folder) / f"{number:06d}.jpg").write_bytes(file)
        files = sorted(Path(folder).glob("*.jpg"))
        images = [cv2.resize(np.asarray(cv2.imread(str(file))), (224, 224)) for file in files]
    video = np.stack(images, axis=3)[None].transpose(0, 3, 4, 1, 2).astype(np.float64).astype(np.float32)
    count = 0
    for first in range(0, len(images) - 5, 20):
        batch = [video[:, :, i : i + 5] for i in range(first, min(first + 20, len(images) - 5))]
        count += len(np.concatenate(batch))
    return count


def ours(path: Path, lip_views: tuple[View, ...]) -> int:
    boxes = read_boxes(path.with_suffix(".npy")).xyxy
    generated, reference = VideoReader(path.with_name(f"{path.stem}_pert.mp4")), VideoReader(path)
    faces = open_view(FACE), open_view(FACE)
    lips = [open_view(view) for view in lip_views]
    count = 0
    for seen, real in zip(generated.frames(), reference.frames(), strict=True):
        for stream, frames in zip(faces, (seen, real), strict=True):
            count += len(stream.apply(frames, boxes[frames.start : frames.start + len(frames)]))
        for stream in lips:
            stream.apply(seen)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=CLIPS)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    clips = sorted(path for path in arguments.folder.glob("*.mp4") if path.with_suffix(".npy").is_file())
    clips = [path for path in clips if path.with_name(f"{path.stem}_pert.mp4").is_file()]
    jobs: dict[str, Callable[[], object]] = {
        "original: faces": lambda: [original_faces(path) for path in clips],
        "original: JPEG files, windows": lambda: [original_lips(path) for path in clips],
        "ours: faces, SyncNet paper + sound": lambda: [ours(path, (PAPER, SOUND)) for path in clips],
        "ours: faces, SyncNet sound": lambda: [ours(path, (SOUND,)) for path in clips],
    }
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(arguments.repeats + 1):  # the first turn warms up; in turn, so that a slow moment hits all
        for name, job in jobs.items():
            taken[name].append(took(job).wall_seconds)
    turns = {name: np.array(times[1:]) for name, times in taken.items()}
    baseline = turns["original: faces"] + turns["original: JPEG files, windows"]
    for name, times in turns.items():
        ratio = f"{np.median(baseline / times):5.2f} x the original's speed" if name.startswith("ours") else ""
        print(f"{name:36s} median {1000 * np.median(times):7.1f} ms  {ratio}")


if __name__ == "__main__":
    main()
