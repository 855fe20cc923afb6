"""Run the benchmarks of speed and memory, keep what they print, and write docs/speed.md.

python -m benchmarks [--grid FOLDER] [--before CHECKOUT] [--only NAME ...] [--rebuild] [--list]

A benchmark that fails, or that needs GRID when none is given, leaves its section as it was; so do the results of other
processors.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.catalogue import BENCHMARKS, Benchmark, chosen
from benchmarks.speed_page import PAGE, ROOT, Kept, page, read_kept, with_result, write_kept

INSTRUCTION_NAMES = {"avx512": "AVX-512", "avx2": "AVX2", "none": "no AVX2"}
PROCESSOR_TIMES = Path("/proc/stat")  # its first line: ticks of all cores as user, nice, system, idle, iowait, ...


def other_work(seconds: float = 3.0) -> float:
    """Cores that other processes keep busy just now; where the system does not tell, its load average of a minute.

    The load average would count the benchmark that ended a moment ago.
    """
    if not PROCESSOR_TIMES.is_file():
        return os.getloadavg()[0]
    before = _ticks()
    time.sleep(seconds)
    spent = [after - earlier for earlier, after in zip(before, _ticks(), strict=True)]
    waited = spent[3] + spent[4]
    return (1 - waited / sum(spent)) * (os.cpu_count() or 1)


def _ticks() -> list[int]:
    return [int(word) for word in PROCESSOR_TIMES.read_text("ascii").split("\n", 1)[0].split()[1:9]]


def run(benchmark: Benchmark, grid: Path | None, before: Path | None) -> Kept | None:
    """Run one benchmark; None if it failed, with what it said on stderr."""
    from benchmarks.matrix_products import instructions, processor_name  # imports torch

    load, cores = other_work(), os.cpu_count() or 1
    words = benchmark.command(*(str(folder.resolve()) if folder is not None else "" for folder in (grid, before)))
    done = subprocess.run([sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return None
    return Kept(
        command=" ".join(["python", *benchmark.command(before="CHECKOUT" if before is not None else "")]),
        processor=f"{processor_name()} ({INSTRUCTION_NAMES[instructions('float32')]}), {cores} cores",
        software=f"Python {platform.python_version()}, torch {version('torch')}",
        load=round(load, 1),
        cores=cores,
        output=tuple(line.rstrip() for line in done.stdout.rstrip().splitlines()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", type=Path, help="GRID with speaker s1, for the benchmarks that need it")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="another version, for the benchmarks of score")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="run these; the other sections stay")
    parser.add_argument("--rebuild", action="store_true", help="run nothing, write the page from the kept results")
    parser.add_argument("--list", action="store_true", help="print the names, and do nothing")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{benchmark.name:16} {benchmark.title}" for benchmark in BENCHMARKS))
        return
    try:
        wanted = [] if options.rebuild else chosen(options.only)
    except ValueError as error:
        parser.error(str(error))
    failed = []
    for benchmark in wanted:
        if benchmark.needs_grid and options.grid is None:
            print(f"{benchmark.name}: needs --grid, left as it was", file=sys.stderr)
            continue
        print(f"{benchmark.name} ...", file=sys.stderr, flush=True)
        result = run(benchmark, options.grid, options.before)
        if result is None:
            failed.append(benchmark.name)
            continue
        for figure in benchmark.figures:
            figure.of(result.text)  # raises, before anything is kept, if the output has changed its form
        write_kept(with_result(read_kept(), benchmark.name, result))  # at once: the next ones may take an hour
    PAGE.write_text(page(read_kept()), "utf-8")
    if failed:
        sys.exit(f"failed, left as they were: {', '.join(failed)}")


if __name__ == "__main__":
    main()
