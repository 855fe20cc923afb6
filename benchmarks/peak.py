"""The matrix peak of the machine, to compare the speed of networks with."""

from __future__ import annotations

import time

import torch


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
