"""The observers of one process. Each is loaded once, when a clip first needs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlbench.observing.observer import Observer
    from tlbench.observing.plan import ObserverPlan


class LoadedObservers:
    """Loads observers and keeps them, also from one run of a command to the next: systems, controls, real videos.

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
