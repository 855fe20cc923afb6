"""Every checkpoint that tlbench knows: of observers, of the face detector, and of published generators."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from tlbench.errors import TlbenchError
from tlbench.observing.boxing import detector_card
from tlbench.observing.card import Card, read_card
from tlbench.observing.registry import observer_cards, observer_names


def known_cards() -> list[Card]:
    """All cards: observers' in the order of the registry, the face detector's, then the generators'."""
    folder = Path(str(files("tlbench.observing"))) / "cards"
    generators = [read_card(path) for path in sorted(folder.glob("*.toml"))]
    return [*(card for name in observer_names() for card in observer_cards(name)), detector_card(), *generators]


def find_card(name: str) -> Card:
    """The card of a name. Raises TlbenchError naming those near it."""
    cards = {card.name: card for card in known_cards()}
    if name not in cards:
        near = get_close_matches(name, cards, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TlbenchError(f"no checkpoint is called {name!r}{hint} (there are {', '.join(cards)})")
    return cards[name]
