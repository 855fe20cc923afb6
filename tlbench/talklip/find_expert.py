"""The lip reader that a generator learns from: found by name or file, and compared with those that will score."""

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

PUBLISHED_READER = "avhubert"  # who reads a checkpoint file that is no package: TalkLip's experts are AV-HuBERTs


@dataclass(frozen=True)
class FoundExpert:
    """A teacher and whose network it is.

    Attributes
    ----------
    name : str
        Of its card; of its file if no card is about it. What ``score --trained-with`` is to be told.
    sha256 : str
        As results name weights.
    teacher : Expert
    overlaps : tuple of str
        Observers that score this data set and are this network or its relatives, a line each.
    """

    name: str
    sha256: str
    teacher: Expert
    overlaps: tuple[str, ...]


def find_expert(given: str, dataset: str) -> FoundExpert:
    """The expert of a name or a file.

    Parameters
    ----------
    given : str
        A checkpoint's name, if it is here; else a package's folder or a published file.
    dataset : str
        Whose clips will be generated and scored.

    Raises
    ------
    TlbenchError
        If there is none, or no generator can learn from it.
    """
    cards = known_cards()
    path = locate(given, [card for card in cards if card.observer == PUBLISHED_READER], "expert")
    package, teacher = _opened(path)
    name = next((card.name for card in cards if card.name == given or _is_of(card, package)), path.stem)
    return FoundExpert(name, package.source_sha256, teacher, tuple(_overlaps(name, package, cards, dataset)))


def _opened(path: Path) -> tuple[Package, Expert]:
    package = open_package(path, capability(PUBLISHED_READER, "read_published"))
    expert: Expert = capability(package.observer, "expert")(package, path)
    return package, expert


def _is_of(card: Card, package: Package) -> bool:
    """Whether a package is the one that a card describes."""
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
        elif said := overlap(card, [name]):
            yield said
