"""The first run of `tlbench score`: its processor time, where it goes, and that of another version.

    python -m benchmarks.cold_run --data-root GRID [--clips 20] [--before CHECKOUT] [--repeats 1]

The clips are the first of GRID's test split, blurred a little (`tlbench controls --kinds blurred-1`), and the observers
those that are bundled for GRID; one worker, one thread a library, an empty cache. Time is processor time of all threads
together. "Without probe" is this version without the 20 real clips that its lip reader reads to see whether it can read
them (`--no-probe`), which versions before did not do. The table is of one more run of this version, in which the parts
are timed in the main thread; what the threads that decode ahead take is a part of its own.
"""

from __future__ import annotations

import argparse
import functools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RUN = "from tlbench.cli.main import main; main()"


def linked(checkout: Path, folder: Path) -> Path:
    """A folder for PYTHONPATH with the package of a checkout, whose observers are at its top."""
    package = folder / "tlbench"
    package.mkdir(parents=True)
    for entry in (checkout / "tlbench").iterdir():
        (package / entry.name).symlink_to(entry.resolve())
    (package / "observers").symlink_to((checkout / "observers").resolve())
    return folder


def processor_seconds(words: Sequence[str], folder: Path, path: Path | None = None) -> float:
    """Processor time of a Python process and all that it starts; it must not fail."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], cwd=folder, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Parts:
    """Processor seconds of the main thread by part; a part inside another counts for itself alone."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inner = [0.0]

    def time(self, owner: Any, method: str, part: str | Callable[..., str]) -> None:
        """Replace a function by itself with a clock; the part may be told from its arguments."""
        whole: Callable[..., Any] = getattr(owner, method)

        @functools.wraps(whole)
        def timed(*given: Any, **named: Any) -> Any:
            self._inner.append(0.0)
            began = time.thread_time()
            try:
                return whole(*given, **named)
            finally:
                taken = time.thread_time() - began
                self.seconds[part if isinstance(part, str) else part(*given)] += taken - self._inner.pop()
                self._inner[-1] += taken

        setattr(owner, method, timed)


def timed_parts() -> list[tuple[Any, str, str | Callable[..., str]]]:
    """The functions that are timed: where each is found, its name, and the part that its time counts for."""
    from tlbench.observing import runner
    from tlbench.observing.clip_checker import ClipChecker
    from tlbench.observing.face_checks import FaceLooks
    from tlbench.observing.guides import GuideFinder
    from tlbench.observing.plan import ObserverPlan
    from tlbench.observing.showing import Showing
    from tlbench.scoring import score

    return [
        (GuideFinder, "find", "faces in the real videos (detector)"),
        (FaceLooks, "take", "faces in the generated videos (checks)"),
        (ClipChecker, "check_framing", "faces in the generated videos (checks)"),
        (ClipChecker, "read_sound", "sound"),
        (runner.ObserverRunner, "_open", "hashes, headers, cache"),
        (runner, "show", "waiting for frames, checks of pictures"),
        (Showing, "_update", "crops; PSNR and SSIM"),
        (runner.ObserverRunner, "_compute", lambda _, plan, jobs: f"network of {plan.name}"),
        (ObserverPlan, "load", "importing torch, loading networks"),
        (score, "with_readers", "blind rows and probe, beside its clips"),
    ]


def run_with_parts(words: Sequence[str]) -> None:
    """In a process of its own: a run of score, and the time of its parts on stderr."""
    from tlbench.cli.main import main

    parts = Parts()
    for owner, name, part in timed_parts():
        parts.time(owner, name, part)
    sys.argv = ["tlbench", *words]
    try:
        main()
    except SystemExit as end:
        main_thread, whole = time.thread_time(), time.process_time()
        parts.seconds["start, statistics, tables"] = main_thread - sum(parts.seconds.values())
        parts.seconds["other threads: decoding, SSIM"] = whole - main_thread
        for part, seconds in parts.seconds.most_common():
            print(f"{part:45s}{seconds:7.2f} s {100 * seconds / whole:4.0f} %", file=sys.stderr)
        raise SystemExit(end.code) from None


def fresh(name: str) -> list[str]:
    """Options for an empty cache and an empty folder of results."""
    return ["--cache", f"cache-{name}", "--out", f"results-{name}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="GRID with speaker s1")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="another version, run by turns with this one")
    parser.add_argument("--repeats", type=int, default=1, help="the median counts")
    options = parser.parse_args()
    grid = ["--dataset", "grid", "--data-root", str(options.data_root.resolve()), "--limit", str(options.clips)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processor_seconds(
            ["-c", RUN, "controls", "made", *grid, "--kinds", "blurred-1", "--cache", "made-cache"], folder
        )
        score = ["score", "made/blurred-1", *grid, "--workers", "1"]
        versions: dict[str, tuple[Path | None, list[str]]] = {
            "this version": (None, []),
            "without probe": (None, ["--no-probe"]),
        }
        if options.before is not None:
            versions["before"] = linked(options.before, folder / "before"), []
        taken: dict[str, list[float]] = {version: [] for version in versions}
        for turn in range(options.repeats):
            for version, (path, more) in versions.items():
                words = ["-c", RUN, *score, *fresh(f"{turn}-{version.split()[0]}"), *more]
                taken[version].append(processor_seconds(words, folder, path))
        print(f"{options.clips} GRID clips, one worker, one thread a library, median of {options.repeats}")
        for version, seconds in taken.items():
            middle = statistics.median(seconds)
            ratio = middle / statistics.median(taken["before"]) if "before" in taken else 1.0
            told = f", {ratio:.2f} of the time before" if "before" in taken else ""
            print(f"{version:14s}{middle:7.2f} s of processors{told}")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        parts = [*score, *fresh("parts")]
        words = [sys.executable, "-c", f"from benchmarks.cold_run import run_with_parts as r; r({parts!r})"]
        environment["PYTHONPATH"] = str(Path(__file__).parents[1])
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=True)
        print("\n".join(line for line in done.stderr.splitlines() if line.endswith("%")))


if __name__ == "__main__":
    main()
