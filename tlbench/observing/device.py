"""Where networks compute, and in which precision."""

from __future__ import annotations

import platform
import re
from typing import Literal, get_args

from tlbench.errors import TlbenchError
from tlbench.observing.matrix_product import INSTRUCTIONS, processor

Precision = Literal["fp32", "bf16"]


def choose_device(device: str, networks: bool) -> str:
    """The torch device for a ``--device`` option.

    Parameters
    ----------
    device : str
        ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.
    networks : bool
        Whether a network will run. If not, torch is not imported and the answer is ``cpu``.

    Raises
    ------
    TlbenchError
        Another name, or a GPU that torch does not see.
    """
    if re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", device) is None:
        raise TlbenchError(f"no device {device!r}; there are auto, cpu, cuda and cuda:0, cuda:1 ...")
    if device == "cpu" or not networks:
        return "cpu"
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if count else "cpu"
    if int(device.partition(":")[2] or 0) >= count:
        raise TlbenchError(f"device {device!r}: torch sees {count} CUDA devices here; pass --device cpu or auto")
    return device


def check_precision(precision: str) -> None:
    """Raises TlbenchError if there is no such precision."""
    if precision not in get_args(Precision):
        raise TlbenchError(f"no precision {precision!r}; there are {' and '.join(get_args(Precision))}")


def processor_type(device: str) -> str:
    """The type of this machine's processor, or of its GPU. Equal types, with equal versions, give equal bits.

    Parameters
    ----------
    device : str
        Where networks compute: ``cpu``, or a GPU that torch sees.

    Returns
    -------
    str
        ``AuthenticAMD avx512``: vendor and the widest instruction set that decides how sums are ordered. The kind of
        machine (``arm64``) where the system does not say the vendor. Of a GPU the name that torch gives.
    """
    if device != "cpu":
        import torch

        return torch.cuda.get_device_name(device)
    vendor, flags = processor()
    widest = [name for name, needed in INSTRUCTIONS.items() if flags >= needed]
    return " ".join([vendor or platform.machine(), *widest[-1:]])
