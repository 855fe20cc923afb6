"""Worker processes that can't be started are one line; those of a command that is stopped end with it, silently."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.trouble.test_signals import CODES, nothing_is_left

PROGRAM = """
import os, sys, time
import click
from tlbench.cli import main
from tlbench.worker_processes import worker_processes

@click.command()
def command():
    with worker_processes({count}, if_killed="a worker was killed; try again") as pool:
        work = [pool.submit({work}) for _ in range({count})]
        print("ready", flush=True)
        for one in work:
            one.result()

if __name__ == "__main__":
    main.group = command
    main.main()
"""


def start(folder: Path, count: int, work: str, before: str = "") -> subprocess.Popen[str]:
    """A command whose ``count`` workers do ``work``; ``before`` is a line of bash."""
    (folder / "program.py").write_text(PROGRAM.format(count=count, work=work))
    return subprocess.Popen(
        ["bash", "-c", f'{before} exec "$@"', "bash", sys.executable, str(folder / "program.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_a_stopped_command_ends_its_workers_without_a_word_more(tmp_path: Path, number: signal.Signals) -> None:
    with start(tmp_path, 2, "time.sleep, 60") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(1)
        started = time.monotonic()
        child.send_signal(number)  # to the command alone
        _, said = child.communicate(timeout=30)
    assert child.returncode == CODES[number]
    assert said.strip() == "interrupted; run the same command again to go on where it stopped"
    assert time.monotonic() - started < 4
    assert nothing_is_left(child.pid)


@pytest.mark.parametrize("descriptors", [16, 26])
def test_too_few_descriptors_are_one_line(tmp_path: Path, descriptors: int) -> None:
    with start(tmp_path, 12, "time.sleep, 0", f"ulimit -n {descriptors};") as child:
        _, said = child.communicate(timeout=60)
    assert child.returncode == 2, said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert "--workers" in said
    assert nothing_is_left(child.pid)


def test_a_killed_worker_is_one_line(tmp_path: Path) -> None:
    with start(tmp_path, 2, "os._exit, 3") as child:
        _, said = child.communicate(timeout=60)
    assert (child.returncode, said) == (2, "error: a worker was killed; try again\n")


def test_a_command_whose_workers_would_start_workers_is_told_so(tmp_path: Path) -> None:
    """Each worker imports the script, and would come to the same call."""
    script = tmp_path / "script.py"
    script.write_text(PROGRAM.format(count=2, work="os.getpid").replace('if __name__ == "__main__":', "if True:"))
    said = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 2
    first, *_, last = said.stderr.splitlines()
    assert first.startswith("error: each worker process imports your script first")
    assert last == "error: a worker was killed; try again"
    assert "Traceback" not in said.stderr
