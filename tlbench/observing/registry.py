"""The class behind an observer's name, and what else its package offers."""

from __future__ import annotations

from importlib import import_module
from operator import attrgetter
from typing import Any, Literal

from tlbench.checkpoints.catalogue import observer_names, observer_target
from tlbench.errors import TlbenchError, quoted
from tlbench.observing.observer import Observer

Capability = Literal["read_published", "trainable", "expert", "audio_encoder", "original"]

_WITHOUT: dict[Capability, str] = {
    "read_published": "has no checkpoint file to read",
    "trainable": "can't be trained",
    "expert": "reads no lips that a generator could learn from",
    "audio_encoder": "has no audio encoder",
    "original": "has no original package to compare with",
}


def observer_class(name: str) -> type[Observer]:
    """The class behind a name. Its module is imported; torch is not, until the observer is loaded.

    Raises TlbenchError if there is no such observer, or if its package can't be imported.
    """
    module, attribute = observer_target(name)
    found: type[Observer] = _imported(name, f"{module}:{attribute}")
    return found


def capability(name: str, which: Capability) -> Any:
    """The function or class that one of :class:`Observer`'s strings names, imported.

    Raises TlbenchError if the observer has none (the message lists the observers that have it), or if it can't be
    imported.
    """
    target = getattr(observer_class(name), which)
    if not target:
        raise TlbenchError(
            f"observer {quoted(name)} {_WITHOUT[which]}; choose one of {', '.join(observers_with(which))}"
        )
    return _imported(name, target)


def observers_with(which: Capability) -> list[str]:
    """Names of the observers that have a capability. Raises TlbenchError if two packages use one name."""
    return [name for name in observer_names() if getattr(observer_class(name), which)]


def _imported(observer: str, target: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        return attrgetter(attribute)(import_module(module))
    except (ImportError, AttributeError) as error:
        raise TlbenchError(f"observer {quoted(observer)}: {target} can't be imported ({error})") from error


def trained_view(kind: type[Observer], view: str) -> str:
    """The name of the observer's view with this id, else of the view of the same name, else of the default view."""
    same = [name for name, view_id in kind.views.items() if view_id == view]
    named = view.partition("@")[0]
    return next(iter(same), named if named in kind.views else kind.default_view)
