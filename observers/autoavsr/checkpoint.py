"""Load auto_avsr from a published file (a state dict) or from a package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tlbench.checkpoints.build_network import build_network
from tlbench.checkpoints.package import Package, check_observer, open_package, read_dims
from tlbench.checkpoints.pickle_records import printable
from tlbench.checkpoints.state_dict import published, read_checkpoint, renamed
from tlbench.errors import TlbenchError

from .dims import Dims
from .model import AutoAVSRModel
from .tokens import Tokens, published_tokens

OBSERVER = "autoavsr"
PIECES_FILE = "sentencepiece.model"  # of a package that tlbench trained

# Names of the repository's older code, which KeySync's files (``*_updated.pth``) have, and today's. The original itself
# renames the last two when it loads a file.
_OLDER = {
    "encoder.frontend.": "frontend.",
    "encoder.embed.0.": "proj_encoder.",
    "encoder.input_layer.0.": "proj_encoder.",
    "encoder.norm.": "encoder.after_norm.",
    "decoder.output_norm.": "decoder.after_norm.",
}
_DROPPED = ("decoder.embed.1.pe", "encoder.embed.1.pe", "encoder.pos_enc.pe")  # tables of positions
_OUTPUT, _FIRST_LAYER = "decoder.output_layer.weight", "frontend.frontend3D.0.weight"


def read_published(path: Path) -> Package:
    """Read a published file as a package. Raises TlbenchError if it is damaged, holds code, or is another model's."""
    package = _read(path)
    network_of(package, path)
    return published(package, path)


def load_model(path: Path) -> tuple[AutoAVSRModel, Tokens]:
    """The network, ready for inference, and its tokens. Raises TlbenchError if the file does not fit."""
    model, tokens = network_of(open_package(path, _read), path)
    return model.eval().requires_grad_(False), tokens


def network_of(package: Package, path: Path) -> tuple[AutoAVSRModel, Tokens]:
    """The network of a package, and its tokens. Raises TlbenchError, naming ``path``, if it does not fit."""
    check_observer(package, OBSERVER, path)
    dims = read_dims(Dims, package.config.get("dims", {}), path)  # a published file states none
    tokens = _tokens_of(package, path)
    if len(tokens) != dims.vocabulary:
        raise TlbenchError(
            f"package {path}: {len(tokens):,} tokens for a network of {dims.vocabulary:,}; train or import it again"
        )
    return build_network(lambda: AutoAVSRModel(dims), package.tensors, f"{OBSERVER}, {path}"), tokens


def _tokens_of(package: Package, path: Path) -> Tokens:
    """The tokens that a package states; the published ones if it states none."""
    units: Any = package.config.get("units")
    if units is None:
        return published_tokens()
    pieces = package.files.get(PIECES_FILE)
    if pieces is None or not isinstance(units, list) or not all(isinstance(unit, str) for unit in units):
        raise TlbenchError(f"package {path}: its units or its {PIECES_FILE} can't be read; train it again")
    return Tokens(units, pieces)


def _read(path: Path) -> Package:
    return Package(OBSERVER, with_todays_names(read_checkpoint(path), path))


def with_todays_names(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors by today's names. Raises TlbenchError for a file of another modality or unit list, or a wrapper's."""
    kept = {name: tensor for name, tensor in tensors.items() if name not in _DROPPED}
    found = renamed(kept, _today, path)
    whole = next((name for name in found if name.endswith("." + _OUTPUT)), None)
    if _OUTPUT not in found and whole is not None:
        raise TlbenchError(
            f"weights {path}: its names begin with {printable(whole.removesuffix(_OUTPUT), 40)}, so it is the state "
            "of a program around the network; save the network's own state_dict(), as the published file is"
        )
    if _OUTPUT in found and _FIRST_LAYER not in found:
        raise TlbenchError(
            f"weights {path}: this auto_avsr listens, it has no visual front end; take a checkpoint whose name begins "
            "with vsr_"
        )
    rows = len(found[_OUTPUT]) if _OUTPUT in found and found[_OUTPUT].ndim else 0
    if rows and rows != Dims().vocabulary:
        raise TlbenchError(
            f"weights {path}: {rows:,} outputs, the units file of auto_avsr has {Dims().vocabulary:,} tokens; this "
            "network was trained with another unit list"
        )
    return found


def _today(name: str) -> str:
    for older, today in _OLDER.items():
        if name.startswith(older):
            return today + name[len(older) :]
    return name
