"""Writing figures, and the names of systems in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tlbench.document import counted
from tlbench.errors import TlbenchError
from tlbench.files import atomic_path, unwritable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 200


def check_png(path: Path) -> None:
    """Raises TlbenchError unless the name of the file ends in .png."""
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


def system_names(paths: Sequence[Path], names: Sequence[str], what: str) -> list[str]:
    """The given names, or names made from the paths. Raises TlbenchError if there is not one name for each path."""
    if names and len(names) != len(paths):
        raise TlbenchError(f"{counted(len(names), 'name')} for {len(paths)} {what}; give one each (--names)")
    return list(names) or [_name(path.resolve()) for path in paths]


def _name(path: Path) -> str:
    """The name of a folder or file. Checkpoints called ``last`` or ``best`` go by the name of their folder."""
    return path.parent.name if path.stem in ("last", "best", "generator") else path.name.removesuffix(".pth")
