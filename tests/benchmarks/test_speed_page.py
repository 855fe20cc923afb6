"""The page of speed is what the kept results of the benchmarks give, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.catalogue import BENCHMARKS, Benchmark, Figure, chosen
from benchmarks.speed_page import KEPT, PAGE, ROOT, Kept, page, read_kept, with_result, write_kept

ONE = Benchmark(
    "one", "One thing", "What it is.", "one_thing", ("--grid", "{grid}"), (Figure("a thing", r"([\d.]+) x"),)
)
TWO = Benchmark("two", "Another", "What that is.", "another")
RESULT = Kept("python -m benchmarks.one_thing", "A processor, 4 cores", "Python 3.11", 0.3, 4, ("ours 2.5 x", "done"))


def test_the_page_is_what_the_kept_results_give() -> None:
    assert PAGE.read_text("utf-8") == page(read_kept())


def test_every_kept_result_is_of_a_benchmark_and_says_its_processor() -> None:
    known = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    for name, results in read_kept().items():
        commands = [known[name].command(before=before) for before in ("", "CHECKOUT")]
        for result in results:
            assert result.command in [" ".join(["python", *command]) for command in commands]
            assert "cores" in result.processor
            assert "torch" in result.software


def test_every_benchmark_is_a_module_and_named_once() -> None:
    names = [benchmark.name for benchmark in BENCHMARKS]
    assert len(set(names)) == len(names)
    for benchmark in BENCHMARKS:
        assert find_spec(f"benchmarks.{benchmark.module}") is not None
        assert benchmark.figures


def test_a_figure_is_taken_from_the_output_with_its_processor() -> None:
    made = page({"one": [RESULT]}, [ONE, TWO])
    assert "| a thing | 2.5 times | A processor, 4 cores |" in made
    assert "Not run, so without figures here: Another (`--only two`)." in made
    assert made.endswith("## Another\n\nWhat that is.\n\n`python -m benchmarks.another`: not run.\n")
    assert (
        "`python -m benchmarks.one_thing`, A processor, 4 cores; Python 3.11:\n\n```text\nours 2.5 x\ndone\n```" in made
    )


def test_a_busy_machine_is_told() -> None:
    assert "under load" not in page({"one": [RESULT]}, [ONE]).partition("| task")[2]
    assert "A processor, 4 cores, under load |" in page({"one": [replace(RESULT, load=2.1)]}, [ONE])


def test_an_output_without_its_figure_is_an_error_that_names_it_when_it_is_new_and_has_no_row_later() -> None:
    with pytest.raises(ValueError, match="no 'a thing' in the output"):
        ONE.figures[0].of("ours is fast")
    assert "| a thing |" not in page({"one": [replace(RESULT, output=("ours is fast",))]}, [ONE])


def test_results_are_kept_as_they_were(tmp_path: Path) -> None:
    kept = {"one": [RESULT]}
    write_kept(kept, tmp_path / "kept.json")
    assert read_kept(tmp_path / "kept.json") == kept
    assert read_kept(tmp_path / "none.json") == {}


def test_each_processor_keeps_its_last_result() -> None:
    again = replace(RESULT, output=("ours 2.6 x",))
    other = replace(RESULT, processor="B processor, 2 cores", output=("ours 1.9 x",))
    kept = with_result(with_result({"one": [RESULT]}, "one", other), "one", again)
    assert kept == {"one": [other, again]}
    made = page(kept, [ONE])
    assert made.index("| a thing | 1.9 times | B processor, 2 cores |") < made.index("| a thing | 2.6 times | A ")
    assert made.count("\n## One thing\n") == 1
    assert made.count("```text") == 2


def test_the_folder_of_grid_is_in_no_kept_command() -> None:
    assert ONE.command() == ["-m", "benchmarks.one_thing", "--grid", "GRID"]
    assert ONE.command("/data/grid")[-1] == "/data/grid"
    assert ONE.command("grid", before="old") == ONE.command("grid")
    assert replace(ONE, takes_before=True).command("grid", before="old")[-2:] == ["--before", "old"]
    assert ONE.needs_grid
    assert not TWO.needs_grid
    assert str(ROOT) not in KEPT.read_text("utf-8") + PAGE.read_text("utf-8")


def test_unknown_names_are_told_with_those_there_are() -> None:
    assert chosen([]) == list(BENCHMARKS)
    assert [benchmark.name for benchmark in chosen(["mel", "visual"])] == ["visual", "mel"]
    with pytest.raises(ValueError, match=r"no benchmark 'mell'; there are visual, .*, mel,"):
        chosen(["mell"])
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--only", "mell"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no benchmark 'mell'" in done.stderr
