"""``tlbench report`` as its user sees it."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from click.testing import Result as Done

from tests.factories.report_factory import make_records, make_run
from tlbench.cli.main import group


def run(*words: str | Path) -> Done:
    return CliRunner().invoke(group, ["report", *map(str, words)])


def test_the_page_is_named_on_stdout(tmp_path: Path) -> None:
    make_run(tmp_path, make_records(3))
    done = run(tmp_path, "--pictures", "0")
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'report.html'}\n")
    assert run(tmp_path / "result.json", "--out", tmp_path / "x" / "page.html").exit_code == 0
    assert (tmp_path / "x" / "page.html").is_file()


def test_two_runs_without_a_clip_in_common_are_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "a", make_records(3))
    make_run(tmp_path / "b", make_records(3, names=["x", "y", "z"]))
    done = run(tmp_path / "a", tmp_path / "b")
    assert done.exit_code != 0
    assert "no clip in common" in str(done.exception)


def test_a_folder_without_a_result_is_refused(tmp_path: Path) -> None:
    assert "there is no such file" in str(run(tmp_path).exception)


def test_a_folder_of_videos_that_is_not_there_is_refused(tmp_path: Path) -> None:
    make_run(tmp_path, make_records(3))
    assert "can't be listed" in str(run(tmp_path, "--videos", tmp_path / "nowhere").exception)
