"""Runs many commands as children of a process that has loaded everything: a case takes a tenth of a second, not ten.

The process forks for each command, so each has limits, memory and file descriptors of its own. Run as a program, this
module is that process: it reads a request a line and answers with a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.trouble.children import MEMORY_BYTES, Outcome

WHOLE = "tlbench.talklip.train"  # imports most of what commands import


@dataclass(frozen=True)
class MeasuredOutcome(Outcome):
    """An outcome with what it cost.

    Attributes
    ----------
    peak_bytes : int
        Memory beyond that of the process it was forked from.
    processor_seconds : float
    """

    peak_bytes: int = 0
    processor_seconds: float = 0.0


class WarmChildren:
    """The process; ``folder`` is where commands run and their output is kept for a moment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        places = {"TLBENCH_CACHE": str(folder / "cache"), "TLBENCH_CHECKPOINTS": str(folder / "checkpoints")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.trouble.warm_children", str(folder)],
            env={**os.environ, **places, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "COLUMNS": "100"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, words: Sequence[str | Path], *, seconds: float, memory_bytes: int = MEMORY_BYTES) -> MeasuredOutcome:
        """As :func:`tests.trouble.children.run`; ``memory_bytes`` limits the address space."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"words": [str(word) for word in words], "seconds": seconds, "memory_bytes": memory_bytes}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        texts = [(self._folder / name).read_text("utf-8", errors="replace") for name in ("stdout", "stderr")]
        return MeasuredOutcome(answer["code"], *texts, *(answer[name] for name in ("seconds", "peak", "processor")))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextlib.contextmanager
def warm_children(folder: Path) -> Iterator[WarmChildren]:
    children = WarmChildren(folder)
    try:
        yield children
    finally:
        children.close()


def _serve(folder: Path) -> None:
    import importlib

    from tlbench.checkpoints.catalogue import observer_names
    from tlbench.observing.registry import observer_class

    importlib.import_module(WHOLE)
    importlib.import_module("tlbench.verify")
    importlib.import_module("tlbench.cli.main")
    for name in observer_names():
        for which in ("read_published", "trainable"):
            if target := getattr(observer_class(name), which):
                importlib.import_module(target.partition(":")[0])
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _be(request, folder)
        print(json.dumps(_wait(child, request["seconds"])), flush=True)


def _wait(child: int, seconds: float) -> dict[str, Any]:
    started = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    killed = False
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() - started > seconds and not killed:
            killed = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        time.sleep(0.02)
    return {
        "code": None if killed else os.waitstatus_to_exitcode(status),
        "seconds": time.monotonic() - started,
        "peak": max(usage.ru_maxrss - before, 0) * 1024,
        "processor": usage.ru_utime + usage.ru_stime,
    }


def _be(request: Mapping[str, Any], folder: Path) -> None:
    """Become the command; does not return."""
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        resource.setrlimit(resource.RLIMIT_AS, (request["memory_bytes"],) * 2)
        for number, (name, how) in enumerate(
            (("/dev/null", os.O_RDONLY), ("stdout", os.O_WRONLY), ("stderr", os.O_WRONLY))
        ):
            os.dup2(os.open(name, how | os.O_CREAT | os.O_TRUNC if number else how), number)
        sys.argv = ["tlbench", *request["words"]]
        from tlbench.cli.main import main

        main()
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else 0
    finally:
        if (error := sys.exc_info()[1]) is not None:  # Python would print it, if this process ended as usual
            traceback.print_exception(error)
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
