"""Read checkpoint files as tensors, without running code in them.

:func:`read_checkpoint` reads a file that is a state dict. :func:`open_checkpoint` and :func:`read_state` read other
files of torch.save, whose classes the caller lists. A file with anything else is refused with a TlbenchError.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tlbench.checkpoints.download import refuse_page
from tlbench.checkpoints.package import Package
from tlbench.checkpoints.pickle_records import BrokenPickleError, NotPlainDataError, TensorSlice, printable
from tlbench.checkpoints.torch_archive import Archive, open_archive
from tlbench.errors import TlbenchError, quoted
from tlbench.files import file_sha256

_NAMES_SHOWN = 3


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a file that is a state dict, in torch's zip format or its older format.

    Returns
    -------
    dict of str to Tensor
        On the CPU, memory-mapped from the file. Changes are not written back.

    Raises
    ------
    TlbenchError
        If the file can't be read, is not a checkpoint, is incomplete, holds anything but tensors and plain containers,
        or is not a state dict.
    """
    archive = open_checkpoint(path)
    if not isinstance(archive.tree, dict):
        raise TlbenchError(
            f"weights {path}: holds no plain state dict (names to tensors); this is another model's file"
        )
    return read_state(archive, archive.tree, path)


def published(package: Package, path: Path) -> Package:
    """Add the name and the SHA-256 of the published file to a package.

    Only packages that are written to disk need them; hashing gigabytes takes seconds.
    """
    return replace(package, source_file=path.name, source_sha256=file_sha256(path))


def open_checkpoint(path: Path, inert: Collection[str] = (), mentioned: Collection[str] = ()) -> Archive:
    """Open a file that torch.save wrote; :func:`read_state` reads tensors from it.

    Parameters
    ----------
    path : Path
    inert : collection of str
        Classes, ``module.name``, of which the file may hold objects; they become records,
        :class:`~.pickle_records.Thing`.
    mentioned : collection of str
        Further names that the file may mention; they are never called.

    Returns
    -------
    Archive
        Its ``tree`` is the file's content as plain data.

    Raises
    ------
    TlbenchError
        If the file can't be read, is not a checkpoint, is incomplete, or mentions any other name.
    """
    try:
        refuse_page(path)
    except OSError as error:
        raise TlbenchError(f"weights {path}: can't be read ({error.strerror})") from error
    with _one_line(path):
        return open_archive(path, inert, mentioned)


def read_state(archive: Archive, part: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict inside an opened checkpoint.

    Raises
    ------
    TlbenchError
        If ``part`` is not a state dict, or its numbers are missing or damaged.
    """
    inner = next((name for name, one in part.items() if _is_state(one)), None)
    if inner is not None:
        raise TlbenchError(
            f"weights {path}: its tensors are in its entry {quoted(inner)}, so it is the state of a program "
            "around the network; save that entry alone, with the names of the published file"
        )
    if not _is_state(part):
        raise TlbenchError(
            f"weights {path}: holds no plain state dict (names to tensors); this is another model's file"
        )
    with _one_line(path):
        return {name: archive.tensor(described) for name, described in part.items()}


def _is_state(node: Any) -> bool:
    return (
        isinstance(node, Mapping)
        and bool(node)
        and all(isinstance(name, str) and isinstance(one, TensorSlice) for name, one in node.items())
    )


def renamed(state: Mapping[str, Tensor], rule: Callable[[str], str], path: Path) -> dict[str, Tensor]:
    """A state dict by the names that a rule gives. Raises TlbenchError if two of its tensors get the same name."""
    found: dict[str, str] = {}
    for name in state:
        other = found.setdefault(rule(name), name)
        if other != name:
            raise TlbenchError(
                f"weights {path}: {printable(other, 120)} and {printable(name, 120)} are one tensor by two names; keep "
                "the one that the network was saved with"
            )
    return {new: state[old] for new, old in found.items()}


def read_tree(archive: Archive, path: Path) -> Any:
    """All that an opened checkpoint holds, with its tensors; they are copied, so the file may change afterwards.

    Raises TlbenchError if numbers are missing or damaged.
    """
    with _one_line(path):
        return _with_tensors(archive.tree, archive)


def _with_tensors(node: Any, archive: Archive) -> Any:
    if isinstance(node, TensorSlice):
        return archive.tensor(node).clone()
    if isinstance(node, dict):
        return {key: _with_tensors(value, archive) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(_with_tensors(value, archive) for value in node)
    return node


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except NotPlainDataError as error:
        raise TlbenchError(
            f"weights {path}: holds {error.name}, which would run code; nothing of it was run. Only tensors and plain "
            "data are read: download the published file again, or save the model's state_dict() alone"
        ) from error
    except (BrokenPickleError, RecursionError, OSError) as error:
        reason = f" ({error})" if isinstance(error, BrokenPickleError) and "damaged" in str(error) else ""
        raise TlbenchError(f"weights {path}: not a checkpoint, or cut short{reason}; download it again") from error


def load_into(module: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Copy a state dict into a module; names, shapes and types must be as :func:`compare_with` says.

    Raises TlbenchError as :func:`compare_with`.
    """
    compare_with(module, state, name)
    module.load_state_dict(dict(state), strict=False)


def compare_with(module: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Compare a state dict with a module: names, shapes, and whether numbers are whole.

    ``num_batches_tracked`` may be missing: checkpoints older than torch 0.4.1 lack it, and inference does not use it.

    Parameters
    ----------
    module : nn.Module
        May be on the meta device.
    state : mapping of str to Tensor
    name : str
        Names the weights in messages.

    Raises
    ------
    TlbenchError
        If tensors are missing, unknown, of another shape or of another type; the message names them.
    """
    own = module.state_dict()
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in own]
    there = [key for key in own if key in state]
    misshapen = [
        f"{printable(key)} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in there
        if state[key].shape != own[key].shape
    ]
    mistyped = [
        f"{printable(key)} {state[key].dtype} instead of {own[key].dtype}"
        for key in there
        if state[key].is_floating_point() != own[key].is_floating_point() or state[key].is_complex()
    ]
    wrong = [
        f"{len(keys)} {what} ({_first_of(keys)})"
        for keys, what in (
            (missing, "missing"),
            (unknown, "unknown"),
            (misshapen, "of another shape"),
            (mistyped, "of another type"),
        )
        if keys
    ]
    if wrong:
        raise TlbenchError(f"weights of {name}: this is another model's file; tensors {', '.join(wrong)}")


def _first_of(keys: Sequence[str]) -> str:
    shown = [printable(key, 120) for key in keys[:_NAMES_SHOWN]]
    return ", ".join([*shown, "..."] if len(keys) > _NAMES_SHOWN else shown)
