"""Ctrl-C ends every command with 130, SIGTERM with 143, within five seconds, whatever it is doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.factories.media_factory import write_clip
from tlbench.scoring.announcement import RUNNING_NAME

BUSY = {
    "sleeping": "time.sleep(60)",
    "in plain Python": "while True: pass",
    "inside a long call of C": "hashlib.pbkdf2_hmac('sha256', b'x', b'y', 2_000_000_000)",
    "deferring, and never looking": "with signals.deferred():\n while True: time.sleep(0.1)",
}
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def start(code: str) -> subprocess.Popen[str]:
    program = f"import hashlib, time, click\nfrom tlbench.cli import signals, main\n{code}"
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def as_command(work: str) -> str:
    """A program whose command does ``work`` after it has said so."""
    body = "\n".join(f"    {line}" for line in work.split("\n"))
    return (
        f"@click.command()\ndef command():\n    print('ready', flush=True)\n{body}\nmain.group = command\nmain.main()"
    )


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
@pytest.mark.parametrize("work", BUSY.values(), ids=BUSY.keys())
def test_a_signal_ends_a_command_soon(work: str, number: signal.Signals) -> None:
    with start(as_command(work)) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        started = time.monotonic()
        child.send_signal(number)
        _, said = child.communicate(timeout=30)
    assert child.returncode == CODES[number]
    assert time.monotonic() - started < 5
    assert said.strip() == "interrupted; run the same command again to go on where it stopped"


def test_a_second_interrupt_does_not_wait() -> None:
    with start(as_command(BUSY["inside a long call of C"])) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        started = time.monotonic()
        child.send_signal(signal.SIGINT)
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=30)
    assert child.returncode == 130
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_score_that_is_stopped_leaves_no_half_result(tmp_path: Path, number: signal.Signals, workers: str) -> None:
    for name in range(40):
        for place in ("real", "made"):
            path = tmp_path / place / f"{name}.mp4"
            path.parent.mkdir(exist_ok=True)
            if name:
                path.write_bytes((tmp_path / place / "0.mp4").read_bytes() + bytes(name))
            else:
                options = {"crf": "18" if place == "real" else "30"}
                write_clip(path, frames=40, width=320, height=240, codec_options=options)
    words = ["score", "made", "--dataset", "folder", "--data-root", "real", "--metrics", "psnr,ssim", "--out", "out"]
    program = [sys.executable, "-c", "from tlbench.cli.main import main; main()", *words, "--workers", workers]
    with subprocess.Popen(program, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True) as child:
        asked = time.monotonic()
        while not list(tmp_path.rglob(RUNNING_NAME)) and child.poll() is None and time.monotonic() - asked < 60:
            time.sleep(0.05)
        time.sleep(0.5)  # among the clips, if it is no slow machine
        started = time.monotonic()
        child.send_signal(number)
        child.communicate(timeout=30)
    assert time.monotonic() - started < 5
    if child.returncode != 0:  # a fast machine may have been done
        assert child.returncode in (CODES[number], 1)
    assert not list(tmp_path.rglob("result.json")) or child.returncode in (0, 1)
    assert nothing_is_left(child.pid)


def nothing_is_left(group: int) -> bool:
    """Whether all processes of a group end within five seconds, those too that only wait for others to end."""
    for _ in range(50):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False
