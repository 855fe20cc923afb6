"""Writing figures, and the names of systems in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tlbench.document import counted
from tlbench.errors import TlbenchError
from tlbench.files import atomic_path, unwritable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 200  # of a PNG
PICTURE_DOTS_PER_INCH = 300  # of pictures inside a PDF or SVG
FORMATS = ("png", "pdf", "svg")
Width = Literal["column", "page"]
# One column and the whole text of a page in two columns, in CVPR's style (cvpr.sty: textwidth 6.875in, columnsep
# 0.3125in, so a column is 3.28in); ACM's and IEEE's columns are 3.3 to 3.5 in wide.
WIDTH_INCHES: Mapping[Width, float] = {"column": 3.3, "page": 6.875}
# TrueType fonts inside a PDF (Type 3, matplotlib's default, is refused by many conferences); letters as outlines in an
# SVG, so that it looks the same where the font is missing. The salt gives the same names to the same parts every time.
_STYLE: dict[Any, Any] = {"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "tlbench"}
_METADATA: Mapping[str, dict[str, Any]] = {
    "png": {"Software": "tlbench"},
    "pdf": {"Creator": "tlbench", "CreationDate": None},
    "svg": {"Creator": "tlbench", "Date": None},
}


def check_figure(path: Path) -> None:
    """Raises TlbenchError unless the name of the file ends in .png, .pdf or .svg."""
    if path.suffix.lower().removeprefix(".") not in FORMATS:
        raise TlbenchError(f"{path}: figures are PNG, PDF or SVG files; choose a name that ends in .png, .pdf or .svg")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure whole or not at all, in the format of its name, with fonts inside.

    Raises TlbenchError if it can't be written.
    """
    from matplotlib import rc_context

    kind = path.suffix.lower().removeprefix(".")
    dots = DOTS_PER_INCH if kind == "png" else PICTURE_DOTS_PER_INCH
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, rc_context(_STYLE):
            figure.savefig(temporary, dpi=dots, format=kind, metadata=_METADATA[kind])
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
