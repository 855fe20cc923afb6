"""One run writes a folder; others are refused by name, and a dead one is taken over by exactly one."""

from __future__ import annotations

import errno
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories.media_factory import write_clip
from tests.trouble.children import run
from tests.trouble.owner_cases import (
    bad_contents,
    dead_card,
    killed_on_the_way,
    leave,
    many_at_once,
    owner_files,
)
from tlbench import owner
from tlbench.errors import TlbenchError
from tlbench.litter import host_mark, is_running, start_of
from tlbench.owner import GONE_SECONDS, owned, owner_path
from tlbench.owner_card import OwnerCard

REFUSED = "another run writes to it"


def is_taken(folder: Path, name: str = "", *, take_over: bool = False) -> bool:
    """Whether a folder can't be had."""
    line = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            with owned(folder, name=name, take_over=take_over):
                pass
        except TlbenchError as error:
            line = str(error)
    assert "\n" not in line
    assert not line or REFUSED in line or "can't be read as an owner file" in line
    return bool(line)


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("not within ten seconds")


def test_a_second_run_is_told_who_the_first_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/tlbench", "score", "made"])
    with owned(tmp_path):
        with pytest.raises(TlbenchError) as refused, owned(tmp_path):
            pass
        line = str(refused.value)
        for part in (f"process {os.getpid()} of ", socket.gethostname(), " UTC", "(tlbench score made)", "--take-over"):
            assert part in line
        assert owner_files(tmp_path) == [".owner"]
    assert list(tmp_path.iterdir()) == []


def test_things_in_a_folder_have_owners_of_their_own(tmp_path: Path) -> None:
    with owned(tmp_path, name="shard-1-of-8"):
        assert is_taken(tmp_path, "shard-1-of-8")
        assert not is_taken(tmp_path, "shard-2-of-8")
        assert not is_taken(tmp_path)


@pytest.mark.parametrize("error", [TlbenchError("x"), KeyboardInterrupt(), SystemExit(1), MemoryError()])
def test_an_error_leaves_no_owner_and_no_empty_folder(tmp_path: Path, error: BaseException) -> None:
    def work() -> None:
        with owned(tmp_path / "a" / "b", tmp_path / "a" / "c"):
            (tmp_path / "a" / "c" / "kept").touch()
            raise error

    with pytest.raises(type(error)):
        work()
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {"a", "a/c", "a/c/kept"}


def test_of_several_folders_all_are_had_or_none(tmp_path: Path) -> None:
    with owned(tmp_path / "b"):
        with pytest.raises(TlbenchError, match=f"b: {REFUSED}"), owned(tmp_path / "c", tmp_path / "b", tmp_path / "a"):
            pass
        assert not (tmp_path / "a").exists()
        assert not is_taken(tmp_path / "c")


def dead_child() -> subprocess.Popen[bytes]:
    """A process that has ended and whose exit code nobody has asked for."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    wait_until(lambda: not is_running(child.pid, 0))
    return child


def test_a_dead_owner_is_taken_over_with_a_line(tmp_path: Path) -> None:
    with dead_child() as child:
        dead = replace(OwnerCard.of_this_process(), process=child.pid, start=0)
        for card in (dead_card(), dead):
            leave(owner_path(tmp_path), card.to_json())
            with pytest.warns(UserWarning, match=rf"taken over from process {card.process} of "), owned(tmp_path):
                pass


@pytest.mark.skipif(not start_of(os.getpid()), reason="the system does not tell when a process started")
def test_a_process_of_the_same_number_is_another_owner(tmp_path: Path) -> None:
    mine = OwnerCard.of_this_process()
    leave(owner_path(tmp_path), mine.to_json())
    assert is_taken(tmp_path)
    leave(owner_path(tmp_path), replace(mine, start=mine.start + 1).to_json())
    assert not is_taken(tmp_path)


@pytest.mark.parametrize(("age_seconds", "taken"), [(GONE_SECONDS - 60, True), (GONE_SECONDS + 60, False)])
@pytest.mark.parametrize("clock_seconds", [-86400.0, 0.0, 86400.0])
def test_an_owner_of_another_host_is_gone_by_the_clock_of_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_seconds: float, taken: bool, clock_seconds: float
) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + clock_seconds)
    card = replace(OwnerCard.of_this_process(), mark="0" * 8)  # its process runs here, which says nothing
    leave(owner_path(tmp_path), card.to_json(), age_seconds)
    if taken:
        with pytest.raises(TlbenchError, match=r"last seen 5[34]\d s ago"), owned(tmp_path):
            pass
    assert is_taken(tmp_path) == taken


def test_a_host_is_another_one_after_a_restart_and_in_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = {host_mark()}
    monkeypatch.setattr(socket, "gethostname", lambda: "node")
    for namespace in ("pid:[1]", "pid:[2]"):
        monkeypatch.setattr(os, "readlink", lambda path, name=namespace: name)
        marks.add(host_mark.__wrapped__())
    if start_of(os.getpid()):
        assert len(marks) == 3

    def none(path: str) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "readlink", none)
    by_name = host_mark.__wrapped__()
    monkeypatch.setattr(socket, "gethostname", lambda: "other")
    assert host_mark.__wrapped__() != by_name


def test_an_owner_file_is_touched_as_long_as_its_process_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "TOUCH_SECONDS", 0.05)
    path = owner_path(tmp_path)
    with owned(tmp_path):
        os.utime(path, (0, 0))
        wait_until(lambda: path.stat().st_mtime > 0)
    wait_until(lambda: all(thread.name != "owner" for thread in threading.enumerate()))


HOLDS = """
import os, sys, time
from pathlib import Path
from tlbench import owner
owner.TOUCH_SECONDS = 0.05
with owner.owned(Path(sys.argv[1])):
    print("ready", flush=True)
    {work}
"""


def holder(folder: Path, work: str) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", HOLDS.format(work=work), str(folder)], stdout=-1, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_nobody_touches_the_file_of_a_dead_owner(tmp_path: Path) -> None:
    """Neither does a process that the owner forked and that lives on."""
    with holder(tmp_path, "os.fork(); time.sleep(3)") as child:
        child.kill()
        child.wait(timeout=10)
        os.utime(owner_path(tmp_path), (0, 0))
        time.sleep(0.5)
        assert owner_path(tmp_path).stat().st_mtime == 0
        assert not is_taken(tmp_path)


def test_a_run_that_was_taken_over_ends_and_leaves_the_others_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, "TOUCH_SECONDS", 0.05)
    children = []

    def work() -> None:
        with owned(tmp_path):
            children.append(begin_by_force(tmp_path))
            time.sleep(30)  # it is interrupted

    started = time.monotonic()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs the tests behind it
    try:
        with pytest.raises(TlbenchError, match=r"taken over by process \d+ of .* while this run"):
            work()
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - started < 25
    assert is_taken(tmp_path)
    children[0].communicate("end\n", timeout=60)
    assert owner_files(tmp_path) == []


def test_a_run_that_never_looked_ends_with_the_same_error(tmp_path: Path) -> None:
    children = []

    def work() -> None:
        with owned(tmp_path):
            children.append(begin_by_force(tmp_path))
            assert children[0].stdout is not None
            assert children[0].stdout.readline() == "ready\n"

    with pytest.raises(TlbenchError, match=r"taken over by process \d+ of .* while this run"):
        work()
    children[0].communicate("end\n", timeout=60)


def begin_by_force(folder: Path) -> subprocess.Popen[str]:
    program = HOLDS.format(work="sys.stdin.readline()").replace("sys.argv[1])", "sys.argv[1]), take_over=True")
    words = [sys.executable, "-W", "ignore", "-c", program, str(folder)]
    return subprocess.Popen(words, stdin=-1, stdout=-1, text=True)


COMMAND = """
import hashlib, sys, time, click
from pathlib import Path
from tlbench.cli import main, signals
from tlbench.owner import owned
@click.command()
def command():
    with owned(Path(sys.argv[1])):
        print("ready", flush=True)
        {work}
main.group = command
sys.argv, path = sys.argv[:1], sys.argv[1]
sys.argv.append(path)
command.params = [click.Argument(["folder"], expose_value=False)]
main.main()
"""


IN_C = "hashlib.pbkdf2_hmac('sha256', b'x', b'y', 2_000_000_000)"


@pytest.mark.parametrize(
    ("work", "number"),
    [
        pytest.param("time.sleep(60)", signal.SIGINT, id="sleeps, SIGINT"),
        pytest.param("time.sleep(60)", signal.SIGTERM, id="sleeps, SIGTERM"),
        pytest.param(IN_C, signal.SIGINT, id="in C, two SIGINT"),
        pytest.param(IN_C, signal.SIGTERM, id="in C, SIGTERM", marks=pytest.mark.slow),  # four seconds
    ],
)
def test_a_signal_leaves_no_owner_file(tmp_path: Path, work: str, number: signal.Signals) -> None:
    program = [sys.executable, "-c", COMMAND.format(work=work), str(tmp_path)]
    with subprocess.Popen(program, stdout=-1, stderr=-1, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        assert is_taken(tmp_path)
        child.send_signal(number)
        if work == IN_C and number == signal.SIGINT:
            time.sleep(0.1)
            child.send_signal(number)
        child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # four seconds
def test_a_run_in_a_library_says_who_took_its_folder(tmp_path: Path) -> None:
    """It can't end by itself in time; the line still names the other run, and the code is that of an error."""
    touching = "import tlbench.owner\ntlbench.owner.TOUCH_SECONDS = 0.05\n"
    program = [sys.executable, "-c", touching + COMMAND.format(work=IN_C), str(tmp_path)]
    with subprocess.Popen(program, stdout=-1, stderr=-1, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        forced = begin_by_force(tmp_path)
        try:
            said = child.communicate(timeout=30)[1]
        finally:
            child.kill()
            forced.communicate("end\n", timeout=60)
    assert child.returncode == 2
    assert said.startswith("error: "), said
    assert said.count("\n") == 1, said
    assert f"taken over by process {forced.pid} of " in said


@given(st.binary(max_size=300) | st.sampled_from(sorted(bad_contents(random.Random(3)).values())))
def test_any_content_is_an_owner_or_a_value_error(content: bytes) -> None:
    problem = ""
    try:
        card = OwnerCard.from_json(content)
    except ValueError as error:
        problem = str(error)
    assert problem.startswith(("it ", "its ")) or OwnerCard.from_json(card.to_json()) == card


@pytest.mark.parametrize("name", bad_contents(random.Random(3)))
def test_a_damaged_owner_file_is_refused_until_it_is_old(tmp_path: Path, name: str) -> None:
    content = bad_contents(random.Random(3))[name]
    leave(owner_path(tmp_path), content)
    assert is_taken(tmp_path)
    assert not is_taken(tmp_path, take_over=True)
    leave(owner_path(tmp_path), content, GONE_SECONDS + 60)
    assert not is_taken(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket", "link to zeros", "link to nothing", "loop"])
def test_a_special_file_is_no_owner_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket has at most 108 bytes
    path = owner_path(Path())
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    else:
        path.symlink_to({"loop": path.name}.get(kind, "/dev/zero" if "zeros" in kind else "nothing"))
    assert is_taken(Path())
    if kind == "folder":
        with pytest.raises(TlbenchError, match=r"can't be written \(.*director"), owned(Path(), take_over=True):
            pass
    else:
        assert not is_taken(Path(), take_over=True)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_folder_that_can_not_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fails(source: Any, target: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", fails)
    with pytest.raises(TlbenchError, match=r"can't be written|the disk is full") as refused, owned(tmp_path / "new"):
        pass
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TlbenchError, match="can't be written"), owned(tmp_path / "file" / "in it"):
        pass


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_an_owner_file_goes_also_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fails(source: Any, target: Any) -> None:
        raise OSError(code, os.strerror(code))

    with owned(tmp_path):
        monkeypatch.setattr(os, "link", fails)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # imports torch twice
@pytest.mark.parametrize("rank", ["0", "1"])
def test_of_processes_that_train_together_the_first_owns_the_folder(tmp_path: Path, rank: str) -> None:
    pytest.importorskip("lightning_fabric", reason="training needs the extra 'train'")
    program = (
        "import sys\nfrom pathlib import Path\nfrom tlbench.training.run_folder import owned_run\n"
        "with owned_run(Path(sys.argv[1])):\n print('had')"
    )
    with owned(tmp_path):
        words = [sys.executable, "-c", program, str(tmp_path)]
        done = subprocess.run(words, env={**os.environ, "LOCAL_RANK": rank}, capture_output=True, text=True)
    assert (done.stdout == "had\n") == (rank == "1")
    assert (REFUSED in done.stderr) == (rank == "0")


def test_without_hard_links_there_is_one_owner_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(source: Any, target: Any) -> None:
        if os.path.lexists(target):
            raise FileExistsError(target)
        raise PermissionError(errno.EPERM, "no hard links")

    monkeypatch.setattr(os, "link", none)
    with owned(tmp_path):
        assert is_taken(tmp_path)
    leave(owner_path(tmp_path), dead_card().to_json())
    assert not is_taken(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_was_lost_on_the_way_is_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS asks again when no answer comes, and the second answer says that the name is there already."""
    link = os.link

    def answers_twice(source: Any, target: Any) -> None:
        link(source, target)
        raise FileExistsError(target)

    monkeypatch.setattr(os, "link", answers_twice)
    assert not is_taken(tmp_path)


def test_of_many_runs_at_once_one_gets_the_folder(tmp_path: Path) -> None:
    verdicts = list(many_at_once(tmp_path, cases=8, seed=5))
    assert [verdict for verdict in verdicts if verdict.end == "fell short"] == []


def test_a_run_may_be_killed_at_any_call_while_it_takes_over(tmp_path: Path) -> None:
    verdicts = list(killed_on_the_way(tmp_path, 16))
    assert [verdict for verdict in verdicts if verdict.end == "fell short"] == []
    assert any("killed" in verdict.name for verdict in verdicts)
    assert "won" in verdicts[-1].name  # beyond the last call


@pytest.mark.slow  # five commands
def test_of_four_commands_at_once_one_scores_and_its_result_is_that_of_one_alone(tmp_path: Path) -> None:
    for place, quality in (("real", 18), ("made", 30)):
        (tmp_path / place).mkdir()
        for number in range(3):
            options = {"crf": str(quality + number)}
            write_clip(tmp_path / place / f"{number}.mp4", frames=30, width=160, height=160, codec_options=options)
    words = ["score", "made", "--dataset", "folder", "--data-root", "real", "--metrics", "psnr", "--workers", "1"]
    assert run([*words, "--out", "alone"], tmp_path).code == 0
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: run([*words, "--out", "out"], tmp_path), range(4)))
    assert {outcome.code for outcome in outcomes} <= {0, 2}
    assert 0 in [outcome.code for outcome in outcomes]
    for outcome in outcomes:
        assert not outcome.fell_short
        assert (outcome.code == 2) == (REFUSED in outcome.stderr)
    records = (tmp_path / place / "made" / "records.jsonl" for place in ("alone", "out"))
    assert len({path.read_bytes() for path in records}) == 1
    assert {path.name for path in (tmp_path / "out" / "made").iterdir()} == {
        *("config.toml", "records.jsonl", "result.json")
    }


@pytest.mark.parametrize("name", ["a**b.mp4", "[x]", "*", "a?b"])
def test_names_with_signs_of_patterns_are_names(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        with owned(tmp_path, name=name):
            assert owner_path(tmp_path, name).is_file()
    assert not list(tmp_path.iterdir())


def test_what_another_run_has_taken_over_is_not_written_any_more(tmp_path: Path) -> None:
    block = owned(tmp_path)
    block.__enter__()
    owner.check_still_owned()
    owner_path(tmp_path).write_bytes(OwnerCard.of_this_process().to_json())  # with a token of its own
    with pytest.raises(TlbenchError, match="taken over"):
        owner.check_still_owned()
    with pytest.raises(TlbenchError, match="taken over"):
        block.__exit__(None, None, None)
