"""TOML that anybody may have written: cards, recipes, config files."""

from __future__ import annotations

import sys
from typing import Any

from tlbench.json_input import MOST_DEPTH

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def parse_toml(raw: bytes | str) -> dict[str, Any]:
    """A TOML text, or the bytes of a file with one (UTF-8, with or without a byte order mark), as Python values.

    Raises ValueError: `is not UTF-8`, `is not TOML (...)`, or `is nested too deeply`, with more than 32 levels.
    """
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("is not UTF-8") from error
    try:
        content: dict[str, Any] = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"is not TOML ({error})") from error
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    level: list[Any] = [content]
    for _ in range(MOST_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return content
    raise ValueError(f"is nested too deeply, more than {MOST_DEPTH} levels")
