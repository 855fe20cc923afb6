"""JSON that anybody may have written: strict, and within limits that no honest file reaches.

Python's own reader takes NaN, fields that are given twice, halves of surrogate pairs and numbers of any length, and
makes objects of 64 bytes from two characters.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any, NoReturn

from tlbench.errors import quoted

MOST_ENTRIES = 10**7  # LRW's 25,000 clips in fourteen metrics have 1.2 million
MOST_OBJECTS = 10**6  # objects and lists: a finding is one
MOST_DEPTH = 32  # results have 6
MOST_DIGITS = 19  # of a whole number: 64 bits
NUMBER_CHARACTERS = 100  # of any other number; the longest that Python writes have 24
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def json_text(raw: bytes) -> str:
    """The text of a JSON file: UTF-8 with or without a byte order mark, or UTF-16 or UTF-32, as PowerShell writes it.

    Raises ValueError for bytes that are no text.
    """
    try:
        return raw.decode(json.detect_encoding(raw))
    except UnicodeDecodeError as error:
        raise ValueError("it is no text") from error


def parse_json(raw: bytes | str) -> Any:
    """A JSON text, or the bytes of a file with one (:func:`json_text`), as Python values.

    Raises
    ------
    ValueError
        In one line: not JSON, bytes that are no text, NaN or a number too large for a float, a whole number of more
        than 19 digits, a field given twice, half a surrogate pair, more than 32 levels, or more than 10 million
        entries or a million objects.
    """
    text = raw if isinstance(raw, str) else json_text(raw)
    entries, objects = text.count(","), text.count("[") + text.count("{")
    if entries > MOST_ENTRIES or objects > MOST_OBJECTS:
        raise ValueError(
            f"{entries:,} entries and {objects:,} objects, more than {MOST_ENTRIES:,} and {MOST_OBJECTS:,} are not read"
        )
    try:
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_int=_whole_number,
            parse_float=_finite_number,
            object_pairs_hook=_without_repeats,
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    _check_levels(value, _SURROGATE.search(text) is not None)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _whole_number(digits: str) -> int:
    if len(digits.removeprefix("-")) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits, {quoted(digits)}; at most {MOST_DIGITS} are read")
    return int(digits)


def _finite_number(digits: str) -> float:
    if len(digits) > NUMBER_CHARACTERS:
        raise ValueError(f"a number of {len(digits):,} digits, {quoted(digits)}; at most {NUMBER_CHARACTERS} are read")
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits} is a number that is not finite")
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without repeated names, which different readers of JSON would read differently."""
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise ValueError(f"field {quoted(twice)} is given twice")
    return made


def _check_levels(value: Any, with_texts: bool) -> None:
    """Raises ValueError for too many levels, and for half a surrogate pair if texts are looked at."""
    level = [value]
    for _ in range(MOST_DEPTH):
        if with_texts:
            _check_texts(level)
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise ValueError(f"nested too deeply, more than {MOST_DEPTH} levels")


def _check_texts(values: list[Any]) -> None:
    for value in values:
        for text in value if isinstance(value, dict) else (value,):
            if isinstance(text, str) and (found := _SURROGATES.search(text)):
                raise ValueError(f"half a surrogate pair, \\u{ord(found[0]):04x}, in {quoted(text)}")
