"""Which observers there are: lazy names, so that nothing is imported before it is used.

A third party's observer is an entry point of the group ``tlbench.observers``, ``name = "package.module:Class"``,
with its ``card*.toml`` files beside that module.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

from tlbench.checkpoints.card import Card, read_card
from tlbench.errors import TlbenchError
from tlbench.observing.observer import Observer

_BUILT_IN = {
    "avhubert": "tlbench.observers.avhubert.observer:AVHubert",
    "conformer": "tlbench.observers.conformer.observer:Conformer",
    "mvm": "tlbench.observers.mvm.observer:MVM",
    "pixels": "tlbench.observers.pixels.observer:Pixels",
    "syncnet": "tlbench.observers.syncnet.observer:SyncNet",
}


@cache
def observer_names() -> dict[str, str]:
    """Name to ``module:Class``, the built-in ones first. A name can't be taken twice."""
    found = dict(_BUILT_IN)
    for point in entry_points(group="tlbench.observers"):
        if point.name in found:
            raise TlbenchError(
                f"observer {point.name!r}: {point.value} takes the name of {found[point.name]}; uninstall one of them"
            )
        found[point.name] = point.value
    return found


def _target(name: str) -> tuple[str, str]:
    names = observer_names()
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TlbenchError(f"no observer {name!r}{hint} (there are {', '.join(names)})")
    module, _, attribute = names[name].partition(":")
    return module, attribute


def observer_class(name: str) -> type[Observer]:
    """The class behind a name; its module (and torch, if it has a network) is imported now.

    Raises TlbenchError if there is no such observer, or if the package that brings it can't be imported.
    """
    module, attribute = _target(name)
    try:
        found: type[Observer] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise TlbenchError(f"observer {name!r}: {module}:{attribute} can't be imported ({error})") from error
    return found


def observer_cards(name: str) -> list[Card]:
    """The cards beside an observer, without importing its network; empty if it needs no checkpoint."""
    module, _ = _target(name)
    package = module.rpartition(".")[0]
    if not package:
        raise TlbenchError(f"observer {name!r}: {module} lies in no package, which its cards would stand in")
    try:
        folder = Path(str(files(package)))
    except ImportError as error:
        raise TlbenchError(f"observer {name!r}: {package} can't be imported ({error})") from error
    return [read_card(path) for path in sorted(folder.glob("card*.toml"))]
