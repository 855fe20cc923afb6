"""Types of arguments that many public functions share, and their conversions.

A path, a list of paths and a list of names may also be a plain string. A single string is a list of one item. Names (of
metrics, controls, checkpoints) are split at commas as on the command line; paths are not, since a path may contain one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, overload

from tlbench.errors import TlbenchError, quoted

AnyPath: TypeAlias = Path | str
AnyPaths: TypeAlias = AnyPath | Sequence[AnyPath]
AnyNames: TypeAlias = str | Sequence[str]
AnyWeights: TypeAlias = Mapping[str, AnyPath]
CountCallback: TypeAlias = Callable[[int, int], None]  # is called with the number of items done and of all items


@overload
def as_path(path: AnyPath) -> Path: ...
@overload
def as_path(path: AnyPath | None) -> Path | None: ...
def as_path(path: AnyPath | None) -> Path | None:
    """The path as a Path; None stays None."""
    return None if path is None else Path(path)


def as_paths(paths: AnyPaths) -> tuple[Path, ...]:
    """One path or several as a tuple of paths.

    >>> [path.name for path in as_paths("made, by us")]
    ['made, by us']
    """
    return (Path(paths),) if isinstance(paths, (str, Path)) else tuple(map(Path, paths))


@overload
def as_names(names: AnyNames) -> tuple[str, ...]: ...
@overload
def as_names(names: AnyNames | None) -> tuple[str, ...] | None: ...
def as_names(names: AnyNames | None) -> tuple[str, ...] | None:
    """One string or several as a tuple of names; None stays None. Raises TlbenchError for strings that name nothing.

    >>> as_names("psnr, lse_c/sound"), as_names(["psnr"])
    (('psnr', 'lse_c/sound'), ('psnr',))
    """
    if names is None:
        return None
    words = [names] if isinstance(names, str) else names
    found = tuple(name for word in words for name in map(str.strip, word.split(",")) if name)
    if words and not found:
        raise TlbenchError(f"{quoted(','.join(words))} names nothing; give names, separated by commas, or leave it out")
    return found


def as_weights(weights: AnyWeights | None) -> dict[str, Path]:
    """Checkpoint files by name, as paths."""
    return {name: Path(path) for name, path in (weights or {}).items()}
