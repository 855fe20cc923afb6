"""The page of docs/speed.md: what benchmarks gave, kept in a JSON file, as Markdown.

A result is kept with its command, processor and output as they were, and every figure of the page is taken from an
output: none is written by hand.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.catalogue import BENCHMARKS, Benchmark

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "speed.md"
KEPT = Path(__file__).with_name("speed.json")
BUSY = 0.5  # other work on the machine, in processes a core, from which on a figure is marked "under load"

HEAD = """\
# Speed and memory, as measured

Written by `python -m benchmarks`; every figure is from the output of a benchmark, shown with its command below. Each
benchmark runs its baseline and tlbench by turns in one process or one run, so that their ratio holds on a busy machine
too. "Under load" says that other work ran at the same time: seconds are then too long, and ratios of several threads
uncertain.

To repeat all on your machine, with GRID's speaker s1 in the folder `grid`:

```bash
python -m benchmarks --grid grid                      # runs all and writes this page; hours
python -m benchmarks --grid grid --only visual mel    # these; the other sections stay
python -m benchmarks --rebuild                        # runs nothing: the page from the kept results
```
"""


@dataclass(frozen=True)
class Kept:
    """What a benchmark gave.

    Attributes
    ----------
    command : str
    processor : str
        Its name, number of cores, and widest instructions.
    software : str
        Versions of Python and torch.
    load : float
        Cores that other processes kept busy in the seconds before the benchmark began.
    cores : int
    output : tuple of str
        The lines that it printed.
    """

    command: str
    processor: str
    software: str
    load: float
    cores: int
    output: tuple[str, ...]

    @property
    def under_load(self) -> bool:
        return self.load > BUSY * self.cores

    @property
    def text(self) -> str:
        return "\n".join(self.output)

    @property
    def where(self) -> str:
        """The processor, and whether other work was done."""
        return self.processor + (", under load" if self.under_load else "")


def read_kept(path: Path = KEPT) -> dict[str, Kept]:
    """Kept results by the benchmark's name; none if there is no file."""
    if not path.is_file():
        return {}
    kept = json.loads(path.read_text("utf-8"))
    return {name: Kept(**(entry | {"output": tuple(entry["output"])})) for name, entry in kept.items()}


def write_kept(kept: Mapping[str, Kept], path: Path = KEPT) -> None:
    """Replace the file of kept results."""
    entries = {name: asdict(kept[name]) for name in sorted(kept)}
    path.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", "utf-8")


def page(kept: Mapping[str, Kept], benchmarks: Iterable[Benchmark] = BENCHMARKS) -> str:
    """The whole page. Raises ValueError if a kept output lacks one of its benchmark's figures."""
    benchmarks = list(benchmarks)
    run = [benchmark for benchmark in benchmarks if benchmark.name in kept]
    parts = [HEAD, _table(run, kept), _not_run([b for b in benchmarks if b.name not in kept])]
    parts += [_section(benchmark, kept.get(benchmark.name)) for benchmark in benchmarks]
    return "\n".join(part for part in parts if part)


def _table(benchmarks: Iterable[Benchmark], kept: Mapping[str, Kept]) -> str:
    rows = ["| task | measured | processor |", "| --- | --- | --- |"]
    for benchmark in benchmarks:
        result = kept[benchmark.name]
        for figure in benchmark.figures:
            rows.append(f"| {figure.label} | {figure.of(result.text)} | {result.where} |")
    return "\n".join(rows) + '\n\n"Times" is the speed over the baseline of the section.\n'


def _not_run(benchmarks: Iterable[Benchmark]) -> str:
    """Which benchmarks have no kept result."""
    names = [f"{benchmark.title} (`--only {benchmark.name}`)" for benchmark in benchmarks]
    return _filled(f"Not run, so without figures here: {', '.join(names)}.") + "\n" if names else ""


def _section(benchmark: Benchmark, result: Kept | None) -> str:
    text = f"## {benchmark.title}\n\n{_filled(benchmark.about)}\n\n"
    if result is None:
        return f"{text}`{' '.join(['python', *benchmark.command()])}`: not run.\n"
    where = f"`{result.command}`, {result.where}; {result.software}:"
    return f"{text}{where}\n\n```text\n{result.text}\n```\n"


def _filled(text: str) -> str:
    """Text in lines of the pages' width."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)
