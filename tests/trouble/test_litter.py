"""Temporary files of a killed run go with the next run; those of a running one stay."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tlbench import litter
from tlbench.files import write_text_atomically
from tlbench.litter import OTHER_HOSTS_SECONDS as WEEK
from tlbench.litter import remove_litter, temporary_name

LEAVES = """
import os, sys
from pathlib import Path
from tlbench.files import atomic_path
with atomic_path(Path(sys.argv[1]) / "result.json") as temporary:
    temporary.write_text("half")
    print(temporary.name, flush=True)
    {end}
"""


def a_process(folder: Path, end: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", LEAVES.format(end=end), str(folder)], stdout=-1, stdin=-1, text=True)


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    with a_process(tmp_path, "os.kill(os.getpid(), 9)") as child:
        child.wait(timeout=60)
    assert len(list(tmp_path.iterdir())) == 1
    assert remove_litter(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_a_living_process_writes_stays(tmp_path: Path) -> None:
    with a_process(tmp_path, "sys.stdin.readline()") as child:
        assert child.stdout is not None
        name = child.stdout.readline().strip()
        assert remove_litter(tmp_path) == 0
        assert (tmp_path / name).read_text() == "half"
        child.communicate("go on\n", timeout=60)
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_process_of_the_same_number_is_not_the_same_process(tmp_path: Path) -> None:
    name = temporary_name(".tmp")
    (tmp_path / name).touch()
    assert remove_litter(tmp_path) == 0
    host, process, start, rest = name.removeprefix(".").split("-")
    (tmp_path / f".{host}-{process}-{int(start) + 1}-{rest}").touch()
    assert remove_litter(tmp_path) == 1
    assert (tmp_path / name).is_file()


@pytest.mark.parametrize(("age_seconds", "stays"), [(WEEK - 60, True), (WEEK + 60, False)])
def test_another_hosts_files_go_after_a_week(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_seconds: float, stays: bool
) -> None:
    path = tmp_path / "deep" / temporary_name(".part.mp4", "clip")
    path.parent.mkdir()
    path.touch()
    monkeypatch.setattr(litter, "host_mark", lambda: "0" * 8)
    os.utime(path, (time.time() - age_seconds,) * 2)
    assert remove_litter(tmp_path) == 0  # not looked into
    assert remove_litter(tmp_path, deep=True) == (not stays)
    assert path.exists() == stays


def test_nothing_else_is_touched(tmp_path: Path) -> None:
    names = [".hidden.tmp", "a.part", ".git", ".x.0123-4-5-6.tmp", "result.json", ".0123456789abcdef.tmp"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path)
    write_text_atomically(tmp_path / "text", "whole")
    assert remove_litter(tmp_path, deep=True) == 0
    assert {path.name for path in tmp_path.iterdir()} == {*names, "text", "link"}


@pytest.mark.parametrize("replaced", [True, False])
def test_a_folder_that_was_set_aside_comes_back_if_the_new_one_never_came(tmp_path: Path, replaced: bool) -> None:
    name = temporary_name(".old", "best").replace(f"-{os.getpid()}-", "-999999999-")  # of a process that is gone
    (tmp_path / name).mkdir()
    (tmp_path / name / "weights").write_text("old")
    if replaced:
        (tmp_path / "best").mkdir()
        (tmp_path / "best" / "weights").write_text("new")
    remove_litter(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
    assert (tmp_path / "best" / "weights").read_text() == ("new" if replaced else "old")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_that_has_ended_but_was_not_waited_for_is_gone(tmp_path: Path) -> None:
    with a_process(tmp_path, "os.kill(os.getpid(), 9)") as child:
        while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)
        assert remove_litter(tmp_path) == 1


def test_whoever_writes_into_a_folder_removes_what_was_left_there(tmp_path: Path) -> None:
    left = tmp_path / temporary_name(".part.mp4", "clip").replace(f"-{os.getpid()}-", "-999999999-")
    left.touch()
    write_text_atomically(tmp_path / "text", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["text"]
