"""``syncnet_v2.model`` to a network: a plain state dict with the names of :class:`.model.SyncNetModel`."""

from __future__ import annotations

from pathlib import Path

from tlbench.observing.checkpoints import load_into, read_checkpoint

from .model import SyncNetModel


def load_model(path: Path) -> SyncNetModel:
    """The published network, ready for inference. Raises TlbenchError naming what does not fit.

    The original copies what it finds and silently keeps random values for the rest; here every tensor must be there.
    """
    state, _ = read_checkpoint(path)
    model = SyncNetModel()
    load_into(model, state, f"syncnet, {path}")
    return model.eval().requires_grad_(False)
