"""What can be trained, by name: the networks of observers, and one that scores nothing. Loads no torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tlbench.observing.registry import capability, observers_with

if TYPE_CHECKING:
    from tlbench.training.trainable import Trainable

# Networks that are trained like an observer's and score nothing: name to the Trainable, imported when it is used.
OTHER_NETWORKS = {"wav2lip-sync": "tlbench.talklip.train_sync_expert:TrainableSyncExpert"}


def trainable_names() -> list[str]:
    """What :func:`find_trainable` finds: the observers first. Raises TlbenchError if two packages use one name."""
    return [*observers_with("trainable"), *OTHER_NETWORKS]


def find_trainable(name: str) -> type[Trainable]:
    """What trains a network, by the name of its observer or its own. Raises TlbenchError if there is none."""
    target = OTHER_NETWORKS.get(name)
    if target is None:
        found: type[Trainable] = capability(name, "trainable")
        return found
    module, _, attribute = target.partition(":")
    other: type[Trainable] = getattr(import_module(module), attribute)
    return other
