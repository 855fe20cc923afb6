"""A second run of `tlbench score` over the same folder, against the first run and against `import torch` alone.

    python -m benchmarks.second_run --data-root GRID [--clips 20 98] [--workers 2] [--repeats 3]

The clips are the first of GRID's test split, blurred a little (`tlbench controls --kinds blurred-1`), and the observers
those that are bundled for GRID. The first run fills an empty cache; the second finds all in it. Python's bytecode is
kept, as in an installed package. `import torch` in a process of its own is the named baseline of the second run: what
it took at least when it asked torch for a GPU. Processor time is of the process and of all that it started.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Took:
    wall_seconds: float
    processor_seconds: float


def took(words: Sequence[str], folder: Path) -> Took:
    """What a command takes; it must not fail."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Took(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def middle(times: Sequence[Took]) -> Took:
    return Took(
        statistics.median(one.wall_seconds for one in times), statistics.median(one.processor_seconds for one in times)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="GRID with speaker s1")
    parser.add_argument("--clips", type=int, nargs="+", default=[20, 98])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--repeats", type=int, default=3, help="of the second run and of import torch; the median counts"
    )
    options = parser.parse_args()
    grid = ["--dataset", "grid", "--data-root", str(options.data_root.resolve())]
    tlbench = str(Path(sys.executable).with_name("tlbench"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        most = str(max(options.clips))
        took(
            [tlbench, "controls", "made", *grid, "--kinds", "blurred-1", "--limit", most, "--cache", "made-cache"],
            folder,
        )
        torch = [sys.executable, "-c", "import torch"]
        took(torch, folder)
        for clips in options.clips:
            score = [tlbench, "score", "made/blurred-1", *grid, "--limit", str(clips), "--cache", f"cache-{clips}"]
            score += ["--out", f"out-{clips}"]  # results of other clips are not replaced
            score += ["--workers", str(options.workers)]
            first = took(score, folder)
            second, imported = [], []
            for _ in range(options.repeats):  # in turn, so that a busy moment hits both
                second.append(took(score, folder))
                imported.append(took(torch, folder))
            report(clips, options.workers, first, middle(second), middle(imported))
            shutil.rmtree(folder / f"cache-{clips}")


def report(clips: int, workers: int, first: Took, second: Took, imported: Took) -> None:
    for name, one in (("first run", first), ("second run", second), ("import torch", imported)):
        print(
            f"{clips:3d} clips, {workers} workers, {name:12s} {one.wall_seconds:7.2f} s, "
            f"{one.processor_seconds:7.2f} s of processors: {one.wall_seconds / imported.wall_seconds:6.2f} and "
            f"{one.processor_seconds / imported.processor_seconds:6.2f} times import torch"
        )


if __name__ == "__main__":
    main()
