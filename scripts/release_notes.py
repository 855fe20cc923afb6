"""Prints a version's section of CHANGELOG.md, the notes of its release: ``python scripts/release_notes.py 0.1.0``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


def notes(changelog: str, version: str) -> str:
    """The section of a version. Ends the program with one line if there is none, or if it is not released yet."""
    found = re.search(rf"^## {re.escape(version)}(?P<about>[^\n]*)\n(?P<text>.*?)(?=^## |\Z)", changelog, re.M | re.S)
    if found is None:
        sys.exit(f"CHANGELOG.md has no section {version}; add it")
    if "unreleased" in found["about"]:
        sys.exit(f"CHANGELOG.md: section {version} says unreleased; write its date there")
    return found["text"].strip() + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/release_notes.py VERSION")
    print(notes(CHANGELOG.read_text("utf-8"), sys.argv[1].removeprefix("v")), end="")
