"""The checkpoint of SyncNet: ``syncnet_v2.model``, a state dict, or a package.

The original keeps random values for tensors that are missing; here every tensor must be in the file.
"""

from __future__ import annotations

from pathlib import Path

from tlbench.checkpoints.checkpoint_format import CheckpointFormat
from tlbench.checkpoints.package import Package
from tlbench.checkpoints.state_dict import read_checkpoint

from .dims import PUBLISHED, Dims
from .model import SyncNetModel

OBSERVER = "syncnet"


def _read(path: Path) -> Package:
    return Package(OBSERVER, read_checkpoint(path), {"dims": PUBLISHED.to_json()})


FORMAT = CheckpointFormat(OBSERVER, Dims, SyncNetModel, _read)
