"""The checkpoint of ArcFace: insightface's ONNX file, whose graph is not run, or a package."""

from __future__ import annotations

from pathlib import Path

from tlbench.checkpoints.checkpoint_format import CheckpointFormat
from tlbench.checkpoints.onnx_file import read_onnx
from tlbench.checkpoints.package import Package
from tlbench.errors import TlbenchError

from .dims import Dims
from .graph import network_tensors
from .model import ArcFaceNetwork

OBSERVER = "arcface"


def _read(path: Path) -> Package:
    try:
        dims, tensors = network_tensors(read_onnx(path))
    except ValueError as error:
        raise TlbenchError(
            f"weights {path}: not an ArcFace ResNet as PyTorch writes it ({error}); take w600k_r50.onnx of buffalo_l"
        ) from error
    return Package(OBSERVER, tensors, {"dims": dims.to_json()})


FORMAT = CheckpointFormat(OBSERVER, Dims, ArcFaceNetwork, _read)
