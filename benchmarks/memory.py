"""Peak memory of a run, and that it does not depend on how many clips there are.

    python -m benchmarks.memory [--clips 100 1000] [--workers 2] [--weights syncnet=FILE]

Makes folders of small clips, no two alike (each is one of the golden clips with a comment of its own appended to the
file), scores them with `tlbench score`, and samples the resident memory of the whole process tree from /proc.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLIPS = Path(__file__).parents[1] / "tests" / "golden" / "clips"
MIB = 2**20


def make_folders(folder: Path, count: int) -> None:
    for place, suffix in (("refs", ""), ("gen", "_pert"), ("boxes", "")):
        (folder / place).mkdir()
        for number in range(count):
            source = "clip_a" if number % 2 else "clip_c"
            if place == "boxes":
                shutil.copy(CLIPS / f"{source}.npy", folder / place / f"{number:05d}.npy")
                continue
            # A trailing mp4 box of type "free" is skipped by every reader and makes the bytes unique.
            text = f"{place} {number:05d}".encode()
            extra = (8 + len(text)).to_bytes(4, "big") + b"free" + text
            (folder / place / f"{number:05d}.mp4").write_bytes((CLIPS / f"{source}{suffix}.mp4").read_bytes() + extra)


def tree_bytes(root: int) -> int:
    """Resident memory of a process and all below it; pages they share are counted for each."""
    total = 0
    waiting = [root]
    while waiting:
        process = waiting.pop()
        try:
            total += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            for task in Path(f"/proc/{process}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--weights", help="such as syncnet=syncnet_v2.model; PSNR and SSIM alone without it")
    arguments = parser.parse_args()
    for count in arguments.clips:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_folders(folder, count)
            words = [str(Path(sys.executable).with_name("tlbench")), "score", "gen", "--dataset", "folder"]
            words += ["--data-root", "refs", "--boxes", "boxes", "--cache", "cache"]
            words += ["--workers", str(arguments.workers)]
            words += ["--weights", arguments.weights] if arguments.weights else []
            began = time.monotonic()
            run = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            peak = 0
            while run.poll() is None:
                peak = max(peak, tree_bytes(run.pid))
                time.sleep(0.2)
            seconds = time.monotonic() - began
            assert run.returncode == 0, f"tlbench ended with {run.returncode}"
        speed = f"{count / seconds:5.1f} clips/s"
        print(f"{count:6d} clips, {arguments.workers} workers: peak {peak / MIB:6.0f} MiB, {speed}")


if __name__ == "__main__":
    main()
