"""The page of docs/speed.md: what benchmarks gave, kept in a JSON file, as Markdown.

A result is kept with its command, processor and output as they were, and every figure of the page is taken from an
output: none is written by hand. The last result of each processor is kept.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
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


KeptByName = Mapping[str, Sequence[Kept]]  # the results of each benchmark, one a processor


def read_kept(path: Path = KEPT) -> dict[str, list[Kept]]:
    """Kept results by the benchmark's name; none if there is no file."""
    if not path.is_file():
        return {}
    kept = json.loads(path.read_text("utf-8"))
    return {
        name: [Kept(**(entry | {"output": tuple(entry["output"])})) for entry in entries]
        for name, entries in kept.items()
    }


def with_result(kept: KeptByName, name: str, result: Kept) -> dict[str, list[Kept]]:
    """The same with one more result, in place of the one of the same processor."""
    others = [each for each in kept.get(name, ()) if each.processor != result.processor]
    return {**{one: list(each) for one, each in kept.items()}, name: [*others, result]}


def write_kept(kept: KeptByName, path: Path = KEPT) -> None:
    """Replace the file of kept results."""
    entries = {name: [asdict(each) for each in kept[name]] for name in sorted(kept)}
    path.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", "utf-8")


def page(kept: KeptByName, benchmarks: Iterable[Benchmark] = BENCHMARKS) -> str:
    """The whole page. An output that was kept before a benchmark had a figure has no row for it."""
    benchmarks = list(benchmarks)
    run = [benchmark for benchmark in benchmarks if benchmark.name in kept]
    parts = [HEAD, _table(run, kept), _not_run([b for b in benchmarks if b.name not in kept])]
    parts += [_section(benchmark, kept.get(benchmark.name, ())) for benchmark in benchmarks]
    return "\n".join(part for part in parts if part)


def _table(benchmarks: Iterable[Benchmark], kept: KeptByName) -> str:
    rows = ["| task | measured | processor |", "| --- | --- | --- |"]
    for benchmark in benchmarks:
        for figure in benchmark.figures:
            rows += [
                f"| {figure.label} | {figure.of(each.text)} | {each.where} |"
                for each in kept[benchmark.name]
                if figure.is_in(each.text)
            ]
    return "\n".join(rows) + '\n\n"Times" is the speed over the baseline of the section.\n'


def _not_run(benchmarks: Iterable[Benchmark]) -> str:
    """Which benchmarks have no kept result."""
    names = [f"{benchmark.title} (`--only {benchmark.name}`)" for benchmark in benchmarks]
    return _filled(f"Not run, so without figures here: {', '.join(names)}.") + "\n" if names else ""


def _section(benchmark: Benchmark, results: Sequence[Kept]) -> str:
    text = f"## {benchmark.title}\n\n{_filled(benchmark.about)}\n"
    if not results:
        return f"{text}\n`{' '.join(['python', *benchmark.command()])}`: not run.\n"
    return text + "".join(
        f"\n`{each.command}`, {each.where}; {each.software}:\n\n```text\n{each.text}\n```\n" for each in results
    )


def _filled(text: str) -> str:
    """Text in lines of the pages' width."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)
