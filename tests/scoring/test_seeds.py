"""The mean of several seeds of one system: values, intervals over seeds and clips, and refused results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.factories.results_factory import LEVEL, levels, metric, result
from tlbench.cli.main import group
from tlbench.errors import TlbenchError
from tlbench.scoring.seeds import aggregate_seeds
from tlbench.statistics import IntervalSettings, Ratio, seed_interval


@pytest.fixture(autouse=True)
def known_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbench.scoring.result_file.all_metrics", lambda: [LEVEL])


def written(folder: Path, name: str, numbers: list[float], **changed: str) -> Path:
    path = folder / f"{name}.json"
    result(levels(numbers), name=name, **changed).write(path)
    return path


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    return [written(tmp_path, f"seed{seed}", list(rng.normal(10 + seed, 1, 40))) for seed in range(3)]


def test_the_mean_and_the_values_of_each_seed(three: list[Path]) -> None:
    (row,) = aggregate_seeds(three).rows
    rng = np.random.default_rng(0)
    expected = [rng.normal(10 + seed, 1, 40).mean() for seed in range(3)]
    assert row.values == pytest.approx(expected)
    assert row.mean == pytest.approx(np.mean(expected))
    assert (row.clips, row.interval.unit, row.interval.units) == (40, "seeds", 3)  # type: ignore[union-attr]


def test_the_interval_resamples_seeds_then_clips() -> None:
    """Its ends are those of a plain loop that draws seeds and clips."""
    rng = np.random.default_rng(1)
    numbers = rng.normal(10, 1, (3, 30)) + np.array([[0.0], [1.0], [3.0]])
    ratios = [Ratio(row, np.ones(30), lambda x: x, 1.0) for row in numbers]
    found = seed_interval(ratios, IntervalSettings(resamples=4000))
    assert found is not None
    means = []
    for _ in range(4000):
        clips = rng.integers(0, 30, 30)
        means.append(np.mean([numbers[seed, clips].mean() for seed in rng.integers(0, 3, 3)]))
    low, high = np.quantile(means, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.12)
    same = seed_interval([ratios[0]] * 3, IntervalSettings(resamples=4000))
    assert same is not None
    assert same.high - same.low < (found.high - found.low) / 2  # seeds that differ make it wider


def test_clips_that_a_seed_lacks_are_left_out(tmp_path: Path) -> None:
    paths = [written(tmp_path, "a", [1.0, 2, 3, 4]), written(tmp_path, "b", [1.0, 2, 3])]
    (row,) = aggregate_seeds(paths).rows
    assert (row.clips, row.values) == (3, (2.0, 2.0))


def test_results_of_other_clips_or_one_alone_are_refused(three: list[Path], tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match="needs at least two results"):
        aggregate_seeds(three[:1])
    other = written(tmp_path, "other", [1.0, 2, 3], selection="abc")
    with pytest.raises(TlbenchError, match="or of other clips of it; seeds need the same clips"):
        aggregate_seeds([three[0], other])


def test_the_command_prints_the_table(three: list[Path]) -> None:
    words = ["aggregate", "--seeds", *map(str, three)]
    done = CliRunner().invoke(group, words, env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    assert "Mean over 3 seeds, with its 95 % bootstrap interval" in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 80
    rows = json.loads(CliRunner().invoke(group, [*words, "--format", "json"]).stdout)["rows"]
    assert rows[0]["seeds"] == 3
    assert rows[0]["low"] < rows[0]["mean"] < rows[0]["high"]
    assert isinstance(CliRunner().invoke(group, ["aggregate", *map(str, three)]).exception, TlbenchError)


def test_metrics_of_other_protocols_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = metric("other", tally=LEVEL.tally)
    monkeypatch.setattr("tlbench.scoring.result_file.all_metrics", lambda: [LEVEL, second])
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    result(levels([1.0, 2]), [LEVEL, second], name="one").write(one)
    result(levels([1.0, 3]), [LEVEL], name="two").write(two)
    assert aggregate_seeds([one, two]).left_out == (second.key,)
