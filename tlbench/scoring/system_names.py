"""What systems are called, and the folders that their results are written to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from unicodedata import normalize

from tlbench.errors import TlbenchError, quoted
from tlbench.names import why_no_name

OUT_NAME = "tlbench-results"  # of the folder of results if none is given
CONTROLS_NAME = "controls"  # of the folder of controls in it


def system_names(folders: Sequence[Path], name: str | None) -> list[str]:
    """A name for each folder that also works as the name of its results' folder."""
    if not folders:
        raise TlbenchError("no folder of generated videos was given")
    if name is not None and len(folders) > 1:
        raise TlbenchError(f"--name {quoted(name)} can name one system, but {len(folders)} folders were given")
    names = [name] if name is not None else [folder.resolve().name for folder in folders]
    alike = Counter(normalize("NFC", found).casefold() for found in names)  # one folder on the disks of many machines
    for found in names:
        why = why_no_name(found)
        if why is not None:
            raise TlbenchError(f"{quoted(found)} can't name a system, it {why}; pass another --name")
        if found in (".", "..", CONTROLS_NAME) or "/" in found or "\\" in found:
            raise TlbenchError(
                f"{quoted(found)} can't name a system, its results need a folder of that name; pass another --name"
            )
        if alike[normalize("NFC", found).casefold()] > 1:
            raise TlbenchError(f"two folders are called {quoted(found)}; score them one by one, each with its --name")
    return names
