"""Processes that want one folder at the same moment: ``python -m tests.trouble.contenders`` forks them.

Reads rounds as lines of JSON, ``{"folder": "x", "dies_at": [0, 3]}``: a process for each number, which counts the calls
of the system after which it is killed; 0 for none. Answers each with a line: what every process said, ``won`` if it got
the folder. Those that get it keep it until all have said something.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tlbench.errors import TlbenchError
from tlbench.owner import owned

ROOT = Path(__file__).parents[2]
CALLS = ("link", "replace", "unlink", "lstat", "open", "utime", "mkdir", "rmdir")


class Contenders:
    """A process that forks contenders; a context manager. Forking takes milliseconds, starting Python half a second."""

    def __enter__(self) -> Contenders:
        words = [sys.executable, "-m", "tests.trouble.contenders"]
        self._process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def round(self, folder: Path, dies_at: Sequence[int]) -> list[str]:
        """What each contender says: ``won``, its error, or ``killed``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"folder": str(folder), "dies_at": list(dies_at)}) + "\n")
        self._process.stdin.flush()
        said: list[str] = json.loads(self._process.stdout.readline())
        return said

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60)


def _main() -> None:
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        wanted = json.loads(line)
        print(json.dumps(_round(Path(wanted["folder"]), wanted["dies_at"])), flush=True)


def _round(folder: Path, dies_at: Sequence[int]) -> list[str]:
    begin, may_begin = os.pipe()
    end, may_end = os.pipe()
    children = []
    for number in dies_at:
        said, says = os.pipe()
        child = os.fork()
        if not child:
            for descriptor in (may_begin, may_end, said):
                os.close(descriptor)
            _contend(folder, number, begin, says, end)
        os.close(says)
        children.append((child, said))
    os.close(may_begin)
    lines = [os.read(said, 2000).decode() or "killed" for _, said in children]
    os.close(may_end)
    for child, said in children:
        os.waitpid(child, 0)
        os.close(said)
    os.close(begin)
    os.close(end)
    return lines


def _contend(folder: Path, dies_at: int, begin: int, says: int, end: int) -> None:
    """Of a forked process; does not return. It waits for both pipes to be closed at the other end."""
    os.read(begin, 1)
    if dies_at:
        _die_at(dies_at)
    try:
        with owned(folder):
            os.write(says, b"won")
            os.read(end, 1)
    except TlbenchError as error:
        os.write(says, str(error).encode())
    os._exit(0)


def _die_at(number: int) -> None:
    """Kill this process at its call of the system of that number."""
    left = number

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*words: Any, **given: Any) -> Any:
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*words, **given)

        return instead

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


if __name__ == "__main__":
    _main()
