"""Every checkpoint that tlbench knows: of observers, of the face detector, and of published generators."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from tlbench.checkpoints.card import Card, read_card
from tlbench.errors import TlbenchError
from tlbench.observing.face_boxes import detector_card
from tlbench.observing.registry import observer_cards, observer_names
from tlbench.preflight.findings import one_line


def known_cards() -> list[Card]:
    """All cards: observers' in the order of the registry, the face detector's, then the generators'."""
    folder = Path(str(files("tlbench.checkpoints"))) / "cards"
    generators = [read_card(path) for path in sorted(folder.glob("*.toml"))]
    return [*(card for name in observer_names() for card in observer_cards(name)), detector_card(), *generators]


def check_declared(names: Iterable[str], cards: Iterable[Card]) -> None:
    """Check what a system is said to have been trained with.

    Known are the names of ``cards`` and their relatives, ``none`` by itself, and ``other:NAME`` for one of one's own.

    Raises
    ------
    TlbenchError
        For another name, naming one that is near it, or for ``none`` beside others.
    """
    names = list(names)
    if "none" in names and len(names) > 1:
        others = ", ".join(name for name in names if name != "none")
        raise TlbenchError(f"--trained-with says none, and also {others}; which?")
    known = {"none", *(name for card in cards for name in (card.name, *card.relatives))}
    for name in names:
        if name not in known and not name.startswith("other:"):
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TlbenchError(
                f"--trained-with {one_line(name)!r:.60} is no checkpoint that tlbench knows{hint} "
                "(`tlbench checkpoints list` names them; say other:NAME for one of your own)"
            )


def find_card(name: str) -> Card:
    """The card of a name. Raises TlbenchError naming those near it."""
    cards = {card.name: card for card in known_cards()}
    if name not in cards:
        near = get_close_matches(name, cards, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TlbenchError(f"no checkpoint is called {name!r}{hint} (there are {', '.join(cards)})")
    return cards[name]
