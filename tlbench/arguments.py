"""Arguments of the public functions: paths, lists of paths and lists of names, which may be plain strings.

A single string is a list of one. Names (of metrics, controls, checkpoints) are split at commas, as on the command line;
paths are not, because they may contain commas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, overload

AnyPath: TypeAlias = Path | str
AnyPaths: TypeAlias = AnyPath | Sequence[AnyPath]
AnyNames: TypeAlias = str | Sequence[str]
AnyWeights: TypeAlias = Mapping[str, AnyPath]


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
    """One string or several as a tuple of names; None stays None.

    >>> as_names("psnr, lse_c/sound"), as_names(["psnr"])
    (('psnr', 'lse_c/sound'), ('psnr',))
    """
    if names is None:
        return None
    words = [names] if isinstance(names, str) else names
    return tuple(name for word in words for name in map(str.strip, word.split(",")) if name)


def as_weights(weights: AnyWeights | None) -> dict[str, Path]:
    """Checkpoint files by name, as paths."""
    return {name: Path(path) for name, path in (weights or {}).items()}
