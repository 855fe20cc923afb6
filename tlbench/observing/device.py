"""Where networks compute, in which precision, and with which packages."""

from __future__ import annotations

import platform
import re
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, get_args

from tlbench.errors import TlbenchError
from tlbench.observing.matrix_product import INSTRUCTIONS, processor

Precision = Literal["fp32", "bf16"]
# Where Linux shows a GPU that torch could use: NVIDIA's driver, the same on Jetson boards, WSL, and AMD's driver.
GPU_FILES = tuple(Path("/dev") / name for name in ("nvidiactl", "nvhost-ctrl", "nvmap", "dxg", "kfd"))
# Whose versions decide the last digits of what is observed: they decode and compute.
PACKAGES = ("torch", "av", "opencv-python-headless", "numpy", "scipy")
LAST_DIGITS = "floats may differ in their last digits from a run on one machine (docs/precision.md)"


def choose_device(device: str, networks: bool, *, elsewhere: bool = False) -> str:
    """The torch device for a ``--device`` option.

    torch is imported only if it has to be asked: for a GPU, or for ``auto`` where :func:`may_have_gpu` says so.

    Parameters
    ----------
    device : str
        ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.
    networks : bool
        Whether a network will run. If not, torch is not imported and the answer is ``cpu``.
    elsewhere : bool
        Networks run on other machines: this one need not have the GPU that is named.

    Raises
    ------
    TlbenchError
        Another name, or a GPU that torch does not see.
    """
    if re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", device) is None:
        raise TlbenchError(f"no device {device!r}; there are auto, cpu, cuda and cuda:0, cuda:1 ...")
    if device == "cpu" or not networks or (device == "auto" and not may_have_gpu()):
        return "cpu"
    if elsewhere and device != "auto":
        return device
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if count else "cpu"
    if int(device.partition(":")[2] or 0) >= count:
        raise TlbenchError(
            f"device {device!r}: torch sees {count} CUDA devices here; go where there is one, or pass --device "
            "cpu or auto"
        )
    return device


def may_have_gpu() -> bool:
    """Whether torch could see a GPU here; to ask torch itself takes longer than a run that is read from the cache.

    It can't if it was built without GPUs (its version says ``+cpu``), nor on Linux where no driver has a file in
    ``/dev``. On other systems it may.
    """
    try:
        built_for = version("torch").partition("+")[2]
    except PackageNotFoundError:  # built from source: it may be importable all the same
        built_for = ""
    if built_for == "cpu":
        return False
    return sys.platform != "linux" or any(path.exists() for path in GPU_FILES)


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
        machine (``arm64``) where the system does not say the vendor. Of a GPU the name that torch gives,
        or ``device`` if torch sees none here.
    """
    if device != "cpu":
        import torch

        return torch.cuda.get_device_name(device) if torch.cuda.is_available() else device
    vendor, flags = processor()
    widest = [name for name, needed in INSTRUCTIONS.items() if flags >= needed]
    return " ".join([vendor or platform.machine(), *widest[-1:]])


def package_versions() -> dict[str, str | None]:
    """The versions that are installed here, by package; None for one that is not, or that has another build's name."""
    return {name: _installed(name) for name in PACKAGES}


@cache
def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:  # another build of the same package, such as opencv-python
        return None
