"""Which matrix product networks use on a CPU: torch's own, or oneDNN's with packed weights.

The two differ by rounding, so the choice is part of the key of evidence and of a result's provenance. It is made by
whoever plans a run, by a rule (never by timing), so that shards and resumed runs on equal machines come to the same
one. The rule is a table of what was measured, ``matrix_products.csv``: processors that are not in it keep torch's
product. ``python -m benchmarks.matrix_products`` measures a processor and prints its row.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from tlbench.errors import TlbenchError
from tlbench.files import TEXT, read_outside

Product = Literal["torch", "onednn"]
ProductChoice = Literal["auto", "torch", "onednn"]
CPUINFO = Path("/proc/cpuinfo")
# Instruction sets that decide the speed of a product, and the flags of /proc/cpuinfo that a processor with them has.
INSTRUCTIONS = {
    "avx2": {"avx2", "fma"},
    "avx512": {"avx512f", "avx512bw"},
    "avx512_bf16": {"avx512_bf16"},
    "amx_bf16": {"amx_bf16", "amx_tile"},
}


@dataclass(frozen=True)
class Measured:
    """A row of the table.

    Attributes
    ----------
    vendor : str
        As /proc/cpuinfo names it: ``AuthenticAMD``, ``GenuineIntel``.
    instructions : str
        A key of :data:`INSTRUCTIONS`; the rows of the wider ones come first.
    numbers : str
        ``float32`` or ``bfloat16``.
    torch : tuple of int
        The oldest torch, (major, minor), that the row holds for.
    product : Product
    """

    vendor: str
    instructions: str
    numbers: str
    torch: tuple[int, int]
    product: Product


@functools.cache
def measured() -> tuple[Measured, ...]:
    """The table, in its order."""
    text = (files("tlbench.observing") / "matrix_products.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(
        Measured(row["vendor"], row["instructions"], row["numbers"], _release(row["torch"]), _product(row["product"]))
        for row in rows
    )


def _product(name: str) -> Product:
    if name == "onednn":
        return "onednn"
    assert name == "torch", name
    return "torch"


def _release(text: str) -> tuple[int, int]:
    """Major and minor of a version such as ``2.13.0+cpu``; (0, 0) if it does not begin with two numbers."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@functools.cache
def processor(cpuinfo: Path = CPUINFO) -> tuple[str, frozenset[str]]:
    """Vendor and flags of this machine's processor; ("", none) where the system does not say it in /proc/cpuinfo."""
    try:
        text = read_outside(cpuinfo, TEXT).decode("utf-8", "replace")
    except OSError:
        return "", frozenset()
    said = dict(re.findall(r"^(vendor_id|flags)\s*:\s*(.*)$", text.partition("\n\n")[0], re.MULTILINE))
    return said.get("vendor_id", ""), frozenset(said.get("flags", "").split())


def mkl_branch(vendor: str, flags: frozenset[str]) -> str | None:
    """The value of ``MKL_CBWR`` with which torch's product does not depend on the number of threads; None for none.

    On Intel's processors MKL adds in another order on two threads than on one, so that a run with two workers differed
    in the last digits from a run with one. Its strict mode ("Conditional Numerical Reproducibility", in the developer
    guide of oneMKL) keeps the order. On AMD's no difference was seen.
    """
    if vendor != "GenuineIntel":
        return None
    return next((f"{name.upper()},STRICT" for name in ("avx512", "avx2") if flags >= INSTRUCTIONS[name]), None)


def choose_product(choice: str, device: str, numbers: str) -> Product:
    """The product of a run.

    Parameters
    ----------
    choice : str
        ``torch``, ``onednn``, or ``auto`` for the table's.
    device : str
        Where networks compute. On a GPU the answer is ``torch``.
    numbers : str
        ``float32`` or ``bfloat16``.

    Raises
    ------
    TlbenchError
        Another name, or ``onednn`` on a GPU.
    """
    if choice not in get_args(ProductChoice):
        raise TlbenchError(f"no matrix product {choice!r}; there are {', '.join(get_args(ProductChoice))}")
    if device != "cpu":
        if choice == "onednn":
            raise TlbenchError(f"matrix product 'onednn' is for CPUs, not for device {device!r}; leave it out")
        return "torch"
    if choice != "auto":
        return _product(choice)
    return product_of(*processor(), numbers, _installed_torch(), measured())


def product_of(
    vendor: str, flags: frozenset[str], numbers: str, torch: tuple[int, int], table: Iterable[Measured]
) -> Product:
    """The product of the first row of the table that fits; torch's if none does."""
    for row in table:
        fits = row.vendor == vendor and row.numbers == numbers and torch >= row.torch
        if fits and flags >= INSTRUCTIONS[row.instructions]:
            return row.product
    return "torch"


@functools.cache
def _installed_torch() -> tuple[int, int]:
    try:
        return _release(version("torch"))
    except PackageNotFoundError:
        return 0, 0
