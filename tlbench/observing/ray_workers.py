"""What runs on the nodes of a Ray cluster: actors that decode and compute, or that share this between them.

A :class:`Worker` does all of a clip. A :class:`DecodeWorker` needs no GPU and keeps no network: it decodes, finds
faces, crops, and leaves to a :class:`ComputeWorker` what needs a network. What passes between them is in Ray's object
store.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TypeAlias

from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError
from tlbench.observing.clip_job import ClipJob
from tlbench.observing.device import processor_type
from tlbench.observing.engines import batches, limit_threads, with_messages
from tlbench.observing.evidence import Observation
from tlbench.observing.plan import Plan
from tlbench.observing.ray_nodes import CheckedNodes, import_ray
from tlbench.observing.runner import ObserverRunner

# Observations, None if they are left to a ComputeWorker; and the texts of warnings, which the head shows.
Answer: TypeAlias = "tuple[list[Observation] | None, list[str]]"


class OnNode:
    """An actor: one process on a node.

    Parameters
    ----------
    plan : Plan
    folder : str
        Where the command runs: paths may be relative to it. Ray's processes are where the node was started.
    """

    def __init__(self, plan: Plan, folder: str) -> None:
        if os.path.isdir(folder):  # else all paths are absolute, or were not found when the node was looked at
            os.chdir(folder)
        limit_threads(plan.threads)
        self._plan = plan

    def ready(self, checked: CheckedNodes) -> tuple[str, str | None]:
        """Returns once the process runs: Ray's id of its node, and why the node can't take part, or None."""
        node = import_ray().get_runtime_context().get_node_id()
        problem = checked.problem_here(node)
        if problem is None:
            try:
                self.runner  # noqa: B018 an observer of another package may not be installed here
            except TlbenchError as error:
                problem = str(error)
        return node, None if problem is None else f"node {socket.gethostname()}: {problem}"

    @cached_property
    def runner(self) -> ObserverRunner:
        """Observes in this process."""
        return ObserverRunner(self._plan)


class Worker(OnNode):
    """Decodes and computes."""

    def observe(self, clips: list[Clip]) -> Answer:
        """Observations of some clips."""
        seen: list[Observation] = []
        messages: list[str] = []
        for part in batches(clips, self.runner.clips_per_batch):
            observed, said = with_messages(self.runner.observe, part)
            seen += observed
            messages += said
        return _marked(seen, self._plan), messages


class DecodeWorker(OnNode):
    """Decodes for a :class:`ComputeWorker`; what needs no network it computes itself."""

    def __init__(self, plan: Plan, folder: str) -> None:
        super().__init__(replace(plan, device="cpu"), folder)

    @cached_property
    def cropping(self) -> ObserverRunner:
        """Crops for the observers that compute elsewhere. Raises TlbenchError if weights do not fit."""
        croppers = {observer.name: observer.cropper() for observer in self._plan.observers}
        return ObserverRunner(
            self._plan, croppers={name: start for name, start in croppers.items() if start is not None}
        )

    def decode(self, clips: list[Clip]) -> tuple[Answer, list[ClipJob]]:
        """Observations if nothing is left to compute, else the clips for :meth:`ComputeWorker.compute`.

        They are two objects of Ray, so that the second does not come to the head. Raises TlbenchError if weights, which
        may say what to crop, do not fit.
        """
        jobs, messages = with_messages(self.cropping.look, clips)
        if any(job.to_compute for job in jobs):
            return (None, messages), jobs
        seen, more = with_messages(self.cropping.finish, jobs)
        return (seen, [*messages, *more]), []


class ComputeWorker(OnNode):
    """Computes for clips that a :class:`DecodeWorker` has decoded."""

    def compute(self, jobs: list[ClipJob]) -> Answer:
        """Observations of decoded clips."""
        seen, messages = with_messages(self.runner.finish, jobs)
        return _marked(seen, self._plan), messages


def _marked(seen: Sequence[Observation], plan: Plan) -> list[Observation]:
    """The observations with the type of processor that computed them."""
    kind = processor_type(plan.device)
    return [replace(one, processor=kind) for one in seen]
