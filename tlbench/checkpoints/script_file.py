"""Read the tensors of a TorchScript file, without running the code in it.

Such a file (``torch.jit.save``) is a zip file with the same pickle and storages as one of ``torch.save``, and with
code. Its pickle makes objects of classes whose names start with ``__torch__``; each becomes a plain record here, and
the tensors get the names that a state dict has: those of the attributes that lead to them, with dots.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from tlbench.checkpoints.pickle_records import TensorSlice, Thing
from tlbench.checkpoints.state_dict import open_checkpoint, read_state
from tlbench.errors import TlbenchError

SCRIPT_CLASSES = "__torch__."
# torch/jit/_pickle.py: what makes lists of numbers and tensors from plain lists.
_LISTS = tuple(f"torch.jit._pickle.build_{kind}list" for kind in ("int", "double", "bool", "tensor"))
MOST_MODULES_DEEP = 32


def read_script(path: Path) -> dict[str, Tensor]:
    """The tensors of a TorchScript file, or of a file that is a plain state dict, by name.

    Raises
    ------
    TlbenchError
        If the file can't be read, is neither, is incomplete, or holds anything but tensors, plain data and objects of
        its own classes.
    """
    archive = open_checkpoint(path, inert=(SCRIPT_CLASSES, *_LISTS))
    tree = archive.tree
    if not isinstance(tree, Thing):
        return read_state(archive, tree if isinstance(tree, dict) else {}, path)
    return read_state(archive, dict(_named(tree, "", path)), path)


def _named(thing: Thing, prefix: str, path: Path) -> Iterator[tuple[str, TensorSlice]]:
    if prefix.count(".") > MOST_MODULES_DEEP:
        raise TlbenchError(f"weights {path}: modules inside each other more than {MOST_MODULES_DEEP} deep")
    state: Any = thing.state
    for name, value in state.items() if isinstance(state, dict) else ():
        if isinstance(value, TensorSlice):
            yield f"{prefix}{name}", value
        elif isinstance(value, Thing):
            yield from _named(value, f"{prefix}{name}.", path)
