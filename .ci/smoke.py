"""What has to work in every supported Python: decode, check, score, and a demo of two clips.

Run by the Python of an environment into which tlbench was installed, in a folder without its sources.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import tlbench
from tlbench.media.audio import read_audio
from tlbench.media.video_reader import read_video
from tlbench.media.video_writer import write_video

FRAMES, SIDE = 30, 96


def write_clips(folder: Path) -> None:
    """A real and a generated video of a moving square, each with a tone."""
    samples = (8000 * np.sin(np.arange(FRAMES * 640) / 5)).astype(np.int16)
    for part, crf in (("real", 10), ("generated", 30)):
        (folder / part).mkdir()
        frames = np.full((FRAMES, SIDE, SIDE, 3), 60, np.uint8)
        for i, frame in enumerate(frames):
            frame[30:60, i : i + 30] = 200
        write_video(folder / part / "clip.mp4", frames, samples=samples, crf=crf)
    np.save(folder / "clip.npy", np.tile([10, 10, 80, 80], (FRAMES, 1)))


def run(folder: Path, *words: str) -> str:
    """What a command of tlbench prints. Ends this program with its messages if it fails."""
    command = [str(Path(sys.executable).with_name("tlbench")), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"tlbench {' '.join(words)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def main() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_clips(folder)
        assert read_video(folder / "real" / "clip.mp4").shape == (FRAMES, SIDE, SIDE, 3)
        assert len(read_audio(folder / "real" / "clip.mp4")) >= FRAMES * 640
        clips = ("generated", "--dataset", "folder", "--data-root", "real")
        report = json.loads(run(folder, "check", *clips, "--json"))
        assert report["exit_code"] == 0, report["findings"]
        scored = run(
            folder, "score", *clips, "--boxes", ".", "--metrics", "psnr,ssim", "--format", "json", "--cache", "cache"
        )
        values = {row["metric"]: row["value"] for row in json.loads(scored)["results"][0]["rows"]}
        assert 20 < values["psnr/sound"] < 60, values
        table = run(folder, "demo", "--sentences", "2", "--words", "0", "--cache", "cache")
        assert "ground-truth" in table, table
    print(f"smoke: Python {sys.version.split()[0]}, tlbench {tlbench.__version__}: decode, check, score and demo work")


main()
