"""The devices and the precision of a training run, through Lightning Fabric."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Precision = Literal["fp32", "bf16"]
# Lightning Fabric's names, which settings.json of a run states. "bf16-mixed": weights float32, products bfloat16.
FABRIC_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed"}


def make_fabric(accelerator: str, devices: int, precision: Precision, out: Path) -> Fabric:
    """Launch Lightning Fabric; TensorBoard's files go to ``out/tensorboard``.

    Parameters
    ----------
    accelerator : str
        ``auto``, ``cpu``, ``cuda`` or another name that Lightning Fabric knows.
    devices : int
        How many of them.
    precision : "fp32" or "bf16"
    out : Path
        The run folder.

    Raises
    ------
    TlbenchError
        If the extra ``train`` is not installed, or the machine does not have these devices.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.loggers.tensorboard import TensorBoardLogger

        logger = TensorBoardLogger(root_dir=out, name="tensorboard", version="")
    except ImportError as error:
        raise TlbenchError(f"training needs more packages ({error.name}): pip install 'tlbench[train]'") from error
    try:
        fabric = Fabric(
            accelerator=accelerator,
            devices=devices,
            precision=FABRIC_PRECISION[precision],  # type: ignore[arg-type]  # a Literal there
            loggers=[logger],
        )
    except (ValueError, RuntimeError) as error:
        raise TlbenchError(
            f"accelerator {accelerator!r}, {devices} devices, precision {precision!r}: {error}"
        ) from error
    fabric.launch()
    return fabric


def on_cuda(fabric: Fabric) -> bool:
    """Whether batches go to a GPU, which copies faster from pinned memory."""
    return bool(fabric.device.type == "cuda")
