"""Peak memory of a run, and that it does not depend on how many clips there are.

    python -m benchmarks.memory [--clips 100 1000] [--workers 1 2] [--weights syncnet=FILE] [--grid GRID]

Makes folders of small clips, no two alike (each is one of the golden clips with a comment of its own appended to the
file), scores them with `tlbench score`, and samples the memory of the whole process tree from /proc: resident, and the
part that no other process shares, each process by itself. With --grid, also the first clips of GRID's test split, with
the observers that are bundled for it; the generated videos are the real ones with such a comment.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import product
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


@dataclass
class Peak:
    """The most memory that a run had at one time, in bytes, and its time and that of processors, in seconds."""

    resident: int = 0
    unshared: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0

    def update(self, root: int) -> None:
        """Look at a process and all below it. Pages that they share are counted for each as resident."""
        resident = unshared = 0
        waiting = [root]
        while waiting:
            process = waiting.pop()
            try:
                sizes = Path(f"/proc/{process}/statm").read_text().split()
                for task in Path(f"/proc/{process}/task").iterdir():
                    waiting += [int(child) for child in (task / "children").read_text().split()]
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has just ended
            page = os.sysconf("SC_PAGE_SIZE")
            resident += int(sizes[1]) * page
            unshared += (int(sizes[1]) - int(sizes[2])) * page
        self.resident, self.unshared = max(self.resident, resident), max(self.unshared, unshared)


def peak_of(words: list[str], folder: Path) -> Peak:
    """Run a command, which must not fail, and sample its memory."""
    found, began, before = Peak(), time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while run.poll() is None:
        found.update(run.pid)
        time.sleep(0.1)
    found.seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found.processor_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert run.returncode in (0, 1), f"tlbench ended with {run.returncode}"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--weights", help="such as syncnet=syncnet_v2.model; PSNR and SSIM alone without it")
    parser.add_argument("--grid", type=Path, help="GRID with speaker s1")
    parser.add_argument("--grid-clips", type=int, nargs="+", default=[20, 98])
    arguments = parser.parse_args()
    score = [str(Path(sys.executable).with_name("tlbench")), "score", "gen", "--cache", "cache"]
    for workers, count in product(arguments.workers, arguments.clips):
        with tempfile.TemporaryDirectory() as name:
            make_folders(Path(name), count)
            words = [*score, "--dataset", "folder", "--data-root", "refs", "--boxes", "boxes"]
            words += ["--workers", str(workers)]
            words += ["--weights", arguments.weights] if arguments.weights else []
            report("small clips, PSNR and SSIM", count, workers, peak_of(words, Path(name)))
    for workers, count in product(arguments.workers, arguments.grid_clips if arguments.grid else []):
        with tempfile.TemporaryDirectory() as name:
            make_copies(arguments.grid, count, Path(name) / "gen" / "s1")
            words = [*score, "--dataset", "grid", "--data-root", str(arguments.grid.resolve()), "--limit", str(count)]
            report("GRID clips, all bundled", count, workers, peak_of([*words, "--workers", str(workers)], Path(name)))


def make_copies(grid: Path, count: int, folder: Path) -> None:
    """The first real clips of GRID's test split as generated ones, each with a comment."""
    folder.mkdir(parents=True)
    for line in (grid / "split_test.txt").read_text("utf-8").split()[:count]:
        content = (grid / f"{line}.mp4").read_bytes()
        (folder / f"{Path(line).name}.mp4").write_bytes(content + (12).to_bytes(4, "big") + b"freecopy")


def report(what: str, count: int, workers: int, peak: Peak) -> None:
    named = f"{workers} worker{'s' if workers > 1 else ''}"
    print(
        f"{count:6d} {what}, {named}: peak {peak.resident / MIB:6.0f} MiB resident, {peak.unshared / MIB:6.0f} MiB "
        f"unshared, {count / peak.seconds:5.1f} clips/s",
        flush=True,
    )


if __name__ == "__main__":
    main()
