"""``tlbench table`` and ``tlbench compare`` fit the terminal, and their columns can be chosen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from tests.factories.results_factory import levels, metric, result
from tlbench.cli.main import group
from tlbench.errors import TlbenchError

METRICS = [metric(f"m{i}", tally=metric().tally, label=f"LSE-{i}") for i in range(7)]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    paths = tmp_path / "ours.json", tmp_path / "theirs.json"
    for path, shift in zip(paths, (0.0, 1.0), strict=True):
        result(levels([shift + i for i in range(12)]), METRICS, name=path.stem).write(path)
    return str(paths[0]), str(paths[1])


@pytest.fixture(autouse=True)
def known_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbench.scoring.result_file.all_metrics", lambda: METRICS)


def run(*words: str, columns: int = 120) -> Result:
    done = CliRunner().invoke(group, words, env={"COLUMNS": str(columns)})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_tables_fit_the_terminal(files: tuple[str, str], width: int) -> None:
    for command in ("table", "compare"):
        shown = run(command, *files, columns=width).stdout
        assert max(map(cell_len, shown.splitlines())) <= width
        assert all(f"LSE-{i}" in shown for i in range(7))
        assert "…" not in shown


def test_columns_and_intervals_can_be_chosen(files: tuple[str, str]) -> None:
    shown = run("table", *files, "--columns", "m3,m1/sound", "--no-intervals").stdout
    assert shown.index("LSE-3") < shown.index("LSE-1")
    assert "LSE-2" not in shown
    assert "[" not in shown
    shown = run("compare", *files, "--columns", "difference,verdict", "--no-intervals").stdout
    assert "a - b" in shown
    assert "no difference" in shown or "better" in shown
    assert "a wins " not in shown.split("\n\n")[1]
    data = json.loads(run("table", *files, "--columns", "m3", "--format", "json").stdout)
    assert {row["metric"] for of in data["results"] for row in of["rows"]} == {"m3/sound"}


def test_unknown_columns_are_named(files: tuple[str, str]) -> None:
    for command, known in (("table", "m0/sound"), ("compare", "difference")):
        with pytest.raises(TlbenchError, match=f"no column 'x'.*{known}"):
            CliRunner().invoke(group, [command, *files, "--columns", "x"], catch_exceptions=False)


def test_a_preset_chooses_the_columns_and_says_what_is_not_there(files: tuple[str, str]) -> None:
    done = run("table", *files, "--preset", "all", "--format", "latex")
    assert done.exit_code == 0
    assert done.stdout.startswith("\\begin{table}")
    assert done.stdout.count("LSE-6") == 2  # the head, and the caption
    for drawn in ("latex", "terminal"):
        done = CliRunner().invoke(group, ["table", *files, "--preset", "paper-avatar", "--format", drawn])
        assert isinstance(done.exception, TlbenchError)
        assert done.stdout == ""
        assert "not in these results, of preset paper-avatar: fid, kid" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--preset", "paper-avatr"), "no preset 'paper-avatr'"),
        (("--preset", "all", "--columns", "m1"), "--preset all and --columns m1 both choose columns"),
    ],
)
def test_a_preset_that_can_not_be_is_refused(files: tuple[str, str], words: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(group, ["table", *files, *words])
    assert isinstance(done.exception, TlbenchError)
    assert said in str(done.exception)
