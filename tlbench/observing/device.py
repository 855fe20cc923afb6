"""On which device networks compute, and in which precision."""

from __future__ import annotations

import re
from typing import Literal

from tlbench.errors import TlbenchError

Precision = Literal["full", "half"]  # float32 or bfloat16, see tlbench.observing.precision


def choose_device(device: str, networks: bool) -> str:
    """The torch device of a run: ``cpu``, ``cuda`` or ``cuda:N``.

    Parameters
    ----------
    device : str
        ``auto`` is a GPU if torch finds one, else the CPU.
    networks : bool
        Whether a network runs at all. Without one the answer is ``cpu``, and torch is not imported.

    Raises
    ------
    TlbenchError
        If there is no such device.
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
