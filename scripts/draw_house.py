"""Draws the rooms of tlbench and the imports between them, read from the code: ``python scripts/draw_house.py``.

The picture is a table: a row imports from the columns that are marked, and the number says how often. As every mark is
left of the diagonal, no room imports from one that comes after it. ``tests/house`` keeps the picture up to date.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "house.svg"
# A room imports only from rooms before it; docs/architecture.md says why the order is this one.
ROOMS = (
    *("media", "datasets", "checkpoints", "preflight", "observing", "generation", "metrics", "scoring", "comparison"),
    *("tables", "training", "talklip", "figures", "reporting", "serving", "study", "leaderboard", "calibration"),
    *("viewing", "cli"),
)
CELL, LEFT, TOP = 30, 170, 96  # pixels
INK, PALE, MARK = "#1f2933", "#d9e2ec", "#2f6f8f"


def sources(folder: Path) -> list[Path]:
    """The Python files of a folder, sorted."""
    return sorted(path for path in folder.rglob("*.py") if "build" not in path.parts)


def imports(path: Path) -> Iterator[str]:
    """Modules of tlbench that a file imports anywhere in it, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        yield from (name for name in names if name.split(".")[0] == "tlbench")


def room_imports() -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """How many modules of each room import from each other room, and how many modules each room has."""
    counts: Counter[tuple[str, str]] = Counter()
    modules: Counter[str] = Counter()
    for room in ROOMS:
        for path in sources(ROOT / "tlbench" / room):
            modules[room] += path.name != "__init__.py"
            used = {name.split(".")[1] for name in imports(path) if "." in name}
            counts.update((room, other) for other in used if other in ROOMS and other != room)
    return counts, modules


def draw() -> str:
    """The picture as SVG text; the same code gives the same text."""
    counts, modules = room_imports()
    width, height = LEFT + CELL * len(ROOMS) + 20, TOP + CELL * len(ROOMS) + 44
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        "<title>The rooms of tlbench and the imports between them</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for row, room in enumerate(ROOMS):
        y = TOP + row * CELL
        parts.append(
            f'<text x="{LEFT - 10}" y="{y + 19}" text-anchor="end" fill="{INK}">{room} '
            f'<tspan fill="#7b8794">{modules[room]}</tspan></text>'
        )
        x = LEFT + row * CELL
        parts.append(
            f'<text transform="translate({x + 19} {TOP - 8}) rotate(-60)" fill="{INK}">{room}</text>'
            f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="{PALE}"/>'
        )
        for column, other in enumerate(ROOMS):
            number = counts[room, other]
            if number:
                x = LEFT + column * CELL
                parts.append(
                    f'<rect x="{x + 2}" y="{y + 2}" width="{CELL - 4}" height="{CELL - 4}" rx="4" fill="{MARK}"/>'
                    f'<text x="{x + CELL // 2}" y="{y + 19}" text-anchor="middle" fill="#ffffff">{number}</text>'
                )
    note = "A row's modules import from the marked columns (how many modules do). Beside a name: its modules."
    parts.append(f'<text x="12" y="{height - 16}" fill="{INK}">{note}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    PICTURE.write_text(draw(), "utf-8")
    print(f"{PICTURE.relative_to(ROOT)} written")


if __name__ == "__main__":
    main()
