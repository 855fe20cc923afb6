"""The devices that a training runs on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


def make_fabric(accelerator: str, devices: int, precision: Precision, out: Path) -> Fabric:
    """Lightning Fabric, launched, with TensorBoard's files in ``out/tensorboard``.

    Raises TlbenchError if the extra is not installed, or these devices are not there.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.loggers.tensorboard import TensorBoardLogger

        logger = TensorBoardLogger(root_dir=out, name="tensorboard", version="")
    except ImportError as error:
        raise TlbenchError(f"training needs more packages ({error.name}): pip install 'tlbench[train]'") from error
    try:
        fabric = Fabric(accelerator=accelerator, devices=devices, precision=precision, loggers=[logger])
    except (ValueError, RuntimeError) as error:
        raise TlbenchError(
            f"accelerator {accelerator!r}, {devices} devices, precision {precision!r}: {error}"
        ) from error
    fabric.launch()
    return fabric


def on_cuda(fabric: Fabric) -> bool:
    """Whether batches are copied to a GPU, which is faster from pinned memory."""
    return bool(fabric.device.type == "cuda")
