"""Worker processes on this machine: started when a clip first needs them, kept from one system to the next."""

from __future__ import annotations

import os
import signal
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from types import TracebackType
from typing import TypeAlias

from tlbench.datasets.clip import Clip
from tlbench.observing.engines import batches, least_threads, limit_threads, with_messages
from tlbench.observing.evidence import Observation
from tlbench.observing.kept import LoadedObservers
from tlbench.observing.plan import Plan
from tlbench.observing.runner import ObserverRunner
from tlbench.worker_processes import worker_processes

# Observations of a batch and the texts of its warnings; None of a process that does not have the plan.
_Answer: TypeAlias = "tuple[list[Observation], list[str]] | None"

IF_KILLED = (
    "a worker process was killed (out of memory?); run the same command with fewer --workers, "
    "what is done already is kept"
)


class LocalWorkers:
    """Processes that observe. Each keeps the observers it has loaded, and the next plan may have the same processes."""

    def __init__(self) -> None:
        self._started: _Started | None = None

    def running(self, plan: Plan, count: int) -> bool:
        """Whether such processes have been started already."""
        return self._started is not None and self._started.fits(count, _threads(plan, count))

    def observe(
        self, plan: Plan, clips: Iterable[Clip], count: int, batch: int, *, keep: bool
    ) -> Iterator[Observation]:
        """What the observers say of each clip, in the order of ``clips``.

        Parameters
        ----------
        count : int
            The number of processes.
        batch : int
            The number of clips that a process gets at a time.
        keep : bool
            Let the processes wait for the next plan, unless there was an error; else they end.

        Raises
        ------
        TlbenchError
            If the processes can't be started, one was killed, or an observer can't be loaded.
        """
        with ExitStack() as opened:
            opened.push(self.end)
            yield from self._observe(plan, clips, count, batch)
            if keep:
                opened.pop_all()

    def _observe(self, plan: Plan, clips: Iterable[Clip], count: int, batch: int) -> Iterator[Observation]:
        started = self._start(count, _threads(plan, count))
        started.plans += 1
        number, plan = started.plans, replace(plan, threads=started.threads)
        todo = batches(clips, batch)
        waiting: deque[tuple[list[Clip], Future[_Answer]]] = deque()

        def hand_out(parts: Iterable[list[Clip]], carried: Plan | None) -> None:
            waiting.extend((part, started.pool.submit(_observe_batch, number, carried, part)) for part in parts)

        hand_out(islice(todo, 2 * count), plan)
        while waiting:
            part, handed = waiting.popleft()
            answer = handed.result()
            if answer is None:  # a process that has not had any of the first batches
                answer = started.pool.submit(_observe_batch, number, plan, part).result()
            assert answer is not None
            hand_out(islice(todo, 1), None)
            done, messages = answer
            for message in messages:
                warnings.warn(message, stacklevel=2)
            yield from done

    def _start(self, count: int, threads: int) -> _Started:
        if self._started is not None and not self._started.fits(count, threads):
            self.end(None, None, None)
        if self._started is None:
            with ExitStack() as opened:
                pool = opened.enter_context(worker_processes(count, _start_worker, (threads,), if_killed=IF_KILLED))
                self._started = _Started(pool, opened.pop_all(), count, threads)
        return self._started

    def end(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the processes; raises TlbenchError if the error is that one was killed."""
        started, self._started = self._started, None
        if started is not None:
            started.opened.__exit__(kind, error, trace)


@dataclass
class _Started:
    """A pool of processes, and how many plans it has been given."""

    pool: ProcessPoolExecutor
    opened: ExitStack
    count: int
    threads: int
    plans: int = 0

    def fits(self, count: int, threads: int) -> bool:
        return (self.count, self.threads) == (count, threads)


def _threads(plan: Plan, count: int) -> int:
    """Threads of each of ``count`` processes."""
    return max(least_threads(plan.device), (os.cpu_count() or 1) // count) if plan.threads is None else plan.threads


# In a worker process: what it has loaded, and the runner of the latest plan with the plan's number.
_loaded = LoadedObservers()
_latest: tuple[int, ObserverRunner] | None = None


def _start_worker(threads: int) -> None:
    """Runs first in each worker process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end at once without a message: finished evidence is in the cache
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # a request to the run, which may be sent to all its processes
    limit_threads(threads)


def _observe_batch(number: int, plan: Plan | None, batch: list[Clip]) -> _Answer:
    """In a worker process: observations of a batch by plan ``number``, which comes with the first batches alone.

    None if this process does not have the plan. Else also the texts of warnings, for the parent process to show.
    """
    global _latest
    if _latest is None or _latest[0] != number:
        if plan is None:
            return None
        _latest = number, ObserverRunner(plan, _loaded)
    return with_messages(_latest[1].observe, batch)
