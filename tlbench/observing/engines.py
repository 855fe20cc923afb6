"""Engines: observe clips in this process, in local worker processes, or on a Ray cluster.

An engine takes a plan and clips and yields observations **in the order of the clips**. Only a few clips are worked on
at a time, so memory does not grow with their number. Processes start at the first clip that the cache does not have:
a second run of the same folder needs none.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from importlib.util import find_spec
from itertools import chain, islice
from typing import Any

from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError
from tlbench.observing.evidence import Observation
from tlbench.observing.plan import Plan
from tlbench.observing.runner import ObserverRunner
from tlbench.worker_processes import worker_processes

IF_KILLED = (
    "a worker process was killed (out of memory?); run the same command with fewer --workers, "
    "what is done already is kept"
)
_runner: ObserverRunner | None = None  # of this worker process, made by _start_worker


def batches(clips: Iterable[Clip], size: int) -> Iterator[list[Clip]]:
    """Clips in lists of ``size``, the last one shorter."""
    iterator = iter(clips)
    while batch := list(islice(iterator, size)):
        yield batch


def observe(plan: Plan, clips: Sequence[Clip], workers: int = 1, engine: str = "local") -> Iterator[Observation]:
    """Observe clips on an engine, and yield what the observers say of each, in the order of ``clips``.

    Parameters
    ----------
    plan : Plan
    clips : sequence of Clip
    workers : int
        The number of processes, or of Ray's actors. With one, ``local`` works in this process.
    engine : str
        ``local`` or ``ray``.

    Raises
    ------
    TlbenchError
        At once: fewer than one worker, no such engine, or Ray is not installed. While observations are read: a worker
        process was killed, or an observer can't be loaded.
    """
    if workers < 1:
        raise TlbenchError(f"workers must be at least 1, got {workers}")
    if engine not in ("local", "ray"):
        raise TlbenchError(f"no engine {engine!r}; there are local and ray")
    if engine == "ray" and find_spec("ray") is None:
        raise TlbenchError("engine 'ray' needs Ray; install it with: pip install 'tlbench[ray]'")
    if engine == "local" and workers == 1:
        return _in_this_process(plan, clips)
    return _recalled_first(plan, clips, workers, engine)


def _recalled_first(plan: Plan, clips: Sequence[Clip], workers: int, engine: str) -> Iterator[Observation]:
    """Look the clips up in the cache, and start processes at the first one for which something must be computed."""
    runner = ObserverRunner(plan)
    waiting = iter(clips)
    for done, clip in enumerate(waiting):
        known = runner.recall(clip)
        if known is not None:
            yield known
            continue
        rest = chain([clip], waiting)
        if engine == "ray":
            yield from _on_ray(plan, rest, workers)
        elif len(clips) - done == 1:
            yield from _in_this_process(plan, rest)
        else:
            yield from _in_processes(plan, rest, workers)


def _in_this_process(plan: Plan, clips: Iterable[Clip]) -> Iterator[Observation]:
    _limit_threads(plan)
    runner = ObserverRunner(plan)
    for batch in batches(clips, runner.clips_per_batch):
        yield from runner.observe(batch)


def _in_processes(plan: Plan, clips: Iterable[Clip], workers: int) -> Iterator[Observation]:
    if plan.threads is None:
        plan = replace(plan, threads=max(1, (os.cpu_count() or 1) // workers))
    waiting: deque[Future[tuple[list[Observation], list[str]]]] = deque()
    todo = batches(clips, ObserverRunner(plan).clips_per_batch)  # networks are only loaded when they are used
    with worker_processes(workers, _start_worker, (plan,), if_killed=IF_KILLED) as pool:
        for batch in islice(todo, 2 * workers):
            waiting.append(pool.submit(_observe_batch, batch))
        while waiting:
            done, messages = waiting.popleft().result()
            waiting.extend(pool.submit(_observe_batch, batch) for batch in islice(todo, 1))
            for message in messages:
                warnings.warn(message, stacklevel=2)
            yield from done


def _on_ray(plan: Plan, clips: Iterable[Clip], workers: int) -> Iterator[Observation]:
    import ray

    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    gpus = 1 if plan.device.startswith("cuda") else 0
    actor: Any = ray.remote(num_cpus=1, num_gpus=gpus)(ObserverRunner)
    actors: list[Any] = [actor.remote(plan) for _ in range(workers)]
    todo = enumerate(batches(clips, ObserverRunner(plan).clips_per_batch))
    waiting = deque(actors[i % workers].observe.remote(batch) for i, batch in islice(todo, 2 * workers))
    while waiting:
        done = ray.get(waiting.popleft())
        waiting.extend(actors[i % workers].observe.remote(batch) for i, batch in islice(todo, 1))
        yield from done


def _start_worker(plan: Plan) -> None:
    """Runs first in each worker process."""
    global _runner
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end at once without a message: finished evidence is in the cache
    _limit_threads(plan)
    _runner = ObserverRunner(plan)


def _observe_batch(batch: list[Clip]) -> tuple[list[Observation], list[str]]:
    """In a worker process: observations of a batch, and the texts of its warnings, for the parent process to show."""
    assert _runner is not None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        observed = _runner.observe(batch)
    return observed, [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]


def _limit_threads(plan: Plan) -> None:
    """Set how many threads OpenCV and torch take in this process; torch only if it is not imported yet."""
    if plan.threads is None:
        return
    import cv2

    cv2.setNumThreads(plan.threads)
    os.environ["OMP_NUM_THREADS"] = str(plan.threads)  # read by torch if and when an observer imports it
