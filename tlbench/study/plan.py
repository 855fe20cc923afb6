"""Decides which participant sees which clip by which method, and in which order.

The *conditions* of a study are the methods and, as a control, the real videos. A participant sees each clip once, so
that ratings of a clip do not influence each other, and each condition equally often. In a Latin square the condition of
a clip changes from one participant to the next, so that as many participants as there are conditions see every clip in
every condition. Attention checks are at random positions between the rated clips. The clips to read follow in a part of
their own and are never rated clips, since rated clips have sound.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from tlbench.document import counted
from tlbench.errors import TlbenchError
from tlbench.metrics.opinion import HIGHEST, LOWEST
from tlbench.metrics.text import distance, spoken
from tlbench.metrics.visemes import phonemes, visemes

Task = Literal["rate", "check", "read"]

OFFERED_WORDS = 6  # with the right one; guessing gets 17 % right
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Item:
    """One video of the study.

    Attributes
    ----------
    task : "rate", "check" or "read"
        ``rate`` and ``check`` are rated on three scales, ``check`` with the score shown in the video; ``read`` has no
        sound and is read.
    condition, clip : str
    """

    task: Task
    condition: str
    clip: str


@dataclass(frozen=True)
class Trial:
    """One video shown to one participant. ``offered`` are the words to choose from; empty if the answer is typed."""

    item: Item
    offered: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drawn:
    """The clips of a study by task. ``checks`` maps each clip of an attention check to the score it asks for."""

    rated: tuple[str, ...]
    read: tuple[str, ...]
    checks: Mapping[str, int]


def draw_clips(
    rateable: Sequence[str], readable: Sequence[str], rated: int, read: int, checks: int, seed: int
) -> Drawn:
    """Draw the clips of each part. No clip is in two parts.

    Parameters
    ----------
    rateable : sequence of str
        Ids of the clips that every condition has.
    readable : sequence of str
        Those with a known text.
    rated, read, checks : int
        Number of clips of each part.
    seed : int

    Raises
    ------
    TlbenchError
        If there are too few clips.
    """
    if len(rateable) < rated + read + checks or len(readable) < read:
        raise TlbenchError(
            f"{counted(rated, 'clip')} to rate, {counted(read, 'other')} to read and {checks} for attention "
            "checks make "
            f"{rated + read + checks}, but every method has only {counted(len(rateable), 'clip')}, "
            f"{len(readable)} of them with "
            "words; ask for fewer (--clips, --reading-clips, --checks) or generate more"
        )
    generator = random.Random(seed)
    to_read = shuffled(sorted(readable), generator)[:read]
    taken = set(to_read)
    others = shuffled([clip for clip in sorted(rateable) if clip not in taken], generator)
    steps = range(LOWEST, HIGHEST + 1)
    wanted = {clip: steps[int(generator.random() * len(steps))] for clip in others[rated : rated + checks]}
    return Drawn(tuple(others[:rated]), tuple(to_read), wanted)


def check_balance(clips: int, conditions: Sequence[str], option: str) -> None:
    """Raises TlbenchError unless the number of clips is a multiple of the number of conditions."""
    count = len(conditions)
    if clips % count:
        below, above = clips // count * count, (clips // count + 1) * count
        nearest = f"{below} or {above}" if below else str(above)
        raise TlbenchError(
            f"{counted(clips, 'clip')} can't be shared evenly by {counted(count, 'condition')} "
            f"({', '.join(conditions)}), as a Latin square "
            f"asks; take {nearest} ({option})"
        )


def plan_trials(
    drawn: Drawn, conditions: Sequence[str], participants: int, offered: Mapping[str, tuple[str, ...]], seed: int
) -> list[list[Trial]]:
    """The trials of each participant in order: rated clips with attention checks between them, then clips to read.

    Parameters
    ----------
    conditions : sequence of str
        Attention checks show the last one.
    offered : mapping of clip id to words
        The words to choose from, for clips of single words.
    seed : int
        The same seed, clips and conditions give the same plan.
    """
    generator = random.Random(seed)
    square = shuffled(list(conditions), generator)
    plans = []
    for participant in range(participants):
        rated = _in_blocks("rate", drawn.rated, square, participant, generator)
        _spread(rated, [Item("check", conditions[-1], clip) for clip in drawn.checks], generator)
        read = _in_blocks("read", drawn.read, square, participant, generator)
        plans.append(
            [Trial(item) for item in rated]
            + [Trial(item, tuple(shuffled(list(offered.get(item.clip, ())), generator))) for item in read]
        )
    return plans


def _in_blocks(
    task: Task, clips: Sequence[str], square: Sequence[str], participant: int, generator: random.Random
) -> list[Item]:
    """Blocks with one clip of each condition, so that fatigue affects all methods equally."""
    by_condition: dict[str, list[Item]] = {condition: [] for condition in square}
    for row, clip in enumerate(clips):
        condition = square[(row + participant) % len(square)]
        by_condition[condition].append(Item(task, condition, clip))
    columns = [shuffled(items, generator) for items in by_condition.values()]
    return [item for block in zip(*columns, strict=True) for item in shuffled(list(block), generator)]


def _spread(items: list[Item], checks: Sequence[Item], generator: random.Random) -> None:
    """Insert the checks, one in each of equal stretches of the items, never as the first item."""
    order = shuffled(list(checks), generator)
    length = len(items)
    for number in reversed(range(len(order))):
        first, last = 1 + number * (length - 1) // len(order), 1 + (number + 1) * (length - 1) // len(order)
        items.insert(first + int(generator.random() * max(1, last - first)), order[number])


def words_like(word: str, vocabulary: Sequence[str], count: int = OFFERED_WORDS) -> tuple[str, ...]:
    """The word and the words most similar to it on the lips, ``count`` in all or as many as there are.

    Words that look the same (pat, bat) are not offered, since lip reading can't distinguish them. Similarity is the
    edit distance of the visemes, then of the phonemes.
    """
    sounds = phonemes([word])
    seen = visemes(sounds)
    others = []
    for other in sorted(set(vocabulary) - {word}):
        their_sounds = phonemes([other])
        apart = distance(seen, visemes(their_sounds))
        if apart:
            others.append((apart, distance(sounds, their_sounds), other))
    return (word, *(other for _, _, other in sorted(others)[: count - 1]))


def as_said(text: str) -> str:
    """A label or transcript as shown to participants: lower case, no punctuation."""
    return " ".join(spoken(text))


def shuffled(items: list[_Item], generator: random.Random) -> list[_Item]:
    """A new list in random order (Fisher and Yates).

    Uses ``random()`` only, which gives the same numbers in every version of Python.
    """
    order = list(items)
    for last in range(len(order) - 1, 0, -1):
        chosen = int(generator.random() * (last + 1))
        order[last], order[chosen] = order[chosen], order[last]
    return order
