"""The checkpoint of Inception-v3: torch-fidelity's file, a state dict, or a package."""

from __future__ import annotations

from pathlib import Path

from tlbench.checkpoints.checkpoint_format import CheckpointFormat
from tlbench.checkpoints.package import Package
from tlbench.checkpoints.state_dict import read_checkpoint

from .dims import Dims
from .model import InceptionModel

OBSERVER = "inception"


def _read(path: Path) -> Package:
    return Package(OBSERVER, read_checkpoint(path))


FORMAT = CheckpointFormat(OBSERVER, Dims, InceptionModel, _read)
