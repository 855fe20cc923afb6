"""All columns of the preset paper-avatar in one run, against PSNR and SSIM alone: time, peak memory, decodes.

    python -m benchmarks.columns --grid GRID [--clips 100] [--repeats 3] [--weights NAME=FILE ...]

The clips are the first of GRID's test split, cut to the middle 288x288 and made 256x256 (75 frames); the generated ones
are blurred (sigma 1 pixel). Each run has an empty cache and one worker; the two kinds of runs take turns, and the
medians count. `--metrics psnr/sound,ssim/sound` is the named baseline. A network whose checkpoint is not given has
weights at random, which do not change its time. What this installation lacks a package for is left out, as in any run;
the columns that were scored are printed. Decodes are counted in a run of one clip in this process: how often frames of
a video file are decoded from its start.
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
import torch

from benchmarks.memory import MIB, Peak, peak_of
from tlbench.checkpoints.package import Package, write_package
from tlbench.media.audio import read_audio
from tlbench.media.video_reader import FrameChunk, VideoReader, read_video
from tlbench.media.video_writer import write_video
from tlbench.observers.i3d.model import I3DModel
from tlbench.observers.identity.arcface.dims import Dims
from tlbench.observers.identity.arcface.model import ArcFaceNetwork
from tlbench.observers.inception.model import InceptionModel
from tlbench.observers.lpips.model import AlexNetFeatures
from tlbench.observers.syncnet.model import SyncNetModel
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


def with_random_weights(given: list[str], folder: Path) -> dict[str, Path]:
    """The file or package of each network by its name: a given one, or one of the published size in ``folder``."""
    found = {name: Path(file).resolve() for name, _, file in (weight.partition("=") for weight in given)}
    torch.manual_seed(0)
    for name, network in (
        ("inception", InceptionModel),
        ("i3d", I3DModel),
        ("alexnet", AlexNetFeatures),
        ("syncnet", SyncNetModel),
    ):
        if name not in found:
            found[name] = folder / f"{name}.pth"
            torch.save(network().state_dict(), found[name])
    if "arcface" not in found:
        found["arcface"], dims = folder / "arcface", Dims()
        package = Package("arcface", ArcFaceNetwork(dims).state_dict(), {"dims": dims.to_json()}, {}, "r50", "0" * 64)
        write_package(package, found["arcface"])
    return found


def run(folder: Path, metrics: str, weights: dict[str, Path], turn: str) -> Peak:
    """One run with a cache and a folder of results of its own."""
    words = [str(Path(sys.executable).with_name("tlbench")), "score", "gen", "--dataset", "folder"]
    words += ["--data-root", "refs", "--metrics", metrics, "--workers", "1", "--out", turn, "--cache", f"cache-{turn}"]
    return peak_of(
        [*words, *(part for name, file in weights.items() for part in ("--weights", f"{name}={file}"))], folder
    )


def decodes(folder: Path, metrics: str, weights: dict[str, Path]) -> dict[str, int]:
    """How often the generated and the real file of one clip are decoded from their start, by their folders' names."""
    counts: Counter[str] = Counter()
    plain = VideoReader._chunks

    def counted(self: VideoReader, chunk_frames: int | None) -> Iterator[FrameChunk]:
        counts[Path(self.path).parent.name] += 1
        return plain(self, chunk_frames)

    with patch.object(VideoReader, "_chunks", counted), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        score(
            folder / "gen",
            "folder",
            folder / "refs",
            metrics=metrics.split(","),
            weights=weights,
            limit=1,
            out=folder / "counted",
            cache=folder / "cache-counted",
        )
    return dict(counts)


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
        weights = with_random_weights(options.weights, folder)
        peaks: dict[str, list[Peak]] = {kind: [] for kind in KINDS}
        for turn in range(options.repeats):
            for kind, metrics in KINDS.items():
                peaks[kind].append(run(folder, metrics, weights, f"{metrics.partition('/')[0]}-{turn}"))
        (file,) = result_files(folder / "paper-avatar-0")
        result = json.loads(file.read_text("utf-8"))
        print(f"columns: {', '.join([*result['metrics'], *result['sets']])}")
        for kind, metrics in KINDS.items():
            counts = decodes(folder, metrics, weights)
            seconds, processor = (
                statistics.median(getattr(peak, name) for peak in peaks[kind])
                for name in ("seconds", "processor_seconds")
            )
            print(
                f"{kind}: {options.clips} clips in {seconds:.1f} s ({processor:.1f} of processors), peak "
                f"{max(peak.resident for peak in peaks[kind]) / MIB:.0f} MiB resident, a generated file is "
                f"decoded {counts['gen']} times, a real one {counts['refs']}",
                flush=True,
            )
        base, full = (statistics.median(peak.processor_seconds for peak in peaks[kind]) for kind in KINDS)
        print(f"all columns take {full / base:.1f} times the processor time of PSNR and SSIM alone")


if __name__ == "__main__":
    main()
