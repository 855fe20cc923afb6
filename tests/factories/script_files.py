"""TorchScript files, as ``torch.jit.save`` writes them."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn


def save_script(module: nn.Module, example: Tensor, path: Path) -> Path:
    """Trace a module with an example of its input, and save it with its code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer releases of torch say that TorchScript is deprecated
        torch.jit.save(torch.jit.trace(module.eval(), example), str(path))
    return path
