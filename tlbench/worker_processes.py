"""Pools of worker processes: started all or not at all, and ended with the process that they work for."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from typing import Any

from tlbench.errors import TlbenchError

LOOK_SECONDS = 1.0  # between looks at whether the pool still starts


@contextmanager
def worker_processes(
    count: int, start: Callable[..., None] | None = None, words: tuple[Any, ...] = (), *, if_killed: str
) -> Iterator[ProcessPoolExecutor]:
    """A pool of ``count`` processes. At the end of the block, what has not been started is cancelled.

    After Ctrl-C or SIGTERM, or if nobody takes the results, the workers are killed, not waited for: files appear under
    their names only when they are whole, so nothing half done stays.

    Parameters
    ----------
    start : callable, optional
        Called first in each process, with ``words``. Each process ends when this one does, even if this one is killed.
    if_killed : str
        The error if a worker ends before its work: what to do.

    Raises
    ------
    TlbenchError
        If the processes can't be started, one was killed, or this process is a worker that imports a script which
        starts workers as it is imported.
    """
    _refuse_to_start_in_a_start()
    others: set[BaseProcess] = set(multiprocessing.active_children())
    # Started anew: a copy of this process (fork) is not safe with the threads of other libraries.
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _begin, (start, words))
    try:
        _start_all(pool, count, others)
        yield pool
    except BrokenProcessPool as error:
        raise TlbenchError(if_killed) from error
    except (KeyboardInterrupt, GeneratorExit):  # the second: nobody takes the results any more
        _kill(others)
        raise
    finally:
        with suppress(RuntimeError):  # the thread that looks after the processes could not be started
            pool.shutdown(wait=True, cancel_futures=True)


def _refuse_to_start_in_a_start() -> None:
    """Raises TlbenchError in a worker that still imports the script that started it (``multiprocessing.spawn``)."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise TlbenchError(
            "each worker process imports your script first: put what starts workers below "
            '`if __name__ == "__main__":`, or use one worker'
        )


def _begin(start: Callable[..., None] | None, words: tuple[Any, ...]) -> None:
    """Runs first in each worker process."""
    _end_with_parent()
    if start is not None:
        start(*words)


def _end_with_parent() -> None:
    """In a worker process: a thread waits for the end of its parent, and then ends this process.

    Without it the workers of a killed run would wait for work for ever, or go on writing into a folder that the next
    run has taken over. Does nothing in a process that is no worker.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.join,), name="parent", daemon=True).start()


def _end_after(wait_for_it: Callable[[], None]) -> None:
    wait_for_it()
    os._exit(1)


def _start_all(pool: ProcessPoolExecutor, count: int, others: set[BaseProcess]) -> None:
    """Start every process: a pool does so only when there is work and nobody idle. Raises TlbenchError."""
    before = set(threading.enumerate())
    try:
        started = [pool.submit(os.getpid) for _ in range(count)]
        helpers = set(threading.enumerate()) - before
        while wait(started, LOOK_SECONDS).not_done:
            if not any(helper.is_alive() for helper in helpers):  # it ended, and nobody would hand out the work
                raise RuntimeError("no thread for them")
        for one in started:
            one.result()
    except BrokenProcessPool:
        raise  # a process that was started has ended
    except (OSError, RuntimeError) as error:  # no process, no descriptor, or no thread that looks after them
        _kill(others)
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise TlbenchError(
            f"{count} worker processes can't be started ({why}); use --workers 1, "
            "or raise the limits (`ulimit -u`, `ulimit -n`)"
        ) from error


def _kill(others: set[BaseProcess]) -> None:
    for child in set(multiprocessing.active_children()) - others:
        child.kill()
