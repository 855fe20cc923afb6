"""Which checkpoint file an observer or detector gets: named by the user, or found in the checkpoint folder."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from tlbench.checkpoints.card import Card, Domain
from tlbench.checkpoints.package import is_package, source_of, trained_of, view_of
from tlbench.errors import TlbenchError
from tlbench.files import atomic_path, file_sha256

KNOWN_NAME = "known.json"  # in the checkpoint folder: hashes of files whose publisher states none, as first seen


@dataclass(frozen=True)
class Weights:
    """A checkpoint and whose it is: the published file, or the package folder made of it.

    ``sha256`` is of the whole published file in either case, so that both give one protocol. ``package_view`` is
    the id of the view that a package says it was trained behind; "" if it does not, or is none. ``trained`` is how a
    package was trained by tlbench; None of any other checkpoint.
    """

    card: Card
    path: Path
    sha256: str
    package_view: str = ""
    trained: Mapping[str, Any] | None = field(default=None, compare=False)

    @property
    def domain(self) -> Domain | None:
        """What it was trained on: as a package of one's own says, else as the card; None if neither does.

        Raises TlbenchError if the package is malformed.
        """
        if self.trained is None or self.path == self.card.package:
            return self.card.domain
        told, dataset = self.trained.get("domain"), self.trained.get("dataset")
        try:
            if told is None and isinstance(dataset, str):  # from before packages said more
                return Domain((dataset,))
            return None if told is None else Domain.from_json(told)
        except ValueError as error:
            raise TlbenchError(f"weights {self.card.name}={self.path}: {error}; train it again") from error

    @property
    def view(self) -> str:
        """Id (on older cards the name) of the view it was trained behind."""
        return self.package_view or self.card.view

    @property
    def as_published(self) -> bool | None:
        """Whether the file is the card's; None if the card states no hash."""
        return self.sha256.startswith(self.card.sha256) if self.card.sha256 else None


def checkpoint_folder() -> Path:
    """Where checkpoints are looked for: ``$TLBENCH_CHECKPOINTS``, or the platform's data folder."""
    given = os.environ.get("TLBENCH_CHECKPOINTS")
    return Path(given) if given else user_data_path("tlbench") / "checkpoints"


def parse_weights(pairs: Iterable[str], cards: Iterable[Card] = ()) -> dict[str, Path]:
    """``NAME=FILE`` words, or the ``NAME`` of a checkpoint that is here, to a mapping.

    Raises TlbenchError on another form, a name given twice, or a name whose checkpoint is not here.
    """
    given: dict[str, Path] = {}
    lying = {card.name: here(card) for card in cards}
    for pair in pairs:
        name, equals, file = pair.partition("=")
        if not equals and name in lying:
            if lying[name] is None:
                raise TlbenchError(f"--weights {name}: that checkpoint is not here; give it as NAME=FILE")
            file = str(lying[name])
        elif not equals or not name or not file:
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


def find_weights(cards: Iterable[Card], given: Mapping[str, Path], dataset: str = "") -> Weights | None:
    """The first of ``cards`` whose checkpoint is given, is bundled for this data set, or lies in the checkpoint folder.

    None if there is none. A bundled one reads its own data sets and no others: a small network that was trained on GRID
    says nothing of LRS2. A card that is no default has to be given: nobody wants WER1 by a network that was fetched for
    another purpose. Those that are given go before those that are found. In the checkpoint folder a package, named as
    the card, goes before the published file: it is read faster.

    Raises
    ------
    TlbenchError
        If a file was given but can't be read.

    Warns
    -----
    UserWarning
        If the file is not the one the card describes, or not the one that was there before: its numbers are those of
        another network.
    """
    known = list(cards)
    for card in known:
        if card.name in given:
            return _checked(card, given[card.name])
    for card in known:
        if card.package is not None and dataset in card.datasets:
            return _checked(card, card.package)
    for card in known:
        path = here(card) if card.default and card.package is None else None
        if path is not None:
            found = _checked(card, path)
            compare_with_first(found)
            return found
    return None


def here(card: Card) -> Path | None:
    """Where a card's checkpoint lies: bundled, or in the checkpoint folder, its package before the published file."""
    if card.package is not None:
        return card.package if is_package(card.package) else None
    package, file = checkpoint_folder() / card.name, checkpoint_folder() / card.file
    if is_package(package):
        return package
    return file if file.is_file() else None


def locate(given: Path | str, cards: Iterable[Card], option: str) -> Path:
    """Where a checkpoint lies that is given by the name of one of some cards, or else as a file or package.

    Parameters
    ----------
    option : str
        By which it was given, for the errors: ``expert`` for ``--expert``.

    Raises
    ------
    TlbenchError
        If there is neither, or the checkpoint of that name is not here.
    """
    named = {card.name: card for card in cards}
    card = named.get(str(given))
    if card is None:
        if not Path(given).exists():
            raise TlbenchError(f"--{option} {given}: is no file, and no checkpoint is called so ({', '.join(named)})")
        return Path(given)
    lies = here(card)
    if lies is None:
        raise TlbenchError(
            f"--{option} {given}: that checkpoint is not here; `tlbench checkpoints list` says where to get it, or "
            "give its file"
        )
    return lies


def _checked(card: Card, path: Path) -> Weights:
    try:
        if is_package(path):
            found = Weights(card, path, source_of(path)[1], view_of(path), trained_of(path))
        else:
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


def compare_with_first(found: Weights) -> None:
    """Where the publisher states no hash, the first one seen is kept, and a file that changes later is noticed.

    Raises TlbenchError if the record of hashes is damaged.

    Warns
    -----
    UserWarning
        If this is not the file that was first used under its name.
    """
    if found.card.sha256:
        return
    first = known_hashes().get(found.card.name)
    if first is None:
        remember_hash(found.card, found.sha256)
    elif first != found.sha256:
        warnings.warn(
            f"weights {found.card.name}={found.path.name}: SHA-256 {found.sha256[:12]} is not the {first[:12]} of the "
            f"first file used under that name; if the change is meant, remove its line from {KNOWN_NAME} in "
            f"{checkpoint_folder()}",
            stacklevel=2,
        )


def known_hashes() -> dict[str, str]:
    """SHA-256 of checkpoints first seen here, by card name. Raises TlbenchError if the record is damaged."""
    path = checkpoint_folder() / KNOWN_NAME
    try:
        kept = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise TlbenchError(f"{path}: can't be read ({error}); mend or remove it") from error
    if not isinstance(kept, dict) or not all(isinstance(value, str) for value in kept.values()):
        raise TlbenchError(f"{path}: is no record of hashes; remove it")
    return kept


def remember_hash(card: Card, sha256: str) -> None:
    """Keep a hash for :func:`known_hashes`. A folder that can't be written to is no reason not to score."""
    kept = {**known_hashes(), card.name: sha256}
    with suppress(OSError), atomic_path(checkpoint_folder() / KNOWN_NAME) as temporary:
        temporary.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", "utf-8")
