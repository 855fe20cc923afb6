"""``--json``: what a command found or did, as one JSON document on stdout for a program to read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tlbench.scoring.result_json import json_number


def print_json(facts: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print one document. It is ASCII, so that any terminal can carry it.

    Paths and errors become texts, and so do infinite numbers, which JSON does not have.
    """
    click.echo(json.dumps(_plain(facts), indent=1, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return json_number(value)
    return str(value) if isinstance(value, (Path, Exception)) else value
