"""Load MVM from the published file (four state dicts) or from a package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from tlbench.checkpoints.build_network import build_network
from tlbench.checkpoints.package import Package, check_observer, open_package, read_dims
from tlbench.checkpoints.state_dict import open_checkpoint, published, read_state
from tlbench.errors import TlbenchError

from .dims import Dims
from .model import MVMModel
from .words import WORDS

OBSERVER = "mvm"
# The four state dicts of the file are called PART_state_dict (original train.py); in a package, PART. is a prefix.
PARTS = ("v_front", "a_front", "mem", "tcn")


def read_published(path: Path) -> Package:
    """Read the published file as a package. Raises TlbenchError if it is damaged, holds code, or is another model's."""
    package = _read(path)
    network_of(package, path)
    return published(package, path)


def load_model(path: Path, observer: str = OBSERVER) -> tuple[MVMModel, Sequence[str]]:
    """The network of an observer, ready for inference, and the words that it classifies.

    Raises TlbenchError if the file does not fit.
    """
    model, words = network_of(open_package(path, _read), path, observer)
    return model.eval().requires_grad_(False), words


def network_of(package: Package, path: Path, observer: str = OBSERVER) -> tuple[MVMModel, Sequence[str]]:
    """The network of an observer's package, and its words. Raises TlbenchError, naming ``path``, if it does not fit."""
    check_observer(package, observer, path)
    dims = read_dims(Dims, package.config.get("dims", {}), path)  # a published file states none
    words = _words_of(package, path, dims.words)
    return build_network(lambda: MVMModel(dims), package.tensors, f"{observer}, {path}"), words


def _words_of(package: Package, path: Path, count: int) -> Sequence[str]:
    """The words that the package states; LRW's if it states none, like a published file."""
    words = package.config.get("words", WORDS)
    if words is not WORDS and not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        raise TlbenchError(f"package {path}: its words can't be read; train it again")
    if len(words) != count or len(set(words)) != count:
        raise TlbenchError(f"package {path}: {len(set(words))} words for {count} outputs; train it again")
    return words


def _read(path: Path) -> Package:
    """Read the four state dicts; optimizer states and other parts of the file are not read."""
    archive = open_checkpoint(path)
    tree = archive.tree if isinstance(archive.tree, dict) else {}
    missing = [f"{part}_state_dict" for part in PARTS if not isinstance(tree.get(f"{part}_state_dict"), dict)]
    if missing:
        raise TlbenchError(f"weights of mvm, {path}: this is another model's file; it has no {', '.join(missing)}")
    tensors: dict[str, Tensor] = {}
    for part in PARTS:
        state = read_state(archive, tree[f"{part}_state_dict"], path)
        tensors |= {f"{part}.{name}": tensor for name, tensor in state.items()}
    return Package(OBSERVER, tensors)
