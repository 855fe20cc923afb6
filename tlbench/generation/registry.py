"""Generators by name, and the generator that a name, a checkpoint or a file stands for.

Another package's generator is an entry point of the group ``tlbench.generators``: a name, and ``module:Class`` of a
:class:`~tlbench.generation.generator.Generator`. Modules are imported when the generator is used.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

from tlbench.checkpoints.card import Card
from tlbench.checkpoints.catalogue import known_cards
from tlbench.checkpoints.package import is_package, observer_of
from tlbench.checkpoints.weights import locate
from tlbench.errors import TlbenchError, listed, quoted
from tlbench.generation.controls import CONTROLS
from tlbench.generation.faults import fault_control
from tlbench.generation.generator import GenerateOptions, Generator
from tlbench.plugins import entry_points

_BUILT_IN = {
    "talklip": "tlbench.talklip.face_generator:TalkLipGenerator",
    "wav2lip": "tlbench.talklip.face_generator:Wav2LipGenerator",
    "faceformer": "tlbench.talklip.faceformer_generator:FaceformerGenerator",
}
OF_FILES = "talklip"  # the generator of a file that does not say whose it is: it reads TalkLip's and Wav2Lip's


@cache
def generator_names() -> dict[str, str]:
    """Name to ``module:Class``, the built-in ones first. Raises TlbenchError if two packages use one name."""
    found = dict(_BUILT_IN)
    for point in entry_points(group="tlbench.generators"):
        if point.name in found:
            raise TlbenchError(
                f"generator {quoted(point.name)}: {point.value} has the name of {found[point.name]}; uninstall one of "
                "them"
            )
        found[point.name] = point.value
    return found


def generator_class(name: str) -> type[Generator]:
    """The class behind a name. Raises TlbenchError if there is no such generator, or its package can't be imported."""
    names = generator_names()
    if name not in names:
        raise TlbenchError(f"no generator {quoted(name)}{listed(name, names)} (--generator)")
    module, _, attribute = names[name].partition(":")
    try:
        found: type[Generator] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise TlbenchError(f"generator {quoted(name)}: {names[name]} can't be imported ({error})") from error
    return found


def generator_cards() -> list[Card]:
    """The cards of generators' checkpoints: those with the name of a generator, or of one of its variants.

    Discriminators are no generators, though they are trained with one.
    """
    return [card for card in known_cards() if _of_card(card) and not card.name.endswith("-discriminator")]


def generator_choices() -> list[str]:
    """What ``--generator`` takes by name: generators' checkpoints, generators, and the controls that are written."""
    cards = [card.name for card in generator_cards()]
    return list(dict.fromkeys([*cards, *generator_names(), *(known.name for known in CONTROLS if known.written)]))


def load_generator_of(given: Path | str, options: GenerateOptions) -> Generator:
    """The generator that ``--generator`` names, loaded.

    Parameters
    ----------
    given : Path or str
        The name of a generator that needs no checkpoint, or of a control or fault; the name of a checkpoint
        (``talklip-gc-synthetic``); a package; a checkpoint file of TalkLip or Wav2Lip; or ``NAME=FILE`` for the file of
        another generator.
    options : GenerateOptions

    Raises
    ------
    TlbenchError
        If there is no such generator or file, its checkpoint is missing, damaged or another generator's, or there is no
        such device.
    """
    text = str(given)
    cards = {card.name: card for card in generator_cards()}
    if Path(text).exists() or text in cards:
        path = locate(text, cards.values(), "generator")
        if is_package(path):
            return _of_file(observer_of(path), path, options)
        return _of_file(_of_card(cards[text]) if text in cards else OF_FILES, path, options)
    name, equals, file = text.partition("=")
    if equals:
        return _of_file(name, Path(file), options)
    if (fault := fault_control(text)) is not None:
        return fault
    if text not in generator_names():
        known = listed(text, generator_choices())
        raise TlbenchError(f"--generator {text}: there is no such file, checkpoint or generator{known}")
    kind = generator_class(text)
    if kind.has_weights:
        raise TlbenchError(
            f"--generator {text}: needs a checkpoint; give its file as {text}=FILE, or the name of one "
            f"({', '.join(cards)})"
        )
    return kind.load(None, options)


def _of_file(name: str, path: Path, options: GenerateOptions) -> Generator:
    if name not in generator_names():
        raise TlbenchError(
            f"--generator {path}: is of {quoted(name)}, which is no generator{listed(name, generator_names())}"
        )
    kind = generator_class(name)
    if not kind.has_weights:
        raise TlbenchError(f"--generator {name}={path}: {name} has no checkpoint; give its name alone")
    return kind.load(path, options)


def _of_card(card: Card) -> str:
    """The generator whose checkpoint a card describes; "" if it is none's."""
    fitting = [name for name in generator_names() if card.name == name or card.name.startswith(f"{name}-")]
    return "" if card.observer else max(fitting, key=len, default="")
