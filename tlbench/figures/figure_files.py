"""How figures are written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tlbench.errors import TlbenchError
from tlbench.files import atomic_path, unwritable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 200


def check_png(path: Path) -> None:
    """Raise TlbenchError unless a PNG is wanted."""
    if path.suffix.lower() != ".png":
        raise TlbenchError(f"{path}: figures are PNG files; choose a name that ends in .png (--out)")


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure whole or not at all. Raises TlbenchError if it can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=DOTS_PER_INCH, format="png", metadata={"Software": "tlbench"})
    except OSError as error:
        raise unwritable(path, error) from error
