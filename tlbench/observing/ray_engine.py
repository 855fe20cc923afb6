"""The engine ``ray``: workers on the nodes of a Ray cluster, each an actor that has loaded the networks once.

Work goes to whoever is free. If a worker or its node dies, Ray starts the worker again where there is room, and the
clips that it held are given to the next one that is free. Where networks compute on GPUs, further workers decode for
them. A run that no worker does anything for does not wait for ever. Actors, not Ray Data or plain tasks: see
docs/scale.md.
"""

from __future__ import annotations

import os
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tlbench.datasets.clip import Clip
from tlbench.document import counted
from tlbench.errors import TlbenchError, shortened
from tlbench.observing.engines import batches, least_threads
from tlbench.observing.evidence import Observation
from tlbench.observing.plan import Plan
from tlbench.observing.ray_nodes import WAY_OUT, CheckedNodes, check_nodes, connect, count_decoders
from tlbench.observing.ray_options import ClusterState, RayOptions
from tlbench.observing.ray_workers import ComputeWorker, DecodeWorker, OnNode, Worker
from tlbench.observing.runner import ObserverRunner
from tlbench.observing.stopping import STOP

MOST_TRIES = 4  # of a batch whose workers die: then it is the clips that kill them
MOST_IN_CALL = 8  # clips that a worker is given at once, though it observes them in smaller batches
CALLS = 8  # at least so many for each worker, so that all end at about the same time
AHEAD = 4  # batches for each worker that may be done before an earlier one is, so that memory is bounded
DECODED_AHEAD = 2  # decoded batches for each worker that computes, which wait in Ray's object store
LOOK_SECONDS = 1.0  # between looks at whether there is a worker at all
SAY_SECONDS = 30.0  # without a worker, then it is said what the run waits for
MOST_SECONDS = 600.0  # without a worker, then the run ends; a machine that is asked for starts in less


def observe_on_ray(plan: Plan, clips: Sequence[Clip], workers: int, options: RayOptions) -> Iterator[Observation]:
    """Observe clips by workers of a Ray cluster, and yield observations in the order of ``clips``.

    Raises
    ------
    TlbenchError
        At once: no Ray, no cluster, or a node that can't do its part (:func:`tlbench.observing.ray_nodes.check_nodes`).
        While observations are read: an observer can't be loaded, some clips' workers died time and again, or for ten
        minutes there was no worker for what is left.

    Warns
    -----
    UserWarning
        If a worker died: which clips are observed again. If a node that joins later can't take part, and why. If
        there is no worker for half a minute. If workers that only decode are asked for, and an observer decodes where
        it computes.
    """
    ray = connect(options)
    if not clips:
        return iter(())
    device = plan.device.partition(":")[0]  # Ray says which GPU
    plan = replace(plan, device=device, threads=plan.threads or least_threads(device))
    checked = check_nodes(ray, plan, clips, workers, options)
    decoders = count_decoders(ray.cluster_resources().get("CPU", 0.0), plan, workers, options)
    return _observed(ray, plan, clips, workers, decoders, options, checked)


def _observed(
    ray: Any,
    plan: Plan,
    clips: Sequence[Clip],
    workers: int,
    decoders: int,
    options: RayOptions,
    checked: CheckedNodes,
) -> Iterator[Observation]:
    gpus = options.gpus_per_worker if plan.device != "cpu" else 0
    first = decoders or workers  # those who take clips
    size = max(ObserverRunner(plan).clips_per_batch, min(MOST_IN_CALL, len(clips) // (CALLS * first)))
    todo = (_Batch(number, batch) for number, batch in enumerate(batches(clips, size)))
    run = _Run(ray, options, ray.put(checked), todo)
    try:
        if decoders:
            # A GPU is room enough: with a core as well, decoders could keep the cores of the node that has the GPU.
            run.computers.start(run, ComputeWorker, plan, workers, 0 if gpus else 1, gpus)
            run.takers.start(run, DecodeWorker, plan, decoders, 1, 0)
        else:
            run.takers.start(run, Worker, plan, workers, 1, gpus)
        yield from run.observations()
    finally:
        for worker in (*run.takers.workers, *run.computers.workers):
            ray.kill(worker)


@dataclass
class _Batch:
    """Clips that are observed together, how often their worker died, and Ray's reference to them once decoded."""

    number: int
    clips: list[Clip]
    deaths: int = 0
    decoded: Any = None

    @property
    def named(self) -> str:
        first = shortened(self.clips[0].id)
        return f"clip {first}" if len(self.clips) == 1 else f"clips {first} to {shortened(self.clips[-1].id)}"


@dataclass
class _Pool:
    """Workers that do the same.

    Attributes
    ----------
    workers : list of Ray's actors
    idle : deque of Ray's actors
    nodes : dict of actor to str
        Of each worker that runs, Ray's id of its node.
    refused : int
        How many are on nodes that can't take part.
    room : str
        What each takes of a node, in words.
    empty_since : float
        The time from which on none ran, by the monotonic clock; it means nothing while one runs.
    said : bool
        Whether it has been said that none runs.
    """

    workers: list[Any] = field(default_factory=list)
    idle: deque[Any] = field(default_factory=deque)
    nodes: dict[Any, str] = field(default_factory=dict)
    refused: int = 0
    room: str = ""
    empty_since: float = 0.0
    said: bool = False

    def start(self, run: _Run, kind: type[OnNode], plan: Plan, count: int, cpus: float, gpus: float) -> None:
        """Start so many. Those for whom there is no room start when there is."""
        self.room = " and ".join(["1 core"] * (cpus > 0) + [f"{gpus:g} GPU{'s' * (gpus != 1)}"] * (gpus > 0))
        self.empty_since = time.monotonic()
        actor = run.ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=-1)(kind)
        for _ in range(count):
            worker = actor.remote(plan, os.getcwd())
            self.workers.append(worker)
            run.ask_if_ready(self, worker)


@dataclass
class _Asked:
    """Whom something was asked: a batch, or if it is None whether the worker runs."""

    pool: _Pool
    worker: Any
    batch: _Batch | None = None
    decoded: Any = None  # Ray's reference to what a decoder leaves


class _Run:
    """What is asked of whom, and what waits.

    Attributes
    ----------
    takers : _Pool
        They take clips: workers that do all, or decoders.
    computers : _Pool
        They take what decoders leave. Empty if there are none.
    """

    def __init__(self, ray: Any, options: RayOptions, checked: Any, todo: Iterator[_Batch]) -> None:
        self.ray = ray
        self.takers, self.computers = _Pool(), _Pool()
        self._options = options
        self._checked = checked
        self._todo = todo
        self._asked: dict[Any, _Asked] = {}  # by Ray's reference to the answer
        self._again: deque[_Batch] = deque()  # their worker died
        self._decoded: deque[_Batch] = deque()
        self._done: dict[int, list[Observation]] = {}  # by the batch's number, waiting for an earlier batch
        self._following = 0  # the number of the batch whose observations are next
        self._all_taken = False  # nothing of ``todo`` is left
        self._said: ClusterState | None = None

    def observations(self) -> Iterator[Observation]:
        """In the order of the clips."""
        while self._asked or self.takers.idle:
            self._hand_out()
            busy = any(asked.batch is not None for asked in self._asked.values())
            left = self._again or self._decoded or not self._all_taken
            if not busy and (STOP.is_set() or not left):
                break  # all is done, though some workers may not run yet
            answered, _ = self.ray.wait(list(self._asked), num_returns=1, timeout=LOOK_SECONDS)
            for ready in answered:
                self._take_answer(ready, self._asked.pop(ready))
                self._tell()
            self._look_for_workers()
            while self._following in self._done:
                yield from self._done.pop(self._following)
                self._following += 1

    def ask_if_ready(self, pool: _Pool, worker: Any) -> None:
        """Wait for a worker to run, also if it is started again before it answers."""
        if pool.nodes.pop(worker, None) is not None and not pool.nodes:
            pool.empty_since = time.monotonic()
        self._asked[worker.ready.options(max_task_retries=-1).remote(self._checked)] = _Asked(pool, worker)

    def _hand_out(self) -> None:
        """Give each idle worker a batch: first those that are to be observed again."""
        while self.computers.idle and self._decoded:
            waiting, worker = self._decoded.popleft(), self.computers.idle.popleft()
            self._asked[worker.compute.remote(waiting.decoded)] = _Asked(self.computers, worker, waiting)
        while self.takers.idle and (batch := self._next_batch()) is not None:
            worker = self.takers.idle.popleft()
            if self.computers.workers:
                answer, decoded = worker.decode.options(num_returns=2).remote(batch.clips)
                self._asked[answer] = _Asked(self.takers, worker, batch, decoded)
            else:
                self._asked[worker.observe.remote(batch.clips)] = _Asked(self.takers, worker, batch)

    def _next_batch(self) -> _Batch | None:
        if self.computers.workers and len(self._decoded) >= DECODED_AHEAD * len(self.computers.workers):
            return None
        if self._again:
            return None if STOP.is_set() else self._again.popleft()
        workers = len(self.takers.workers) + len(self.computers.workers)
        asked = sum(asked.batch is not None for asked in self._asked.values())
        if len(self._done) + asked + len(self._decoded) >= AHEAD * workers:
            return None
        batch = next(self._todo, None)
        self._all_taken = batch is None
        return batch

    def _look_for_workers(self) -> None:
        """Say if no worker runs for what is left. Raises TlbenchError if that has lasted too long."""
        wanted = [self.takers] if self._again or not self._all_taken else []
        wanted += [self.computers] if self._decoded else []
        for pool in wanted:
            seconds = 0.0 if pool.nodes else time.monotonic() - pool.empty_since
            if seconds >= MOST_SECONDS:
                raise TlbenchError(
                    f"no worker ran for {_in_words(MOST_SECONDS)}: no node of the Ray cluster had room for one "
                    f"({pool.room}); `ray status` shows what there is and who has it; run the same command again, "
                    "what is done is kept"
                )
            if seconds >= SAY_SECONDS and not pool.said:
                warnings.warn(
                    f"no worker runs; waiting up to {_in_words(MOST_SECONDS)} for a node of the Ray cluster with room "
                    f"for one ({pool.room}); `ray status` shows what there is and who has it",
                    stacklevel=2,
                )
            pool.said = seconds >= SAY_SECONDS

    def _take_answer(self, ready: Any, asked: _Asked) -> None:
        from ray.exceptions import ObjectLostError, RayActorError, RayTaskError

        pool, worker, batch = asked.pool, asked.worker, asked.batch
        try:
            answer = self.ray.get(ready)
        except RayActorError as error:
            if error.actor_init_failed:  # it would fail on each start
                why = str(error).strip().split("\n")[-1]
                raise TlbenchError(f"a worker can't start ({why:.300}); {WAY_OUT}") from error
            self.ask_if_ready(pool, worker)
            if batch is not None:
                self._try_again(batch, error)
            return
        except (RayTaskError, ObjectLostError) as error:
            cause = error.cause if isinstance(error, RayTaskError) else error
            if isinstance(cause, ObjectLostError) and batch is not None:  # an answer, or crops, went with their node
                pool.idle.append(worker)
                self._try_again(batch, cause)
                return
            if isinstance(cause, TlbenchError):
                raise TlbenchError(str(cause)) from None
            raise
        if batch is None:
            self._take_part(pool, worker, *answer)
            return
        pool.idle.append(worker)
        observed, messages = answer
        for message in messages:
            warnings.warn(message, stacklevel=2)
        if observed is None:
            batch.decoded = asked.decoded
            self._decoded.append(batch)
        else:
            batch.decoded = None
            self._done[batch.number] = observed

    def _take_part(self, pool: _Pool, worker: Any, node: str, problem: str | None) -> None:
        """A worker runs. Raises TlbenchError if its node can't take part, and no other worker is left."""
        if problem is None:
            pool.nodes[worker] = node
            pool.idle.append(worker)
            return
        warnings.warn(f"{problem}; it takes no part", stacklevel=2)
        pool.refused += 1
        if pool.refused == len(pool.workers):
            raise TlbenchError(f"{problem}; no other worker is left; {WAY_OUT}")

    def _try_again(self, batch: _Batch, error: Exception) -> None:
        """Keep a batch whose worker died for the next one. Raises TlbenchError if that has happened too often."""
        batch.decoded = None
        batch.deaths += 1
        if batch.deaths >= MOST_TRIES:
            why = str(error).strip().split("\n")[0]
            raise TlbenchError(
                f"{batch.named}: {counted(batch.deaths, 'worker')} that observed them died ({why:.200}); too little "
                "memory for --workers? What is done is kept; leave these clips out with --subset if it is they"
            ) from None
        self._again.append(batch)
        warnings.warn(
            f"a worker died; {batch.named} are observed again by another (try {batch.deaths + 1})", stacklevel=2
        )

    def _tell(self) -> None:
        """Say what takes part, if it has changed."""
        if self._options.watch is None:
            return
        asked = [asked.batch for asked in self._asked.values() if asked.batch is not None]
        again = sorted((batch.number, batch.named) for batch in (*self._again, *self._decoded, *asked) if batch.deaths)
        nodes = [*self.takers.nodes.values(), *self.computers.nodes.values()]
        state = ClusterState(len(set(nodes)), len(nodes), tuple(named for _, named in again))
        if state != self._said:
            self._said = state
            self._options.watch(state)


def _in_words(seconds: float) -> str:
    return counted(round(seconds / 60), "minute") if seconds >= 60 else f"{seconds:g} s"
