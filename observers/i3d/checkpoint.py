"""The checkpoint of I3D: the usual TorchScript file, a state dict with the same names, or a package.

Of the TorchScript file only the tensors are read. The code in it is never run.
"""

from __future__ import annotations

from pathlib import Path

from tlbench.checkpoints.checkpoint_format import CheckpointFormat
from tlbench.checkpoints.package import Package
from tlbench.checkpoints.script_file import read_script

from .dims import Dims
from .model import I3DModel

OBSERVER = "i3d"


def _read(path: Path) -> Package:
    return Package(OBSERVER, read_script(path))


FORMAT = CheckpointFormat(OBSERVER, Dims, I3DModel, _read)
