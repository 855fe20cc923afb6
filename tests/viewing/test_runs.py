"""What the page says of a folder of runs: finished, running, stopped, in shards, damaged."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.factories.results_factory import LEVEL, levels, result
from tlbench.owner import owned
from tlbench.scoring.announcement import RUNNING_NAME, Announcement, announced, read_announcement
from tlbench.viewing.runs import Runs, RunState

STARTED = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
ABOUT = Announcement("ours", "lrs2", "test", 40, STARTED.isoformat())


@pytest.fixture(autouse=True)
def known_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbench.scoring.result_file.all_metrics", lambda: [LEVEL])


def begin(folder: Path, done: int, from_cache: int = 0) -> None:
    """The files of a run that has scored so many clips, some of them from the cache."""
    with announced(folder, replace(ABOUT, from_cache=from_cache)):
        content = (folder / RUNNING_NAME).read_bytes()
    (folder / RUNNING_NAME).write_bytes(content)
    (folder / "records.jsonl.partial").write_text("{}\n" * done)


def states(folder: Path, seconds: float = 0.0) -> dict[str, RunState]:
    return {run.id: run for run in Runs(folder, lambda: STARTED.timestamp() + seconds).states()}


def test_a_finished_run_has_its_numbers_and_a_page(tmp_path: Path) -> None:
    result(levels([1.0, 2.0, 3.0])).write(tmp_path / "a" / "result.json")
    result(levels([1.0]), expected=2).write(tmp_path / "part" / "result.json")
    result(levels([1.0]), name="static", role="control").write(tmp_path / "controls" / "static" / "result.json")
    found = states(tmp_path)
    assert {run: (of.state, of.role, of.told) for run, of in found.items()} == {
        "a": ("complete", "system", "3 of 3 clips scored"),
        "part": ("incomplete", "system", "1 of 2 clips scored"),
        "controls/static": ("complete", "control", "1 of 1 clip scored"),
    }
    (label, value), *_ = found["a"].numbers
    assert label.startswith(LEVEL.label)
    assert value.startswith("2.00")
    assert all(of.has_page for of in found.values())


def test_a_run_says_how_far_it_is_and_how_long_the_rest_takes(tmp_path: Path) -> None:
    begin(tmp_path / "ours", 10)
    with owned(tmp_path / "ours", tmp_path / "next"):
        found = states(tmp_path, 600)
        assert (found["ours"].state, found["ours"].place) == ("running", "lrs2:test")
        assert found["ours"].told == "10 of 40 clips, about 30 min left"
        assert (found["ours"].done, found["ours"].total) == (10, 40)
        assert "next" not in found  # nothing is written there yet
    assert states(tmp_path)["ours"].told == "at 10 of 40 clips; the same command goes on"
    assert states(tmp_path)["ours"].state == "stopped"


def test_clips_from_the_cache_say_nothing_of_the_time_left(tmp_path: Path) -> None:
    begin(tmp_path / "ours", 20, from_cache=15)
    begin(tmp_path / "first", 15, from_cache=15)
    with owned(tmp_path / "ours", tmp_path / "first"):
        found = states(tmp_path, 600)
    assert found["ours"].told == "20 of 40 clips, about 40 min left"  # 5 in 10 minutes, 20 to go
    assert found["first"].told == "15 of 40 clips"


def test_only_what_is_new_in_a_file_of_records_is_read(tmp_path: Path) -> None:
    begin(tmp_path / "ours", 10)
    runs = Runs(tmp_path)
    records = tmp_path / "ours" / "records.jsonl.partial"
    assert runs.states()[0].done == 10
    with open(records, "a") as file:
        file.write("{}\n{}\n{half of a line")
    assert runs.states()[0].done == 12
    records.unlink()
    records.write_text("{}\n")  # the run began anew
    assert runs.states()[0].done == 1


def test_what_can_not_be_read_is_said_without_the_folder(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "result.json").write_text("{")
    found = states(tmp_path)["bad"]
    assert (found.state, found.has_page) == ("damaged", False)
    assert found.told.startswith("result.json: not a JSON file")


@pytest.mark.parametrize("text", ["{}", "[1]", "x", '{"schema": "tlbench.running/2", "clips": -1}'])
def test_an_announcement_of_something_else_is_ignored(tmp_path: Path, text: str) -> None:
    begin(tmp_path / "ours", 1)
    (tmp_path / "ours" / RUNNING_NAME).write_text(text)
    assert states(tmp_path)["ours"].told == "before its end"


def test_a_run_of_shards_is_counted_over_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tlbench.viewing import runs

    class Plan:
        shards, ids, outline = 2, ("a", "b", "c"), result(levels([1.0, 2.0]), name="ours")
        each = ()

    (tmp_path / "ours" / "shards").mkdir(parents=True)
    (tmp_path / "ours" / "shards" / "plan.json").write_text("{}")
    monkeypatch.setattr(runs, "read_plan", lambda _: Plan)
    found = states(tmp_path)["ours"]
    assert (found.state, found.told) == ("shards", "0 of 3 clips, 0 of 2 shards done")


def test_links_and_hidden_folders_are_not_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "results"
    result(levels([1.0])).write(outside / "a" / "result.json")
    result(levels([1.0])).write(folder / ".hidden" / "result.json")
    if os.name == "posix":
        (folder / "link").symlink_to(outside)
    assert states(folder) == {}
    assert Runs(folder).path_of("../outside/a") is None


def test_an_announcement_is_gone_when_the_run_has_ended_and_stays_when_it_was_stopped(tmp_path: Path) -> None:
    with announced(tmp_path, ABOUT):
        assert read_announcement(tmp_path) == ABOUT
        assert json.loads((tmp_path / RUNNING_NAME).read_text())["clips"] == 40
    assert read_announcement(tmp_path) is None
    with pytest.raises(KeyboardInterrupt), announced(tmp_path, ABOUT):
        raise KeyboardInterrupt
    assert read_announcement(tmp_path) == ABOUT


def test_clips_from_the_cache_are_announced_at_most_every_two_seconds(tmp_path: Path) -> None:
    times = [0.0]
    with announced(tmp_path, ABOUT, lambda: times[-1]) as say:
        found = []
        for seconds, from_cache in ((0.5, 1), (1.9, 2), (2.0, 3), (3.9, 4), (4.0, 5), (9.0, 5)):
            times.append(seconds)
            say(from_cache)
            about = read_announcement(tmp_path)
            assert about is not None
            found.append(about.from_cache)
        written = (tmp_path / RUNNING_NAME).stat().st_mtime_ns
        say(5)
        assert (tmp_path / RUNNING_NAME).stat().st_mtime_ns == written
    assert found == [0, 0, 3, 3, 5, 5]
