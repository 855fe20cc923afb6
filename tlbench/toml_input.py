"""TOML that anybody may have written: cards, recipes, config files."""

from __future__ import annotations

import sys
from typing import Any

from tlbench.json_input import check_levels

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
    try:
        check_levels(content, with_texts=False)  # TOML has no half of a surrogate pair
    except ValueError as error:
        raise ValueError(f"is {error}") from error
    return content
