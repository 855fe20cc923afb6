"""A run with an observer of timed words: clips without word times are left out by it alone, and it is usual on GRID."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError
from tlbench.scoring.options import MetricOptions, RunOptions
from tlbench.scoring.result import Result
from tlbench.scoring.score import score
from tlbench.scoring.setup import prepare, timed

SAMPLE = Path(__file__).parents[2] / "tlbench/datasets/bundled/s1"
ALIGNED, WITHOUT = "bbaf2n", "brbt1s"


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of GRID, one without its alignment; the test part has their sentences to guess from."""
    root = tmp_path_factory.mktemp("grid")
    (root / "s1").mkdir()
    for name in (ALIGNED, WITHOUT):
        shutil.copy(SAMPLE / f"{name}.mp4", root / "s1")
    shutil.copy(SAMPLE / f"{ALIGNED}.align", root / "s1")
    return root


@pytest.fixture(scope="module")
def result(grid: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    out = tmp_path_factory.mktemp("out")
    metrics = ("acc_aligned", "sharpness")
    return score(grid / "s1", "grid", grid, metrics=metrics, out=out, cache=out / "cache", workers=1, name="real")


def test_a_clip_without_word_times_is_left_out_by_this_metric_alone(result: Result) -> None:
    aligned, other = result.by_id[f"s1/{ALIGNED}"], result.by_id[f"s1/{WITHOUT}"]
    assert not aligned.failures
    assert {name: why.code for name, why in other.failures.items()} == {"mvm-aligned": "no-word-times"}
    assert set(other.tallies) == {"sharpness/sound"}
    assert aligned.tallies["acc_aligned/sound"].denominator == 6  # bin blue at f two now
    assert result.row("acc_aligned/sound").scored == 1
    assert result.row("sharpness/sound").scored == 2


def test_that_is_the_data_sets_fault(result: Result) -> None:
    (found,) = (one for one in result.all_findings if one.code == "no-word-times" and one.clip == f"s1/{WITHOUT}")
    assert found.level == "info"
    assert not [one for one in result.all_findings if one.level == "error" and one.code != "identical"]


def test_blind_readers_are_compared_on_the_same_clips(result: Result) -> None:
    assert result.blind is not None
    rows = {row.name: row for row in result.blind.rows}
    assert set(rows) == {"most frequent sentence", "most frequent words", "sentence by chance"}
    for row in rows.values():
        assert [clip.id for clip in row.clips if "acc_aligned/sound" in clip.tallies] == [f"s1/{ALIGNED}"]
    assert result.blind.verdicts["acc_aligned/sound"].clips == 1


def test_it_is_usual_where_a_network_is_bundled_and_clips_have_times(grid: Path, tmp_path: Path) -> None:
    options = RunOptions(cache=tmp_path)
    usual = prepare(load_dataset("grid", grid), options=options)
    assert "acc_aligned/sound" in {metric.key for metric in usual.metrics}
    assert [bool(clip.word_times) for clip in timed(load_dataset("grid", grid), usual).clips] == [True, False]
    for path in (grid / "s1").glob("*.mp4"):
        shutil.copy(path, tmp_path)
        (tmp_path / path.with_suffix(".txt").name).write_text("bin blue\n\nWORD START END\nbin 0.1 0.2\nblue 0.2 0.4\n")
    own = load_dataset("folder", tmp_path, generated=grid / "s1")
    setup = prepare(own, options=options)
    assert "acc_aligned/sound" not in {metric.key for metric in setup.metrics}
    assert not any("ACC aligned" in line for line in setup.left_out)
    with pytest.raises(TlbenchError, match="the bundled mvm-grid is for grid, grid-sample; train one"):
        prepare(own, MetricOptions(("acc_aligned",)), options=options)
