"""Engines: observe clips in this process, in local worker processes, or on a Ray cluster.

An engine takes a plan and clips and yields observations **in the order of the clips**. Only a few clips are worked on
at a time, so memory does not grow with their number. Local processes start at the first clip that the cache does not
have: a second run of the same folder needs none.
"""

from __future__ import annotations

import gc
import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import TypeVar

from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError
from tlbench.observing.evidence import Observation
from tlbench.observing.kept import Kept
from tlbench.observing.matrix_product import mkl_branch, processor
from tlbench.observing.plan import Plan
from tlbench.observing.ray_options import DEFAULT_RAY, RayOptions
from tlbench.observing.runner import ObserverRunner
from tlbench.observing.stopping import STOP, StoppedError

Given = TypeVar("Given")
Made = TypeVar("Made")


def batches(clips: Iterable[Clip], size: int) -> Iterator[list[Clip]]:
    """Clips in lists of ``size``, the last one shorter. They end early if the run is asked to stop."""
    iterator = iter(clips)
    while not STOP.is_set() and (batch := list(islice(iterator, size))):
        yield batch


def observe(
    plan: Plan,
    clips: Sequence[Clip],
    workers: int = 1,
    engine: str = "local",
    ray: RayOptions = DEFAULT_RAY,
    kept: Kept | None = None,
) -> Iterator[Observation]:
    """Observe clips on an engine, and yield what the observers say of each, in the order of ``clips``.

    Parameters
    ----------
    plan : Plan
    clips : sequence of Clip
    workers : int
        The number of processes, or of Ray's actors. With one, ``local`` works in this process.
    engine : str
        ``local`` or ``ray``.
    ray : RayOptions
        Of the engine ``ray``.
    kept : Kept, optional
        Keeps what is loaded for the next call; by default it is kept as long as this one.

    Raises
    ------
    TlbenchError
        At once: fewer than one worker, no such engine, or Ray is not installed. While observations are read: a worker
        process was killed, an observer can't be loaded, or (StoppedError) the run was asked to stop before its end.
    """
    if workers < 1:
        raise TlbenchError(f"workers must be at least 1, got {workers}")
    if engine == "ray":
        from tlbench.observing.ray_engine import observe_on_ray

        return _to_the_end(observe_on_ray(plan, clips, workers, ray), len(clips))
    if engine != "local":
        raise TlbenchError(f"no engine {engine!r}; there are local and ray")
    kept = kept or Kept()
    if workers == 1:
        return _to_the_end(_in_this_process(plan, clips, kept), len(clips))
    return _to_the_end(_recalled_first(plan, clips, workers, kept), len(clips))


def _to_the_end(observations: Iterator[Observation], clips: int) -> Iterator[Observation]:
    """The observations. Raises StoppedError if they end before the clips, as the run was asked to stop."""
    done = 0
    with _long_lived_left_alone():
        for observation in observations:
            yield observation
            done += 1
    if done < clips:
        raise StoppedError


@contextmanager
def _long_lived_left_alone() -> Iterator[None]:
    """Python's garbage collector does not look at what is there now, such as the list of clips, until the block ends.

    Else each clip of a longer list would cost more, see docs/scale.md. Nothing is done if something is left alone
    already: by the program that calls this, or by another run.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _recalled_first(plan: Plan, clips: Sequence[Clip], workers: int, kept: Kept) -> Iterator[Observation]:
    """Look the clips up in the cache, and start processes at the first one for which something must be computed.

    A single batch is computed here, unless there are processes already.
    """
    runner = ObserverRunner(plan)  # networks are only loaded when they are used
    waiting = iter(clips)
    for done, clip in enumerate(waiting):
        if STOP.is_set():
            return
        known = runner.recall(clip)
        if known is not None:
            yield known
            continue
        rest, count = chain([clip], waiting), len(clips) - done
        if count <= runner.clips_per_batch and not kept.workers.running(plan, workers):
            yield from _in_this_process(plan, rest, kept)
        else:
            size = even_batch(count, workers, runner.clips_per_batch)
            yield from kept.workers.observe(plan, rest, workers, size, keep=kept.in_block)


def even_batch(clips: int, workers: int, largest: int) -> int:
    """The size of batches, at most ``largest``, with which all workers end at about the same time."""
    rounds = math.ceil(clips / (workers * largest))
    return math.ceil(clips / (workers * rounds))


def _in_this_process(plan: Plan, clips: Iterable[Clip], kept: Kept) -> Iterator[Observation]:
    limit_threads(plan.threads)
    runner = ObserverRunner(plan, kept.observers)
    for batch in batches(clips, runner.clips_per_batch):
        yield from runner.observe(batch)


def with_messages(call: Callable[[Given], Made], given: Given) -> tuple[Made, list[str]]:
    """What a call returns, and the texts of its warnings, which another process shows."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = call(given)
    return made, [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]


def least_threads(device: str) -> int:
    """Threads that each process of several has at least: where a GPU computes, a second one decodes meanwhile."""
    return 1 if device == "cpu" else 2


def limit_threads(threads: int | None) -> None:
    """Set how many threads OpenCV and torch take in this process; torch only if it is not imported yet. None: all.

    MKL, if it has not computed yet, is told to give the same numbers on any number of threads.
    """
    branch = mkl_branch(*processor())
    if branch is not None:
        os.environ.setdefault("MKL_CBWR", branch)
    if threads is None:
        return
    import cv2

    cv2.setNumThreads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read by torch if and when an observer imports it
