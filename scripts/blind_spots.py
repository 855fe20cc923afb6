"""Copies what each metric is blind to from the calibration pages into the package: ``python scripts/blind_spots.py``.

``tlbench metrics list`` shows it. ``tests/metrics`` keeps the copy up to date with the pages.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "calibration"
COPY = ROOT / "tlbench" / "metrics" / "blind_spots.json"
LINE = re.compile(r"- \*\*.+?\*\* \(`(?P<key>[^`]+)`\): (?P<said>.+)\.")
BLIND, PART = "blind to ", "sees in part "


def blind_spots() -> dict[str, dict[str, dict[str, list[str]]]]:
    """By data set and metric key: the faults that a metric does not see, and those that it sees from some size on."""
    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    for page in sorted(PAGES.glob("*.md")):
        own = found.setdefault(page.stem, {})
        for line in page.read_text("utf-8").splitlines():
            if match := LINE.fullmatch(line):
                parts = match["said"].split("; ")
                own[match["key"]] = {
                    name: [fault for part in parts if part.startswith(said) for fault in part[len(said) :].split(", ")]
                    for name, said in (("blind", BLIND), ("in_part", PART))
                }
    return found


if __name__ == "__main__":
    COPY.write_text(json.dumps(blind_spots(), indent=1, sort_keys=True) + "\n", "utf-8")
    print(f"{COPY.relative_to(ROOT)} written")
