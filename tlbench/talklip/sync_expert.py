"""Reads Wav2Lip's sync expert: the published file, ``lipsync_expert.pth``, or a package of one trained here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from tlbench.checkpoints.build_network import build_network
from tlbench.checkpoints.catalogue import known_cards
from tlbench.checkpoints.package import Package, check_observer, open_package, read_dims
from tlbench.checkpoints.state_dict import open_checkpoint, published, read_state, renamed
from tlbench.checkpoints.weights import locate
from tlbench.errors import TlbenchError, quoted
from tlbench.talklip.wav2lip import ColourSyncNet, SyncDims

SYNC_EXPERT = "wav2lip-sync"  # `observer` of a package
FIRST_TENSOR = "face_encoder.0.conv_block.0.weight"
PARALLEL = "module."  # prefix that torch.nn.DataParallel gives every name


@dataclass(frozen=True)
class FoundSyncExpert:
    """A sync expert, and which network it is.

    Attributes
    ----------
    name : str
        Of its file; for a package, the names of the folder it is in and of its own folder.
    sha256 : str
        Of the published file, or of what decides a package's numbers.
    network : ColourSyncNet
        Without trainable parameters.
    """

    name: str
    sha256: str
    network: ColourSyncNet


def find_sync_expert(given: Path) -> FoundSyncExpert:
    """Find and load a sync expert by the name of a checkpoint, or from a file or package.

    Raises
    ------
    TlbenchError
        If there is none, or the file is damaged or another model's.
    """
    path = locate(given, [card for card in known_cards() if card.name.startswith(SYNC_EXPERT)], "sync-expert")
    package = open_package(path, read_published_sync)
    name = "/".join(path.resolve().parts[-2:]) if path.is_dir() else path.name
    network = sync_network_of(package, path).requires_grad_(False)
    return FoundSyncExpert(name, package.source_sha256, network)


def sync_network_of(package: Package, path: Path) -> ColourSyncNet:
    """The network of a package, in evaluation mode. Raises TlbenchError, naming ``path``, if it does not fit."""
    check_observer(package, SYNC_EXPERT, path)
    dims = read_dims(SyncDims, package.config.get("dims"), path)
    return build_network(lambda: ColourSyncNet(dims), package.tensors, f"{SYNC_EXPERT}, {path}").eval()


def read_published_sync(path: Path) -> Package:
    """Read a file of Wav2Lip's ``color_syncnet_train.py`` as a package, with its name and hash.

    Raises
    ------
    TlbenchError
        If it is damaged or another model's.
    """
    tensors = _read(path)
    if FIRST_TENSOR not in tensors:
        raise TlbenchError(
            f"weights {path}: is another model's file, not a sync expert of Wav2Lip (its first tensor is "
            f"{quoted(next(iter(tensors), ''))}); give lipsync_expert.pth, or OUT/best of `tlbench train-observer "
            "wav2lip-sync`"
        )
    package = Package(SYNC_EXPERT, tensors, {"dims": SyncDims().to_json()})
    sync_network_of(package, path)
    return published(package, path)


def _read(path: Path) -> Mapping[str, Tensor]:
    archive = open_checkpoint(path)
    tree = archive.tree
    wrapped = tree.get("state_dict", tree) if isinstance(tree, dict) else None
    if not isinstance(wrapped, dict):
        raise TlbenchError(f"weights {path}: has no state dict; this is another model's file")
    return renamed(read_state(archive, wrapped, path), lambda name: name.removeprefix(PARALLEL), path)
