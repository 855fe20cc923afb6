"""Checkpoints that a system was trained with: as its user declares them, and as ``generation.json`` names them.

An observer related to such a checkpoint favours the system, so the result says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlbench.checkpoints.card import Card, overlap
from tlbench.checkpoints.catalogue import known_cards
from tlbench.checkpoints.weights import Weights
from tlbench.errors import TlbenchError
from tlbench.generation.generation_log import origin_of
from tlbench.metrics.protocol import Protocol
from tlbench.scoring.result import Result

if TYPE_CHECKING:
    from tlbench.scoring.setup import Setup


def overlaps(used: Iterable[Weights], trained_with: Sequence[str]) -> Iterator[str]:
    """A line for each observer's checkpoint that is, or is related to, one the system was trained with."""
    for weights in used:
        said = overlap(weights.card, trained_with)
        if said is not None:
            yield said


def weights_of(result: Result) -> Mapping[str, Mapping[str, Any]]:
    """The checkpoints of a result by name, as its provenance has them. Raises TlbenchError if they are no objects."""
    weights = result.provenance.get("weights", {})
    if not isinstance(weights, dict) or not all(isinstance(item, dict) for item in weights.values()):
        raise TlbenchError("the weights in the provenance are not objects; score again")
    return weights


def overlaps_of(result: Result, cards: Iterable[Card]) -> dict[str, str]:
    """A line for each checkpoint of a result, by its name, that is related to one the system was trained with.

    Raises TlbenchError as :func:`weights_of`.
    """
    by_name = {card.name: card for card in cards}
    said = {name: overlap(by_name[name], result.trained_with) for name in weights_of(result) if name in by_name}
    return {name: line for name, line in said.items() if line is not None}


def judged_by_relative(result: Result, protocol: Protocol, related: Container[str]) -> bool:
    """Whether the checkpoint of a number's protocol is one of ``related``, names of :func:`overlaps_of`."""
    weights = protocol.weights
    return weights is not None and any(
        str(item.get("sha256")).startswith(weights) for name, item in weights_of(result).items() if name in related
    )


def with_origin(setup: Setup, generated: Path) -> Setup:
    """The setup for one folder. What its ``generation.json`` says the generator was trained with counts as declared."""
    try:
        origin = origin_of(generated)
    except TlbenchError as error:
        warnings.warn(f"{error.args[0].partition('; ')[0]}: not recorded how its videos were made", stacklevel=4)
        return setup
    if origin is None:
        return setup
    declared = dict.fromkeys([*setup.trained_with, *_experts(origin, setup.weights)])
    # A checkpoint that generation.json names goes before "none".
    names = tuple(name for name in declared if name != "none" or len(declared) == 1)
    return replace(setup, trained_with=names, overlaps=tuple(overlaps(setup.weights, names)), origin=origin)


def _experts(origin: Mapping[str, Any], used: Iterable[Weights]) -> list[str]:
    """The generator's experts as ``--trained-with`` names them: by hash if it is known, else by name."""
    expert = origin.get("expert", {})
    same = [weights.card.name for weights in used if weights.sha256 == expert.get("sha256")]
    if same:
        return same
    known = {name for card in known_cards() for name in (card.name, *card.relatives)}
    names = dict.fromkeys([*origin.get("trained_with", ()), *filter(None, [expert.get("name")])])
    return [name if name in known else f"other:{name}" for name in names]
