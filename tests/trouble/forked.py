"""Runs a command in a fork of a process that has its modules already: hundreds of small cases in a minute."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path

from tests.trouble.children import Outcome

# What the commands on results import.
PRELOADED = (
    *("tlbench.cli.main", "tlbench.cli.table", "tlbench.cli.compare", "tlbench.cli.aggregate", "tlbench.cli.report"),
    *("tlbench.cli.leaderboard", "tlbench.tables.result_table", "tlbench.tables.comparison_table"),
    *("tlbench.comparison.compare", "tlbench.scoring.aggregate_folder", "tlbench.leaderboard.build"),
    *("tlbench.reporting.report", "tests.trouble.forked"),
)
MEMORY_BYTES = 3 * 2**30  # address space; the libraries alone map more than one
SECONDS = 60.0


def server() -> ForkServerContext:
    """The context whose processes have the modules; the first one that it starts takes a few seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def run_forked(
    context: ForkServerContext,
    words: Sequence[str | Path],
    folder: Path,
    *,
    seconds: float = SECONDS,
    memory_bytes: int = MEMORY_BYTES,
) -> Outcome:
    """Run ``tlbench`` with these words in ``folder``, as :func:`tests.trouble.children.run` does."""
    stdout, stderr = folder / "stdout.txt", folder / "stderr.txt"
    started = time.monotonic()
    child = context.Process(target=_run, args=([str(word) for word in words], folder, stdout, stderr, memory_bytes))
    child.start()
    child.join(seconds)
    code = child.exitcode
    if code is None:
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
    texts = [path.read_bytes().decode("utf-8", "replace") if path.is_file() else "" for path in (stdout, stderr)]
    return Outcome(code, texts[0], texts[1], time.monotonic() - started)


def _run(words: list[str], folder: Path, stdout: Path, stderr: Path, memory_bytes: int) -> None:
    for path, number in ((stdout, 1), (stderr, 2)):  # first, so that nothing goes wrong unseen
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    os.chdir(folder)
    os.environ.update(COLUMNS="80", TLBENCH_CACHE=str(folder / "cache"), TLBENCH_CONFIG=str(folder / "config"))
    sys.argv = ["tlbench", *words]
    from tlbench.cli.main import main

    main()
