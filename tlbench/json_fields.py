"""Fields of JSON that anybody may have written, each checked for its kind, length and range.

All raise ValueError, or TypeError for what is no list or object, with one line that names the field and quotes what it
has instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any
from unicodedata import normalize

from tlbench.errors import quoted
from tlbench.names import why_no_clip_id, why_no_name

TEXT_CHARACTERS = 100_000  # an hour of speech has 60,000
MOST_COUNTED = 10**12
LARGEST = 1e15  # of any other number; sums of them stay exact to a tenth and far from the largest float


def text(value: Any, name: str) -> str:
    """A text that is not empty and has at most 100,000 characters: a message, a note, a transcript."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a text, got {quoted(value)}")
    if len(value) > TEXT_CHARACTERS:
        raise ValueError(f"{name} has {len(value):,} characters, at most {TEXT_CHARACTERS:,} are read: {quoted(value)}")
    return value


def optional_text(value: Any, name: str) -> str | None:
    """As :func:`text`, or None."""
    return None if value is None else text(value, name)


def name_text(value: Any, name: str) -> str:
    """A name by the rule of :mod:`tlbench.names`, in Unicode's form NFC, since macOS gives decomposed names."""
    return _named(value, name, why_no_name)


def optional_name(value: Any, name: str) -> str | None:
    """As :func:`name_text`, or None."""
    return None if value is None else name_text(value, name)


def clip_id(value: Any, name: str) -> str:
    """The id of a clip, a name that leads out of no folder, in Unicode's form NFC."""
    return _named(value, name, why_no_clip_id)


def _named(value: Any, name: str, why_not: Callable[[str], str | None]) -> str:
    given = text(value, name)
    why = why_not(given)
    if why is not None:
        raise ValueError(f"{name} {quoted(given)} {why}")
    return normalize("NFC", given)


def count(value: Any, name: str, most: int = MOST_COUNTED) -> int:
    """An integer from 0 to ``most``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} must be a count, got {quoted(value)}")
    if value > most:
        raise ValueError(f"{name} must be a count of at most {most:,}, got {quoted(value)}")
    return value


def optional_count(value: Any, name: str) -> int | None:
    """As :func:`count`, or None."""
    return None if value is None else count(value, name)


def finite(value: Any, name: str) -> float:
    """A finite number of at most 1e15, with its sign."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or (isinstance(value, float) and not isfinite(value)):
        raise ValueError(f"{name} must be a finite number, got {quoted(value)}")
    if abs(value) > LARGEST:
        raise ValueError(f"{name} must be a number of at most {LARGEST:g}, got {quoted(value)}")
    return float(value)


def optional_finite(value: Any, name: str) -> float | None:
    """As :func:`finite`, or None."""
    return None if value is None else finite(value, name)


def truth(value: Any, name: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {quoted(value)}")
    return value


def entries_of(value: Any, name: str, length: int | None = None, most: int | None = None) -> list[Any]:
    """A list, of exactly ``length`` or at most ``most`` entries if given."""
    if not isinstance(value, list):
        raise TypeError(f"{name} must be a list, got {quoted(value)}")
    if length is not None and len(value) != length:
        raise ValueError(f"{name} has {len(value):,} entries, {length:,} belong there")
    if most is not None and len(value) > most:
        raise ValueError(f"{name} has {len(value):,} entries, at most {most:,} are read")
    return value


def fields_of(value: Any, name: str) -> Mapping[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be an object, got {quoted(value)}")
    return value
