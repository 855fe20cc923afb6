"""The engine ``ray``: workers on the nodes of a Ray cluster, each an actor that has loaded the networks once.

Work goes to whoever is free. If a worker or its node dies, Ray starts the worker again where there is room, and the
clips that it held are given to the next one that is free. Actors, not Ray Data or plain tasks: see docs/scale.md.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tlbench.datasets.clip import Clip
from tlbench.document import counted
from tlbench.errors import TlbenchError, shortened
from tlbench.observing.device import processor_type
from tlbench.observing.engines import batches, limit_threads, observe_batch
from tlbench.observing.evidence import Observation
from tlbench.observing.plan import Plan
from tlbench.observing.ray_nodes import WAY_OUT, CheckedNodes, check_nodes, connect, import_ray
from tlbench.observing.ray_options import RayOptions
from tlbench.observing.runner import ObserverRunner
from tlbench.observing.stopping import STOP

MOST_TRIES = 4  # of a batch whose workers die: then it is the clips that kill them
MOST_IN_CALL = 8  # clips that a worker is given at once, though it observes them in smaller batches
CALLS = 8  # at least so many for each worker, so that all end at about the same time
AHEAD = 4  # batches for each worker that may be done before an earlier one is, so that memory is bounded


class Worker:
    """An actor: one process on a node that observes batches of clips."""

    def __init__(self, plan: Plan) -> None:
        limit_threads(plan)
        self._runner = ObserverRunner(plan)
        self._device = plan.device

    def ready(self, checked: CheckedNodes) -> str | None:
        """Returns once the worker runs: why its node can't take part, or None."""
        import socket

        problem = checked.problem_here(import_ray().get_runtime_context().get_node_id())
        return None if problem is None else f"node {socket.gethostname()}: {problem}"

    def observe(self, batch: list[Clip]) -> tuple[list[Observation], list[str]]:
        """Observations of a batch, and the texts of its warnings."""
        import socket

        observed: list[Observation] = []
        messages: list[str] = []
        for part in batches(batch, self._runner.clips_per_batch):
            seen, said = observe_batch(self._runner, part)
            observed += seen
            messages += said
        kind, node = processor_type(self._device), socket.gethostname()
        return [replace(one, processor=kind, node=node) for one in observed], messages


@dataclass
class _Batch:
    """Clips that are observed together, and how often that was tried."""

    number: int
    clips: list[Clip]
    tries: int = 0

    @property
    def named(self) -> str:
        first = shortened(self.clips[0].id)
        return f"clip {first}" if len(self.clips) == 1 else f"clips {first} to {shortened(self.clips[-1].id)}"


@dataclass
class _State:
    """What is asked of whom.

    Attributes
    ----------
    checked : Ray's reference to CheckedNodes
    asked : dict of Ray's reference to (worker, batch)
        The batch is None if the worker was only asked whether it runs.
    again : deque of _Batch
        Those whose worker died.
    done : dict of batch number to observations
        Waiting for an earlier batch, as observations come in the order of the clips.
    following : int
        The number of the batch whose observations are next.
    """

    checked: Any
    asked: dict[Any, tuple[Any, _Batch | None]] = field(default_factory=dict)
    again: deque[_Batch] = field(default_factory=deque)
    done: dict[int, list[Observation]] = field(default_factory=dict)
    following: int = 0

    def ask_if_ready(self, worker: Any) -> None:
        """Wait for a worker to run, also if it is started again before it answers."""
        self.asked[worker.ready.options(max_task_retries=-1).remote(self.checked)] = worker, None


def observe_on_ray(plan: Plan, clips: Sequence[Clip], workers: int, options: RayOptions) -> Iterator[Observation]:
    """Observe clips by workers of a Ray cluster, and yield observations in the order of ``clips``.

    Raises
    ------
    TlbenchError
        At once: no Ray, no cluster, or a node that can't do its part (:func:`tlbench.observing.ray_nodes.check_nodes`).
        While observations are read: an observer can't be loaded, or some clips' workers died time and again.

    Warns
    -----
    UserWarning
        If a worker died: which clips are observed again. If a node that joins later can't take part, and why.
    """
    ray = connect(options)
    if not clips:
        return iter(())
    plan = replace(plan, device=plan.device.partition(":")[0], threads=plan.threads or 1)  # Ray says which GPU
    checked = check_nodes(ray, plan, clips, workers, options)
    return _observed(ray, plan, clips, workers, options, checked)


def _observed(
    ray: Any, plan: Plan, clips: Sequence[Clip], workers: int, options: RayOptions, checked: CheckedNodes
) -> Iterator[Observation]:
    gpus = options.gpus_per_worker if plan.device != "cpu" else 0
    actor = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=-1)(Worker)
    size = max(ObserverRunner(plan).clips_per_batch, min(MOST_IN_CALL, len(clips) // (CALLS * workers)))
    todo = (_Batch(number, batch) for number, batch in enumerate(batches(clips, size)))
    state = _State(ray.put(checked))
    pool = []
    try:
        for _ in range(workers):
            worker = actor.remote(plan)
            pool.append(worker)
            state.ask_if_ready(worker)
        idle: deque[Any] = deque()
        while state.asked or idle:
            _hand_out(state, idle, todo, most=AHEAD * workers)
            busy = any(batch is not None for _, batch in state.asked.values())
            if not busy and (STOP.is_set() or (idle and not state.again)):
                break  # all is done, though some workers may not run yet
            (ready,), _ = ray.wait(list(state.asked), num_returns=1)
            worker, batch = state.asked.pop(ready)
            yield from _answered(ray, state, ready, worker, batch, idle)
    finally:
        for worker in pool:
            ray.kill(worker)


def _hand_out(state: _State, idle: deque[Any], todo: Iterator[_Batch], most: int) -> None:
    """Give each idle worker a batch: first those that are to be observed again."""
    while idle:
        if state.again and not STOP.is_set():
            batch: _Batch | None = state.again.popleft()
        elif _in_flight(state) < most:
            batch = next(todo, None)
        else:
            return
        if batch is None:
            return
        worker = idle.popleft()
        batch.tries += 1
        state.asked[worker.observe.remote(batch.clips)] = worker, batch


def _in_flight(state: _State) -> int:
    return len(state.done) + sum(batch is not None for _, batch in state.asked.values()) + len(state.again)


def _answered(
    ray: Any, state: _State, ready: Any, worker: Any, batch: _Batch | None, idle: deque[Any]
) -> Iterator[Observation]:
    """Take a worker's answer, and yield the observations whose turn it is."""
    from ray.exceptions import RayActorError, RayTaskError

    try:
        answer = ray.get(ready)
    except RayActorError as error:
        state.ask_if_ready(worker)
        if batch is not None:
            _try_again(state, batch, error)
        return
    except RayTaskError as error:
        if isinstance(error.cause, TlbenchError):
            raise TlbenchError(str(error.cause)) from None
        raise
    if batch is None:
        if answer is None:
            idle.append(worker)
        else:
            warnings.warn(f"{answer}; it takes no part", stacklevel=5)
            if not idle and not state.asked:
                raise TlbenchError(f"{answer}; no other worker is left; {WAY_OUT}")
        return
    idle.append(worker)
    observed, messages = answer
    for message in messages:
        warnings.warn(message, stacklevel=5)
    state.done[batch.number] = observed
    while state.following in state.done:
        yield from state.done.pop(state.following)
        state.following += 1


def _try_again(state: _State, batch: _Batch, error: Exception) -> None:
    """Keep a batch whose worker died for the next one. Raises TlbenchError if that has happened too often."""
    if batch.tries >= MOST_TRIES:
        why = str(error).strip().split("\n")[0]
        raise TlbenchError(
            f"{batch.named}: {counted(batch.tries, 'worker')} that observed them died ({why:.200}); too little memory "
            "for --workers? What is done is kept; leave these clips out with --subset if it is they"
        ) from None
    state.again.append(batch)
    warnings.warn(f"a worker died; {batch.named} are observed again by another (try {batch.tries + 1})", stacklevel=6)
