"""Runs commands in processes that have imported everything already: hundreds of short runs start in no time.

    python -m tests.trouble.nursery MODULE ... < requests

These modules are imported first. A request is a line of JSON: the words of a command, its folder, more variables of the
environment, and the seconds that it may take. The answer is a line of JSON: how it ended, and the seconds it took. Each
command is a fork, in a process group of its own, and does what it would do if it had been started from a shell.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import pkgutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.trouble.injected import sitecustomize

PR_SET_CHILD_SUBREAPER = 36  # prctl(2): whose parent is gone becomes a child of this process
POLL_SECONDS = 0.01
LEFT_SECONDS = 5.0  # for what is left of a group when its first process has ended


def main() -> None:
    """Answer requests until there are no more."""
    for name in sys.argv[1:]:
        with suppress(ImportError):  # an extra that is not installed: its commands say so
            importlib.import_module(name)
    import tlbench.cli

    for module in pkgutil.iter_modules(tlbench.cli.__path__, "tlbench.cli."):
        importlib.import_module(module.name)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    answers = os.dup(1)
    for line in sys.stdin:
        os.write(answers, (json.dumps(_answer(json.loads(line))) + "\n").encode())


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    started = time.monotonic()
    folder = Path(request["folder"])
    child = os.fork()
    if child == 0:
        _command(request, folder)
    code = _ended(child, request["seconds"])
    seconds = time.monotonic() - started
    left = not _all_gone(child)
    return {"code": code, "seconds": seconds, "left": left}


def _command(request: dict[str, Any], folder: Path) -> None:
    """In the child: never returns."""
    os.setsid()
    os.chdir(folder)
    for descriptor, path in ((0, "/dev/null"), (1, f"{folder}.stdout"), (2, f"{folder}.stderr")):
        opened = os.open(path, os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.update(request["environment"])
    sys.argv = ["tlbench", *request["words"]]
    sitecustomize.install(os.environ)
    from tlbench.cli.main import main as command

    code: object = 1
    try:
        command()
        code = 0
    except SystemExit as end:
        code = 0 if end.code is None else end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


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


def _all_gone(group: int) -> bool:
    """Whether all other processes of a group end within seconds; the rest is killed."""
    deadline = time.monotonic() + LEFT_SECONDS
    while True:
        with suppress(ChildProcessError):
            while os.waitpid(-group, os.WNOHANG)[0]:
                pass
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        if time.monotonic() > deadline:
            os.killpg(group, signal.SIGKILL)
            return False
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
