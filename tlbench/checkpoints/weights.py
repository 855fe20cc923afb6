"""The checkpoint file that an observer or detector uses: named by the user, bundled, or in the checkpoint folder."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from tlbench.checkpoints.card import Card, Domain
from tlbench.checkpoints.package import is_package, source_of, trained_of, view_of
from tlbench.errors import TlbenchError, did_you_mean, quoted
from tlbench.files import JSON, atomic_path, file_md5, file_sha256, read_outside
from tlbench.json_input import parse_json

KNOWN_NAME = "known.json"  # in the checkpoint folder: first seen hashes of files whose publisher states none


@dataclass(frozen=True)
class Weights:
    """A checkpoint file or package and its card.

    Attributes
    ----------
    card : Card
    path : Path
        The published file, or the folder of a package.
    sha256 : str
        Of the whole published file in either case, so that the file and its package give the same protocol id.
    md5 : str
        Of the published file, if that is what its publisher states; else "".
    package_view : str
        Id of the view that a package states; "" if it states none, or this is a file.
    trained : mapping or None
        How tlbench trained the package; None for any other checkpoint.
    """

    card: Card
    path: Path
    sha256: str
    md5: str = ""
    package_view: str = ""
    trained: Mapping[str, Any] | None = field(default=None, compare=False)

    @property
    def domain(self) -> Domain | None:
        """What it was trained on: stated by the package if tlbench trained it, else by the card; None if by neither.

        Raises TlbenchError if the package is malformed.
        """
        if self.trained is None or self.path == self.card.package:
            return self.card.domain
        stated, dataset = self.trained.get("domain"), self.trained.get("dataset")
        try:
            if stated is None and isinstance(dataset, str):  # older packages state only the data set
                return Domain((dataset,))
            return None if stated is None else Domain.from_json(stated)
        except ValueError as error:
            raise TlbenchError(f"weights {self.card.name}={self.path}: {error}; train it again") from error

    @property
    def view(self) -> str:
        """Id of the view it was trained with (its name, on older cards)."""
        return self.package_view or self.card.view

    @property
    def as_published(self) -> bool | None:
        """Whether the file has the card's hash; None if the card states none."""
        if self.card.sha256:
            return self.sha256.startswith(self.card.sha256)
        return self.md5.startswith(self.card.md5) if self.md5 and self.card.md5 else None


def checkpoint_folder() -> Path:
    """The checkpoint folder: ``$TLBENCH_CHECKPOINTS``, or a folder in the platform's user data folder."""
    given = os.environ.get("TLBENCH_CHECKPOINTS")
    return Path(given) if given else user_data_path("tlbench") / "checkpoints"


def parse_weights(pairs: Iterable[str], cards: Iterable[Card] = ()) -> dict[str, Path]:
    """Parse the values of ``--weights``: ``NAME=FILE``, or ``NAME`` for a checkpoint in the checkpoint folder.

    Raises TlbenchError for another form, a name given twice, or a name whose checkpoint is not in the folder.
    """
    given: dict[str, Path] = {}
    found = {card.name: here(card) for card in cards}
    for pair in pairs:
        name, equals, file = pair.partition("=")
        if not equals and name in found:
            if found[name] is None:
                raise TlbenchError(
                    f"--weights {name}: this checkpoint is not in the checkpoint folder; give it as NAME=FILE"
                )
            file = str(found[name])
        elif not equals or not name or not file:
            raise TlbenchError(f"--weights takes NAME=FILE, such as syncnet=syncnet_v2.model; got {quoted(pair)}")
        if name in given:
            raise TlbenchError(f"--weights {name} is given twice: {given[name]} and {file}")
        given[name] = Path(file)
    return given


def check_names(given: Mapping[str, Path], cards: Iterable[Card]) -> None:
    """Raises TlbenchError if ``--weights`` has a name that is not a card's."""
    names = [card.name for card in cards]
    for name in given:
        if name not in names:
            hint = did_you_mean(name, names)
            raise TlbenchError(
                f"--weights {name}={given[name]}: there is no checkpoint {quoted(name)}{hint} ({', '.join(names)})"
            )


def find_weights(cards: Iterable[Card], given: Mapping[str, Path], dataset: str = "") -> Weights | None:
    """Choose the checkpoint of an observer. The first of these that exists:

    1. one of ``cards`` that ``given`` names;
    2. one that is bundled with tlbench for this data set (a small network trained on GRID can't read LRS2);
    3. one in the checkpoint folder, unless its card says ``default = false``; its package, in a folder with the card's
       name, before the published file, because it is read faster.

    Returns None if there is none.

    Raises
    ------
    TlbenchError
        If a given file can't be read.

    Warns
    -----
    UserWarning
        If the file does not have the card's hash, or not the hash that was first seen: it is another network.
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
    """The path of a card's checkpoint: bundled, or in the checkpoint folder (package, then file); None if missing."""
    if card.package is not None:
        return card.package if is_package(card.package) else None
    package = checkpoint_folder() / card.name
    if is_package(package):
        return package
    files = (checkpoint_folder() / name for name in (card.file, *card.names))
    return next((file for file in files if file.is_file()), None)


def locate(given: Path | str, cards: Iterable[Card], option: str) -> Path:
    """The path of a checkpoint that an option gives by the name of a card, or as a file or package.

    Parameters
    ----------
    given : Path or str
    cards : iterable of Card
        The cards whose names are allowed.
    option : str
        The option's name without dashes, for messages: ``expert``.

    Raises
    ------
    TlbenchError
        If there is no such file or name, or the named checkpoint is not in the checkpoint folder.
    """
    named = {card.name: card for card in cards}
    card = named.get(str(given))
    if card is None:
        if not Path(given).exists():
            raise TlbenchError(f"--{option} {given}: there is no such file and no such checkpoint ({', '.join(named)})")
        return Path(given)
    path = here(card)
    if path is None:
        raise TlbenchError(
            f"--{option} {given}: this checkpoint is not in the checkpoint folder; see `tlbench checkpoints list` for "
            "where to get it, or give its file"
        )
    return path


def _checked(card: Card, path: Path) -> Weights:
    try:
        if is_package(path):
            found = Weights(card, path, source_of(path)[1], "", view_of(path), trained_of(path))
        else:
            found = Weights(card, path, file_sha256(path), file_md5(path) if card.md5 else "")
    except OSError as error:
        raise TlbenchError(
            f"weights {card.name}={path}: can't be read ({error.strerror}); the file is published at {card.url}"
        ) from error
    if found.as_published is False:
        kind, own, published = ("SHA-256", found.sha256, card.sha256) if card.sha256 else ("MD5", found.md5, card.md5)
        warnings.warn(
            f"weights {card.name}={path.name}: {kind} is {own[:12]} instead of the published "
            f"{published[:12]}; the numbers are those of another network",
            stacklevel=2,
        )
    return found


def compare_with_first(found: Weights) -> None:
    """Compare a file with the hash that was first seen under its name, if the publisher states no hash.

    The first hash is stored in ``known.json`` in the checkpoint folder.

    Raises
    ------
    TlbenchError
        If ``known.json`` is damaged.

    Warns
    -----
    UserWarning
        If the hashes differ.
    """
    if found.card.sha256:
        return
    first = known_hashes().get(found.card.name)
    if first is None:
        remember_hash(found.card, found.sha256)
    elif first != found.sha256:
        warnings.warn(
            f"weights {found.card.name}={found.path.name}: SHA-256 is {found.sha256[:12]} instead of {first[:12]}, "
            f"that of the first file used under that name; if you meant to change it, remove its line "
            f"from {KNOWN_NAME} in {checkpoint_folder()}",
            stacklevel=2,
        )


def known_hashes() -> dict[str, str]:
    """The SHA-256 first seen of each checkpoint, by card name. Raises TlbenchError if ``known.json`` is damaged."""
    path = checkpoint_folder() / KNOWN_NAME
    try:
        kept = parse_json(read_outside(path, JSON))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise TlbenchError(f"{path}: can't be read ({error}); repair or remove it") from error
    if not isinstance(kept, dict) or not all(isinstance(value, str) for value in kept.values()):
        raise TlbenchError(f"{path}: does not map names to hashes; remove it")
    return kept


def remember_hash(card: Card, sha256: str) -> None:
    """Store a hash for :func:`known_hashes`; does nothing if the folder can't be written to."""
    kept = {**known_hashes(), card.name: sha256}
    with suppress(OSError), atomic_path(checkpoint_folder() / KNOWN_NAME) as temporary:
        temporary.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", "utf-8")
