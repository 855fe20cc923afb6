"""Cards: the data sheets of checkpoints, read from the ``card*.toml`` files in an observer's folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from tlbench.errors import TlbenchError, quoted
from tlbench.files import TEXT, read_outside
from tlbench.toml_input import parse_toml

PAGES = ("github.com", "sharepoint.com")  # cards give pages of these sites, not files, but for files of releases
BUNDLED = "bundled"  # folder of the packages that are installed with tlbench, next to the cards


@dataclass(frozen=True)
class Domain:
    """What a checkpoint was trained on. Scoring compares clips with it.

    Attributes
    ----------
    datasets : tuple of str
        Names of data sets, as ``--dataset`` takes them; other data sets in lower case.
    speakers : str or tuple of str
        Names of speakers as the data set gives them, or a text such as ``many``: speakers are then not compared.
    vocabulary : str or tuple of str
        All words of the training transcripts in lower case (of a word classifier: its classes), or a text such as
        ``open``: transcripts are then not compared.
    framing : str
        What the pictures showed.
    """

    datasets: tuple[str, ...]
    speakers: str | tuple[str, ...] = "many"
    vocabulary: str | tuple[str, ...] = "open"
    framing: str = ""

    @classmethod
    def from_json(cls, data: Any) -> Domain:
        """From the JSON or TOML of a card or package. Raises ValueError if it is malformed."""
        names = {f.name for f in fields(cls)}
        if not isinstance(data, Mapping) or set(data) - names or not isinstance(data.get("datasets"), list):
            raise ValueError(
                f"a domain has a list named datasets, and may have {', '.join(sorted(names))}; got {quoted(data)}"
            )
        found: dict[str, Any] = {}
        for name, value in data.items():
            listed = isinstance(value, list) and name != "framing" and all(isinstance(word, str) for word in value)
            if not listed and not isinstance(value, str):
                raise ValueError(f"{name} of a domain must be a text or a list of texts, got {quoted(value)}")
            found[name] = tuple(value) if listed else value
        return cls(**found)

    def __str__(self) -> str:
        """``grid; speakers: s1; vocabulary: 51 words; the face, framed by its box``."""
        speakers = self.speakers if isinstance(self.speakers, str) else ", ".join(self.speakers)
        words = self.vocabulary if isinstance(self.vocabulary, str) else f"{len(self.vocabulary):,} words"
        parts = (", ".join(self.datasets), f"speakers: {speakers}", f"vocabulary: {words}", self.framing)
        return "; ".join(filter(None, parts))

    def to_json(self) -> dict[str, Any]:
        """The inverse of :meth:`from_json`."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


@dataclass(frozen=True)
class Card:
    """The data sheet of a checkpoint.

    ``sha256`` is empty where the publisher states none; ``md5`` is what some state instead. Results record the file's
    own SHA-256 in any case.
    """

    name: str  # as in --weights NAME=FILE
    title: str
    observer: str  # registry name of the observer or detector that uses it; "" for a generator's checkpoint
    file: str  # name of the published file
    url: str
    licence: str
    trained_on: str
    view: str  # the view it was trained with
    sha256: str = ""  # of the whole file, or the published prefix
    md5: str = ""  # of the whole file, or the published prefix
    names: list[str] = field(default_factory=list)  # of the same file elsewhere
    size_bytes: int = 0
    default: bool = True  # used without --weights once it is in the checkpoint folder
    datasets: list[str] = field(default_factory=list)  # data sets that a bundled one is the default for
    package: Path | None = None  # the folder of a bundled package (`bundled = true` in the file)
    relatives: list[str] = field(default_factory=list)  # checkpoints of the same family
    published_values: dict[str, float] = field(default_factory=dict)  # of ground truth, by metric key
    source: str = ""  # where these facts come from
    domain: Domain | None = None  # what it was trained on; None if unknown

    @property
    def is_page(self) -> bool:
        """Whether its address is a web page, from which a person saves the file."""
        address = urlparse(self.url)
        host = address.hostname or ""
        is_file = "/releases/download/" in address.path
        return not is_file and any(host == page or host.endswith("." + page) for page in PAGES)


def overlap(card: Card, trained_with: Iterable[str]) -> str | None:
    """Why an observer's score of a system that was trained with these checkpoints is biased; None if it is not.

    A system that was trained against a network, or a relative of it, is read better by that network than by others, so
    the score does not measure how readable its videos are in general.
    """
    for name in trained_with:
        if name == card.name:
            return f"observer overlap: the system was trained with {quoted(name)}, which also scores it"
        if name in card.relatives:
            related = f"a relative of observer {quoted(card.name)}"
            return f"observer overlap: the system was trained with {quoted(name)}, {related}"
    return None


def read_card(path: Path) -> Card:
    """Read one card. Raises TlbenchError naming the file and the field if it is malformed."""
    try:
        data = parse_toml(read_outside(path, TEXT))
    except (OSError, ValueError) as error:
        raise TlbenchError(f"card {path}: can't be read ({error})") from error
    known = {"bundled", *(f.name for f in fields(Card))} - {"package"}
    unknown = sorted(set(data) - known)
    if unknown:
        raise TlbenchError(f"card {path}: unknown field {quoted(unknown[0])}; known are {', '.join(sorted(known))}")
    if data.pop("bundled", False):
        data["package"] = path.parent / BUNDLED / str(data.get("name"))
    try:
        if "domain" in data:
            data["domain"] = Domain.from_json(data["domain"])
        card = Card(**data)
    except (TypeError, ValueError) as error:
        raise TlbenchError(f"card {path}: {error}") from error
    for name in (
        card.name,
        card.file,
        *card.names,
    ):  # they name files in the checkpoint folder, and never a file outside it
        if not name or name != Path(name).name or name.startswith("."):
            raise TlbenchError(f"card {path}: {quoted(name)} is not a plain file name")
    return card
