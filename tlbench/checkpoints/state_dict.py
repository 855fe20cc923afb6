"""Checkpoint files to tensors, without running anything that is in them.

:func:`read_checkpoint` reads a bare state dict, :func:`open_checkpoint` with :func:`read_state` any other file of
torch.save whose classes the caller can name. All refuse what else a file may hold, in one line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tlbench.checkpoints.package import Package
from tlbench.checkpoints.torch_archive import Archive, open_archive
from tlbench.checkpoints.unpickle import BrokenPickleError, NotPlainDataError, TensorSlice, printable
from tlbench.checkpoints.webpage import refuse_page
from tlbench.errors import TlbenchError
from tlbench.files import file_sha256

_NAMES_SHOWN = 3


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a plain state dict, in torch's zip or its older format.

    Returns
    -------
    dict of str to Tensor
        On the CPU, mapped from the file: a change to them is not written back.

    Raises
    ------
    TlbenchError
        If the file can't be read, is not a checkpoint, is cut short, holds anything but tensors and plain
        containers, or is no state dict.
    """
    archive = open_checkpoint(path)
    if not isinstance(archive.tree, dict):
        raise TlbenchError(
            f"weights {path}: holds no plain state dict (names to tensors); this is another model's file"
        )
    return read_state(archive, archive.tree, path)


def published(package: Package, path: Path) -> Package:
    """A package with the name and hash of the file it was read from.

    Only who writes a package needs them: a run has hashed the file when it chose it, and gigabytes twice take seconds.
    """
    return replace(package, source_file=path.name, source_sha256=file_sha256(path))


def open_checkpoint(path: Path, inert: Collection[str] = (), mentioned: Collection[str] = ()) -> Archive:
    """Open any file of torch.save; :func:`read_state` gives the tensors of its parts.

    Parameters
    ----------
    inert : collection of str
        Classes, ``module.name``, whose objects the file may hold; they become :class:`~.unpickle.Thing` s.
    mentioned : collection of str
        Names that may stand in the file but are never called.

    Returns
    -------
    Archive
        Its ``tree`` is the file's content as plain data.

    Raises
    ------
    TlbenchError
        If the file can't be read, is not a checkpoint, is cut short, or names anything else.
    """
    try:
        refuse_page(path)
    except OSError as error:
        raise TlbenchError(f"weights {path}: can't be read ({error.strerror})") from error
    with _one_line(path):
        return open_archive(path, inert, mentioned)


def read_state(archive: Archive, part: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict that is a part of an opened checkpoint.

    Raises
    ------
    TlbenchError
        If ``part`` is no state dict, or its numbers are missing or damaged.
    """
    if not part or not all(isinstance(name, str) and isinstance(one, TensorSlice) for name, one in part.items()):
        raise TlbenchError(
            f"weights {path}: holds no plain state dict (names to tensors); this is another model's file"
        )
    with _one_line(path):
        return {name: archive.tensor(described) for name, described in part.items()}


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except NotPlainDataError as error:
        raise TlbenchError(
            f"weights {path}: holds {error.name}, which would run code; nothing of it was run. Only tensors and plain "
            "data are read: take the file from where it is published, or save the model's state_dict() alone"
        ) from error
    except (BrokenPickleError, RecursionError, OSError) as error:
        reason = f" ({error})" if isinstance(error, BrokenPickleError) and "damaged" in str(error) else ""
        raise TlbenchError(f"weights {path}: not a checkpoint, or cut short{reason}; download it again") from error


def load_into(module: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Copy a state dict into a module whose tensors it must name and fit exactly.

    ``num_batches_tracked`` may be missing: checkpoints older than torch 0.4.1 have none, and inference reads none.

    Parameters
    ----------
    name : str
        Whose weights these are, for the message.

    Raises
    ------
    TlbenchError
        Naming the tensors that are missing, unknown or of another shape.
    """
    own = module.state_dict()
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in own]
    misshapen = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    wrong = [
        f"{len(keys)} {what} ({_first_of(keys)})"
        for keys, what in ((missing, "missing"), (unknown, "unknown"), (misshapen, "of another shape"))
        if keys
    ]
    if wrong:
        raise TlbenchError(f"weights of {name}: this is another model's file; tensors {', '.join(wrong)}")
    module.load_state_dict(dict(state), strict=False)


def _first_of(keys: Sequence[str]) -> str:
    shown = [printable(key) for key in keys[:_NAMES_SHOWN]]
    return ", ".join([*shown, "..."] if len(keys) > _NAMES_SHOWN else shown)
