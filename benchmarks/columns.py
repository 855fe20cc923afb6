"""All columns of the preset paper-avatar in one run, against PSNR and SSIM alone: time, peak memory, decodes.

    python -m benchmarks.columns --grid GRID [--clips 100] [--repeats 3] [--weights NAME=FILE ...]

The clips are the first of GRID's test split, cut to the middle 288x288 and made 256x256 (75 frames); the generated ones
are blurred (sigma 1 pixel). Each run has an empty cache and one worker; the two kinds of runs take turns, and the
medians count. `--metrics psnr/sound,ssim/sound` is the named baseline. What this installation lacks a checkpoint or a
package for is left out, as in any run; the columns that were scored are printed. Decodes are counted in a run of two
clips in this process: how often frames of a video file are decoded from its start.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np

from benchmarks.memory import MIB, Peak, peak_of
from tlbench.media.audio import read_audio
from tlbench.media.video_reader import FrameChunk, VideoReader, read_video
from tlbench.media.video_writer import write_video
from tlbench.scoring.result_file import result_files
from tlbench.scoring.score import score

SIDE, CUT = 256, 288  # pixels
KINDS = {"PSNR and SSIM alone": "psnr/sound,ssim/sound", "all columns": "paper-avatar"}


def make_clips(grid: Path, count: int, folder: Path) -> None:
    """Real and generated videos of 256x256 in ``refs`` and ``gen``."""
    for line in (grid / "split_test.txt").read_text("utf-8").split()[:count]:
        source = grid / f"{line}.mp4"
        frames, samples = read_video(source), read_audio(source)
        left = (frames.shape[2] - CUT) // 2
        real = [cv2.resize(frame[:, left : left + CUT], (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in frames]
        for place, pictures in (("refs", real), ("gen", [cv2.GaussianBlur(frame, (0, 0), 1) for frame in real])):
            (folder / place).mkdir(exist_ok=True)
            write_video(folder / place / f"{source.stem}.mp4", np.stack(pictures), 25, samples=samples)


def run(folder: Path, metrics: str, weights: list[str], turn: str) -> Peak:
    """One run with a cache and a folder of results of its own."""
    words = [str(Path(sys.executable).with_name("tlbench")), "score", "gen", "--dataset", "folder"]
    words += ["--data-root", "refs", "--metrics", metrics, "--workers", "1", "--out", turn, "--cache", f"cache-{turn}"]
    return peak_of([*words, *(part for weight in weights for part in ("--weights", weight))], folder)


def decodes(folder: Path, metrics: str, weights: list[str]) -> float:
    """How often a video file is decoded from its start, on average over the files of two clips."""
    counts: Counter[Path] = Counter()
    plain = VideoReader._chunks

    def counted(self: VideoReader, chunk_frames: int | None) -> Iterator[FrameChunk]:
        counts[Path(self.path)] += 1
        return plain(self, chunk_frames)

    given = {name: Path(file) for name, _, file in (weight.partition("=") for weight in weights)}
    with patch.object(VideoReader, "_chunks", counted), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        score(
            folder / "gen",
            "folder",
            folder / "refs",
            metrics=metrics.split(","),
            weights=given,
            limit=2,
            out=folder / "counted",
            cache=folder / "cache-counted",
        )
    return sum(counts.values()) / len(counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", type=Path, required=True, help="GRID with speaker s1")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--weights", nargs="+", default=[], help="such as syncnet=syncnet_v2.model")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_clips(options.grid, options.clips, folder)
        peaks: dict[str, list[Peak]] = {kind: [] for kind in KINDS}
        for turn in range(options.repeats):
            for kind, metrics in KINDS.items():
                peaks[kind].append(run(folder, metrics, options.weights, f"{metrics.partition('/')[0]}-{turn}"))
        (file,) = result_files(folder / "paper-avatar-0")
        print(f"columns: {', '.join(json.loads(file.read_text('utf-8'))['metrics'])}")
        for kind, metrics in KINDS.items():
            seconds = statistics.median(peak.seconds for peak in peaks[kind])
            print(
                f"{kind}: {options.clips} clips in {seconds:.1f} s, peak "
                f"{max(peak.resident for peak in peaks[kind]) / MIB:.0f} MiB resident, a file is decoded "
                f"{decodes(folder, metrics, options.weights):.2f} times",
                flush=True,
            )
        base, full = (statistics.median(peak.seconds for peak in peaks[kind]) for kind in KINDS)
        print(f"all columns take {full / base:.1f} times as long as PSNR and SSIM alone")


if __name__ == "__main__":
    main()
