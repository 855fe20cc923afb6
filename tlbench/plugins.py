"""What other packages bring: entry points of any group, from one look at all that is installed."""

from __future__ import annotations

import importlib.metadata
from functools import cache
from importlib.metadata import EntryPoints
from typing import cast


def entry_points(group: str) -> EntryPoints:
    """The entry points of a group. A package that is installed while this process runs is not seen any more."""
    return _installed().select(group=group)


@cache
def _installed() -> EntryPoints:
    """Every entry point. To find them takes reading a file of each package, as long for one group as for all."""
    return cast(EntryPoints, importlib.metadata.entry_points())  # Python 3.10 calls it SelectableGroups
