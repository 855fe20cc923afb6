"""The matrix peak of the machine, to compare the speed of networks with."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from tlbench.observing.packed_linear import PackedLinear


def matrix_peak_gflops(size: int = 2048, repeats: int = 10) -> float:
    """The best of ``repeats`` float32 products of two square matrices, in 1e9 floating point operations a second."""
    a, b = torch.rand(size, size), torch.rand(size, size)
    torch.mm(a, b)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def packed_peak_gflops(clock: Callable[[], float] = time.perf_counter, size: int = 2048, repeats: int = 10) -> float:
    """The same by oneDNN with a packed weight, which on AMD's processors is faster; ``clock`` gives seconds."""
    layer, rows = PackedLinear(torch.rand(size, size), None), torch.rand(size, size)
    layer(rows)
    best = float("inf")
    for _ in range(repeats):
        start = clock()
        layer(rows)
        best = min(best, clock() - start)
    return 2 * size**3 / best / 1e9
