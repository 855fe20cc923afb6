"""Observer classes by name."""

from __future__ import annotations

from importlib import import_module

from tlbench.checkpoints.catalogue import observer_target
from tlbench.errors import TlbenchError
from tlbench.observing.observer import Observer


def observer_class(name: str) -> type[Observer]:
    """The observer class of this name. Imports its module, and torch if it has a network.

    Raises TlbenchError if there is no such observer, or if its package can't be imported.
    """
    module, attribute = observer_target(name)
    try:
        found: type[Observer] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise TlbenchError(f"observer {name!r}: {module}:{attribute} can't be imported ({error})") from error
    return found


def trained_view(kind: type[Observer], view: str) -> str:
    """The name of the observer's view with this id, else of the view of the same name, else of the default view."""
    same = [name for name, view_id in kind.views.items() if view_id == view]
    named = view.partition("@")[0]
    return next(iter(same), named if named in kind.views else kind.default_view)
