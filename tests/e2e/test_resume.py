"""A run that is killed goes on where it was: nothing is lost, nothing is done twice, and the numbers are the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.factories.media_factory import write_clip

CLIPS = 12


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """References and generated videos, large enough that a run takes some seconds."""
    folder = tmp_path_factory.mktemp("resume")
    (folder / "boxes").mkdir()
    for place, quality in (("refs", "18"), ("gen", "26")):  # no generated file is the real one
        (folder / place).mkdir()
        for number in range(CLIPS):
            path, options = folder / place / f"{number:02d}.mp4", {"crf": quality}
            write_clip(path, frames=30 + number, width=240, height=176, codec_options=options)
    for number in range(CLIPS):
        np.save(folder / "boxes" / f"{number:02d}.npy", np.tile(np.array([40, 30, 180, 160]), (30 + number, 1)))
    return folder


def start(folder: Path, cache: str, out: str, workers: int = 1) -> subprocess.Popen[str]:
    words = ["score", "gen", "--dataset", "folder", "--data-root", "refs", "--boxes", "boxes"]
    words += ["--metrics", "pixels", "--workers", str(workers), "--out", out, "--cache", cache]
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("tlbench")), *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        preexec_fn=listen,
    )


def listen() -> None:
    """Whoever runs the tests in the background has had SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def entries(folder: Path, cache: str) -> dict[Path, int]:
    """The evidence on disk, with the time each piece was written."""
    return {path: path.stat().st_mtime_ns for path in (folder / cache / "evidence").rglob("*.json")}


def result(folder: Path, out: str) -> dict[str, object]:
    data: dict[str, object] = json.loads((folder / out / "gen" / "result.json").read_text("utf-8"))
    data.pop("provenance")  # holds the times of the run
    return data


def test_a_killed_run_goes_on_where_it_was(desk: Path) -> None:
    whole = start(desk, "cache-whole", "whole")
    _, err = whole.communicate(timeout=120)
    assert whole.returncode == 0, err

    killed = start(desk, "cache", "out")
    deadline = time.monotonic() + 60
    while len(entries(desk, "cache")) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    done = entries(desk, "cache")
    assert 3 <= len(done) < CLIPS
    assert not (desk / "out" / "gen" / "result.json").exists()

    again = start(desk, "cache", "out")
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert f"{len(done)} of {CLIPS} clips came from the cache" in err
    after = entries(desk, "cache")
    assert len(after) == CLIPS
    assert {path: after[path] for path in done} == done  # not written again
    assert result(desk, "out") == result(desk, "whole")
    records = [desk / name / "gen" / "records.jsonl" for name in ("out", "whole")]
    assert records[0].read_bytes() == records[1].read_bytes()
    assert not list(desk.rglob("*.partial"))


@pytest.mark.slow
def test_two_workers_write_what_one_writes(desk: Path) -> None:
    for workers in (1, 2):
        run = start(desk, f"cache-{workers}", f"by-{workers}", workers)
        _, err = run.communicate(timeout=180)
        assert run.returncode == 0, err
    assert (desk / "by-1/gen/records.jsonl").read_bytes() == (desk / "by-2/gen/records.jsonl").read_bytes()
    assert result(desk, "by-1") == result(desk, "by-2")


def test_an_interruption_is_one_line_and_says_how_to_go_on(desk: Path) -> None:
    run = start(desk, "cache-int", "interrupted", 2)
    deadline = time.monotonic() + 60
    while not entries(desk, "cache-int") and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "run the same command again" in err
    assert "Traceback" not in err


def test_a_worker_that_dies_is_one_line(desk: Path) -> None:
    run = start(desk, "cache-dead", "dead", 2)
    deadline = time.monotonic() + 60
    while not entries(desk, "cache-dead") and time.monotonic() < deadline:
        time.sleep(0.01)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    if not children.exists():
        run.kill()
        run.communicate()
        pytest.skip("needs /proc to find the worker processes")
    for child in children.read_text().split():
        if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
            os.kill(int(child), signal.SIGKILL)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 2
    assert "a worker process was killed" in err
    assert "Traceback" not in err
