"""Which checkpoint file an observer or detector gets: named by the user, or found in the checkpoint folder."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from platformdirs import user_data_path

from tlbench.errors import TlbenchError
from tlbench.observing.cache import file_sha256
from tlbench.observing.card import Card


@dataclass(frozen=True)
class Weights:
    """A checkpoint file and whose it is. ``sha256`` is of the whole file."""

    card: Card
    path: Path
    sha256: str

    @property
    def as_published(self) -> bool | None:
        """Whether the file is the card's; None if the card states no hash."""
        return self.sha256.startswith(self.card.sha256) if self.card.sha256 else None


def checkpoint_folder() -> Path:
    """Where checkpoints are looked for: ``$TLBENCH_CHECKPOINTS``, or the platform's data folder."""
    given = os.environ.get("TLBENCH_CHECKPOINTS")
    return Path(given) if given else user_data_path("tlbench") / "checkpoints"


def parse_weights(pairs: Iterable[str]) -> dict[str, Path]:
    """``NAME=FILE`` words to a mapping. Raises TlbenchError on another form or a name given twice."""
    given: dict[str, Path] = {}
    for pair in pairs:
        name, equals, file = pair.partition("=")
        if not equals or not name or not file:
            raise TlbenchError(f"--weights takes NAME=FILE, such as syncnet=syncnet_v2.model; got {pair!r}")
        if name in given:
            raise TlbenchError(f"--weights {name} is given twice: {given[name]} and {file}")
        given[name] = Path(file)
    return given


def check_names(given: Mapping[str, Path], cards: Iterable[Card]) -> None:
    """Raises TlbenchError if weights are given under a name that no card has."""
    names = [card.name for card in cards]
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TlbenchError(
                f"--weights {name}={given[name]}: no checkpoint is called {name!r}{hint} ({', '.join(names)})"
            )


def find_weights(cards: Iterable[Card], given: Mapping[str, Path]) -> Weights | None:
    """The first of ``cards`` whose file is given or lies in the checkpoint folder; None if there is none.

    Raises
    ------
    TlbenchError
        If a file was given but can't be read.

    Warns
    -----
    UserWarning
        If the file is not the one the card describes: its numbers are those of another network.
    """
    for card in cards:
        path = given.get(card.name)
        if path is None:
            path = checkpoint_folder() / card.file
            if not path.is_file():
                continue
        try:
            found = Weights(card, path, file_sha256(path))
        except OSError as error:
            raise TlbenchError(
                f"weights {card.name}={path}: can't be read ({error.strerror}); the file is published at {card.url}"
            ) from error
        if found.as_published is False:
            warnings.warn(
                f"weights {card.name}={path.name}: SHA-256 {found.sha256[:12]} is not the published "
                f"{card.sha256[:12]}; the numbers are those of another network",
                stacklevel=2,
            )
        return found
    return None
