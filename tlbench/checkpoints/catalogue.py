"""All checkpoints and observers that tlbench knows.

Observers are named as ``"package.module:Class"`` and imported when they are first used. Another package's observer is
an entry point of the group ``tlbench.observers``; its ``card*.toml`` files are in the folder of that module.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

from tlbench.checkpoints.card import Card, read_card
from tlbench.errors import TlbenchError, did_you_mean, one_line, quoted
from tlbench.plugins import entry_points

_LONGEST_NAME = 80  # characters of a name that messages show; it may come from a file
_BUILT_IN = {
    "autoavsr": "tlbench.observers.autoavsr.observer:AutoAVSR",
    "avhubert": "tlbench.observers.avhubert.observer:AVHubert",
    "conformer": "tlbench.observers.conformer.observer:Conformer",
    "i3d": "tlbench.observers.i3d.observer:I3D",
    "identity": "tlbench.observers.identity.observer:Identity",
    "arcface": "tlbench.observers.identity.arcface.observer:ArcFace",
    "inception": "tlbench.observers.inception.observer:Inception",
    "landmarks": "tlbench.observers.landmarks.observer:Landmarks",
    "lpips": "tlbench.observers.lpips.observer:LPIPS",
    "mouth": "tlbench.observers.mouth.observer:Mouth",
    "mvm": "tlbench.observers.mvm.observer:MVM",
    "mvm-aligned": "tlbench.observers.mvm.aligned.observer:AlignedMVM",
    "pixels": "tlbench.observers.pixels.observer:Pixels",
    "sharpness": "tlbench.observers.sharpness.observer:Sharpness",
    "syncnet": "tlbench.observers.syncnet.observer:SyncNet",
}


@cache
def observer_names() -> dict[str, str]:
    """Name to ``module:Class``, the built-in ones first. Raises TlbenchError if two packages use one name."""
    found = dict(_BUILT_IN)
    for point in entry_points(group="tlbench.observers"):
        if point.name in found:
            raise TlbenchError(
                f"observer {quoted(point.name)}: {point.value} has the name of {found[point.name]}; uninstall one "
                "of them"
            )
        found[point.name] = point.value
    return found


def observer_target(name: str) -> tuple[str, str]:
    """Module and class of an observer. Raises TlbenchError for an unknown name; the message suggests a similar one."""
    names = observer_names()
    if name not in names:
        shown = name[:_LONGEST_NAME]
        raise TlbenchError(f"no observer {quoted(shown)}{did_you_mean(shown, names)} (there are {', '.join(names)})")
    module, _, attribute = names[name].partition(":")
    return module, attribute


def observer_cards(name: str) -> list[Card]:
    """An observer's cards, without importing its network; an empty list if it needs no checkpoint."""
    module, _ = observer_target(name)
    package = module.rpartition(".")[0]
    if not package:
        raise TlbenchError(f"observer {quoted(name)}: {module} must be a module of a package, which holds its cards")
    try:
        folder = Path(str(files(package)))
    except ImportError as error:
        raise TlbenchError(f"observer {quoted(name)}: {package} can't be imported ({error})") from error
    return [_card(path) for path in sorted(folder.glob("card*.toml"))]


def detector_card() -> Card:
    """The card of the face detector S3FD."""
    return _card(Path(str(files("tlbench.media"))) / "card_s3fd.toml")


def known_cards() -> list[Card]:
    """All cards: those of the observers in the registry's order, of the face detector, and of the generators."""
    folder = Path(str(files("tlbench.checkpoints"))) / "cards"
    generators = [_card(path) for path in sorted(folder.glob("*.toml"))]
    return [*(card for name in observer_names() for card in observer_cards(name)), detector_card(), *generators]


def _card(path: Path) -> Card:
    """One card, read again only if its file has changed: a run asks for each of them several times."""
    return _card_as_of(path, path.stat().st_mtime_ns)


@cache
def _card_as_of(path: Path, _changed_ns: int) -> Card:
    return read_card(path)


def check_declared(names: Iterable[str], cards: Iterable[Card]) -> None:
    """Check the names given to ``--trained-with``.

    Allowed are the names of ``cards`` and their relatives, ``other:NAME`` for any other checkpoint, or ``none`` alone.

    Raises
    ------
    TlbenchError
        For an unknown name, with a similar one, or for ``none`` together with others.
    """
    names = list(names)
    if "none" in names and len(names) > 1:
        others = ", ".join(name for name in names if name != "none")
        raise TlbenchError(f"--trained-with has none and also {others}; give one or the other")
    known = {"none", *(name for card in cards for name in (card.name, *card.relatives))}
    for name in names:
        if name not in known and not name.startswith("other:"):
            hint = did_you_mean(name, known)
            raise TlbenchError(
                f"--trained-with {quoted(one_line(name))} is no checkpoint that tlbench knows{hint} "
                "(`tlbench checkpoints list` names them; use other:NAME for one of your own)"
            )


def find_card(name: str) -> Card:
    """The card with this name. Raises TlbenchError for an unknown name; the message suggests a similar one."""
    cards = {card.name: card for card in known_cards()}
    if name not in cards:
        hint = did_you_mean(name, cards)
        raise TlbenchError(f"no checkpoint is called {quoted(name)}{hint} (there are {', '.join(cards)})")
    return cards[name]


def way_to_get(card: Card) -> str:
    """What to do about a checkpoint that is not here, for messages: fetch it, or download it, or train one."""
    if card.package is not None:  # none is published, or its card would be the first of its observer
        return (
            f"the bundled {card.name} is for {', '.join(card.datasets)}; train one (`tlbench train-observer "
            f"{card.observer}`) and pass --weights {card.name}=PACKAGE"
        )
    return f"{how_to_fetch(card)} and pass --weights {card.name}={card.file}"


def how_to_fetch(card: Card) -> str:
    """How its published file comes here, for messages: by a command too, unless its address is a web page."""
    by_command = "" if card.is_page else f"run `tlbench checkpoints fetch {card.name}`, or "
    return f"{by_command}download {card.url}"


def given_checkpoint(observer: str, weights: Path | None) -> Path:
    """The checkpoint that an observer is loaded with. Raises TlbenchError if there is none, with the way to get it."""
    if weights is None:
        raise TlbenchError(f"{observer} needs its checkpoint: {way_to_get(observer_cards(observer)[0])}")
    return weights
