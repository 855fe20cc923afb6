"""What is loaded once and kept, from one system to the next: observers, and worker processes with theirs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlbench.observing.local_workers import LocalWorkers
    from tlbench.observing.observer import Observer
    from tlbench.observing.plan import ObserverPlan


class LoadedObservers:
    """The observers of one process. Each is loaded when a clip first needs it.

    Of each name one is kept, the latest: one that is loaded with other views or weights takes its place.

    Parameters
    ----------
    given : mapping of str to Observer, optional
        Observers, by name, that take the place of those that would be loaded.
    """

    def __init__(self, given: Mapping[str, Observer] | None = None) -> None:
        self._given = dict(given or {})
        self._kept: dict[str, tuple[ObserverPlan, str, Observer]] = {}

    def observer(self, plan: ObserverPlan, device: str) -> Observer:
        """The observer of a plan on a device. Raises TlbenchError if its weights do not fit."""
        if plan.name in self._given:
            return self._given[plan.name]
        kept = self._kept.get(plan.name)
        if kept is not None and kept[:2] == (plan, device):
            return kept[2]
        self._kept.pop(plan.name, None)  # before the other is in memory
        loaded = plan.load(device)
        self._kept[plan.name] = plan, device, loaded
        return loaded


class Kept:
    """What a command keeps for all its systems, controls and real videos.

    Worker processes end with a ``with`` block. Blocks may be nested: the outermost ends the processes.
    """

    def __init__(self) -> None:
        self.observers = LoadedObservers()
        self._blocks = 0

    @cached_property
    def workers(self) -> LocalWorkers:
        """Worker processes of this machine; none is running yet."""
        from tlbench.observing.local_workers import LocalWorkers  # many runs need none

        return LocalWorkers()

    @property
    def in_block(self) -> bool:
        """Whether somebody ends the worker processes."""
        return self._blocks > 0

    def __enter__(self) -> Kept:
        self._blocks += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._blocks -= 1
        if not self._blocks and "workers" in self.__dict__:
            self.workers.end(kind, error, trace)
