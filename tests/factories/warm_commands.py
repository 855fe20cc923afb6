"""Runs commands of ``tlbench`` in forks of a process that has imported everything, so that none waits for its imports.

A command is a process of its own, with its folder, environment, streams and exit code, as if a shell had started it. On
other systems than Linux, where libraries do not stand a fork, it is started as usual. What a command imports, and how
it starts and ends, can't be tested in this way: such tests start Python themselves.
"""

from __future__ import annotations

import atexit
import importlib
import json
import multiprocessing.process
import os
import pkgutil
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[2]
RUN = "from tlbench.cli.main import main; main()"
PRELOADED = (
    *("tlbench.scoring.score", "tlbench.calibration.calibrate", "tlbench.checking", "tlbench.comparison.compare"),
    *("tlbench.reporting.report", "tlbench.leaderboard.build", "tlbench.tables.result_table", "tlbench.demo"),
    *("tlbench.talklip.train", "tlbench.verify", "rich.progress", "scipy.stats", "torch.nn"),
)
POLL_SECONDS = 0.005


def run_command(
    words: Sequence[str | Path], folder: Path, environment: Mapping[str, str], seconds: float = 200
) -> subprocess.CompletedProcess[str]:
    """What ``tlbench`` with these words does in a folder. Raises subprocess.TimeoutExpired if it takes longer."""
    given = [str(word) for word in words]
    if sys.platform != "linux":
        return subprocess.run(
            [sys.executable, "-c", RUN, *given],
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            cwd=folder,
            env={**environment, "PYTHONIOENCODING": "utf-8"},
            timeout=seconds,
        )
    with TemporaryDirectory() as kept:
        streams = [str(Path(kept) / name) for name in ("stdout", "stderr")]
        process = _warm()
        request = {"words": given, "folder": str(folder), "environment": dict(environment), "streams": streams}
        print(json.dumps({**request, "seconds": seconds}), file=process.stdin, flush=True)
        assert process.stdout is not None
        code = json.loads(process.stdout.readline())
        if code is None:
            raise subprocess.TimeoutExpired(given, seconds)
        texts = [Path(name).read_bytes().decode("utf-8", "surrogateescape") for name in streams]
        return subprocess.CompletedProcess(given, code, *texts)


@cache
def _warm() -> subprocess.Popen[str]:
    """The process that forks: one for each worker of the tests, until that worker ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.factories.warm_commands"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        errors="surrogateescape",
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )

    def end() -> None:
        process.communicate()

    atexit.register(end)
    return process


def _serve() -> None:
    """Answer each line, a request, with the exit code of its command."""
    import tlbench.cli
    from tlbench.checkpoints.catalogue import observer_names
    from tlbench.observing.registry import observer_class

    for module in pkgutil.iter_modules(tlbench.cli.__path__, "tlbench.cli."):
        importlib.import_module(module.name)
    for name in PRELOADED:
        with suppress(ImportError):  # an extra that is not installed: its command says so
            importlib.import_module(name)
    for name in observer_names():
        observer_class(name)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _be(request)
        print(json.dumps(_ended(child, request["seconds"])), flush=True)


def _ended(child: int, seconds: float) -> int | None:
    """The exit code of a child, negative for a signal; None if its time was over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL_SECONDS)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _be(request: Mapping[str, Any]) -> None:
    """Become the command; does not return."""
    code: object = 1
    try:
        os.setsid()
        os.chdir(request["folder"])
        multiprocessing.process.ORIGINAL_DIR = request["folder"]  # where its workers begin
        os.environ.clear()
        os.environ.update(request["environment"])
        if (category := os.environ.get("PYTHONWARNINGS")) == "error":
            warnings.simplefilter(category)  # Python reads it when it starts
        for number, path in enumerate(("/dev/null", *request["streams"])):
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY)
            os.dup2(opened, number)
            os.close(opened)
        sys.argv = ["tlbench", *request["words"]]
        from tlbench.cli.main import main

        main()
    except SystemExit as end:
        code = 0 if end.code is None else end.code
    finally:
        if (error := sys.exc_info()[1]) is not None:  # Python would print it, if this process ended as usual
            traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    _serve()
