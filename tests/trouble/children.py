"""Runs a command as a child with limits, so that a hang or a gigabyte is a failure and not a wait."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

COMMAND = [sys.executable, "-c", "from tlbench.cli.main import main; main()"]
MEMORY_BYTES = 6 * 2**30  # address space; torch alone maps about 3 GB
SECONDS = 90.0


@dataclass(frozen=True)
class Outcome:
    """What became of a child.

    Attributes
    ----------
    code : int or None
        Its exit code, negative for a signal; None if it was killed because its time was over.
    stdout, stderr : str
    seconds : float
        Wall time.
    """

    code: int | None
    stdout: str
    stderr: str
    seconds: float

    @property
    def fell_short(self) -> str:
        """Why this is no way for a command to end, or an empty text: a hang, a crash, a traceback, no reason given."""
        if self.code is None:
            return f"hangs: no end after {self.seconds:.0f} s"
        if "Traceback (most recent call last)" in self.stderr:
            return f"traceback: {self.stderr.rstrip().splitlines()[-1][:200]}"
        if self.code < 0:
            return f"killed by {signal.Signals(-self.code).name}"
        errors = [line for line in self.stderr.splitlines() if line.startswith("error:")]
        if self.code not in (0, 1) and not errors and not self.stdout:
            return f"exit code {self.code} without a reason"
        if any(len(line) > 2000 for line in self.stderr.splitlines()):
            return "a line of more than 2,000 characters"
        return ""


def run(
    words: Sequence[str | Path],
    folder: Path,
    *,
    seconds: float = SECONDS,
    memory_bytes: int | None = MEMORY_BYTES,
    environment: Mapping[str, str] | None = None,
    shell: str | None = None,
    prelude: str = "",
) -> Outcome:
    """Run ``tlbench`` with these words in ``folder``; everything it starts dies with it.

    Parameters
    ----------
    seconds : float
        Wall time after which the whole process group is killed.
    memory_bytes : int or None
        Limit of the address space of each process; None for none.
    environment : mapping, optional
        Variables besides those of this process; caches are kept inside ``folder``.
    shell : str, optional
        Lines of bash that run the command, which is ``"$@"`` there.
    prelude : str
        Lines of Python that run before the command.
    """

    def limit() -> None:
        if memory_bytes is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))

    places = {"TLBENCH_CACHE": str(folder / "cache"), "TLBENCH_CHECKPOINTS": str(folder / "checkpoints")}
    started = time.monotonic()
    command = [*COMMAND[:2], f"{prelude}\n{COMMAND[2]}", *map(str, words)]
    with subprocess.Popen(
        command if shell is None else ["bash", "-c", shell, "bash", *command],
        cwd=folder,
        env={**os.environ, **places, "OMP_NUM_THREADS": "1", "COLUMNS": "100", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=limit,
    ) as child:
        try:
            stdout, stderr = child.communicate(timeout=seconds)
            code: int | None = child.returncode
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            stdout, stderr = child.communicate()
            code = None
    return Outcome(code, stdout, stderr, time.monotonic() - started)
