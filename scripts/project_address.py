"""The repository's address and the contact, which stand in pyproject.toml and are repeated in other files.

    python scripts/project_address.py                      # refuses placeholders: run before a release
    python scripts/project_address.py OWNER/NAME MAIL      # writes both everywhere

Other files repeat them, because a web page, a citation or an issue form can't read them from pyproject.toml. A test
holds all of them together.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPEATED_IN = (
    "pyproject.toml",
    "CITATION.cff",
    "SECURITY.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "README.md",
    "docs/cite.md",
    "zensical.toml",
    ".github/ISSUE_TEMPLATE/config.yml",
)
PLACEHOLDERS = ("OWNER/tlbench", "CONTACT@example.org")


def address_of(pyproject: str) -> tuple[str, str]:
    """``OWNER/NAME`` and the contact's mail address, from the text of a pyproject.toml."""
    place = re.search(r'^Repository = "https://github\.com/([\w.-]+/[\w.-]+)"$', pyproject, re.M)
    contact = re.search(r'^authors = .*\bemail = "(\S+@\S+)"', pyproject, re.M)
    if place is None or contact is None:
        sys.exit(
            "pyproject.toml: [project.urls] needs Repository, and authors an email; see scripts/project_address.py"
        )
    return place[1], contact[1]


def write(root: Path, place: str, contact: str) -> list[str]:
    """Replace the address and the contact in every file that repeats them; the names of those that changed."""
    old_place, old_contact = address_of((root / "pyproject.toml").read_text("utf-8"))
    old_owner, _, old_name = old_place.partition("/")
    owner, _, name = place.partition("/")
    changed = []
    for file in REPEATED_IN:
        before = (root / file).read_text("utf-8")
        after = before.replace(f"github.com/{old_place}", f"github.com/{place}").replace(old_contact, contact)
        after = after.replace(f"{old_owner}.github.io/{old_name}", f"{owner}.github.io/{name}")
        if after != before:
            (root / file).write_text(after, "utf-8")
            changed.append(file)
    return changed


def main(words: list[str]) -> None:
    """Check, or write."""
    if len(words) == 2:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", words[0]) or not re.fullmatch(r"\S+@\S+", words[1]):
            sys.exit("usage: python scripts/project_address.py OWNER/NAME MAIL")
        print("written: " + ", ".join(write(ROOT, *words)))
    elif words:
        sys.exit("usage: python scripts/project_address.py [OWNER/NAME MAIL]")
    else:
        found = address_of((ROOT / "pyproject.toml").read_text("utf-8"))
        left = [value for value in found if value in PLACEHOLDERS]
        if left:
            sys.exit(
                f"pyproject.toml: {', '.join(left)} is a placeholder; run scripts/project_address.py OWNER/NAME MAIL"
            )
        print("{}, {}".format(*found))


if __name__ == "__main__":
    main(sys.argv[1:])
