"""Finds the expert by name or file, and compares it with the observers that score the data set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tlbench.checkpoints.card import Card, overlap
from tlbench.checkpoints.catalogue import known_cards
from tlbench.checkpoints.package import Package, is_package, open_package, source_of
from tlbench.checkpoints.weights import locate
from tlbench.observing.registry import capability
from tlbench.training.expert import Expert

PUBLISHED_OBSERVER = "avhubert"  # reads checkpoint files that are no packages: TalkLip's experts are AV-HuBERTs


@dataclass(frozen=True)
class FoundExpert:
    """An expert, and which network it is.

    Attributes
    ----------
    name : str
        Of its card, or of its file if no card describes it; the name that ``score --trained-with`` takes.
    sha256 : str
        Of its weights, as in results.
    expert : Expert
    overlaps : tuple of str
        One line for each observer that scores this data set and is this network or was trained like it.
    """

    name: str
    sha256: str
    expert: Expert
    overlaps: tuple[str, ...]


def find_expert(given: str, dataset: str) -> FoundExpert:
    """Find and load an expert.

    Parameters
    ----------
    given : str
        The name of a checkpoint, the folder of a package, or a published file.
    dataset : str
        The data set that is generated and scored.

    Raises
    ------
    TlbenchError
        If there is none, or it can't be an expert.
    """
    cards = known_cards()
    path = locate(given, [card for card in cards if card.observer == PUBLISHED_OBSERVER], "expert")
    package, expert = _opened(path)
    name = next((card.name for card in cards if card.name == given or _is_of(card, package)), path.stem)
    return FoundExpert(name, package.source_sha256, expert, tuple(_overlaps(name, package, cards, dataset)))


def _opened(path: Path) -> tuple[Package, Expert]:
    package = open_package(path, capability(PUBLISHED_OBSERVER, "read_published"))
    expert: Expert = capability(package.observer, "expert")(package, path)
    return package, expert


def _is_of(card: Card, package: Package) -> bool:
    """Whether a card describes this package."""
    if card.observer != package.observer:
        return False
    if card.package is not None:
        return is_package(card.package) and source_of(card.package)[1] == package.source_sha256
    return bool(card.sha256) and package.source_sha256.startswith(card.sha256)


def _overlaps(name: str, package: Package, cards: list[Card], dataset: str) -> Iterator[str]:
    for card in cards:
        scores = dataset in card.datasets if card.package is not None else card.default and not card.datasets
        if not card.observer or not scores:
            continue
        if _is_of(card, package):
            yield f"observer overlap: the expert is observer {card.name!r} itself"
        elif line := overlap(card, [name]):
            yield line
